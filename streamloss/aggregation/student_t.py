"""Student's t distribution: its two-sided probability and its quantiles.

SciPy has both; it is no dependency, because a large package would be installed for two functions.
"""

from __future__ import annotations

import math
from statistics import NormalDist

NORMAL_FROM = 1e7
"""The degrees of freedom from which the distribution is normal to 1e-8."""


def probability_beyond(t: float, degrees: float) -> float:
    """Return the probability of a value at least as far from 0 as `t`: a two-sided p-value."""
    if math.isnan(t) or degrees <= 0:
        return math.nan
    if math.isinf(t):
        return 0.0
    if degrees >= NORMAL_FROM:
        return math.erfc(abs(t) / math.sqrt(2))
    return _incomplete_beta(degrees / 2, 0.5, degrees / (degrees + t * t))


def quantile(probability: float, degrees: float) -> float:
    """Return the value below which a share `probability` of the distribution lies."""
    if degrees >= NORMAL_FROM:
        return NormalDist().inv_cdf(probability)
    if probability == 0.5:
        return 0.0
    tail, low, high = 2 * min(probability, 1 - probability), 0.0, 1.0
    while probability_beyond(high, degrees) > tail:
        low, high = high, 2 * high
    while True:
        middle = (low + high) / 2
        if middle in (low, high):
            return math.copysign(middle, probability - 0.5)
        low, high = (middle, high) if probability_beyond(middle, degrees) > tail else (low, middle)


def _incomplete_beta(a: float, b: float, x: float) -> float:
    """Return the regularized incomplete beta function by its continued fraction (DLMF 8.17.22), evaluated by Lentz's
    method.
    """
    if x <= 0.0 or x >= 1.0:
        return float(x >= 1.0)
    if x > (a + 1) / (a + b + 2):
        return 1.0 - _incomplete_beta(b, a, 1.0 - x)
    front = math.exp(a * math.log(x) + b * math.log1p(-x) + math.lgamma(a + b) - math.lgamma(a) - math.lgamma(b)) / a
    tiny = 1e-300
    c, d = 1.0, 1.0 / (1.0 - (a + b) * x / (a + 1))
    result = d
    for m in range(1, 10_000):
        even = m * (b - m) * x / ((a + 2 * m - 1) * (a + 2 * m))
        odd = -(a + m) * (a + b + m) * x / ((a + 2 * m) * (a + 2 * m + 1))
        factor = 1.0
        for term in (even, odd):
            d = 1.0 / ((1.0 + term * d) or tiny)
            c = (1.0 + term / c) or tiny
            factor = c * d
            result *= factor
        if abs(factor - 1.0) < 1e-16:
            break
    return front * result
