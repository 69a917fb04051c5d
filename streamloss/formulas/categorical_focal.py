"""The focal loss of classes: a cross-entropy that discounts classes which are predicted well."""

from ..core.jit import scalar
from ..core.primitives import two_diff
from ..core.types import UNIT
from ._double_double import dd_add, dd_div, dd_exp, fast_two_sum, power
from ._focal import mass_of, with_square
from ._kinds import MAXIMUM, Rowwise
from ._parameters import AXIS, EPSILON, GAMMA, LABEL_SMOOTHING, NOT_NEGATIVE, Parameter
from ._registry import declare
from ._scalar import at_least, at_most, log, log1p, share_cost
from .categorical import probability, sum_of_terms


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


FROM_PROBABILITIES = Rowwise(
    categorical_from_probability,
    1,
    sum_of_terms,
    y_true=NOT_NEGATIVE,
    y_pred=UNIT,
    share=probability,
    cancels=False,
    per_class="alpha",
)
FROM_LOGITS = Rowwise(
    categorical_from_logit,
    1,
    sum_of_terms,
    y_true=NOT_NEGATIVE,
    peak=MAXIMUM,
    cancels=False,
    share=odds_of,
    per_class="alpha",
)

declare(
    "categorical_focal_crossentropy",
    "CategoricalFocalCrossentropy",
    formula=FROM_PROBABILITIES,
    logits=FROM_LOGITS,
    squared=(with_square(FROM_PROBABILITIES), with_square(FROM_LOGITS)),
    parameters={
        "alpha": Parameter(0.25, "the weight of each class: a number, or one for each", NOT_NEGATIVE, several=True),
        "gamma": GAMMA,
        "label_smoothing": LABEL_SMOOTHING,
        "axis": AXIS,
        "epsilon": EPSILON,
    },
    positional=("alpha", "gamma", "from_logits", "label_smoothing", "axis", "reduction"),
    brief="one-hot labels; easy rows count less",
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
