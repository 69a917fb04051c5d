"""Arrays of bfloat16 where NumPy has no such dtype: their bits are widened to float32 as they are read, exactly.

``numpy.save`` writes ml_dtypes' bfloat16 as two bytes without a name (``|V2``), which come back so; JAX reads them as
bfloat16, too. Zarr 3 names it, as TensorStore writes it, but zarr does not know it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from . import fingerprints
from .base import Allocate, HostSource, Selection, Source, nbytes
from .labels import Labels

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


class Widened(HostSource):
    """A float32 array whose upper 16 bits another source holds."""

    def __init__(self, bits: Source) -> None:
        self._bits = bits
        self.role, self.where, self.shape = bits.role, bits.where, bits.shape
        self.dtype: np.dtype[Any] = np.dtype(np.float32)
        self.chunk_shape, self.dimensions, self.units = bits.chunk_shape, bits.dimensions, bits.units
        self.piece_shape, self.in_memory, self.remote = bits.piece_shape, bits.in_memory, bits.remote

    def __reduce__(self) -> Any:
        return Widened, (self._bits,)

    def read(self, selection: Selection, allocate: Allocate = np.empty) -> Array:
        return _widen(self._bits.read(selection), allocate)

    def read_bytes(self, selection_shape: tuple[int, ...]) -> int:
        return nbytes(selection_shape, self.dtype) + self._bits.read_bytes(selection_shape)

    @property
    def filled(self) -> int:
        """Return how many chunks so far were absent and read as the fill value."""
        return self._bits.filled

    def locate(self, index: tuple[int, ...]) -> str:
        return self._bits.locate(index)

    def confirm(self) -> None:
        self._bits.confirm()

    def labels(self) -> Mapping[int, Labels]:
        return self._bits.labels()

    def fingerprint(self) -> fingerprints.Fingerprint:
        return self._bits.fingerprint()


def _widen(bits: Array, allocate: Allocate) -> Array:
    out = allocate(bits.shape, np.dtype(np.float32))
    np.left_shift(bits.view("<u2"), np.uint32(16), out=out.view(np.uint32), dtype=np.uint32)
    return out
