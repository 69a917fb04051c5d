"""Arrays of bfloat16 where NumPy has no such dtype: their bits are widened to float32 as they are read, exactly.

``numpy.save`` writes ml_dtypes' bfloat16 as two bytes without a name (``|V2``), which come back so; JAX reads them as
bfloat16, too. Zarr 3 names it, as TensorStore writes it, but zarr does not know it.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from .base import Allocate, Selection, Source, nbytes
from .wrapped import Wrapped

Array = np.ndarray[Any, Any]


def is_number(dtype: np.dtype[Any]) -> bool:
    """Return whether a dtype is of numbers that can be read: integers, floats, booleans, bfloat16 and its bits."""
    return dtype.kind in "biuf" or dtype.name == "bfloat16" or is_bits(dtype)


def is_bits(dtype: np.dtype[Any]) -> bool:
    """Return whether a dtype is two bytes without a name, as bfloat16 is saved."""
    return dtype.type is np.void and dtype.itemsize == 2 and dtype.names is None and dtype.subdtype is None


def widened(source: Source) -> Source:
    """Return a source of numbers for one that may hold the bits of bfloat16."""
    return Widened(source) if is_bits(source.dtype) else source


def widened_chunk(chunk: Any) -> Any:
    """Return a computed chunk of bits as float32. Another chunk is returned as it is, to be refused for its dtype."""
    return _widen(chunk, np.empty) if type(chunk) is np.ndarray and is_bits(chunk.dtype) else chunk


def bits_of(number: Any) -> int:
    """Return the bits of a fill value of Zarr metadata: a number, "NaN", "Infinity", or hexadecimal bits."""
    if isinstance(number, str) and number.startswith("0x"):
        return int(number, 16)
    return int(np.float32(float(number)).view(np.uint32) >> np.uint32(16))


class Widened(Wrapped):
    """A float32 array whose upper 16 bits another source holds."""

    def __init__(self, bits: Source) -> None:
        super().__init__(bits, np.dtype(np.float32))

    def __reduce__(self) -> Any:
        return Widened, (self._inner,)

    def read(self, selection: Selection, allocate: Allocate = np.empty) -> Array:
        return _widen(self._inner.read(selection), allocate)

    def read_bytes(self, selection_shape: tuple[int, ...]) -> int:
        return nbytes(selection_shape, self.dtype) + self._inner.read_bytes(selection_shape)


def _widen(bits: Array, allocate: Allocate) -> Array:
    out = allocate(bits.shape, np.dtype(np.float32))
    bits = bits.view("<u2") if bits.dtype.kind == "V" else bits.astype(np.uint16, copy=False)
    np.left_shift(bits, np.uint32(16), out=out.view(np.uint32), dtype=np.uint32)
    return out
