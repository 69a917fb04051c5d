"""Cross-entropies of two outcomes, between a label or a probability and the predicted probability or logit of it."""

from ..core.types import UNIT
from ._kinds import Elementwise, OfOutcomes
from ._parameters import EPSILON, LABEL_SMOOTHING, MEAN_AXIS, NOT_NEGATIVE, Parameter
from ._registry import declare
from ._scalar import at_least, at_most, exp_nonpositive, log1p_of_normal, log_of_normal, log_of_outcome

# The two labels' masses, y and 1 - y, are smoothed apart: 1 - (smoothed y) would cancel for y near 1.


def binary_from_probability(y: float, p: float, label_smoothing: float, lower: float, upper: float) -> float:
    q = at_most(at_least(p, lower), upper)
    one = y * (1.0 - label_smoothing) + 0.5 * label_smoothing
    zero = (1.0 - y) * (1.0 - label_smoothing) + 0.5 * label_smoothing
    log_one, log_zero = log_of_normal(q), log1p_of_normal(-q)
    # 0 * log(0) is 0 here: a label's mass of 0 asks nothing of its probability. (0 * (y + p) keeps a NaN.)
    return (one * -log_one if one > 0.0 else 0.0 * (y + p)) + (zero * -log_zero if zero > 0.0 else 0.0 * y)


def outcome_from_probability(y: float, p: float, label_smoothing: float, lower: float, upper: float) -> float:
    return 0.0 - log_of_outcome(at_most(at_least(p, lower), upper), y > 0.0)


def not_smoothed(label_smoothing: float, lower: float, upper: float) -> bool:
    return label_smoothing == 0.0


def binary_from_logit(y: float, x: float, label_smoothing: float) -> float:
    # max(x, 0) - x z + log(1 + exp(-|x|)), with the first two terms as one product: they would cancel
    one = y * (1.0 - label_smoothing) + 0.5 * label_smoothing
    zero = (1.0 - y) * (1.0 - label_smoothing) + 0.5 * label_smoothing
    against = zero if x > 0.0 else one  # the mass that is not on the side of x
    return (abs(x) * against if against != 0.0 else 0.0) + log1p_of_normal(exp_nonpositive(-abs(x)))  # 0 * inf is 0


declare(
    "binary_crossentropy",
    "BinaryCrossentropy",
    "bce",
    "BCE",
    formula=Elementwise(
        binary_from_probability,
        y_true=UNIT,
        y_pred=UNIT,
        of_outcomes=OfOutcomes(outcome_from_probability, not_smoothed),
    ),
    logits=Elementwise(binary_from_logit, y_true=UNIT),
    parameters={"label_smoothing": LABEL_SMOOTHING, "axis": MEAN_AXIS, "epsilon": EPSILON},
    positional=("from_logits", "label_smoothing", "axis", "reduction"),
    brief="yes or no, of one label or several",
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


def weighted_from_logit(y: float, x: float, pos_weight: float) -> float:
    # (1 - y) softplus(x) + pos_weight y softplus(-x): neither term is negative, and none is lost in another
    tail = log1p_of_normal(exp_nonpositive(-abs(x)))
    zero, one = 1.0 - y, pos_weight * y
    above = at_least(x, 0.0) if zero != 0.0 else 0.0  # 0 * inf is 0 here
    below = at_least(-x, 0.0) if one != 0.0 else 0.0
    return zero * (above + tail) + one * (below + tail)


declare(
    "weighted_cross_entropy_with_logits",
    "WeightedCrossEntropyWithLogits",
    formula=Elementwise(weighted_from_logit, y_true=UNIT, per_class="pos_weight"),
    parameters={
        "pos_weight": Parameter(
            1.0, "how much positive labels cost; a number, or one for each class", NOT_NEGATIVE, several=True
        ),
        "axis": MEAN_AXIS,
    },
    positional=("pos_weight", "reduction"),
    peer="TensorFlow",
    brief="yes or no, where a yes weighs more",
    doc="""
    Binary cross-entropy from logits whose positive labels are weighted, averaged over ``axis``:
    ``y_true pos_weight -log(sigmoid(x)) + (1 - y_true) -log(1 - sigmoid(x))``.

    Source: TensorFlow, ``weighted_cross_entropy_with_logits``; PyTorch, ``BCEWithLogitsLoss(pos_weight)``.

    >>> import streamloss as sl
    >>> loss = sl.losses.WeightedCrossEntropyWithLogits(pos_weight=3.0)
    >>> loss([0, 1], [-1.5, -0.5]).round(6)
    np.float64(1.561822)
    """,
)
