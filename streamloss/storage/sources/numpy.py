"""Arrays in memory and memory-mapped files."""

from __future__ import annotations

import mmap
from pathlib import Path
from typing import Any

import numpy as np

from ...core.machine import mib
from ...errors import SourceError, UsageError
from ..uris import Address
from . import fingerprints
from .base import Allocate, HostSource, Selection, Source, nbytes
from .bfloat16 import widened
from .dtypes import is_key, refuse_no_numbers
from .encoding import attributes_of, refuse_encoded, refuse_masked, units_of
from .float8 import Float8, kind_of, without_names
from .foreign_files import explain_file
from .labels import dimensions_of, labels_of
from .recognition import is_of
from .texts import fixed_width

MOST_CONVERTED = 64 << 20
"""The most bytes of an array of another library that are converted as a whole, beside the memory that a plan counts."""

_FAULT_AROUND = 1 << 16  # Linux maps up to so many bytes around the one that was touched


class ArraySource(HostSource):
    """An array in memory. Reading gives views, which take memory only where they are copied to lie row by row."""

    in_memory = True

    def __init__(self, array: np.ndarray[Any, Any], role: str) -> None:
        self.role = role
        self.where = "in memory"
        self.shape = array.shape
        self.dtype = array.dtype
        self.chunk_shape = self.piece_shape = (1,) * array.ndim
        self._array = array

    def read(self, selection: Selection, allocate: Allocate = np.empty) -> np.ndarray[Any, Any]:
        return self._array[selection]

    @property
    def contiguous(self) -> bool:
        """Whether the elements lie one after the other, so that reading them copies nothing."""
        return self._array.flags.c_contiguous

    def read_bytes(self, selection_shape: tuple[int, ...]) -> int:
        _, runs = _runs(self._array, selection_shape)
        return 0 if runs == 1 and self._array.flags.c_contiguous else nbytes(selection_shape, self.dtype)

    def fingerprint(self) -> fingerprints.Fingerprint:
        return fingerprints.of_memory(self._array)


class MemmapSource(HostSource):
    """A memory-mapped file. Pages are copied and then released, or they would count as the process' memory for ever.

    ``array`` is the memmap or any view of it.
    """

    def __init__(self, array: np.ndarray[Any, Any], memmap: np.memmap[Any, Any], role: str) -> None:
        self.role = role
        self.where = str(memmap.filename or "a memory map")
        self.shape = array.shape
        self.dtype = array.dtype
        self.chunk_shape = (1,) * array.ndim
        self._array = array
        self._memmap = memmap
        mapping: Any = getattr(memmap, "_mmap", None)
        # copy-on-write pages may hold the user's changes; platforms without madvise keep their pages
        can_drop = isinstance(mapping, mmap.mmap) and memmap.mode != "c" and hasattr(mapping, "madvise")
        self._mapping: mmap.mmap | None = mapping if can_drop else None
        self._base = np.frombuffer(mapping, np.uint8).ctypes.data if can_drop else 0

    def __reduce__(self) -> Any:
        """Pickle where the bytes are: another process maps the same bytes of the file itself.

        Raises UsageError for changes, or a file, that only this process has.
        """
        if self._memmap.mode == "c" or self._memmap.filename is None:
            raise UsageError(
                f"{self.role} is a memory map whose changes, or whose file, only this process has; expected a file "
                "that workers can map. Open it with mode='r'."
            )
        low, high = np.lib.array_utils.byte_bounds(self._array)
        path = str(Path(self._memmap.filename).absolute())
        layout = (self.shape, self.dtype, self._array.ctypes.data - low, self._array.strides)
        return _map_again, (path, self._in_file(low), high - low, layout, self.role, self.where)

    def _in_file(self, address: int) -> int:
        """Return the position in the file of the byte at an address of the mapping."""
        mapping: Any = getattr(self._memmap, "_mmap", None)
        begin = self._memmap.offset - self._memmap.offset % mmap.ALLOCATIONGRANULARITY
        return begin + address - int(np.frombuffer(mapping, np.uint8).ctypes.data)

    def read(self, selection: Selection, allocate: Allocate = np.empty) -> np.ndarray[Any, Any]:
        self.confirm()  # a map of a file that was cut ends the process
        index: tuple[Any, ...] = (*selection, ...)  # gives an array, never a scalar
        view = self._array[index]
        copy = allocate(view.shape, view.dtype)
        copy[...] = view
        if self._mapping is not None and view.size:
            low, high = np.lib.array_utils.byte_bounds(view)
            page = mmap.PAGESIZE
            start = (low - self._base) // page * page
            self._mapping.madvise(mmap.MADV_DONTNEED, start, high - self._base - start)
        return copy

    def read_bytes(self, selection_shape: tuple[int, ...]) -> int:
        return nbytes(selection_shape, self.dtype) + self._mapped_bytes(selection_shape)

    def _mapped_bytes(self, selection_shape: tuple[int, ...]) -> int:
        """Return the bytes of the pages under a rectangle: those of each contiguous run of it, and at most those of
        everything from its first to its last byte.
        """
        run, runs = _runs(self._array, selection_shape)
        steps = zip(self._array.strides, selection_shape, strict=True)
        span = self.dtype.itemsize + sum(abs(stride) * max(0, size - 1) for stride, size in steps)
        return min(runs * (run + 2 * _FAULT_AROUND), span + 2 * _FAULT_AROUND)

    def fingerprint(self) -> fingerprints.Fingerprint:
        if self._memmap.filename is None:
            return fingerprints.of_memory(self._array)
        place = {"first_byte": self._in_file(self._array.ctypes.data), "strides": list(self._array.strides)}
        return fingerprints.of_file(Path(self._memmap.filename)) | place


