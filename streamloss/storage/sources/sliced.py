"""Arrays of other libraries that are kept in files or elsewhere, read by slices: h5py, netCDF4, xarray, TensorStore.

Only the rectangle that is asked for is in memory. What the container does to values on the way, such as masking them,
is looked at in each rectangle.
"""

from __future__ import annotations

import hashlib
import math
import threading
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Any

import numpy as np

from ...errors import CorruptChunkError, DataError, SourceError, UsageError
from . import fingerprints
from .base import Allocate, HostSource, Selection, Source, nbytes, selection_shape
from .bfloat16 import widened
from .dtypes import refuse_no_numbers
from .encoding import attributes_of, refuse_encoded, units_of
from .hdf5 import StoredChunks
from .labels import dimensions_of, labels_of
from .numpy import open_array
from .recognition import is_of

Array = np.ndarray[Any, Any]

_ONE_AT_A_TIME = threading.Lock()
"""The lock around reads of libraries that may not be called by two threads, netCDF4 among them. Arrays of one library
share a file, or the library's own state."""


class SlicedSource(HostSource):
    """An array that gives rectangles of it as NumPy arrays."""

    def __init__(self, array: Any, role: str, missing_chunks: str, *, packed: bool = False) -> None:
        """`packed` says that the numbers may be packed, as another source decodes them.

        Raises SourceError for what is no array of numbers, or does not give slices.
        """
        self.role = role
        self.where = _where(array)
        self.shape = tuple(map(int, array.shape))
        self.dimensions, self.given_labels = dimensions_of(array), labels_of(array)
        self.units = units_of(attributes_of(array))
        self._array = getattr(array, "variable", array) if is_of(array, "xarray", "DataArray") else array
        self._policy = missing_chunks
        self._lock: AbstractContextManager[Any] = _lock_of(array)
        self.dtype = self._dtype_of_slices()
        self._packed = packed
        if not packed:
            refuse_encoded(role, self.where, attributes_of(array), self.dtype)
        self._unscaled = _was_scaled_by_one(array, self.dtype)
        self.dtype = np.dtype(array.dtype) if self._unscaled else self.dtype
        self.chunk_shape = _chunks_of(array) or (1,) * len(self.shape)
        self._stored: StoredChunks | None = None
        if is_of(array, "h5py", "Dataset") and missing_chunks != "fill":
            self._stored = StoredChunks(array, role, self.where, missing_chunks)

    def __reduce__(self) -> Any:
        """Pickle the file and the name in it, or whatever the array's own library pickles.

        Raises UsageError for an array that another process cannot open.
        """
        place = _place_of(self._array, self.role)
        return _open_again, (place, self.role, self._policy, self.where, self.dimensions, self._packed)

    def _dtype_of_slices(self) -> np.dtype[Any]:
        """Return the dtype of what slicing gives, which may be another than the array's own: netCDF4 scales."""
        if is_of(self._array, "xarray", "Variable"):  # knows it, and cannot slice nothing of what is reversed
            dtype = np.dtype(self._array.dtype)
        else:
            dtype = self._slice(tuple(slice(0, 0) for _ in self.shape)).dtype
        refuse_no_numbers(self.role, self.where, dtype)
        return dtype

    def _slice(self, selection: Selection, allocate: Allocate | None = None) -> Array:
        """Return the selected rectangle, which may be masked. Raises CorruptChunkError, and SourceError where it is
        none.
        """
        shape = selection_shape(selection)
        try:
            with self._lock:
                if allocate is not None and is_of(self._array, "h5py", "Dataset") and 0 not in shape:
                    out = allocate(shape, self.dtype)
                    self._array.read_direct(out, selection)
                    return out
                given = self._array[selection]
                values: Array = given if isinstance(given, np.ma.MaskedArray) else np.asarray(given)
        except (DataError, MemoryError):
            raise
        except Exception as error:  # whatever a foreign library raises
            at = ", ".join(f"{s.start}:{s.stop}" for s in selection)
            raise CorruptChunkError(
                f"{self.role}: cannot read [{at}] of {self.where}: {type(error).__name__}: {error}."
            ) from error
        if values.shape != shape:
            raise SourceError(
                f"{self.role}: slices of {self.where} are {type(given).__name__} of shape {values.shape}; expected "
                f"arrays of shape {shape}. Pass an array: array.toarray() of a sparse one, or "
                "numpy.asarray(array) of one that fits in memory."
            )
        return values

    def read(self, selection: Selection, allocate: Allocate = np.empty) -> Array:
        if self._stored is not None:
            self._stored.check(selection)
        values = self._slice(selection, allocate)
        if isinstance(values, np.ma.MaskedArray):
            values = self._unmasked(values, selection)
        if self._unscaled:
            values = values.astype(self.dtype)
        if values.dtype != self.dtype:
            raise SourceError(
                f"{self.role}: a slice of {self.where} has dtype {values.dtype}; expected {self.dtype}, as others have."
            )
        return values

    def _unmasked(self, values: np.ma.MaskedArray[Any, Any], selection: Selection) -> Array:
        """Return values that may be masked as plain ones: NaN as it is stored, under the policy for NaN. Raises
        SourceError for other masked elements, which hold no data.
        """
        data = np.ma.getdata(values)
        masked = np.ma.getmaskarray(values) & (data == data)
        if masked.any():
            first = tuple(int(i) + s.start for i, s in zip(np.argwhere(masked)[0], selection, strict=True))
            count = int(masked.sum())
            raise SourceError(
                f"{self.role}: {self.where} has {count:,} masked element{'s' * (count > 1)}, the first at "
                f"{list(first)}: they hold no data (others of later blocks are not counted). Write them, as NaN if "
                "there are none; or, if the variable has a _FillValue, open it with xarray.open_dataset, which reads "
                "NaN. nan_policy='omit' leaves such rows out."
            )
        return data

    @property
    def filled(self) -> int:
        """Return how many chunks so far were absent and read as the fill value, under the policy "warn"."""
        return 0 if self._stored is None else len(self._stored.filled)

    def read_bytes(self, selection_shape: tuple[int, ...]) -> int:
        chunk = 2 * nbytes(self.chunk_shape, self.dtype)  # encoded and decoded
        copies = 1 if is_of(self._array, "h5py", "Dataset") else 3  # masks, scales, indexers of others
        return copies * nbytes(selection_shape, self.dtype) + chunk

    def locate(self, index: tuple[int, ...]) -> str:
        if math.prod(self.chunk_shape) == 1:
            return ""
        return f" (chunk {'/'.join(str(i // c) for i, c in zip(index, self.chunk_shape, strict=True))})"

    def fingerprint(self) -> fingerprints.Fingerprint:
        """Return the fingerprint of the file that keeps the array; of pieces of the array where none is known."""
        file = None if is_of(self._array, "xarray", "Variable") else file_of(self._array)  # may be a part of the file
        if file is not None and file.is_file():
            return fingerprints.of_file(file) | {"array": self.where}
        digest = hashlib.blake2b(digest_size=16)
        row = nbytes((1, *self.shape[1:]), self.dtype)
        rows = max(1, fingerprints.PIECE // max(1, row))
        for i in fingerprints.spread(-(-self.shape[0] // rows), fingerprints.REMOTE_CHUNKS):
            part = slice(i * rows, min((i + 1) * rows, self.shape[0]))
            piece = np.ma.getdata(self._slice((part, *(slice(0, n) for n in self.shape[1:]))))
            digest.update(np.ascontiguousarray(piece).view(np.uint8).data)
        return {"place": self.where, "sample": digest.hexdigest()}


def open_sliced(array: Any, role: str, missing_chunks: str) -> Source:
    """Open an array that gives slices; one of a class whose slices fail is converted as a whole, if it is small."""
    if callable(getattr(array, "toarray", None)):  # a sparse one, whose slices are sparse
        refuse_no_numbers(role, type(array).__name__, np.dtype(object), array)
    try:
        return widened(SlicedSource(array, role, missing_chunks))
    except CorruptChunkError:
        if is_of(array, "h5py", "Dataset") or is_of(array, "netCDF4", "Variable") or not hasattr(array, "__array__"):
            raise
    return open_array(array, role, missing_chunks)


def file_of(array: Any) -> Path | None:
    """Return the file that keeps an array; None where none is known."""
    if is_of(array, "h5py", "Dataset"):
        return Path(array.file.filename)
    if is_of(array, "netCDF4", "Variable"):
        return Path(array.group().filepath())
    source = array.encoding.get("source") if is_of(array, "xarray", "DataArray", "Variable") else None
    return None if source is None else Path(source)


def _where(array: Any) -> str:
    name = array.name if is_of(array, "h5py", "Dataset") or is_of(array, "netCDF4", "Variable") else ""
    file = file_of(array)
    kind = f"{type(array).__module__.partition('.')[0]}.{type(array).__name__}"
    return f"a {kind}" if file is None else f"{file}::{name or getattr(array, 'name', '')}".removesuffix("::")


def _was_scaled_by_one(array: Any, dtype: np.dtype[Any]) -> bool:
    """Return whether netCDF4 gives integers as floats for a scale of 1, which changes nothing; float64 holds them."""
    return (
        is_of(array, "netCDF4", "Variable")
        and (array.dtype.kind, dtype.kind) in (("i", "f"), ("u", "f"))
        and array.dtype.itemsize < 8
        and dtype.itemsize > array.dtype.itemsize
    )


def _lock_of(array: Any) -> AbstractContextManager[Any]:
    """Return a lock; nothing for libraries that take their own. HDF5 may be one library to h5py and netCDF4."""
    own = is_of(array, "xarray", "DataArray", "Variable") or type(array).__module__.startswith("tensorstore")
    return nullcontext() if own else _ONE_AT_A_TIME


def _chunks_of(array: Any) -> tuple[int, ...] | None:
    """Return the shape of an array's chunks; None where it has none, or does not say."""
    if is_of(array, "netCDF4", "Variable"):
        chunks = array.chunking()
    elif is_of(array, "xarray", "DataArray", "Variable"):
        chunks = array.encoding.get("chunksizes") or array.encoding.get("chunks")
    elif hasattr(array, "chunk_layout"):
        chunks = array.chunk_layout.read_chunk.shape
    else:
        chunks = getattr(array, "chunks", None)
    if not isinstance(chunks, tuple | list) or len(chunks) != len(array.shape):
        return None
    return tuple(map(int, chunks)) if all(isinstance(n, int | np.integer) and n > 0 for n in chunks) else None


def _place_of(array: Any, role: str) -> Any:
    """Return where another process finds an array: ("h5py" or "netCDF4", file, name), or the array itself."""
    if is_of(array, "h5py", "Dataset"):
        return "h5py", str(Path(array.file.filename).absolute()), array.name
    if is_of(array, "netCDF4", "Variable"):
        path = array.group().path.rstrip("/")
        return "netCDF4", str(Path(array.group().filepath()).absolute()), f"{path}/{array.name}"
    if is_of(array, "xarray", "Variable"):
        return array
    raise UsageError(
        f"{role} is an array of {type(array).__module__}, which other processes cannot open; expected a path, a "
        "zarr.Array, or an array of h5py, netCDF4 or xarray. Pass executor='threads'."
    )


def _open_again(
    place: Any, role: str, missing_chunks: str, where: str, dimensions: tuple[str | None, ...], packed: bool
) -> SlicedSource:
    """Open a pickled source in another process."""
    if isinstance(place, tuple):
        library, path, name = place
        try:
            if library == "h5py":
                import h5py

                place = h5py.File(path, "r")[name]
            else:
                import netCDF4

                place = netCDF4.Dataset(path, "r")[name]
        except Exception as error:  # whatever opening raises
            raise SourceError(f"{role}: this worker cannot open {name} of {path!r}: {error}") from None
    source = SlicedSource(place, role, missing_chunks, packed=packed)
    source.where, source.dimensions = where, dimensions
    return source
