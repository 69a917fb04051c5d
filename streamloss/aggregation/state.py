"""The state of an evaluation: a commutative monoid of exact sums and counts.

Laws, which tests/test_laws.py states as properties: ``merge`` is associative and commutative, an empty state
changes nothing, inputs stay as they were, and ``to_bytes`` depends only on which rows were added, not on how
they were cut into blocks or in which order they came. Its size does not depend on the number of rows.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ..errors import SourceError, StateError, UnwritableOutputError
from .exact_sum import ExactSum
from .identity import StateIdentity, canonical_json
from .parts import Part, merge_parts, part_from_dict
from .state_files import refuse_state_target, write_whole

FORMAT, VERSION = "streamloss.state", 1
SHOWN = 8
"""The most sums and counts that the text of a state shows: ratios over the whole data have thousands."""


@dataclass(frozen=True, slots=True)
class State:
    """The exact sums and counts of one loss over some rows.

    ``State.empty(identity)`` is neutral; ``a.merge(b)`` is the state of both sets of rows.
    """

    identity: StateIdentity
    """The loss, its parameters and the result dtype, among others. Only states of one identity can be merged."""
    sums: Mapping[str, ExactSum] = field(default_factory=dict)
    counts: Mapping[str, int] = field(default_factory=dict)
    parts: Mapping[str, Part] = field(default_factory=dict)
    """The parts that statistics collect, by name: tables by key, selected rows."""

    def __eq__(self, other: object) -> bool:
        """Return whether both are of one identity and hold the same: sums and counts of 0 may be left out."""
        if not isinstance(other, State):
            return NotImplemented
        return (self.identity, self._held(), self.parts) == (other.identity, other._held(), other.parts)

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
            merge_parts(self.parts, other.parts),
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
        parts = {"parts": {name: part.to_dict() for name, part in self.parts.items()}} if self.parts else {}
        content = {"format": FORMAT, "version": VERSION, "of": self.identity.to_dict(), "sums": sums, "counts": counts}
        return content | parts

    def to_json(self) -> str:
        """Return the text of :meth:`to_bytes`."""
        return canonical_json(self.to_dict())

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write :meth:`to_bytes` to a new file, or over a file of states.

        Raises OutputExistsError for any other file that exists, and UnwritableOutputError.
        """
        refuse_state_target(Path(path), {})
        try:
            write_whole(Path(path), self.to_bytes())
        except OSError as error:
            raise UnwritableOutputError(f"{str(path)!r} cannot be written: {error.strerror or error}.") from error

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> State:
        """Return the state that :meth:`save` wrote. Raises SourceError and StateError."""
        try:
            data = Path(path).read_bytes()
        except OSError as error:
            raise SourceError(f"cannot read the state {str(path)!r}: {error.strerror or error}.") from None
        return cls.from_bytes(data)

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
            parts = {name: part_from_dict(part) for name, part in content.get("parts", {}).items()}
            return cls(StateIdentity.from_dict(content["of"]), sums, counts, parts)
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
