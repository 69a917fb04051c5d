"""The keys of a table: columns of values, in a canonical order, and the numbering of rows by their keys."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple, Self

import numpy as np

from .numbering import number_values

Array = np.ndarray[Any, Any]

DENSE = 1 << 22
"""The most keys that are numbered by their distance from the smallest one, whether they occur or not."""


class KeyColumn(NamedTuple):
    """One key of each row, or of each group: integers, booleans, text, bytes, or times in a unit."""

    values: Array
    """One axis. What is missing holds the smallest value of its dtype, or an empty text."""
    missing: Array | None = None
    """Whether there is no key, as for null, NaN and NaT; None where there is always one."""

    @classmethod
    def of(cls, values: Array, missing: Array | None = None) -> Self:
        """Return a column with the missing values blanked, of integers, bool, text, bytes or times."""
        if values.dtype.kind in "mM":
            absent = np.isnat(values)
            missing = absent if missing is None else missing | absent
        if not values.dtype.isnative:
            values = values.astype(values.dtype.newbyteorder("="))
        if missing is None or not missing.any():
            return cls(values)
        blank = values.copy()
        blank[missing] = np.zeros((), values.dtype)
        return cls(blank, missing)

    def take(self, index: Any) -> KeyColumn:
        """Return the keys at an index, as NumPy takes one."""
        missing = None if self.missing is None else self.missing[index]
        return KeyColumn(canonical(self.values[index]), missing if missing is not None and missing.any() else None)

    def objects(self) -> list[Any]:
        """Return the keys as Python's objects, None for what is missing; times as ``numpy.datetime64``."""
        items = list(self.values) if self.values.dtype.kind in "mM" else self.values.tolist()
        if self.missing is not None:
            items = [None if absent else item for item, absent in zip(items, self.missing.tolist(), strict=True)]
        return items

    def to_dict(self) -> dict[str, Any]:
        """Return the column for JSON."""
        kind = self.values.dtype.kind
        stored = self.values.view(np.int64) if kind in "mM" else self.values
        items = [item.hex() for item in stored.tolist()] if kind == "S" else stored.tolist()
        dtype = kind if kind in "SU" else self.values.dtype.str
        missing = {} if self.missing is None else {"missing": np.flatnonzero(self.missing).tolist()}
        return {"dtype": dtype, "values": items, **missing}

    @classmethod
    def from_dict(cls, content: Any) -> Self:
        """Return the inverse of :meth:`to_dict`. Raises KeyError, TypeError and ValueError for anything else."""
        dtype, items = content["dtype"], content["values"]
        if dtype == "S":
            values = np.array([bytes.fromhex(item) for item in items], np.bytes_)
        elif dtype == "U":
            values = np.array(items, np.str_)
        elif np.dtype(dtype).kind in "mM":
            values = np.array(items, np.int64).view(dtype)
        elif np.dtype(dtype).kind in "biu":
            values = np.array(items, dtype)
        else:
            raise ValueError(f"keys of dtype {dtype!r}")
        if values.ndim != 1:
            raise ValueError(f"keys of {values.ndim} axes")
        if "missing" not in content:
            return cls(values)
        missing = np.zeros(len(values), np.bool_)
        missing[np.array(content["missing"], np.int64)] = True
        return cls(values, missing)


def canonical(values: Array) -> Array:
    """Return keys in the dtype that tables have them in: integers as int64, or uint64 as it is."""
    small = values.dtype.kind == "i" or (values.dtype.kind == "u" and values.dtype.itemsize < 8)
    return values.astype(np.int64, copy=False) if small else values


Keys = tuple[KeyColumn, ...]


class Numbered(NamedTuple):
    """Rows numbered by their keys."""

    codes: Array
    """int64 (rows,): the position of each row's key in `keys`."""
    keys: Keys
    """The keys, each once, in any order; some may have no row."""

    @property
    def size(self) -> int:
        return len(self.keys[0].values)


def number_rows(columns: Sequence[KeyColumn]) -> Numbered:
    """Number rows by one or several keys: rows of equal keys have equal codes."""
    first, *others = columns
    numbered = _number_column(first)
    for column in others:
        numbered = _combined(numbered, _number_column(column))
    return numbered


