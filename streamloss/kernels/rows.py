"""From a formula to its loop over the rows of a tile (`layout.Rows`)."""

from __future__ import annotations

from functools import cache

from ..losses._kinds import Elementwise, Formula, LabelSequence, Overlap, Parametric, Rowwise, Sparse
from .elementwise import elementwise, parametric
from .layout import Rows
from .rowwise import overlap, rowwise
from .sequence import sequence
from .sparse import sparse


@cache
def build(formula: Formula) -> Rows:
    """The compiled loop of a formula; compiled on its first call for each combination of dtypes."""
    match formula:
        case Elementwise():
            return elementwise(formula)
        case Sparse():
            return sparse(formula)
        case Rowwise():
            return rowwise(formula)
        case Parametric():
            return parametric(formula)
        case Overlap():
            return overlap(formula)
        case LabelSequence():
            return sequence(formula)