def _map_again(
    path: str,
    at: int,
    size: int,
    layout: tuple[tuple[int, ...], np.dtype[Any], int, tuple[int, ...]],
    role: str,
    where: str,
) -> MemmapSource:
    """Open a pickled source: map `size` bytes of the file from `at` on, which hold an array of that layout."""
    shape, dtype, inside, strides = layout
    try:
        memmap = np.memmap(path, np.uint8, "r", offset=at, shape=(size,))
    except (OSError, ValueError) as error:
        raise SourceError(f"{role}: this worker cannot map {path!r}: {error}.") from None
    source = MemmapSource(np.ndarray(shape, dtype, memmap, inside, strides), memmap, role)
    source.where = where
    return source


def _runs(array: np.ndarray[Any, Any], selection_shape: tuple[int, ...]) -> tuple[int, int]:
    """Return how many bytes of a rectangle lie one after the other, and the number of such runs."""
    run, runs, next_stride = array.itemsize, 1, array.itemsize
    for stride, size, selected in sorted(zip(map(abs, array.strides), array.shape, selection_shape, strict=True)):
        if size == 1:
            continue
        if stride == next_stride:
            run *= selected
            next_stride = stride * size if selected == size else -1
        else:
            runs *= selected
            next_stride = -1
    return run, runs


