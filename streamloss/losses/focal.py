"""Focal losses: cross-entropies that discount samples which are predicted well."""

from .._jit import scalar
from ..types import UNIT
from ._kinds import Elementwise, Rowwise
from ._parameters import AXIS, EPSILON, GAMMA, LABEL_SMOOTHING, MEAN_AXIS, NOT_NEGATIVE, Parameter
from ._registry import declare
from ._scalar import at_least, at_most, difference, exp, log, log1p, logistic, power, share_cost


@scalar
def masses(y: float, label_smoothing: float) -> tuple[float, float]:
    """Of the label 1 and of the label 0, smoothed apart: 1 - (smoothed y) would cancel for y near 1."""
    half = 0.5 * label_smoothing
    return y * (1.0 - label_smoothing) + half, (1.0 - y) * (1.0 - label_smoothing) + half


@scalar
def discounted(
    one: float, zero: float, p: float, q: float, cost: float, alpha: float, gamma: float, balancing: float
) -> float:
    """``(1 - p_t)**gamma cost``, where p and q are the predicted probabilities of 1 and of 0."""
    missing = at_most(one * q + zero * p, 1.0)
    balance = one * alpha + zero * (1.0 - alpha) if balancing != 0.0 else 1.0
    factor = power(missing, gamma)
    return balance * (factor * cost) if factor > 0.0 else 0.0 * (missing + balance)  # 0 * inf is 0 here


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
    one, zero = masses(y, label_smoothing)
    q = at_most(at_least(p, lower), upper)
    cost = (one * -log(q) if one > 0.0 else 0.0 * (y + p)) + (zero * -log1p(-q) if zero > 0.0 else 0.0 * y)
    return discounted(one, zero, p, 1.0 - p, cost, alpha, gamma, apply_class_balancing)


def binary_from_logit(
    y: float, x: float, apply_class_balancing: float, alpha: float, gamma: float, label_smoothing: float
) -> float:
    one, zero = masses(y, label_smoothing)
    side = zero if x > 0.0 else one
    cost = (abs(x) * side if side > 0.0 else 0.0 * (y + (x - x if x != x else 0.0))) + log1p(exp(-abs(x)))
    return discounted(one, zero, logistic(x), logistic(-x), cost, alpha, gamma, apply_class_balancing)


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
    total: float,
    lost: float,
    size: float,
    gamma: float,
    label_smoothing: float,
    lower: float,
    upper: float,
    alpha: float,
) -> float:
    """Of one class, whose share is ``p / (total + lost)``."""
    mass = y * (1.0 - label_smoothing) + label_smoothing / size
    others = (total - p) + lost
    missing = at_most(at_least(others / (total + lost), 1.0 - upper), 1.0 - lower)
    factor = power(missing, gamma)
    cost = factor * share_cost(p, others, lower, upper)
    return alpha * mass * cost if (mass > 0.0) & (factor > 0.0) else 0.0 * (mass + p + missing)


def own(p: float, top: float) -> float:
    return p


def odds_of(x: float, top: float) -> float:
    d, lost = difference(x, top)
    return exp(d, lost)


def largest(y: float, p: float) -> float:
    return p


def categorical_from_probability(
    y: float,
    p: float,
    top: float,
    total: float,
    lost: float,
    size: float,
    gamma: float,
    label_smoothing: float,
    lower: float,
    upper: float,
    alpha: float,
) -> tuple[float]:
    return (focal_cost(y, p, total, lost, size, gamma, label_smoothing, lower, upper, alpha),)


def categorical_from_logit(
    y: float,
    x: float,
    top: float,
    total: float,
    lost: float,
    size: float,
    gamma: float,
    label_smoothing: float,
    lower: float,
    upper: float,
    alpha: float,
) -> tuple[float]:
    d, d_lost = difference(x, top)
    return (focal_cost(y, exp(d, d_lost), total, lost, size, gamma, label_smoothing, lower, upper, alpha),)


def added_up(
    sums: tuple[float],
    lost: tuple[float],
    top: float,
    size: float,
    gamma: float,
    label_smoothing: float,
    lower: float,
    upper: float,
) -> float:
    return sums[0] + lost[0]


declare(
    "categorical_focal_crossentropy",
    "CategoricalFocalCrossentropy",
    formula=Rowwise(
        categorical_from_probability, 1, added_up, y_true=NOT_NEGATIVE, y_pred=UNIT, share=own, per_class="alpha"
    ),
    logits=Rowwise(
        categorical_from_logit, 1, added_up, y_true=NOT_NEGATIVE, peak=largest, share=odds_of, per_class="alpha"
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
