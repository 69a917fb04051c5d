"""Parts that focal losses share: the mass of a label, and formulas for a gamma of 2.

1 - p_t is kept in double-double (`missing`): its power would multiply the error of a rounding by gamma.
"""

from dataclasses import replace
from typing import TypeVar

from ..core.jit import scalar
from ..core.primitives import two_diff
from ._double_double import dd_add, dd_div, dd_mul, power, square
from ._kinds import Elementwise, Rowwise
from ._substitution import substituted

F = TypeVar("F", Elementwise, Rowwise)


@scalar
def mass_of(y: float, y_lo: float, label_smoothing: float, size: float) -> tuple[float, float]:
    """Return ``y (1 - label_smoothing) + label_smoothing / size`` of a label ``y + y_lo``."""
    kept, kept_lo = two_diff(1.0, label_smoothing)
    product, product_lo = dd_mul(y, y_lo, kept, kept_lo)
    spread, spread_lo = dd_div(label_smoothing, 0.0, size, 0.0)
    return dd_add(product, product_lo, spread, spread_lo)


def with_square(formula: F) -> F:
    """Return a formula for a gamma of 2."""
    return replace(formula, term=substituted(formula.term, {power: square}))
