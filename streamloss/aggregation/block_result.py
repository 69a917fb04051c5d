"""The result of some blocks of an evaluation, wherever they were evaluated."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Self

from ..core.blocks import Ranges
from .state import States, merge_all


@dataclass(frozen=True, slots=True)
class BlockResult:
    """The states of the rows of some blocks, and what was noticed when they were read: a few kilobytes."""

    covered: Ranges
    """The blocks, by number."""
    states: States
    filled: Mapping[str, int] = field(default_factory=dict)
    """Missing chunks that were read as their fill value, by the array's role. An executor counts only those that
    another process read; the sources of this process count theirs."""
    seconds: float = 0.0
    """The time that the blocks took, where it was measured."""

    @classmethod
    def of_range(cls, first: int, stop: int, states: States) -> Self:
        """Return the result of the blocks from `first` to before `stop`."""
        return cls(Ranges(((first, stop),)), states)

    def merge(self, other: BlockResult) -> BlockResult:
        """Return the result of the blocks of both. Raises StateError where they are of different evaluations."""
        return BlockResult(
            self.covered | other.covered,
            merge_all(self.states, other.states),
            add_counts(self.filled, other.filled),
            self.seconds + other.seconds,
        )


def add_counts(one: Mapping[str, int], other: Mapping[str, int]) -> dict[str, int]:
    """Return the sums of two counts by name; a name that is missing counts 0."""
    return {name: one.get(name, 0) + other.get(name, 0) for name in {**one, **other}}
