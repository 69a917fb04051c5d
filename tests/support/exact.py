"""Sums in rational numbers."""

from __future__ import annotations

from collections.abc import Iterable
from fractions import Fraction

import numpy as np


def exact_sum(values: Iterable[float]) -> Fraction:
    """Return the sum of finite floats."""
    return sum((Fraction(float(v)) for v in values), Fraction(0))


def rounded(value: Fraction) -> float:
    """Return the nearest float64; infinity beyond the largest."""
    try:
        return value.numerator / value.denominator
    except OverflowError:
        return np.inf if value > 0 else -np.inf
