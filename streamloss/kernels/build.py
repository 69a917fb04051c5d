"""From a formula to its loop over the rows of a tile (`layout.Kernel`)."""

from __future__ import annotations

from functools import cache

from ..formulas._kinds import Elementwise, Formula, LabelSequence, Overlap, Parametric, Rowwise, Sparse
from .base import Kernel
from .ctc import sequence
from .dense import means, overlap, rowwise
from .elementwise import elementwise, parametric
from .sparse import sparse
from .summation_order import ABREAST, ALONE, ALONG, FEW, LONG, SEGMENT


def layout_of(formula: Formula, classes: int) -> str:
    """How the rows of a formula stand; only that loop is compiled."""
    if isinstance(formula, Parametric | LabelSequence) or (isinstance(formula, Elementwise) and classes == 1):
        return ALONE
    return ABREAST if classes <= FEW else ALONG if classes < SEGMENT else LONG


@cache
def build(formula: Formula, single: bool, layout: str) -> Kernel:
    """The loop of a formula; compiled on its first call for each combination of dtypes. `single`: its losses will be
    rounded to float32.
    """
    match formula:
        case Elementwise():
            return elementwise(formula, single) if layout == ALONE else means(formula, single, layout)
        case Sparse():
            return sparse(formula, single, layout)
        case Rowwise():
            return rowwise(formula, single, layout)
        case Parametric():
            return parametric(formula, single)
        case Overlap():
            return overlap(formula, single, layout)
        case LabelSequence():
            return sequence(formula)
