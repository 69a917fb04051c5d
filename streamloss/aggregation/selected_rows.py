"""The rows with the largest losses, which merge."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, ClassVar, Self

import numpy as np

from .tables.keys import KeyColumn, joined

Array = np.ndarray[Any, Any]


@dataclass(frozen=True, slots=True, eq=False)
class SelectedRows:
    """At most `most` rows: those with the largest losses, and of equal losses those that come first."""

    kind: ClassVar[str] = "rows"
    most: int
    positions: Array = field(default_factory=lambda: np.zeros(0, np.int64))
    """int64 (rows,): the positions in the losses' shape, in row-major order; the arrays' first row has 0."""
    losses: Array = field(default_factory=lambda: np.zeros(0))
    """float64 (rows,), in descending order."""
    columns: tuple[tuple[str, KeyColumn | Array], ...] = ()
    """Facts about the rows, by name: float64 arrays, or keys."""

    def __len__(self) -> int:
        return len(self.losses)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, SelectedRows) and self.to_dict() == other.to_dict()

    __hash__ = None  # type: ignore[assignment]  # arrays are held

    def merge(self, other: Self) -> SelectedRows:
        """Return the rows that are selected of those of both."""
        if not len(other):
            return self
        if not len(self):
            return other
        positions = np.concatenate([self.positions, other.positions])
        losses = np.concatenate([self.losses, other.losses])
        kept = largest(losses, positions, self.most)
        columns = tuple(
            (name, _take(_joined(one, two), kept))
            for (name, one), (_, two) in zip(self.columns, other.columns, strict=True)
        )
        return SelectedRows(self.most, positions[kept], losses[kept], columns)

    def to_dict(self) -> dict[str, Any]:
        """Return the rows for JSON: floats as hexadecimal text, since JSON has no infinity."""
        return {
            "kind": self.kind,
            "most": self.most,
            "positions": self.positions.tolist(),
            "losses": [loss.hex() for loss in self.losses.tolist()],
            "columns": [[name, _to_json(column)] for name, column in self.columns],
        }

    @classmethod
    def from_dict(cls, content: Any) -> Self:
        """Return the inverse of :meth:`to_dict`. Raises KeyError, TypeError and ValueError for anything else."""
        positions = np.array(content["positions"], np.int64)
        losses = np.array([float.fromhex(loss) for loss in content["losses"]], np.float64)
        columns = tuple((str(name), _from_json(column)) for name, column in content["columns"])
        lengths = {len(positions), len(losses), *(_length(column) for _, column in columns)}
        if len(lengths) > 1 or len(losses) > int(content["most"]):
            raise ValueError("columns of selected rows have other lengths")
        if not np.array_equal(largest(losses, positions, len(losses)), np.arange(len(losses))):
            raise ValueError("selected rows are not in order")
        return cls(int(content["most"]), positions, losses, columns)


def largest(losses: Array, positions: Array, most: int) -> Array:
    """Return the indices of the largest losses in descending order, equal ones by position."""
    if len(losses) > 4 * most + 64:
        threshold = np.partition(losses, len(losses) - most)[len(losses) - most]
        candidates = np.flatnonzero(losses >= threshold)
    else:
        candidates = np.arange(len(losses))
    order = np.lexsort((positions[candidates], -losses[candidates]))
    return candidates[order[:most]]


def _take(column: KeyColumn | Array, index: Array) -> KeyColumn | Array:
    return column.take(index) if isinstance(column, KeyColumn) else column[index]


def _joined(one: KeyColumn | Array, two: KeyColumn | Array) -> KeyColumn | Array:
    if isinstance(one, KeyColumn) and isinstance(two, KeyColumn):
        return joined([one, two])
    return np.concatenate([np.asarray(one), np.asarray(two)])


def _to_json(column: KeyColumn | Array) -> Any:
    if isinstance(column, KeyColumn):
        return column.to_dict()
    return [value.hex() for value in column.tolist()]


def _from_json(content: Any) -> KeyColumn | Array:
    if isinstance(content, list):
        return np.array([float.fromhex(value) for value in content], np.float64)
    return KeyColumn.from_dict(content)


def _length(column: KeyColumn | Array) -> int:
    return len(column.values) if isinstance(column, KeyColumn) else len(column)
