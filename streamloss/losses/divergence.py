"""Divergences and cross-entropies between two distributions over the classes."""

from ..types import UNIT, Interval
from ._registry import AXIS, EPSILON, Parameter, Rowwise, declare
from ._scalar import at_least, at_most, difference, exp, log, log1p

NOT_NEGATIVE = Interval(0.0)
LABEL_SMOOTHING = Parameter(0.0, "how much of the labels' mass is spread evenly over the classes", UNIT)


def own(p: float, top: float) -> float:
    return p


def largest(y: float, p: float) -> float:
    return p


def crossentropy_of_probability(
    y: float,
    p: float,
    top: float,
    total: float,
    lost: float,
    size: float,
    label_smoothing: float,
    lower: float,
    upper: float,
) -> tuple[float]:
    mass = y * (1.0 - label_smoothing) + label_smoothing / size
    others = (total - p) + lost  # -log(p / total) = log(1 + others / p): nothing is lost where p is nearly all
    cost = at_most(at_least(log1p(others / p), -log(upper)), -log(lower))
    return (mass * cost if mass > 0.0 else 0.0 * (mass + p),)


def first(
    sums: tuple[float], lost: tuple[float], top: float, size: float, label_smoothing: float, lower: float, upper: float
) -> float:
    return sums[0] + lost[0]


def crossentropy_of_logit(
    y: float, x: float, top: float, total: float, lost: float, size: float, label_smoothing: float
) -> tuple[float, float, float, float]:
    mass = y * (1.0 - label_smoothing) + label_smoothing / size
    d, d_lost = difference(x, top)
    odds = exp(d, d_lost)
    # the maximum stays out of the sum of odds, and is counted: 1 + (a tiny sum) would lose the sum
    return (0.0 if d == 0.0 else odds, 1.0 if d == 0.0 else 0.0, mass, mass * -d if mass > 0.0 else 0.0)


def crossentropy_of_logits(
    sums: tuple[float, float, float, float],
    lost: tuple[float, float, float, float],
    top: float,
    size: float,
    label_smoothing: float,
) -> float:
    odds, maxima, mass, gaps = sums[0] + lost[0], sums[1], sums[2] + lost[2], sums[3] + lost[3]
    return gaps + mass * log1p(odds + (maxima - 1.0))


declare(
    "categorical_crossentropy",
    "CategoricalCrossentropy",
    formula=Rowwise(crossentropy_of_probability, 1, first, y_true=NOT_NEGATIVE, y_pred=UNIT, share=own),
    logits=Rowwise(crossentropy_of_logit, 4, crossentropy_of_logits, y_true=NOT_NEGATIVE, peak=largest),
    parameters={"label_smoothing": LABEL_SMOOTHING, "axis": AXIS, "epsilon": EPSILON},
    positional=("from_logits", "label_smoothing", "axis", "reduction"),
    doc="""
    Cross-entropy between two distributions over the classes, of which labels are often one-hot.

    With ``y = y_true (1 - label_smoothing) + label_smoothing / C``: from probabilities ``-sum(y log(q))``, q being
    each class' share ``p / sum(p)`` clipped to ``[epsilon, 1 - epsilon]``; from logits
    ``-sum(y log_softmax(x))``, which is not clipped. Labels need not sum to 1.

    Source: Keras 3, ``categorical_crossentropy``; from logits TensorFlow's
    ``softmax_cross_entropy_with_logits``.

    >>> import streamloss as sl
    >>> loss = sl.losses.CategoricalCrossentropy()
    >>> loss([[0, 1, 0], [0, 0, 1]], [[0.05, 0.95, 0], [0.1, 0.8, 0.1]]).round(4)
    np.float64(1.1769)
    """,
)


def relative_entropy(
    y: float, p: float, top: float, total: float, lost: float, size: float, lower: float
) -> tuple[float, float]:
    # Near each other: y log(y / p) = (y log(y / p) - y + p) + (y - p). The first is never negative, and of second
    # order, so only the second cancels over the classes, and that one is exact. With s = (p - y) / (p + y) the
    # first is (p - y) s - 2 y (s**3 / 3 + s**5 / 5 + ...).
    y, p = at_most(at_least(y, lower), 1.0), at_most(at_least(p, lower), 1.0)
    d = p - y
    s = d / (p + y)
    z = s * s
    r = 1.0 / 27.0
    r = r * z + 1.0 / 25.0
    r = r * z + 1.0 / 23.0
    r = r * z + 1.0 / 21.0
    r = r * z + 1.0 / 19.0
    r = r * z + 1.0 / 17.0
    r = r * z + 1.0 / 15.0
    r = r * z + 1.0 / 13.0
    r = r * z + 1.0 / 11.0
    r = r * z + 1.0 / 9.0
    r = r * z + 1.0 / 7.0
    r = r * z + 1.0 / 5.0
    r = r * z + 1.0 / 3.0
    near = d * s - 2.0 * y * (s * z * r)
    return (near, -d) if abs(s) < 0.2 else (y * log(y / p), 0.0)


def divergence(sums: tuple[float, float], lost: tuple[float, float], top: float, size: float, lower: float) -> float:
    return (sums[0] + sums[1]) + (lost[0] + lost[1])


declare(
    "kl_divergence",
    "KLDivergence",
    "kld",
    "KLD",
    "kullback_leibler_divergence",
    formula=Rowwise(relative_entropy, 2, divergence, y_true=UNIT, y_pred=UNIT),
    parameters={"axis": AXIS, "epsilon": EPSILON},
    doc="""
    Kullback-Leibler divergence: ``sum(y_true log(y_true / y_pred), axis)``, both clipped to ``[epsilon, 1]``.

    Neither is normalised: the value is a divergence, and not negative, where both sum to 1.

    Source: Keras 3, ``kl_divergence``.

    >>> import streamloss as sl
    >>> sl.losses.KLDivergence()([[0, 1], [0, 0]], [[0.6, 0.4], [0.4, 0.6]]).round(3)
    np.float64(0.458)
    """,
)
