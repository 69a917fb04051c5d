"""Arrays in memory and memory-mapped files."""

from __future__ import annotations

import mmap
from pathlib import Path
from typing import Any

import numpy as np

from ..errors import SourceError
from .base import Selection, nbytes


class ArraySource:
    """An array in memory; reading gives views."""

    in_memory = True

    def __init__(self, array: np.ndarray[Any, Any], role: str) -> None:
        self.role = role
        self.where = "in memory"
        self.shape = array.shape
        self.dtype = array.dtype
        self.grain = (1,) * array.ndim
        self._array = array

    def read(self, selection: Selection) -> np.ndarray[Any, Any]:
        return self._array[selection]

    def read_bytes(self, selection_shape: tuple[int, ...]) -> int:
        return 0

    def locate(self, index: tuple[int, ...]) -> str:
        return ""


class MemmapSource:
    """A memory-mapped file; pages are copied out and given back, or they would count as ours for ever."""

    in_memory = False

    def __init__(self, array: np.memmap[Any, Any], role: str, where: str) -> None:
        self.role = role
        self.where = where
        self.shape = array.shape
        self.dtype = array.dtype
        self.grain = (1,) * array.ndim
        self._array = array
        mapping: Any = getattr(array, "_mmap", None)
        # copy-on-write pages may hold the user's changes; platforms without madvise keep their pages
        can_drop = isinstance(mapping, mmap.mmap) and array.mode != "c" and hasattr(mapping, "madvise")
        self._mapping: mmap.mmap | None = mapping if can_drop else None
        self._base = np.frombuffer(mapping, np.uint8).ctypes.data if can_drop else 0

    def read(self, selection: Selection) -> np.ndarray[Any, Any]:
        view = self._array[selection]
        copy = np.array(view, order="C")
        if self._mapping is not None and view.size:
            low, high = np.lib.array_utils.byte_bounds(view)
            page = mmap.PAGESIZE
            start = (low - self._base) // page * page
            self._mapping.madvise(mmap.MADV_DONTNEED, start, high - self._base - start)
        return copy

    def read_bytes(self, selection_shape: tuple[int, ...]) -> int:
        span = (selection_shape[0], *self.shape[1:]) if self.shape else ()
        return nbytes(selection_shape, self.dtype) + nbytes(span, self.dtype)  # the copy and the mapped pages

    def locate(self, index: tuple[int, ...]) -> str:
        return ""


def open_array(array: Any, role: str) -> ArraySource | MemmapSource:
    """Anything ``numpy.asarray`` makes a numeric array of."""
    if isinstance(array, np.memmap):
        return MemmapSource(array, role, where=str(array.filename or "a memory map"))
    try:
        converted = np.asarray(array)
    except Exception as error:  # whatever a foreign __array__ raises
        raise SourceError(f"{role}: cannot make an array of {type(array).__name__}: {error}") from error
    if converted.dtype.kind not in "biuf" and converted.dtype.name != "bfloat16":
        raise SourceError(
            f"{role}: expected numbers; received dtype {converted.dtype} from {type(array).__name__}. "
            "Expected an array in memory, a memmap, a zarr.Array or a path."
        )
    return ArraySource(converted, role)


def open_npy(path: Path, role: str) -> MemmapSource | ArraySource:
    """A ``.npy`` file, memory-mapped."""
    try:
        array = np.load(path, mmap_mode="r", allow_pickle=False)
    except FileNotFoundError:
        raise SourceError(f"{role}: there is no file {str(path)!r}.") from None
    except (OSError, ValueError) as error:
        raise SourceError(f"{role}: {str(path)!r} is not a readable .npy file: {error}") from error
    source = open_array(array, role)
    source.where = str(path)
    return source
