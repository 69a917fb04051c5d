"""The infinitely precise sum of float64 values, as Python's integers hold it."""

from __future__ import annotations

import math
from dataclasses import dataclass
from fractions import Fraction
from typing import Any, Self

UNIT_EXPONENT = 1074  # sums are held in units of 2**-1074, the least positive float64


@dataclass(frozen=True, slots=True)
class ExactSum:
    """The infinitely precise sum of any number of float64 values. Python's integers do not overflow."""

    units: int = 0
    """The finite values' sum, in units of 2**-1074."""
    nan: int = 0
    positive_infinity: int = 0
    negative_infinity: int = 0

    @classmethod
    def of_limbs(cls, limbs: Any) -> Self:
        """Return the sum that an accumulator's int64 array holds (see :mod:`streamloss.aggregation.accumulator`)."""
        *radix, nan, positive, negative = limbs.tolist()
        return cls(sum([limb << (32 * k) for k, limb in enumerate(radix) if limb]), nan, positive, negative)

    @classmethod
    def of_count(cls, count: int) -> Self:
        """Return the sum of ``count`` ones."""
        return cls(count << UNIT_EXPONENT)

    @classmethod
    def of_value(cls, value: float) -> Self:
        """Return the sum of one float64."""
        if math.isnan(value):
            return cls(nan=1)
        if math.isinf(value):
            return cls(positive_infinity=int(value > 0), negative_infinity=int(value < 0))
        numerator, denominator = value.as_integer_ratio()
        return cls((numerator << UNIT_EXPONENT) // denominator)

    def __repr__(self) -> str:
        """Return the sum rounded to float64, behind ≈ where it has more digits, with the NaNs and infinities in it."""
        value = self.rounded()
        digits = "" if self.special is not None or ExactSum.of_value(value).units == self.units else "≈ "
        special = {"nan": self.nan, "inf": self.positive_infinity, "-inf": self.negative_infinity}
        counts = "".join(f", {count:,} × {name}" for name, count in special.items() if count)
        return f"ExactSum({digits}{value!r}{counts})"

    def __float__(self) -> float:
        return self.rounded()

    def times(self, count: int) -> ExactSum:
        """Return the sum of `count` times the same values."""
        return ExactSum(
            self.units * count, self.nan * count, self.positive_infinity * count, self.negative_infinity * count
        )

    def __add__(self, other: ExactSum) -> ExactSum:
        return ExactSum(
            self.units + other.units,
            self.nan + other.nan,
            self.positive_infinity + other.positive_infinity,
            self.negative_infinity + other.negative_infinity,
        )

    @property
    def special(self) -> float | None:
        """The sum where infinities or NaNs decide it, else None."""
        if self.nan or (self.positive_infinity and self.negative_infinity):
            return math.nan
        if self.positive_infinity:
            return math.inf
        return -math.inf if self.negative_infinity else None

    def exactly(self) -> Fraction:
        """Return the finite values' sum."""
        return Fraction(self.units, 1 << UNIT_EXPONENT)

    def rounded(self) -> float:
        """Return the sum, rounded once to float64."""
        return self.over(Fraction(1))

    def over(self, divisor: Fraction) -> float:
        """Return the sum divided by an exact divisor, rounded once to float64; 0.0 where the divisor is 0."""
        if divisor == 0:
            return 0.0
        if self.special is not None:
            return self.special
        quotient = self.exactly() / divisor
        try:
            return quotient.numerator / quotient.denominator  # Python rounds int / int correctly
        except OverflowError:
            return math.inf if quotient > 0 else -math.inf