def open_array(array: Any, role: str, missing_chunks: str = "error", where: str | None = None) -> Source:
    """Open anything that ``numpy.asarray`` makes a numeric array of.

    `where` is the place where it is kept, if not in memory. There are no chunks, so `missing_chunks` has no effect.
    """
    _refuse_large(array, role)
    try:
        values = (
            array[...] if callable(getattr(array, "ncattrs", None)) else array
        )  # what netCDF4 masks, asarray would drop
        kind = kind_of(values)
        converted = np.asarray(without_names(values))
    except Exception as error:  # whatever a foreign __array__ raises
        raise SourceError(f"{role}: cannot make an array of {type(array).__name__}: {error}") from error
    refuse_masked(f"{role}: {where or f'a {type(array).__name__}'}", values, "array.filled(value)")
    if is_key(role) and converted.dtype.kind in "OT":
        try:
            converted = fixed_width(converted)
        except TypeError as error:
            raise SourceError(f"{role}: {error}; expected keys that are all text, or all numbers.") from None
    refuse_no_numbers(role, where or type(array).__name__, converted.dtype, array)
    refuse_encoded(role, where or f"a {type(array).__name__}", attributes_of(array), converted.dtype)
    memmap = _memmap_under(converted)
    source = ArraySource(converted, role) if memmap is None else MemmapSource(converted, memmap, role)
    source.where = where or source.where
    source.dimensions, source.given_labels = dimensions_of(array), labels_of(array)
    source.units = units_of(attributes_of(array))
    return widened(source) if kind is None else Float8(source, kind)


def plain_source(array: Any, role: str) -> ArraySource | None:
    """Return the source of an array in memory, of NumPy or a tensor of the processor, of which nothing but its axes
    and a dtype is known; None for any other one, which :func:`open_array` looks at. It is quick, for small batches.
    """
    if type(array) is not np.ndarray:
        if not is_of(array, "torch", "Tensor"):
            return None
        try:
            array = array.numpy()
        except (TypeError, RuntimeError):  # with gradients, on a device, sparse, or of a dtype that NumPy has not
            return None
    dtype = array.dtype
    plain = array.ndim and dtype.isbuiltin == 1 and dtype.kind in "biuf" and dtype.itemsize <= 8
    return ArraySource(array, role) if plain and _memmap_under(array) is None else None


def _refuse_large(array: Any, role: str) -> None:
    """Raise SourceError for a large array that is kept elsewhere and only converts itself as a whole."""
    known = is_of(array, "pandas", "Series", "DataFrame", "Index") or is_of(array, "xarray", "DataArray", "Variable")
    if known or any(hasattr(array, name) for name in ("__array_interface__", "__dlpack__")):
        return
    size = getattr(array, "nbytes", None) if hasattr(array, "__array__") else None
    if isinstance(size, int | np.integer) and size > MOST_CONVERTED:
        raise SourceError(
            f"{role}: a {type(array).__module__}.{type(array).__name__} of {mib(int(size))} can only be converted as a "
            "whole; expected an array that gives slices as NumPy arrays (array[0:1000]), so that blocks can be read in "
            "bounded memory. Store it (zarr, .npy), or pass numpy.asarray(array) if it fits in memory."
        )


def _memmap_under(array: Any) -> np.memmap[Any, Any] | None:
    """Return the memmap that an array is, or is a view of; None for other arrays."""
    while isinstance(array, np.ndarray):
        if isinstance(array, np.memmap) and getattr(array, "_mmap", None) is not None:  # not the result of arithmetic
            return array
        array = array.base
    return None


def open_npy(address: Address, role: str, missing_chunks: str = "error") -> Source:
    """Open a local ``.npy`` file, memory-mapped; `missing_chunks` has no effect."""
    path = address.path
    assert path is not None
    if address.member:
        raise SourceError(
            f"{role}: {address.uri!r}: a .npy file holds one array without a name; expected {str(path)!r} alone."
        )
    try:
        array = np.load(path, mmap_mode="r", allow_pickle=False)
    except FileNotFoundError:
        raise SourceError(f"{role}: there is no file {str(path)!r}.") from None
    except MemoryError:
        raise
    except Exception as error:  # numpy parses the header as Python, and opens archives: both have errors of their own
        other = explain_file(path, role)
        raise SourceError(other or f"{role}: {str(path)!r} is not a readable .npy file: {error}") from error
    if not isinstance(array, np.ndarray):  # numpy opens archives of any name
        raise SourceError(explain_file(path, role) or f"{role}: {str(path)!r} is not a .npy file.")
    return open_array(array, role, missing_chunks, str(path))
