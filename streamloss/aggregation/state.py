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
from .identity import StateIdentity, canonical_json

UNIT_EXPONENT = 1074  # sums are held in units of 2**-1074, the least positive float64
FORMAT, VERSION = "streamloss.state", 1
SHOWN = 8
"""The most sums and counts that the text of a state shows: ratios over the whole data have thousands."""


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


@dataclass(frozen=True, slots=True)
class State:
    """The exact sums and counts of one loss over some rows.

    ``State.empty(identity)`` is neutral; ``a.merge(b)`` is the state of both sets of rows.
    """

    identity: StateIdentity
    """The loss, its parameters and the result dtype, among others. Only states of one identity can be merged."""
    sums: Mapping[str, ExactSum] = field(default_factory=dict)
    counts: Mapping[str, int] = field(default_factory=dict)

    def __eq__(self, other: object) -> bool:
        """Return whether both are of one identity and hold the same: sums and counts of 0 may be left out."""
        if not isinstance(other, State):
            return NotImplemented
        return self.identity == other.identity and self._held() == other._held()

    __hash__ = None  # type: ignore[assignment]  # mappings are held

    def _held(self) -> tuple[dict[str, ExactSum], dict[str, int]]:
        """Return the sums and counts that are not 0."""
        zero = ExactSum()
        sums = {name: total for name, total in self.sums.items() if total != zero}
        return sums, {name: count for name, count in self.counts.items() if count}

    def __repr__(self) -> str:
        """Return the loss, with its sums rounded to float64 and its counts, those that are 0 left out."""
        sums, counts = self._held()
        texts = [f"{name}≈{total.rounded():.10g}" for name, total in sums.items()]
        texts += [f"{name}={count:,}" for name, count in counts.items()]
        shown, rest = texts[:SHOWN], len(texts) - SHOWN
        more = [f"and {rest:,} more"] if rest > 0 else []
        held = ", ".join([*shown, *more]) or "no rows"
        return f"State({self.identity.loss}, {self.identity.dtype}: {held})"

    @classmethod
    def empty(cls, identity: StateIdentity) -> State:
        """Return the state of no rows."""
        return cls(identity)

    def merge(self, other: State) -> State:
        """Return the state of the rows of both. Raises StateError where the two are states of different things."""
        if self.identity != other.identity:
            raise StateError(
                "states of different evaluations cannot be merged: "
                f"this one is of {self.identity}, the other of {other.identity}."
            )
        zero = ExactSum()
        return State(
            self.identity,
            {k: self.sum(k) + other.sums.get(k, zero) for k in {**self.sums, **other.sums}},
            {k: self.count(k) + other.counts.get(k, 0) for k in {**self.counts, **other.counts}},
        )

    def sum(self, name: str) -> ExactSum:
        return self.sums.get(name, ExactSum())

    def count(self, name: str) -> int:
        return self.counts.get(name, 0)

    def to_bytes(self) -> bytes:
        """Return the state as canonical JSON, so that equal states give equal bytes, and a person can look inside."""
        return canonical_json(self.to_dict()).encode() + b"\n"

    def to_dict(self) -> dict[str, Any]:
        """Return the state for JSON, without sums and counts that are 0."""
        held, counts = self._held()
        sums = {
            name: {
                "units_hex": format(s.units, "x"),
                "nan": s.nan,
                "positive_infinity": s.positive_infinity,
                "negative_infinity": s.negative_infinity,
            }
            for name, s in held.items()
        }
        return {"format": FORMAT, "version": VERSION, "of": self.identity.to_dict(), "sums": sums, "counts": counts}

    @classmethod
    def from_bytes(cls, data: bytes) -> State:
        """Return the inverse of :meth:`to_bytes`. Raises StateError for bytes that are not a state."""
        try:
            content = json.loads(data)
            if (content["format"], content["version"]) != (FORMAT, VERSION):
                raise StateError(
                    f"expected a {FORMAT} of version {VERSION}; "
                    f"received {content['format']} of version {content['version']}."
                )
            sums = {
                name: ExactSum(
                    int(s["units_hex"], 16),
                    *(expect_count(key, s[key]) for key in ("nan", "positive_infinity", "negative_infinity")),
                )
                for name, s in content["sums"].items()
            }
            counts = {name: expect_count(name, count) for name, count in content["counts"].items()}
            return cls(StateIdentity.from_dict(content["of"]), sums, counts)
        except (KeyError, TypeError, AttributeError, ValueError) as error:
            if isinstance(error, StateError):
                raise
            raise StateError(
                f"these {len(data):,} bytes are not a saved state: {type(error).__name__}: {error}."
            ) from error


def expect_count(name: str, value: Any) -> int:
    """Return a count. Raises ValueError for what is no whole number from 0."""
    if type(value) is not int or value < 0:
        raise ValueError(f"{name} is {value!r}; expected a whole number from 0")
    return value


States = tuple[State, ...]
"""One state for each loss of an evaluation, in its order."""


def merge_all(left: States, right: States) -> States:
    """Return the states of the rows of both, loss by loss."""
    return tuple(a.merge(b) for a, b in zip(left, right, strict=True))
