"""Times as keys of groups: numbers since a date, as netCDF conventions have them, decoded as they are read."""

from __future__ import annotations

from typing import Any

import numpy as np

from .base import Allocate, Selection, Source, nbytes
from .encoding import calendar_of
from .texts import TEXT, fixed_width
from .times import decoded_times
from .wrapped import Wrapped

Array = np.ndarray[Any, Any]


class KeyTimes(Wrapped):
    """The times that another source has as numbers; those of calendars that NumPy has not are text."""

    def __init__(self, inner: Source) -> None:
        units, calendar = calendar_of(inner.units)
        self._attributes = {"units": units, "calendar": calendar}
        dtype = decoded_times(np.empty(0, inner.dtype), self._attributes).dtype
        super().__init__(inner, TEXT if dtype.kind == "O" else dtype)

    def __reduce__(self) -> Any:
        return KeyTimes, (self._inner,)

    def read(self, selection: Selection, allocate: Allocate = np.empty) -> Array:
        decoded = decoded_times(self._inner.read(selection), self._attributes)
        return fixed_width(decoded) if decoded.dtype.kind == "O" else decoded

    def read_bytes(self, selection_shape: tuple[int, ...]) -> int:
        return 2 * nbytes(selection_shape, np.dtype("M8[us]")) + self._inner.read_bytes(selection_shape)


def with_times(source: Source) -> Source:
    """Return a key's source with its numbers as times, if its units are those of times; else the source itself."""
    units, _ = calendar_of(source.units)
    return KeyTimes(source) if " since " in units and source.dtype.kind in "iuf" else source
