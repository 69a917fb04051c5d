"""Scores of a classifier: the rate of its errors, and the distance of its probabilities from the labels."""

from ..core.jit import scalar
from ..core.types import UNIT, Interval
from ._kinds import Sparse
from ._parameters import AXIS, IGNORE_CLASS, Parameter
from ._registry import declare
from ._scalar import at_least, at_most

CLASSES = {"ignore_class": IGNORE_CLASS, "axis": AXIS}


def squared(p: float, pivot: float, earlier: float) -> float:
    return p * p


def brier(p: float, pivot: float, others: float, scale_by_half: float) -> float:
    missing = 1.0 - p
    score = others + missing * missing
    return 0.5 * score if scale_by_half != 0.0 else score


declare(
    "brier_score",
    "BrierScore",
    formula=Sparse(squared, brier, y_pred=UNIT),
    parameters={
        "scale_by_half": Parameter(False, "whether to halve it, so that it lies in [0, 1]", types=(bool,)),
        **CLASSES,
    },
    positional=("scale_by_half", "reduction"),
    peer="scikit-learn",
    brief="squared errors of class probabilities",
    doc="""
    Brier score of integer labels k: ``(1 - p_k)**2 + sum(p_j**2)`` over the other classes j.

    Probabilities of one outcome, as a number for each row, are scored by :class:`MeanSquaredError`.

    Source: scikit-learn, ``brier_score_loss`` (Brier 1950).

    >>> import streamloss as sl
    >>> sl.losses.BrierScore()([0, 2], [[0.5, 0.25, 0.25], [0.25, 0.25, 0.5]])
    np.float64(0.375)
    """,
)


def ahead(p: float, own: float, earlier: float) -> float:
    """Return 1 for a class that is ranked before the labelled one, else 0; classes of one score are ranked in their
    order, as in argmax.
    """
    before = (p > own) | ((p == own) & (earlier != 0.0))
    return (1.0 if before else 0.0) if p == p else p


@scalar
def at_most_one(excess: float) -> float:
    """Return a number of classes limited to 0 and 1; NaN stays NaN."""
    return at_most(at_least(excess, 0.0), 1.0)


def not_first(p: float, pivot: float, others: float) -> float:
    return at_most_one(others if p == p else p)


def not_among(p: float, pivot: float, others: float, k: float) -> float:
    return at_most_one((others if p == p else p) - (k - 1.0))


declare(
    "zero_one_loss",
    "ZeroOneLoss",
    "zero_one",
    formula=Sparse(ahead, not_first, pivot="label"),
    parameters=CLASSES,
    peer="scikit-learn",
    brief="the share of rows whose class is wrong",
    doc="""
    1 where another class than the labelled one has the highest score, else 0: the mean is the error rate.

    Scores are probabilities or logits. Of equal scores the first is the prediction, as in ``numpy.argmax``.

    Source: scikit-learn, ``zero_one_loss``.

    >>> import streamloss as sl
    >>> sl.losses.ZeroOneLoss()([0, 2], [[0.5, 0.25, 0.25], [0.5, 0.25, 0.25]])
    np.float64(0.5)
    """,
)

declare(
    "top_k_error",
    "TopKError",
    formula=Sparse(ahead, not_among, pivot="label"),
    parameters={"k": Parameter(5, "how many predictions a row has", Interval(1, 2.0**31), types=(int,)), **CLASSES},
    positional=("k", "reduction"),
    peer="scikit-learn",
    brief="is the label among the k best classes?",
    doc="""
    1 where the labelled class is not among the k with the highest scores, else 0.

    Of equal scores the first is ranked first.

    Source: scikit-learn, 1 - ``top_k_accuracy_score``.

    >>> import streamloss as sl
    >>> sl.losses.TopKError(k=2)([0, 2], [[0.5, 0.3, 0.2], [0.5, 0.3, 0.2]])
    np.float64(0.5)
    """,
)