def _number_column(column: KeyColumn) -> Numbered:
    codes, values = _number_values(column.values)
    if column.missing is None:
        return Numbered(codes, (KeyColumn(values),))
    codes = np.where(column.missing, len(values), codes)
    blank = np.zeros(1, values.dtype)
    missing = np.zeros(len(values) + 1, np.bool_)
    missing[-1] = True
    return Numbered(codes, (KeyColumn(np.concatenate([values, blank]), missing),))


def _number_values(values: Array) -> tuple[Array, Array]:
    """Return the code of each value, and the value of each code."""
    if values.size == 0:
        return np.zeros(0, np.int64), values
    if values.dtype.kind in "biumM":
        whole = values.view(np.int64) if values.dtype.kind in "mM" else values
        low, high = int(whole.min()), int(whole.max())
        if high - low < min(DENSE, 4 * values.size + 1024):
            first = np.array(low, canonical(whole[:0]).dtype)
            codes = whole if low == 0 and whole.dtype == np.int64 else _differences(whole, low)
            every = np.arange(high - low + 1, dtype=np.int64).astype(first.dtype) + first
            return codes, every.view(values.dtype) if values.dtype.kind in "mM" else every
    codes, found = number_values(values)
    return codes, canonical(found)


def _differences(values: Array, low: int) -> Array:
    """Return how far integers lie above the smallest one, as int64."""
    if values.dtype.itemsize == 8:  # uint64 wraps to the same difference
        return values.astype(np.int64, copy=False) - np.array(low).astype(np.int64)
    codes = np.empty(len(values), np.int64)
    np.subtract(values, low, out=codes, dtype=np.int64, casting="unsafe")
    return codes


def _combined(one: Numbered, other: Numbered) -> Numbered:
    """Return the numbering by the pairs of two numberings."""
    codes = one.codes * other.size + other.codes
    if one.size * other.size <= min(DENSE, 4 * codes.size + 1024):
        pairs = np.arange(one.size * other.size)
    else:
        codes, pairs = number_values(codes)
    left, right = np.divmod(pairs, max(1, other.size))
    return Numbered(codes, tuple(c.take(left) for c in one.keys) + tuple(c.take(right) for c in other.keys))


def order_of(keys: Keys) -> Array:
    """Return the positions of keys in their canonical order: by the first, then the next; missing ones are last."""
    sorted_by: list[Array] = []
    for column in reversed(keys):
        sorted_by.append(column.values)
        if column.missing is not None:
            sorted_by.append(column.missing)
    return np.lexsort(sorted_by)


def ascends(column: KeyColumn) -> bool:
    """Return whether keys are integers in ascending order, each once and none missing."""
    values = column.values
    return column.missing is None and values.dtype.kind in "iu" and bool((values[1:] > values[:-1]).all())


def begins_group(keys: Keys) -> Array:
    """Return for keys in order whether each differs from the one before it; the first one does."""
    differs = np.zeros(len(keys[0].values), np.bool_)
    differs[:1] = True
    for column in keys:
        for part in (column.values, column.missing):
            if part is not None:
                differs[1:] |= part[1:] != part[:-1]
    return differs


def joined(columns: Sequence[KeyColumn]) -> KeyColumn:
    """Return one column that holds several, one after the other; empty ones have no say in the dtype."""
    filled = [column for column in columns if len(column.values)] or list(columns[:1])
    values = np.concatenate([column.values for column in filled])
    if all(column.missing is None for column in filled):
        return KeyColumn(values)
    missing = [np.zeros(len(c.values), np.bool_) if c.missing is None else c.missing for c in filled]
    return KeyColumn(values, np.concatenate(missing))


def equal(one: Keys, other: Keys) -> bool:
    """Return whether two tables have the same keys in the same order."""
    if len(one) != len(other):
        return False
    for a, b in zip(one, other, strict=True):
        if not np.array_equal(a.values, b.values) or (a.missing is None) != (b.missing is None):
            return False
        if a.missing is not None and b.missing is not None and not np.array_equal(a.missing, b.missing):
            return False
    return True
