"""Cross-entropies: between a label, or a probability, and a predicted distribution."""

from .._primitives import fma
from ..types import UNIT, Interval
from ._registry import AXIS, EPSILON, IGNORE_CLASS, MEAN_AXIS, Elementwise, Parameter, Sparse, declare
from ._scalar import at_least, at_most, difference, exp, expm1, log, log1p, log_parts

LABEL_SMOOTHING = Parameter(0.0, "how much of the labels' mass is spread evenly over the outcomes", Interval(0.0, 1.0))

# Binary. The two labels' masses, y and 1 - y, are smoothed apart: 1 - (smoothed y) would cancel for y near 1.


def binary_from_probability(y: float, p: float, label_smoothing: float, lower: float, upper: float) -> float:
    q = at_most(at_least(p, lower), upper)
    one = y * (1.0 - label_smoothing) + 0.5 * label_smoothing
    zero = (1.0 - y) * (1.0 - label_smoothing) + 0.5 * label_smoothing
    log_one, log_zero = log(q), log1p(-q)
    # 0 * log(0) is 0 here: a label's mass of 0 asks nothing of its probability. (0 * (y + p) keeps a NaN.)
    return (one * -log_one if one > 0.0 else 0.0 * (y + p)) + (zero * -log_zero if zero > 0.0 else 0.0 * y)


def binary_from_logit(y: float, x: float, label_smoothing: float) -> float:
    # max(x, 0) - x z + log(1 + exp(-|x|)), with the first two terms as one product: they would cancel
    one = y * (1.0 - label_smoothing) + 0.5 * label_smoothing
    zero = (1.0 - y) * (1.0 - label_smoothing) + 0.5 * label_smoothing
    return abs(x) * (zero if x > 0.0 else one) + log1p(exp(-abs(x)))


declare(
    "binary_crossentropy",
    "BinaryCrossentropy",
    "bce",
    "BCE",
    formula=Elementwise(binary_from_probability, y_true=UNIT, y_pred=UNIT),
    logits=Elementwise(binary_from_logit, y_true=UNIT),
    parameters={"label_smoothing": LABEL_SMOOTHING, "axis": MEAN_AXIS, "epsilon": EPSILON},
    positional=("from_logits", "label_smoothing", "axis", "reduction"),
    doc="""
    Binary cross-entropy, averaged over ``axis``.

    With ``z = y_true (1 - label_smoothing) + label_smoothing / 2``: from probabilities
    ``-z log(q) - (1 - z) log(1 - q)``, q being `y_pred` clipped to ``[epsilon, 1 - epsilon]``; from logits
    ``max(x, 0) - x z + log(1 + exp(-|x|))``, which is not clipped.

    Source: Keras 3, ``binary_crossentropy``; from logits TensorFlow's ``sigmoid_cross_entropy_with_logits``.

    >>> import streamloss as sl
    >>> loss = sl.losses.BinaryCrossentropy(from_logits=True)
    >>> loss([0, 1, 0, 0], [-18.6, 0.51, 2.94, -12.8]).round(6)
    np.float64(0.865458)
    """,
)

# Sparse categorical. Only the other classes are summed; see `Sparse`.


def other_probability(p: float, top: float) -> float:
    return p


def sparse_from_probabilities(p: float, top: float, others: float, lower: float, upper: float) -> float:
    # -log(clip(q)) of q = p / (p + others), as log(1 + others / p) between the logarithms of the bounds
    return at_most(at_least(log1p(others / p), -log(upper)), -log(lower))


def other_odds(x: float, top: float) -> float:
    d, lost = difference(x, top)
    return exp(d, lost)


def sparse_from_logits(x: float, top: float, others: float) -> float:
    # log(sum(exp)) - x, relative to the maximum; the label's own exp(x - top) is 1 where it is the maximum
    d, lost = difference(x, top)
    return log1p(others + (exp(d, lost) - 1.0)) - d


declare(
    "sparse_categorical_crossentropy",
    "SparseCategoricalCrossentropy",
    formula=Sparse(other_probability, sparse_from_probabilities, y_pred=UNIT),
    logits=Sparse(other_odds, sparse_from_logits, needs_top=True),
    parameters={"ignore_class": IGNORE_CLASS, "axis": AXIS, "epsilon": EPSILON},
    positional=("from_logits", "ignore_class", "reduction", "axis"),
    doc="""
    Cross-entropy between integer labels and a distribution over the classes.

    From probabilities ``-log(q)``, q being the labelled class' share ``p_k / sum(p)`` clipped to
    ``[epsilon, 1 - epsilon]``; from logits ``log(sum(exp(x))) - x_k``, which is not clipped.
    `y_true` has the shape of `y_pred` without its class axis (or with 1 there).

    Source: Keras 3, ``sparse_categorical_crossentropy``; from logits TensorFlow's
    ``sparse_softmax_cross_entropy_with_logits``.

    >>> import streamloss as sl
    >>> loss = sl.losses.SparseCategoricalCrossentropy()
    >>> loss([1, 2], [[0.05, 0.95, 0], [0.1, 0.8, 0.1]]).round(4)
    np.float64(1.1769)
    """,
)


def ignored(p: float, top: float) -> float:
    return 0.0 * p  # a NaN is not ignored


def generalized_from_probability(p: float, top: float, others: float, q: float) -> float:
    # (1 - p**q) / q = -expm1(q log(p)) / q
    high, low = log_parts(p)
    x = q * high
    lost = fma(q, high, -x) + q * low
    y = expm1(x)
    y += lost * (1.0 + y)
    y = -1.0 if p == 0.0 else y
    return -y / q + 0.0 * (p + others)


declare(
    "categorical_generalized_cross_entropy",
    "CategoricalGeneralizedCrossEntropy",
    formula=Sparse(ignored, generalized_from_probability, y_pred=UNIT),
    parameters={
        "q": Parameter(
            0.5,
            "between categorical cross-entropy (towards 0) and the mean absolute error (towards 1)",
            Interval(0.0, 1.0, low_open=True, high_open=True),
        ),
        "axis": AXIS,
    },
    positional=("q", "reduction"),
    doc="""
    Generalised cross-entropy between integer labels and a distribution, robust to wrong labels: ``(1 - p_k**q) / q``.

    Source: Keras 3, ``categorical_generalized_cross_entropy`` (Zhang and Sabuncu 2018).

    >>> import streamloss as sl
    >>> loss = sl.losses.CategoricalGeneralizedCrossEntropy(q=0.7)
    >>> loss([0, 1], [[0.7, 0.2, 0.1], [0.1, 0.8, 0.1]]).round(6)
    np.float64(0.261112)
    """,
)
