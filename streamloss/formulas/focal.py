"""Focal losses: cross-entropies that discount samples which are predicted well."""

from ..core.jit import scalar
from ..core.primitives import two_diff
from ..core.types import UNIT
from ._double_double import dd_add, dd_div, dd_exp, dd_mul, fast_two_sum, power
from ._kinds import MAXIMUM, Elementwise, Rowwise
from ._parameters import AXIS, EPSILON, GAMMA, LABEL_SMOOTHING, MEAN_AXIS, NOT_NEGATIVE, Parameter
from ._registry import declare
from ._scalar import at_least, at_most, log, log1p, share_cost
from .categorical import probability, sum_of_terms

# 1 - p_t is kept in double-double (`missing`): its power would multiply the error of a rounding by gamma.


@scalar
def mass_of(y: float, y_lo: float, label_smoothing: float, size: float) -> tuple[float, float]:
    """Return ``y (1 - label_smoothing) + label_smoothing / size`` of a label ``y + y_lo``."""
    kept, kept_lo = two_diff(1.0, label_smoothing)
    product, product_lo = dd_mul(y, y_lo, kept, kept_lo)
    spread, spread_lo = dd_div(label_smoothing, 0.0, size, 0.0)
    return dd_add(product, product_lo, spread, spread_lo)


@scalar
def both_masses(y: float, label_smoothing: float) -> tuple[float, float, float, float]:
    """Return the masses of label 1 and of label 0, smoothed apart: 1 - (smoothed y) would cancel for y near 1."""
    other, other_lo = two_diff(1.0, y)
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
    rest, rest_lo = two_diff(1.0, alpha)
    a, a_lo = dd_mul(one, one_lo, alpha, 0.0)
    b, b_lo = dd_mul(zero, zero_lo, rest, rest_lo)
    balance = dd_add(a, a_lo, b, b_lo)[0] if balancing != 0.0 else 1.0
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
    other, other_lo = two_diff(1.0, p)
    a, a_lo = dd_mul(one, one_lo, other, other_lo)
    b, b_lo = dd_mul(zero, zero_lo, p, 0.0)
    missing, missing_lo = dd_add(a, a_lo, b, b_lo)
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
    a, a_lo = dd_add(other, other_lo, a, a_lo)
    b, b_lo = dd_add(1.0, 0.0, odds, odds_lo)
    missing, missing_lo = dd_div(a, a_lo, b, b_lo)
    return discounted(one, one_lo, zero, zero_lo, missing, missing_lo, cost, alpha, gamma, apply_class_balancing)


BALANCING = {
    "apply_class_balancing": Parameter(False, "whether `alpha` weighs the two labels", types=(bool,)),
    "alpha": Parameter(0.25, "the weight of label 1 under class balancing; label 0 has 1 - alpha", UNIT),
}

