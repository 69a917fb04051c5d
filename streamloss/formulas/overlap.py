"""Overlap losses: ratios of the overlap of labels and predictions to their sizes."""

from typing import Any

from ._kinds import Overlap
from ._parameters import INT64, NOT_NEGATIVE, Parameter, epsilon
from ._registry import declare

AXES = Parameter(
    None,
    "the axes that are summed over: one, or a list, numbers or names; None: all, which gives one value for the whole"
    " data",
    types=(int, str, type(None)),
    several=True,
)
LABELS = {
    "class_axis": Parameter(
        -1,
        "the axis of `y_pred` that holds the classes, for labels that are integers: a number, or a dimension's name",
        types=(int, str),
        added_later=True,
    ),
    "ignore_class": Parameter(
        None,
        "elements with this label are left out of all sums",
        INT64,
        types=(int, type(None)),
        added_later=True,
    ),
}
"""The parameters about labels that are integers."""
EPSILON = epsilon("added to the divisor, so that nothing against nothing costs 1 rather than being undefined")


def dice_complement(both: Any, only_pred: Any, only_true: Any, lower: Any) -> Any:
    # 1 - 2 sum(y p) / (sum(y) + sum(p) + epsilon), with the 1 inside the ratio: nothing cancels
    apart = only_pred + only_true + lower
    return apart / (both + both + apart)


declare(
    "dice",
    "Dice",
    formula=Overlap(dice_complement),
    parameters={"axis": AXES, "epsilon": EPSILON, **LABELS},
    positional=("reduction", "name", "axis"),
    brief="regions, such as masks of images",
    doc="""
    Dice: ``1 - 2 sum(y_true y_pred) / (sum(y_true) + sum(y_pred) + epsilon)``, summed over ``axis``.

    With ``axis=None``, or one that includes the first, the sums go over the whole data: they are exact, and divided
    once at the end. Other axes give a loss for each row. Axes without that of the classes give a ratio for each class.

    Labels are numbers in [0, 1] of the predictions' shape, or integers from 0 without the axis of the classes, which
    mean the same as one-hot labels.

    Source: Keras 3, ``dice``.

    >>> import streamloss as sl
    >>> sl.losses.Dice()([[1, 0], [1, 1]], [[0.5, 0.25], [1.0, 0.25]]).round(6)
    np.float64(0.3)
    """,
)


def tversky_complement(both: Any, only_pred: Any, only_true: Any, alpha: Any, beta: Any, lower: Any) -> Any:
    apart = alpha * only_pred + beta * only_true + lower
    return apart / (both + apart)


declare(
    "tversky",
    "Tversky",
    formula=Overlap(tversky_complement),
    parameters={
        "alpha": Parameter(0.5, "what false positives cost", NOT_NEGATIVE),
        "beta": Parameter(0.5, "what false negatives cost", NOT_NEGATIVE),
        "axis": AXES,
        "epsilon": EPSILON,
        **LABELS,
    },
    positional=("alpha", "beta", "reduction", "name", "axis"),
    brief="regions; false alarms or misses count more",
    doc="""
    Tversky: ``1 - both / (both + alpha only_pred + beta only_true + epsilon)``, with the sums over ``axis`` of
    ``y_true y_pred``, ``(1 - y_true) y_pred`` and ``y_true (1 - y_pred)``.

    ``alpha`` weighs false positives, ``beta`` false negatives (Keras up to 3.15.1 has the two exchanged). Sums over
    the whole data are exact, and labels may be integers, as for :class:`Dice`.

    Source: Keras 3, ``tversky`` (Salehi et al. 2017).

    >>> import streamloss as sl
    >>> sl.losses.Tversky(alpha=0.25, beta=0.75)([[1, 0], [1, 1]], [[0.5, 0.25], [1.0, 0.25]]).round(6)
    np.float64(0.363636)
    """,
)
