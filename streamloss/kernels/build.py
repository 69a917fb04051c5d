"""The choice of the loop over the rows of a tile (`base.Kernel`) for a formula."""

from __future__ import annotations

from functools import cache

from ..formulas._kinds import Elementwise, Formula, LabelSequence, OneHot, Overlap, Parametric, Rowwise, Sparse
from .base import Kernel
from .ctc import ctc
from .dense import dense
from .elementwise import elementwise, parametric
from .sparse import sparse
from .summation_order import ACROSS_CLASSES, ACROSS_GROUPS, ACROSS_ROWS, FEW, ONE_ELEMENT, SEVERAL


def layout_of(formula: Formula, classes: int) -> str:
    """Return the layout of the loops over rows of so many classes; only that one is compiled."""
    if isinstance(formula, Parametric | LabelSequence) or (isinstance(formula, Elementwise) and classes == 1):
        return ONE_ELEMENT
    return ACROSS_ROWS if classes <= FEW else ACROSS_GROUPS if classes <= SEVERAL else ACROSS_CLASSES


@cache
def build(formula: Formula, single: bool, layout: str) -> Kernel:
    """Return the loop of a formula; it is compiled on its first call for each combination of dtypes.

    `single`: its losses will be rounded to float32.
    """
    match formula:
        case Elementwise() if layout == ONE_ELEMENT:
            return elementwise(formula, single)
        case Sparse() | OneHot():
            return sparse(formula, single, layout)
        case Parametric():
            return parametric(formula, single)
        case LabelSequence():
            return ctc(formula)
        case Elementwise() | Rowwise() | Overlap():
            return dense(formula, single, layout)
