"""Keys made of what an array holds: as it is, times cut by a unit, numbers cut into bins, an axis' index."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, Self

import numpy as np

from ...storage.sources.texts import NULL_TEXT, fixed_width
from .keys import Array, KeyColumn

UNITS = ("Y", "M", "W", "D", "h", "m", "s", "ms", "us", "ns")
"""The units by which times are cut, as NumPy writes them."""
Role = Literal["by", "cluster", "keep"]


@dataclass(frozen=True, slots=True)
class Cut:
    """One key of an evaluation, and what becomes of the array's values."""

    name: str
    role: Role = "by"
    unit: str | None = None
    """The unit that times are cut by."""
    bins: tuple[float, ...] | None = None
    """The edges of the bins that numbers are cut into, ascending: a bin holds its lower edge and not its upper one."""
    missing: Literal["group", "raise"] = "group"
    """The policy for rows without a key, for null, NaN and NaT: a group of their own, or an error."""
    axis: int | None = None
    """For a kept axis, its number among the losses' axes."""
    labels: tuple[Any, ...] | None = None
    """For a kept axis, the coordinates along it: numbers, or text."""

    def column(self, values: Array) -> KeyColumn:
        """Return the keys of rows from what the array holds. Raises ValueError for what is no key, and for a missing
        one where it is an error.
        """
        column = self._column(values)
        if self.missing == "raise" and column.missing is not None:
            count = int(np.count_nonzero(column.missing))
            raise ValueError(
                f"{count:,} of {len(values):,} rows of a block have no key (null, NaN or NaT); expected one for each "
                "row. Fill them, leave these rows out by mask=, or pass missing='group'"
            )
        return column

    def _column(self, values: Array) -> KeyColumn:
        kind = values.dtype.kind
        if self.unit is not None:
            if kind != "M":
                raise ValueError(f"unit={self.unit!r} cuts dates and times; the array holds {values.dtype}")
            return KeyColumn.of(_monday_of(values) if self.unit == "W" else values.astype(f"datetime64[{self.unit}]"))
        if self.bins is not None:
            if kind not in "biuf":
                raise ValueError(f"bins cut numbers; the array holds {values.dtype}")
            return KeyColumn.of(np.digitize(values, np.array(self.bins)), values != values)
        if kind == "T":
            values = fixed_width(values)
        if values.dtype.kind == "U":
            return KeyColumn.of(values, values == NULL_TEXT)
        if values.dtype.kind != "f":
            return KeyColumn.of(values)
        missing = values != values
        with np.errstate(invalid="ignore"):
            whole = values.astype(np.int64)
        fractions = (whole != values) & ~missing
        if fractions.any():
            raise ValueError(
                f"{float(values[int(np.argmax(fractions))])!r} is no whole number; expected keys that are integers, "
                "text or times. Cut numbers into bins: sl.by(array, bins=[0, 10, 100]), or "
                "--by NAME=URI:bins=0,10,100"
            )
        return KeyColumn.of(whole, missing)

    def label(self, key: Any) -> Any:
        """Return a key as tables show it: bins as intervals, such as "[0, 10)", times as text."""
        if key is None:
            return None
        if self.labels is not None:
            return self.labels[key]
        if self.bins is not None:
            low = self.bins[key - 1] if key else None
            high = self.bins[key] if key < len(self.bins) else None
            if low is None:
                return f"< {high:g}"
            return f">= {low:g}" if high is None else f"[{low:g}, {high:g})"
        if isinstance(key, np.datetime64 | np.timedelta64):
            return str(key)
        return key.decode(errors="replace") if isinstance(key, bytes) else key

    def to_dict(self) -> dict[str, Any]:
        """Return the key for JSON, without what it has not."""
        given: dict[str, Any] = {
            "missing": None if self.missing == "group" else self.missing,
            "unit": self.unit,
            "axis": self.axis,
        }
        for name, values in (("bins", self.bins), ("labels", self.labels)):
            given[name] = None if values is None else list(values)
        optional = {key: value for key, value in given.items() if value is not None}
        return {"name": self.name, "role": self.role, **optional}

    @classmethod
    def from_dict(cls, content: Mapping[str, Any]) -> Self:
        """Return the inverse of :meth:`to_dict`. Raises KeyError and TypeError for anything else."""
        bins = content.get("bins")
        role = content["role"]
        if role not in ("by", "cluster", "keep"):
            raise ValueError(f"a key of the role {role!r}")
        labels = None if "labels" not in content else tuple(content["labels"])
        edges = None if bins is None else tuple(map(float, bins))
        missing = content.get("missing", "group")
        return cls(content["name"], role, content.get("unit"), edges, missing, content.get("axis"), labels)


def _monday_of(times: Array) -> Array:
    """Return the Monday of each time's week; NumPy's weeks begin on Thursdays, as 1970 did."""
    thursdays = (times.astype("datetime64[D]") + np.timedelta64(3, "D")).astype("datetime64[W]")
    mondays: Array = thursdays.astype("datetime64[D]") - np.timedelta64(3, "D")
    return mondays
