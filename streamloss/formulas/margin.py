"""Margin losses."""

from collections.abc import Callable

import numpy as np

from ..core.jit import scalar
from ..core.primitives import fma, two_diff, two_sum
from ..core.types import UNIT, Interval
from ._kinds import Elementwise, Rowwise
from ._parameters import AXIS, MEAN_AXIS, Parameter
from ._registry import declare
from ._scalar import LARGEST, at_least, at_most

SIGN = Interval(-1.0, 1.0)
LABELS = Parameter(
    "auto",
    "what labels are: '01' for 0 and 1, 'pm1' for -1 and 1; 'auto': '01' if all labels of the whole data are 0 or 1",
    types=(str,),
    choices=("auto", "01", "pm1"),
)


@scalar
def shortfall(y: float, p: float, binary: float) -> float:
    """Return ``max(1 - y p, 0)``, where labels of 0 and 1 (`binary`) count as ``2 y - 1``.

    A label between the two sides, 0, gives 1, also for an infinite prediction.
    """
    side, err = two_diff(2.0 * y, 1.0) if binary != 0.0 else (y, 0.0)
    rest = err * p
    missing = fma(-side, p, 1.0) - (rest if abs(rest) < np.inf else 0.0)
    return at_least(missing, 0.0) if side != 0.0 else 1.0 + (p - p if p != p else 0.0)


def hinge(y: float, p: float, binary: float) -> float:
    return shortfall(y, p, binary)


def squared_hinge(y: float, p: float, binary: float) -> float:
    missing = shortfall(y, p, binary)
    return missing * missing


def by_labels(term: Callable[..., float]) -> tuple[str, dict[str, Elementwise]]:
    """Return the formulas of one term for each convention of labels."""
    signed = Elementwise(term, y_true=SIGN)
    return "labels", {"auto": signed, "pm1": signed, "01": Elementwise(term, y_true=UNIT)}


declare(
    "hinge",
    "Hinge",
    select=by_labels(hinge),
    parameters={"labels": LABELS, "axis": MEAN_AXIS},
    brief="scores of two classes",
    doc="""
    Hinge: the mean of ``max(1 - y_true y_pred, 0)``, labels being -1 or 1; labels 0 or 1 count as ``2 y_true - 1``.

    Which of the two labels are, ``labels="auto"`` decides over the whole data, as Keras does over a batch.

    Source: Keras 3, ``hinge``.

    >>> import streamloss as sl
    >>> sl.losses.Hinge()([[0, 1], [0, 0]], [[0.6, 0.4], [0.4, 0.6]]).round(6)
    np.float64(1.3)
    """,
)

declare(
    "squared_hinge",
    "SquaredHinge",
    select=by_labels(squared_hinge),
    parameters={"labels": LABELS, "axis": MEAN_AXIS},
    brief="scores of two classes, squared",
    doc="""
    Squared hinge: the mean of ``max(1 - y_true y_pred, 0)**2``, labels being -1 or 1; labels 0 or 1 count as
    ``2 y_true - 1``.

    Which of the two labels are, ``labels="auto"`` decides over the whole data, as Keras does over a batch.

    Source: Keras 3, ``squared_hinge``.

    >>> import streamloss as sl
    >>> sl.losses.SquaredHinge()([[0, 1], [0, 0]], [[0.6, 0.4], [0.4, 0.6]]).round(6)
    np.float64(1.86)
    """,
)


def wrong(y: float, p: float) -> float:
    return (1.0 - y) * p if y != 1.0 else 0.0  # also where p is infinite


def right(y: float, p: float, top: float, total: float, err: float, size: float) -> tuple[float, float]:
    p = p if y != 0.0 else at_most(at_least(p, -LARGEST), LARGEST)  # 0 times infinity is 0 here
    product = y * p
    return (product, fma(y, p, -product))


def margin(sums: tuple[float, float], err: tuple[float, float], top: float, size: float) -> float:
    # top - sums + 1 in double-double: the three may cancel
    gap, gap_err = two_diff(top, sums[0])
    value, value_err = two_sum(gap, 1.0)
    exact = value + ((value_err + gap_err) - (err[0] + sums[1]))
    return at_least(exact if abs(value) < np.inf else value, 0.0)  # infinities have no rounding errors


declare(
    "categorical_hinge",
    "CategoricalHinge",
    formula=Rowwise(right, 2, margin, peak=wrong),
    parameters={"axis": AXIS},
    brief="scores of classes, one-hot labels",
    doc="""
    Multi-class hinge: ``max(max((1 - y_true) y_pred) - sum(y_true y_pred) + 1, 0)`` over the classes, of which labels
    are one-hot.

    Source: Keras 3, ``categorical_hinge``.

    >>> import streamloss as sl
    >>> sl.losses.CategoricalHinge()([[0, 1], [0, 0]], [[0.6, 0.4], [0.4, 0.6]]).round(6)
    np.float64(1.4)
    """,
)
