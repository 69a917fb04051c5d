"""Margin losses."""

from .._primitives import fma
from ._registry import AXIS, Rowwise, declare
from ._scalar import at_least, difference


def wrong(y: float, p: float) -> float:
    return (1.0 - y) * p


def right(y: float, p: float, top: float, total: float, lost: float, size: float) -> tuple[float, float]:
    product = y * p
    return (product, fma(y, p, -product))


def margin(sums: tuple[float, float], lost: tuple[float, float], top: float, size: float) -> float:
    # top - sums + 1 in two parts: the three may cancel
    gap, gap_lost = difference(top, sums[0])
    value, value_lost = difference(gap, -1.0)
    return at_least(value + ((value_lost + gap_lost) - (lost[0] + sums[1])), 0.0)


declare(
    "categorical_hinge",
    "CategoricalHinge",
    formula=Rowwise(right, 2, margin, peak=wrong),
    parameters={"axis": AXIS},
    doc="""
    Multi-class hinge: ``max(max((1 - y_true) y_pred) - sum(y_true y_pred) + 1, 0)`` over the classes, of which labels
    are one-hot.

    Source: Keras 3, ``categorical_hinge``.

    >>> import streamloss as sl
    >>> sl.losses.CategoricalHinge()([[0, 1], [0, 0]], [[0.6, 0.4], [0.4, 0.6]]).round(6)
    np.float64(1.4)
    """,
)