declare(
    "binary_focal_crossentropy",
    "BinaryFocalCrossentropy",
    formula=Elementwise(binary_from_probability, y_true=UNIT, y_pred=UNIT),
    logits=Elementwise(binary_from_logit, y_true=UNIT),
    parameters={
        **BALANCING,
        "gamma": GAMMA,
        "label_smoothing": LABEL_SMOOTHING,
        "axis": MEAN_AXIS,
        "epsilon": EPSILON,
    },
    positional=("apply_class_balancing", "alpha", "gamma", "from_logits", "label_smoothing", "axis", "reduction"),
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


@scalar
def focal_cost(
    y: float,
    p: float,
    cost: float,
    others: float,
    others_lo: float,
    total: float,
    total_lo: float,
    size: float,
    gamma: float,
    label_smoothing: float,
    lower: float,
    upper: float,
    alpha: float,
) -> float:
    """Return the loss of one class with a cross-entropy of `cost`, whose share is ``p / total``."""
    mass, _ = mass_of(y, 0.0, label_smoothing, size)
    missing, missing_lo = dd_div(others, others_lo, total, total_lo)
    most, most_lo = two_diff(1.0, lower)
    missing, missing_lo = (most, most_lo) if missing > most else (missing, missing_lo)
    missing, missing_lo = (1.0 - upper, 0.0) if missing < 1.0 - upper else (missing, missing_lo)  # exact: upper >= 1/2
    factor = power(missing, gamma, missing_lo)
    share = alpha * mass
    return (
        share * (factor * cost) if (share > 0.0) & (factor > 0.0) else 0.0 * (mass + p + missing)
    )  # 0 * inf is 0 here


def odds_of(x: float, top: float) -> float:
    d, err = two_diff(x, top)
    return dd_exp(d, err)[0]  # within half a unit in the last place


def categorical_from_probability(
    y: float,
    p: float,
    top: float,
    total: float,
    err: float,
    size: float,
    gamma: float,
    label_smoothing: float,
    lower: float,
    upper: float,
    alpha: float,
) -> tuple[float]:
    total, err = fast_two_sum(total, err)
    others, others_lo = dd_add(total, err, -p, 0.0)
    cost = share_cost(p, others, lower, upper)
    return (focal_cost(y, p, cost, others, others_lo, total, err, size, gamma, label_smoothing, lower, upper, alpha),)


def categorical_from_logit(
    y: float,
    x: float,
    top: float,
    total: float,
    err: float,
    size: float,
    gamma: float,
    label_smoothing: float,
    lower: float,
    upper: float,
    alpha: float,
) -> tuple[float]:
    d, d_err = two_diff(x, top)
    p, _ = dd_exp(d, d_err)
    total, err = fast_two_sum(total, err)
    others, others_lo = dd_add(total, err, -p, 0.0)
    # as in sparse_from_logits: p may be 0
    cost = at_most(at_least(log1p(others + (p - 1.0)) - d, -log(upper)), -log(lower))
    return (focal_cost(y, p, cost, others, others_lo, total, err, size, gamma, label_smoothing, lower, upper, alpha),)


declare(
    "categorical_focal_crossentropy",
    "CategoricalFocalCrossentropy",
    formula=Rowwise(
        categorical_from_probability,
        1,
        sum_of_terms,
        y_true=NOT_NEGATIVE,
        y_pred=UNIT,
        share=probability,
        cancels=False,
        per_class="alpha",
    ),
    logits=Rowwise(
        categorical_from_logit,
        1,
        sum_of_terms,
        y_true=NOT_NEGATIVE,
        peak=MAXIMUM,
        cancels=False,
        share=odds_of,
        per_class="alpha",
    ),
    parameters={
        "alpha": Parameter(0.25, "the weight of each class: a number, or one for each", NOT_NEGATIVE, several=True),
        "gamma": GAMMA,
        "label_smoothing": LABEL_SMOOTHING,
        "axis": AXIS,
        "epsilon": EPSILON,
    },
    positional=("alpha", "gamma", "from_logits", "label_smoothing", "axis", "reduction"),
    doc="""
    Categorical cross-entropy whose classes cost ``alpha (1 - q)**gamma`` as much, q being each class' predicted share.

    ``sum(alpha (1 - q)**gamma * -y log(q))`` with ``y = y_true (1 - label_smoothing) + label_smoothing / C`` and q the
    share ``p / sum(p)``, or the softmax of logits, clipped to ``[epsilon, 1 - epsilon]`` in both cases, as in Keras.

    Source: Keras 3, ``categorical_focal_crossentropy`` (Lin et al. 2017).

    >>> import streamloss as sl
    >>> loss = sl.losses.CategoricalFocalCrossentropy()
    >>> loss([[0.0, 1.0, 0.0], [0.0, 0.0, 1.0]], [[0.05, 0.9, 0.05], [0.1, 0.85, 0.05]]).round(6)
    np.float64(0.338088)
    """,
)
