"""Divergences between two distributions over the classes."""

import numpy as np

from ..core.primitives import fma
from ..core.types import UNIT
from ._kinds import Rowwise
from ._parameters import AXIS, EPSILON
from ._registry import declare
from ._scalar import LEAST, at_least, at_most, log_quotient


def relative_entropy(
    y: float, p: float, top: float, total: float, err: float, size: float, lower: float
) -> tuple[float, float]:
    # Near each other: y log(y / p) = (y log(y / p) - y + p) + (y - p). The first is never negative, and of second
    # order, so only the second cancels over the classes, and that one is exact. With s = (p - y) / (p + y) the
    # first is (p - y) s - 2 y (s**3 / 3 + s**5 / 5 + ...).
    y, p = at_most(at_least(y, lower), 1.0), at_most(at_least(p, lower), 1.0)
    d = p - y
    s = d / at_least(p + y, LEAST)  # 0 where both are
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
    far = log_quotient(y, p)
    product = y * far
    # 0 log(0) is 0, as p - p is
    return (near, -d) if (abs(s) < 0.2) | (y == 0.0) else (product, fma(y, far, -product))


def divergence(sums: tuple[float, float], err: tuple[float, float], top: float, size: float, lower: float) -> float:
    # infinite where y > 0 meets a p of 0, if nothing is clipped; its rounding error is NaN
    return sums[0] if sums[0] == np.inf else (sums[0] + sums[1]) + (err[0] + err[1])


declare(
    "kl_divergence",
    "KLDivergence",
    "kld",
    "KLD",
    "kullback_leibler_divergence",
    formula=Rowwise(relative_entropy, 2, divergence, y_true=UNIT, y_pred=UNIT),
    parameters={"axis": AXIS, "epsilon": EPSILON},
    brief="how far one distribution is from another",
    doc="""
    Kullback-Leibler divergence: ``sum(y_true log(y_true / y_pred), axis)``, both clipped to ``[epsilon, 1]``.

    Neither is normalised: the value is a divergence, and not negative, where both sum to 1.

    Source: Keras 3, ``kl_divergence``.

    >>> import streamloss as sl
    >>> sl.losses.KLDivergence()([[0, 1], [0, 0]], [[0.6, 0.4], [0.4, 0.6]]).round(3)
    np.float64(0.458)
    """,
)
