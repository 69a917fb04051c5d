"""The parts of a state beside sums and counts, which merge, and which files hold by their kind."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar, Protocol, Self

from .extremes import Extremes
from .selected_rows import SelectedRows
from .tables.exact_table import ExactTable


class Part(Protocol):
    """A commutative monoid, as a state is one: any tree of merges over any partition of the rows gives the same."""

    kind: ClassVar[str]
    """The kind's name in files."""

    def merge(self, other: Self) -> Part:
        """Return the part of the rows of both."""

    def to_dict(self) -> dict[str, Any]:
        """Return the part for JSON, with its `kind`: equal parts give equal content."""


_KINDS: Mapping[str, Any] = {kind.kind: kind for kind in (ExactTable, Extremes, SelectedRows)}


def part_from_dict(content: Any) -> Part:
    """Return the part that a file holds. Raises KeyError, TypeError and ValueError for what is none."""
    part: Part = _KINDS[content["kind"]].from_dict(content)
    return part


def merge_parts(one: Mapping[str, Part], other: Mapping[str, Part]) -> dict[str, Part]:
    """Return the parts of the rows of both by name; one that is missing is of no rows."""
    merged = {**other, **one}
    return {name: part.merge(other[name]) if name in one and name in other else part for name, part in merged.items()}
