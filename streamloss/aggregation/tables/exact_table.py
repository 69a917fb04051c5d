"""Exact sums and counts by key, which merge: one row for each key, in canonical order."""

from __future__ import annotations

import base64
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, NamedTuple, Self

import numpy as np

from ..accumulator import LIMBS, SIZE
from ..exact_sum import ExactSum
from .keys import Array, KeyColumn, Keys, ascends, begins_group, equal, joined, order_of


class Window(NamedTuple):
    """The limbs of an exact sum that a table keeps for every key.

    A sum has 67 limbs, of which losses and weights touch few; a key that had a value outside has all of them, too.
    """

    name: str
    """The name of the sum."""
    low: int
    """The first limb, of those of :mod:`streamloss.aggregation.accumulator`."""
    size: int


@dataclass(frozen=True, slots=True, eq=False)
class ExactTable:
    """Sums and counts for each of some keys. Two tables merge into that of the rows of both; any tree of merges over
    any partition of the rows gives the same arrays.
    """

    kind: ClassVar[str] = "table"
    windows: tuple[Window, ...]
    """The sums, with the limbs that `limbs` has of each."""
    count_names: tuple[str, ...]
    keys: Keys
    """The keys in order, each once."""
    counts: Array
    """int64 (keys, counts)"""
    limbs: Array
    """int64 (keys, limbs): those of the first sum, then those of the next. All but the last of each lie in [0, 2**32).
    """
    spilled_at: Array
    """int64 (spills,): key * sums + sum, in order, where values lay outside the window."""
    spilled: Array
    """int64 (spills, SIZE): the sums of these values."""

    def __len__(self) -> int:
        return len(self.counts)

    def __repr__(self) -> str:
        return f"ExactTable({len(self):,} keys: {', '.join((*self.count_names, *(w.name for w in self.windows)))})"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, ExactTable) and self.to_dict() == other.to_dict()

    __hash__ = None  # type: ignore[assignment]  # arrays are held

    def merge(self, other: Self) -> ExactTable:
        """Return the table of the rows of both."""
        if equal(self.keys, other.keys):
            limbs = carried(self.limbs + other.limbs, self.windows)
            spills = _merged_spills([(self.spilled_at, self.spilled), (other.spilled_at, other.spilled)])
            return ExactTable(self.windows, self.count_names, self.keys, self.counts + other.counts, limbs, *spills)
        return merge_tables([self, other])

    def count(self, name: str) -> Array:
        """Return a count of each key."""
        counted: Array = self.counts[:, self.count_names.index(name)]
        return counted

    def sums(self, name: str) -> list[ExactSum]:
        """Return a sum of each key. Raises KeyError for a name that the table has not."""
        position = next((i for i, window in enumerate(self.windows) if window.name == name), None)
        if position is None:
            raise KeyError(name)
        begin = sum(window.size for window in self.windows[:position])
        window = self.windows[position]
        columns = [self.limbs[:, begin + i].tolist() for i in range(window.size)]
        shifts = [32 * (window.low + i) for i in range(window.size)]
        held = [
            ExactSum(sum(limb << shift for limb, shift in zip(row, shifts, strict=True)))
            for row in zip(*columns, strict=True)
        ]
        num_sums = len(self.windows)
        for at, limbs in zip(self.spilled_at.tolist(), self.spilled, strict=True):
            if at % num_sums == position:
                held[at // num_sums] += ExactSum.of_limbs(limbs)
        return held

    def to_dict(self) -> dict[str, Any]:
        """Return the table for JSON."""
        return {
            "kind": self.kind,
            "sums": [list(window) for window in self.windows],
            "count_names": list(self.count_names),
            "keys": [column.to_dict() for column in self.keys],
            "counts": [column.tolist() for column in self.counts.T],
            "limbs": _text_of(self.limbs),
            "spilled_at": self.spilled_at.tolist(),
            "spilled": _text_of(self.spilled),
        }

    @classmethod
    def from_dict(cls, content: Any) -> Self:
        """Return the inverse of :meth:`to_dict`. Raises ValueError, KeyError and TypeError for what is no table."""
        windows = tuple(Window(str(name), int(low), int(size)) for name, low, size in content["sums"])
        if any(not (0 <= w.low and 1 <= w.size and w.low + w.size <= LIMBS) for w in windows):
            raise ValueError("a sum has limbs that no accumulator has")
        names = tuple(map(str, content["count_names"]))
        keys = tuple(map(KeyColumn.from_dict, content["keys"]))
        rows = len(keys[0].values)
        counts = np.array(content["counts"], np.int64).reshape(len(names), rows).T
        limbs = _array_of(content["limbs"]).reshape(rows, sum(w.size for w in windows))
        at = np.array(content["spilled_at"], np.int64)
        spilled = _array_of(content["spilled"]).reshape(len(at), SIZE)
        if any(len(column.values) != rows for column in keys):
            raise ValueError("columns of keys have other lengths")
        if (counts < 0).any() or ((at < 0) | (at >= rows * len(windows))).any() or (np.diff(at) <= 0).any():
            raise ValueError("a count or a position is none of the table")
        ordered = order_of(keys)
        if not np.array_equal(ordered, np.arange(rows)) or not begins_group(keys).all():
            raise ValueError("its keys are not in order, each once")
        return cls(windows, names, keys, np.ascontiguousarray(counts), limbs, at, spilled)


def merge_tables(tables: Sequence[ExactTable]) -> ExactTable:
    """Return the table of the rows of several, of one kind. It takes the memory of the result and one table more."""
    first = tables[0]
    keys = tuple(joined(columns) for columns in zip(*(table.keys for table in tables), strict=True))
    order = order_of(keys)
    in_turn = tuple(column.take(order) for column in keys)
    begins = begins_group(in_turn)
    place = np.empty(len(order), np.int64)
    place[order] = np.cumsum(begins) - 1
    count = int(np.count_nonzero(begins))
    counts = np.zeros((count, len(first.count_names)), np.int64)
    limbs = np.zeros((count, first.limbs.shape[1]), np.int64)
    spills: list[tuple[Array, Array]] = []
    start = 0
    for table in tables:
        here = place[start : start + len(table)]  # a key is in a table once
        counts[here] += table.counts
        limbs[here] += table.limbs
        spills += _moved([(table.spilled_at, table.spilled)], here, first.windows)
        start += len(table)
    _carry(limbs, first.windows)
    keys = tuple(column.take(np.flatnonzero(begins)) for column in in_turn)
    return ExactTable(first.windows, first.count_names, keys, counts, limbs, *_merged_spills(spills))


def in_order(
    windows: tuple[Window, ...],
    count_names: tuple[str, ...],
    keys: Keys,
    counts: Array,
    limbs: Array,
    spills: Sequence[tuple[Array, Array]],
) -> ExactTable:
    """Return the table of rows in any order, whose keys may come several times; keys without any count are left out."""
    used: Array = np.asarray(counts.any(axis=1))
    if len(keys) == 1 and ascends(keys[0]):  # integers that were numbered by their distance: each is there once
        moved = _moved(spills, np.cumsum(used) - 1, windows)
        if not used.all():
            keys, counts, limbs = (keys[0].take(used),), counts[used], limbs[used]
        return ExactTable(windows, count_names, keys, counts, carried(limbs, windows), *_merged_spills(moved))
    order = order_of(keys)
    order = order[used[order]]
    keys = tuple(column.take(order) for column in keys)
    first = begins_group(keys)
    starts = np.flatnonzero(first)
    place = np.full(len(counts), -1)
    place[order] = np.cumsum(first) - 1
    if len(starts) < len(order):
        keys = tuple(column.take(starts) for column in keys)
        counts, limbs = (np.add.reduceat(array[order], starts, axis=0) for array in (counts, limbs))
    else:
        counts, limbs = counts[order], limbs[order]
    moved = _moved(spills, place, windows)
    return ExactTable(windows, count_names, keys, counts, carried(limbs, windows), *_merged_spills(moved))


def carried(limbs: Array, windows: Iterable[Window]) -> Array:
    """Return limbs of the same sums of which all but the last one of each lie in [0, 2**32)."""
    out = limbs.copy()
    _carry(out, windows)
    return out


def _carry(limbs: Array, windows: Iterable[Window]) -> None:
    """Change limbs to those of the same sums of which all but the last one of each lie in [0, 2**32)."""
    begin = 0
    for window in windows:
        for i in range(begin, begin + window.size - 1):
            carry = limbs[:, i] >> 32
            limbs[:, i] -= carry << 32
            limbs[:, i + 1] += carry
        begin += window.size


def _moved(spills: Sequence[tuple[Array, Array]], place: Array, windows: Sequence[Window]) -> list[tuple[Array, Array]]:
    """Return spills with the positions of their keys after these moved to other places."""
    sums = max(1, len(windows))
    return [(place[at // sums] * sums + at % sums, spilled) for at, spilled in spills]


def _merged_spills(spills: Sequence[tuple[Array, Array]]) -> tuple[Array, Array]:
    at = np.concatenate([np.zeros(0, np.int64), *(at for at, _ in spills)])
    if not len(at):
        return np.zeros(0, np.int64), np.zeros((0, SIZE), np.int64)
    limbs = np.concatenate([spilled for _, spilled in spills])
    found, inverse = np.unique(at, return_inverse=True)
    summed = np.zeros((len(found), SIZE), np.int64)
    np.add.at(summed, inverse.reshape(-1), limbs)
    summed[:, :LIMBS] = carried(summed[:, :LIMBS], [Window("", 0, LIMBS)])
    kept = summed.any(axis=1)  # values outside the window may add up to nothing
    return found[kept], summed[kept]


def _text_of(array: Array) -> str:
    return base64.b64encode(np.ascontiguousarray(array, "<i8").tobytes()).decode()


def _array_of(text: str) -> Array:
    return np.frombuffer(base64.b64decode(text, validate=True), "<i8").astype(np.int64)
