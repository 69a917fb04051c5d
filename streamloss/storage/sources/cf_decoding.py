"""Packed numbers (CF conventions), decoded by xarray itself: a rectangle at a time, as it is read from another source.

The dtype, the order of the operations and what becomes NaN are xarray's; chunks, missing ones among them, are those of
the source that has the packed numbers.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np

from ...errors import MissingExtraError
from .base import Allocate, Selection, Source, nbytes
from .wrapped import Wrapped

Array = np.ndarray[Any, Any]

DECODED = ("scale_factor", "add_offset", "_FillValue", "missing_value", "_Unsigned", "dtype")
"""The attributes that xarray decodes numbers by; `dtype` names what xarray itself packed."""

PIECE = 1 << 18
"""The elements that xarray decodes at once: enough to make its own work small, few enough for the caches."""


def xarray_for(what: str) -> Any:
    """Return the module xarray. Raises MissingExtraError, which says `what` needs it."""
    try:
        import xarray
    except ImportError:
        raise MissingExtraError(what, "xarray") from None
    return xarray


class Decoded(Wrapped):
    """The values of an array of which another source has the packed numbers."""

    def __init__(self, packed: Source, attributes: Mapping[str, Any], dimensions: tuple[str | None, ...]) -> None:
        """`attributes` are as xarray reads them without decoding."""
        self._attributes = {name: attributes[name] for name in DECODED if name in attributes}
        empty = np.empty((0,) * len(packed.shape), packed.dtype)
        super().__init__(packed, self._decode(empty).dtype)
        self.dimensions = dimensions

    def __reduce__(self) -> Any:
        return Decoded, (self._inner, self._attributes, self.dimensions)

    def read(self, selection: Selection, allocate: Allocate = np.empty) -> Array:
        """Return the decoded rectangle. Each element is decoded by itself, so that xarray's copies are of a piece."""
        packed = np.ascontiguousarray(self._inner.read(selection))
        out = allocate(packed.shape, self.dtype)
        numbers, decoded = packed.reshape(-1), out.reshape(-1)
        for start in range(0, packed.size, PIECE):
            piece = slice(start, start + PIECE)
            decoded[piece] = self._decode(numbers[piece])
        return out

    def _decode(self, packed: Array) -> Array:
        xarray = xarray_for("decoding packed numbers")
        axes = [f"axis{axis}" for axis in range(packed.ndim)]
        given = xarray.Dataset({"values": (axes, packed, self._attributes)})
        decoded = xarray.decode_cf(given, decode_times=False, decode_timedelta=False, decode_coords=False)
        values: Array = np.asarray(decoded["values"].values)
        return values

    def read_bytes(self, selection_shape: tuple[int, ...]) -> int:
        piece = (min(PIECE, math.prod(map(int, selection_shape))),)
        copies = 4 * nbytes(piece, self.dtype)  # masked, scaled, shifted
        contiguous = nbytes(selection_shape, self._inner.dtype)
        return nbytes(selection_shape, self.dtype) + copies + contiguous + self._inner.read_bytes(selection_shape)
