"""Parts that focal losses share: the mass of a label, and formulas for a gamma of 2.

1 - p_t is kept in double-double (`missing`): its power would multiply the error of a rounding by gamma.
"""

from dataclasses import replace
from typing import TypeVar

from ..core.jit import scalar
from ._double_double import dd_diff, dd_div, dd_mul, dd_plus, power, square
from ._kinds import Elementwise, Rowwise
from ._substitution import substituted

F = TypeVar("F", Elementwise, Rowwise)


@scalar
def mass_of(y: float, y_lo: float, label_smoothing: float, size: float) -> tuple[float, float]:
    """Return ``y (1 - label_smoothing) + label_smoothing / size`` of a label ``y + y_lo``."""
    kept, kept_lo = dd_diff(1.0, label_smoothing)
    product, product_lo = dd_mul(y, y_lo, kept, kept_lo)
    spread, spread_lo = dd_div(label_smoothing, 0.0, size, 0.0)
    return dd_plus(product, product_lo, spread, spread_lo)


def with_square(formula: F) -> F:
    """Return a formula for a gamma of 2."""
    return replace(formula, term=substituted(formula.term, {power: square}))
