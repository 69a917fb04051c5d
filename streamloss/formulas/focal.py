"""The focal loss of two outcomes: a cross-entropy that discounts samples which are predicted well."""

from dataclasses import replace

from ..core.jit import scalar
from ..core.types import UNIT
from ._double_double import dd_diff, dd_div, dd_exp, dd_mul, dd_plus, power, square
from ._focal import mass_of, with_square
from ._kinds import Elementwise, OfOutcomes
from ._parameters import EPSILON, GAMMA, LABEL_SMOOTHING, MEAN_AXIS, Parameter
from ._registry import declare
from ._scalar import LEAST_NORMAL, at_least, at_most, log, log1p, log_of_outcome


@scalar
def both_masses(y: float, label_smoothing: float) -> tuple[float, float, float, float]:
    """Return the masses of label 1 and of label 0, smoothed apart: 1 - (smoothed y) would cancel for y near 1."""
    other, other_lo = dd_diff(1.0, y)
    one, one_lo = mass_of(y, 0.0, label_smoothing, 2.0)
    zero, zero_lo = mass_of(other, other_lo, label_smoothing, 2.0)
    return one, one_lo, zero, zero_lo


@scalar
def discounted(
    one: float,
    one_lo: float,
    zero: float,
    zero_lo: float,
    missing: float,
    missing_lo: float,
    cost: float,
    alpha: float,
    gamma: float,
    balancing: float,
) -> float:
    """Return ``missing**gamma cost``, times ``one alpha + zero (1 - alpha)`` under class balancing."""
    rest, rest_lo = dd_diff(1.0, alpha)
    a, a_lo = dd_mul(one, one_lo, alpha, 0.0)
    b, b_lo = dd_mul(zero, zero_lo, rest, rest_lo)
    balance = dd_plus(a, a_lo, b, b_lo)[0] if balancing != 0.0 else 1.0
    factor = power(missing, gamma, missing_lo)
    costs = (factor > 0.0) & (balance > 0.0)
    return balance * (factor * cost) if costs else 0.0 * (missing + balance)  # 0 * inf is 0 here


def binary_from_probability(
    y: float,
    p: float,
    apply_class_balancing: float,
    alpha: float,
    gamma: float,
    label_smoothing: float,
    lower: float,
    upper: float,
) -> float:
    one, one_lo, zero, zero_lo = both_masses(y, label_smoothing)
    q = at_most(at_least(p, lower), upper)
    cost = (one * -log(q) if one > 0.0 else 0.0 * (y + p)) + (zero * -log1p(-q) if zero > 0.0 else 0.0 * y)
    other, other_lo = dd_diff(1.0, p)
    a, a_lo = dd_mul(one, one_lo, other, other_lo)
    b, b_lo = dd_mul(zero, zero_lo, p, 0.0)
    missing, missing_lo = dd_plus(a, a_lo, b, b_lo)
    return discounted(one, one_lo, zero, zero_lo, missing, missing_lo, cost, alpha, gamma, apply_class_balancing)


def binary_from_logit(
    y: float, x: float, apply_class_balancing: float, alpha: float, gamma: float, label_smoothing: float
) -> float:
    one, one_lo, zero, zero_lo = both_masses(y, label_smoothing)
    # the mass of the outcome that x predicts, and of the other, whose odds are exp(-|x|)
    side, side_lo, other, other_lo = (one, one_lo, zero, zero_lo) if x > 0.0 else (zero, zero_lo, one, one_lo)
    odds, odds_lo = dd_exp(-abs(x), 0.0)
    cost = (abs(x) * other if other > 0.0 else 0.0 * (y + (x - x if x != x else 0.0))) + log1p(odds)
    a, a_lo = dd_mul(side, side_lo, odds, odds_lo)
    a, a_lo = dd_plus(other, other_lo, a, a_lo)
    b, b_lo = dd_plus(1.0, 0.0, odds, odds_lo)
    missing, missing_lo = dd_div(a, a_lo, b, b_lo)
    return discounted(one, one_lo, zero, zero_lo, missing, missing_lo, cost, alpha, gamma, apply_class_balancing)


def outcome_squared(
    y: float,
    p: float,
    apply_class_balancing: float,
    alpha: float,
    gamma: float,
    label_smoothing: float,
    lower: float,
    upper: float,
) -> float:
    happened = y > 0.0
    cost = 0.0 - log_of_outcome(at_most(at_least(p, lower), upper), happened)
    other, other_lo = dd_diff(1.0, p)
    missing, missing_lo = dd_mul(1.0, 0.0, other if happened else p, other_lo if happened else 0.0)
    balance = (alpha if happened else 1.0 - alpha) if apply_class_balancing != 0.0 else 1.0
    factor = square(missing, gamma, missing_lo)
    costs = (factor > 0.0) & (balance > 0.0)
    return balance * (factor * cost) if costs else 0.0 * (missing + balance)


def not_smoothed(
    apply_class_balancing: float, alpha: float, gamma: float, label_smoothing: float, lower: float, upper: float
) -> bool:
    return (label_smoothing == 0.0) & (lower >= LEAST_NORMAL)


FROM_PROBABILITY = Elementwise(binary_from_probability, y_true=UNIT, y_pred=UNIT)
FROM_LOGIT = Elementwise(binary_from_logit, y_true=UNIT)

BALANCING = {
    "apply_class_balancing": Parameter(False, "whether `alpha` weighs the two labels", types=(bool,)),
    "alpha": Parameter(0.25, "the weight of label 1 under class balancing; label 0 has 1 - alpha", UNIT),
}

declare(
    "binary_focal_crossentropy",
    "BinaryFocalCrossentropy",
    formula=FROM_PROBABILITY,
    logits=FROM_LOGIT,
    squared=(
        replace(with_square(FROM_PROBABILITY), of_outcomes=OfOutcomes(outcome_squared, not_smoothed)),
        with_square(FROM_LOGIT),
    ),
    parameters={
        **BALANCING,
        "gamma": GAMMA,
        "label_smoothing": LABEL_SMOOTHING,
        "axis": MEAN_AXIS,
        "epsilon": EPSILON,
    },
    positional=("apply_class_balancing", "alpha", "gamma", "from_logits", "label_smoothing", "axis", "reduction"),
    brief="yes or no, where easy rows count less",
    doc="""
    Binary cross-entropy times ``(1 - p_t)**gamma``, averaged over ``axis``; p_t is what was predicted for the label.

    With ``z = y_true (1 - label_smoothing) + label_smoothing / 2``, p the probability (from logits its logistic
    function) and ``1 - p_t = z (1 - p) + (1 - z) p``. The cross-entropy is :class:`BinaryCrossentropy`'s: from
    probabilities clipped, from logits not. Class balancing multiplies by ``z alpha + (1 - z) (1 - alpha)``.

    Source: Keras 3, ``binary_focal_crossentropy`` (Lin et al. 2017); from logits its TensorFlow backend.

    >>> import streamloss as sl
    >>> loss = sl.losses.BinaryFocalCrossentropy(gamma=2, from_logits=True)
    >>> loss([0, 1, 0, 0], [-18.6, 0.51, 2.94, -12.8]).round(6)
    np.float64(0.691212)
    """,
)
