"""Cross-entropies over classes, between a label or a distribution and the predicted probabilities or logits."""

from dataclasses import replace

from ..core.primitives import fma, two_diff
from ..core.types import UNIT, Interval
from ._double_double import dd_log
from ._kinds import MAXIMUM, OneHot, Rowwise, Sparse
from ._parameters import AXIS, EPSILON, IGNORE_CLASS, LABEL_SMOOTHING, NOT_NEGATIVE, Parameter
from ._registry import declare
from ._scalar import exp_nonpositive, expm1, log1p_of_normal, share_cost

# Sparse categorical: only the other classes are summed; see `Sparse`.


def other_probability(p: float, pivot: float, earlier: float) -> float:
    return p


def sparse_from_probabilities(p: float, pivot: float, others: float, lower: float, upper: float) -> float:
    return share_cost(p, others, lower, upper)


def other_odds(x: float, top: float, earlier: float) -> float:
    d, err = two_diff(x, top)
    return exp_nonpositive(d, err)


def sparse_from_logits(x: float, top: float, others: float) -> float:
    # log(sum(exp)) - x, relative to the maximum; exp(x - top) of the label itself is 1 where it is the maximum
    d, err = two_diff(x, top)
    return log1p_of_normal(others + (exp_nonpositive(d, err) - 1.0)) - d


def ignored(p: float, pivot: float, earlier: float) -> float:
    return 0.0 * p  # a NaN is not ignored


def generalized_from_probability(p: float, pivot: float, others: float, q: float) -> float:
    # (1 - p**q) / q = -expm1(q log(p)) / q
    hi, lo = dd_log(p)
    x = q * hi
    err = fma(q, hi, -x) + q * lo
    y = expm1(x)
    y += err * (1.0 + y)
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
    brief="integer labels, some of them wrong",
    doc="""
    Generalised cross-entropy between integer labels and a distribution, robust to wrong labels: ``(1 - p_k**q) / q``.

    Source: Keras 3, ``categorical_generalized_cross_entropy`` (Zhang and Sabuncu 2018).

    >>> import streamloss as sl
    >>> loss = sl.losses.CategoricalGeneralizedCrossEntropy(q=0.7)
    >>> loss([0, 1], [[0.7, 0.2, 0.1], [0.1, 0.8, 0.1]]).round(6)
    np.float64(0.261112)
    """,
)


# Between two distributions.


def probability(p: float, top: float) -> float:
    return p


def crossentropy_of_probability(
    y: float,
    p: float,
    top: float,
    total: float,
    err: float,
    size: float,
    label_smoothing: float,
    lower: float,
    upper: float,
) -> tuple[float]:
    mass = y * (1.0 - label_smoothing) + label_smoothing / size
    cost = share_cost(p, (total - p) + err, lower, upper)
    return (mass * cost if mass > 0.0 else 0.0 * (mass + p),)


def sum_of_terms(sums: tuple[float], err: tuple[float], top: float, size: float, *arguments: float) -> float:
    return sums[0] + err[0]


def crossentropy_of_logit(
    y: float, x: float, top: float, total: float, err: float, size: float, label_smoothing: float
) -> tuple[float, float, float, float]:
    mass = y * (1.0 - label_smoothing) + label_smoothing / size
    d, d_err = two_diff(x, top)
    odds = exp_nonpositive(d, d_err)
    # the maximum stays out of the sum of odds, and is counted: 1 + (a tiny sum) would lose the sum
    return (0.0 if d == 0.0 else odds, 1.0 if d == 0.0 else 0.0, mass, mass * -d if mass > 0.0 else 0.0)


def crossentropy_of_logits(
    sums: tuple[float, float, float, float],
    err: tuple[float, float, float, float],
    top: float,
    size: float,
    label_smoothing: float,
) -> float:
    odds, maxima, mass, gaps = sums[0] + err[0], sums[1], sums[2] + err[2], sums[3] + err[3]
    return gaps + mass * log1p_of_normal(odds + (maxima - 1.0))


FROM_PROBABILITIES = Rowwise(
    crossentropy_of_probability, 1, sum_of_terms, y_true=NOT_NEGATIVE, y_pred=UNIT, share=probability, cancels=False
)
FROM_LOGITS = Rowwise(
    crossentropy_of_logit, 4, crossentropy_of_logits, y_true=NOT_NEGATIVE, peak=MAXIMUM, cancels=False
)

declare(
    "categorical_crossentropy",
    "CategoricalCrossentropy",
    formula=FROM_PROBABILITIES,
    logits=FROM_LOGITS,
    parameters={"label_smoothing": LABEL_SMOOTHING, "axis": AXIS, "epsilon": EPSILON},
    positional=("from_logits", "label_smoothing", "axis", "reduction"),
    brief="one-hot labels, or distributions",
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

declare(
    "sparse_categorical_crossentropy",
    "SparseCategoricalCrossentropy",
    formula=Sparse(other_probability, sparse_from_probabilities, y_pred=UNIT),
    logits=Sparse(other_odds, sparse_from_logits, pivot=MAXIMUM),
    smoothed=(OneHot(FROM_PROBABILITIES), OneHot(FROM_LOGITS)),
    parameters={
        "ignore_class": IGNORE_CLASS,
        "label_smoothing": replace(LABEL_SMOOTHING, added_later=True),
        "axis": AXIS,
        "epsilon": EPSILON,
    },
    positional=("from_logits", "ignore_class", "reduction", "axis"),
    brief="integer labels: images, pixels, tokens",
    doc="""
    Cross-entropy between integer labels and a distribution over the classes.

    From probabilities ``-log(q)``, q being the labelled class' share ``p_k / sum(p)`` clipped to
    ``[epsilon, 1 - epsilon]``; from logits ``log(sum(exp(x))) - x_k``, which is not clipped.
    `y_true` has the shape of `y_pred` without its class axis (or with 1 there). With ``label_smoothing`` it is
    :class:`CategoricalCrossentropy` of the labels as one-hot rows.

    Source: Keras 3, ``sparse_categorical_crossentropy`` (``label_smoothing``: its main branch); from logits
    TensorFlow's ``sparse_softmax_cross_entropy_with_logits``.

    >>> import streamloss as sl
    >>> loss = sl.losses.SparseCategoricalCrossentropy()
    >>> loss([1, 2], [[0.05, 0.95, 0], [0.1, 0.8, 0.1]]).round(4)
    np.float64(1.1769)
    """,
)
