"""The state of an evaluation: a commutative monoid of exact sums and counts.

Laws, which tests/test_laws.py states as properties: ``merge`` is associative and commutative, an empty state
changes nothing, inputs stay as they were, and ``to_bytes`` depends only on which rows were added, not on how
they were cut into blocks or in which order they came. Its size does not depend on the number of rows.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Any, Self

from ..errors import StateError

UNIT_EXPONENT = 1074  # sums are held in units of 2**-1074, the least positive float64
FORMAT, VERSION = "streamloss.state", 1


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
        """From an accumulator's int64 array (see :mod:`streamloss.aggregation.accumulator`)."""
        *radix, nan, positive, negative = limbs.tolist()
        return cls(sum(limb << (32 * k) for k, limb in enumerate(radix)), nan, positive, negative)

    @classmethod
    def of_count(cls, count: int) -> Self:
        """The sum of ``count`` ones."""
        return cls(count << UNIT_EXPONENT)

    @classmethod
    def of_value(cls, value: float) -> Self:
        """The sum of one float64."""
        if math.isnan(value):
            return cls(nan=1)
        if math.isinf(value):
            return cls(positive_infinity=int(value > 0), negative_infinity=int(value < 0))
        numerator, denominator = value.as_integer_ratio()
        return cls((numerator << UNIT_EXPONENT) // denominator)

    def times(self, count: int) -> ExactSum:
        """The same sum, `count` times."""
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
        """The sum if infinities or NaNs decide it, else None."""
        if self.nan or (self.positive_infinity and self.negative_infinity):
            return math.nan
        if self.positive_infinity:
            return math.inf
        return -math.inf if self.negative_infinity else None

    def exactly(self) -> Fraction:
        """The finite values' sum."""
        return Fraction(self.units, 1 << UNIT_EXPONENT)

    def rounded(self) -> float:
        """The sum, rounded once to float64."""
        return self.over(Fraction(1))

    def over(self, divisor: Fraction) -> float:
        """The sum divided by an exact divisor, rounded once to float64; 0.0 where the divisor is 0."""
        if divisor == 0:
            return 0.0
        if self.special is not None:
            return self.special
        quotient = self.exactly() / divisor
        try:
            return quotient.numerator / quotient.denominator  # Python rounds int / int correctly
        except OverflowError:
            return math.inf if quotient > 0 else -math.inf


@dataclass(frozen=True, slots=True)
class State:
    """What has been added up so far for one loss.

    ``State.empty(of)`` is neutral; ``a.merge(b)`` is the state of both sets of rows.
    """

    of: str
    """What this is a state of: a canonical JSON of the loss, its parameters and the result dtype. Only states
    of the same can be merged."""
    sums: Mapping[str, ExactSum] = field(default_factory=dict)
    counts: Mapping[str, int] = field(default_factory=dict)

    @classmethod
    def empty(cls, of: Mapping[str, Any]) -> State:
        return cls(canonical_json(of))

    def merge(self, other: State) -> State:
        """The state of the rows of both. Raises StateError where the two are states of different things."""
        if self.of != other.of:
            raise StateError(
                f"states of different evaluations cannot be merged: this one is of {self.of}, the other of {other.of}."
            )
        zero = ExactSum()
        return State(
            self.of,
            {k: self.sum(k) + other.sums.get(k, zero) for k in {**self.sums, **other.sums}},
            {k: self.count(k) + other.counts.get(k, 0) for k in {**self.counts, **other.counts}},
        )

    def sum(self, name: str) -> ExactSum:
        return self.sums.get(name, ExactSum())

    def count(self, name: str) -> int:
        return self.counts.get(name, 0)

    def to_bytes(self) -> bytes:
        """Canonical: equal states give equal bytes. JSON, so that a person can look inside."""
        sums = {
            name: {
                "units_hex": format(s.units, "x"),
                "nan": s.nan,
                "positive_infinity": s.positive_infinity,
                "negative_infinity": s.negative_infinity,
            }
            for name, s in self.sums.items()
            if s != ExactSum()
        }
        counts = {name: count for name, count in self.counts.items() if count}
        content = {"format": FORMAT, "version": VERSION, "of": json.loads(self.of), "sums": sums, "counts": counts}
        return canonical_json(content).encode() + b"\n"

    @classmethod
    def from_bytes(cls, data: bytes) -> State:
        """The inverse of :meth:`to_bytes`. Raises StateError for bytes that are not a state."""
        try:
            content = json.loads(data)
            if (content["format"], content["version"]) != (FORMAT, VERSION):
                raise StateError(
                    f"expected a {FORMAT} of version {VERSION}; "
                    f"received {content['format']} of version {content['version']}."
                )
            sums = {
                name: ExactSum(int(s["units_hex"], 16), s["nan"], s["positive_infinity"], s["negative_infinity"])
                for name, s in content["sums"].items()
            }
            return cls(canonical_json(content["of"]), sums, content["counts"])
        except (KeyError, TypeError, AttributeError, ValueError) as error:
            if isinstance(error, StateError):
                raise
            raise StateError(
                f"these {len(data):,} bytes are not a saved state: {type(error).__name__}: {error}."
            ) from error


States = tuple[State, ...]
"""One state for each loss of an evaluation, in its order."""


def merge_all(left: States, right: States) -> States:
    """Merge two evaluations' states, loss by loss."""
    return tuple(a.merge(b) for a, b in zip(left, right, strict=True))


def canonical_json(content: Any) -> str:
    """One text for equal contents."""
    return json.dumps(content, sort_keys=True, separators=(",", ":"), allow_nan=False)
