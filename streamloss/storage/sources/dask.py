"""Dask arrays: their shapes and chunks before they are computed, and the values of a chunk once it is."""

from __future__ import annotations

import itertools
import math
import warnings
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, NamedTuple

import numpy as np

from ...errors import SourceError, StreamlossWarning, UsageError
from .base import Allocate, HostSource, Selection, Source, fill_option, nbytes
from .bfloat16 import is_bits, widened_chunk
from .dask_graphs import behind, refuse_encoded_behind
from .dtypes import refuse_no_numbers
from .encoding import attributes_of, refuse_encoded, refuse_masked, units_of
from .fingerprints import Fingerprint
from .labels import Labels, dimensions_of, labels_of
from .recognition import is_of

UNKNOWN = 1 << 40
"""The rows of each chunk that stand for an unknown chunk size where axes are aligned: arrays with the same number of
chunks align.
"""


def is_lazy(array: Any) -> bool:
    """Return whether the type of `array` is one of Dask's, or xarray's around one, without importing dask."""
    if is_of(array, "xarray", "DataArray", "Variable"):
        return array.chunks is not None and is_lazy(array.data)
    return type(array).__module__.partition(".")[0] == "dask"


class DaskSource(HostSource):
    """A Dask array in a plan. Its chunks are read where they are computed: see `GivenSource`."""

    where = "a Dask array"

    def __init__(self, array: Any, role: str) -> None:
        self.role = role
        self.dtype = np.dtype(array.dtype)
        refuse_no_numbers(role, "a Dask array", self.dtype)
        self.known = not any(map(math.isnan, array.shape))
        self.chunks = tuple(tuple(UNKNOWN if math.isnan(n) else int(n) for n in sizes) for sizes in array.chunks)
        self.shape = tuple(map(sum, self.chunks))
        self.chunk_shape = tuple(max(1, *sizes) for sizes in self.chunks)
        self._name = str(array.name)

    def read(self, selection: Selection, allocate: Allocate = np.empty) -> np.ndarray[Any, Any]:
        raise UsageError(f"{self.role} is a Dask array, which is computed, not read.")

    def read_bytes(self, selection_shape: tuple[int, ...]) -> int:
        return nbytes(selection_shape, self.dtype)

    def locate(self, index: tuple[int, ...]) -> str:
        ends = [list(itertools.accumulate(sizes)) for sizes in self.chunks]
        chunk = tuple(next(k for k, end in enumerate(of) if at < end) for at, of in zip(index, ends, strict=True))
        return f" (chunk {'/'.join(map(str, chunk))})"

    def fingerprint(self) -> Fingerprint:
        return {"graph": self._name}


class GivenSource(HostSource):
    """The computed rectangle of a Dask array under one block; reading returns all of it, whatever is selected."""

    def __init__(self, of: DaskSource, array: np.ndarray[Any, Any], chunk: tuple[int, ...] | None) -> None:
        self.role, self.shape, self.dtype, self.chunk_shape = of.role, of.shape, of.dtype, of.chunk_shape
        self._of, self._array, self._chunk = of, array, chunk
        self.where = of.where if chunk is None else f"chunk {chunk} of a Dask array, its rows counted from its first"

    def read(self, selection: Selection, allocate: Allocate = np.empty) -> np.ndarray[Any, Any]:
        return self._array

    def read_bytes(self, selection_shape: tuple[int, ...]) -> int:
        return nbytes(selection_shape, self.dtype)

    def locate(self, index: tuple[int, ...]) -> str:
        return self._of.locate(index) if self._chunk is None else ""

    def fingerprint(self) -> Fingerprint:
        return self._of.fingerprint()


WRONG_CHUNKS = "Correct the chunks= that map_blocks or from_delayed declares."
UNKNOWN_CHUNKS = "Call compute_chunk_sizes() on all arrays, and rechunk them alike: their rows do not meet."


def refuse_other_chunk(
    source: DaskSource, chunk: Any, expected: tuple[float, ...], position: tuple[int, ...], cure: str = WRONG_CHUNKS
) -> None:
    """Raise SourceError where a computed chunk has masked elements, or another dtype or shape than was declared.

    `expected` is the shape, NaN for a length that is not known; `cure` is the advice for another shape.
    """
    name = f"{source.role}: the chunk at block {position} of a Dask array"
    refuse_masked(name, chunk, "dask.array.ma.filled(array, value)")
    if not hasattr(chunk, "dtype") or not hasattr(chunk, "shape"):
        raise SourceError(
            f"{name} is a {type(chunk).__name__}; expected an array of {source.dtype}. Return one from the function."
        )
    if chunk.dtype != source.dtype:
        raise SourceError(
            f"{name} has dtype {chunk.dtype}; expected {source.dtype}, as the array declares. "
            "Pass the dtype that is computed to map_blocks(dtype=...) or from_delayed, or call astype in the function."
        )
    shape = tuple(chunk.shape)
    known = zip(shape, expected, strict=False)
    if len(shape) != len(expected) or any(have != want for have, want in known if not math.isnan(want)):
        raise SourceError(f"{name} has shape {shape}; expected {expected}. {cure}")


def open_lazy(array: Any, role: str, missing_chunks: str) -> DaskSource:
    """Open a Dask array, or any array that is evaluated beside Dask arrays; see `as_lazy`."""
    return as_lazy(array, role, missing_chunks).open(role)


def refuse_weight_without_axis(sample_weight: Any) -> None:
    """Raise UsageError for a Dask array that is one number: its value is not there to be looked at."""
    if is_lazy(sample_weight) and getattr(sample_weight, "ndim", None) == 0:
        raise UsageError("sample_weight is a Dask array of no axis; expected a number, or an array: weight.compute().")


def refuse_unknown_chunks(arrays: Mapping[str, Any]) -> None:
    """Raise UsageError for arrays whose axes do not meet, where chunk sizes that are not known may be why; `arrays` by
    role.
    """
    lazy = {role: array for role, array in arrays.items() if is_lazy(array)}
    for role, array in lazy.items():
        if any(map(math.isnan, array.shape)):
            others = ", ".join(f"{r} {a.numblocks}" for r, a in lazy.items())
            raise UsageError(
                f"{role} has chunks of unknown sizes, which do not meet the others' (numbers of chunks: {others}); "
                f"expected as many, or known ones. Call {role}.compute_chunk_sizes()."
            )


class SourceReader:
    """Reads an opened array where Dask slices it, so that missing and corrupt chunks are noticed as they always are."""

    def __init__(self, source: Source) -> None:
        self.shape, self.dtype, self.ndim = source.shape, source.dtype, len(source.shape)
        self._source = source

    def __getitem__(self, index: tuple[slice, ...]) -> np.ndarray[Any, Any]:
        selection = tuple(slice(*of.indices(size)) for of, size in zip(index, self.shape, strict=True))
        before = self._source.filled
        array = self._source.read(selection)
        if self._source.filled > before:
            warnings.warn(
                f"{self._source.role}: chunks of {self._source.where} do not exist; their fill value was read. "
                f"If it is meant, pass {fill_option(self._source.role)}",
                StreamlossWarning,
                stacklevel=2,
            )
        return array


class LazyArray(NamedTuple):
    """An array as one of Dask's, and what Dask does not know of it."""

    array: Any
    dimensions: tuple[str | None, ...] = ()
    labels: Mapping[int, Labels] = MappingProxyType({})
    units: str | None = None

    def open(self, role: str) -> DaskSource:
        source = DaskSource(self.array, role)
        source.dimensions, source.given_labels, source.units = self.dimensions, self.labels, self.units
        return source


def as_lazy(array: Any, role: str, missing_chunks: str = "error") -> LazyArray:
    """Return a Dask array, or an xarray of one, as it is, and any other array as a Dask array of it.

    Chunks that were never written are an error by default, in every role: with "warn", the warning is given where
    a task reads them, which may be a worker of another process, and no result counts them. Raises UsageError for other
    collections of Dask, and for arrays on a GPU, SourceError for what cannot be read.
    """
    import dask.array as da

    if is_of(array, "xarray", "DataArray", "Variable") and is_lazy(array):
        refuse_encoded(role, "a Dask array in xarray", attributes_of(array), np.dtype(array.dtype))
        described = as_lazy(array.data, role)
        units = units_of(attributes_of(array)) or described.units
        return described._replace(dimensions=dimensions_of(array), labels=labels_of(array), units=units)
    if isinstance(array, da.Array):
        found = behind(array)
        if not found.is_all:
            refuse_encoded_behind(array, role)
            widened = da.map_blocks(widened_chunk, array, dtype=np.float32) if is_bits(array.dtype) else array
            return LazyArray(widened)
        return _of_source(_opened(found.stored[0], role, missing_chunks), array.chunks)
    if is_lazy(array):
        advice = ""
        if hasattr(array, "to_dask_array"):
            advice = (
                " How many rows its partitions have is not known: pass array.to_dask_array(lengths=True), which counts "
                "them, or the files: 'folder::column' of Parquet."
            )
        raise UsageError(f"{role} is a {type(array).__name__} of Dask; expected a dask.array.Array.{advice}")
    return _of_source(_opened(array, role, missing_chunks))


def _opened(array: Any, role: str, missing_chunks: str) -> Source:
    """Return an array that is no Dask array, opened with all checks."""
    from . import open_source

    source = open_source(array, role, missing_chunks)
    if source.on_gpu:
        raise UsageError(
            f"{role} is an array on a GPU, but another argument is a Dask array; expected Dask arrays, whose chunks "
            "may be on GPUs, or arrays in the host's memory. Pass dask.array.from_array(array, asarray=False)."
        )
    return source


def _of_source(source: Source, chunks: Any = None) -> LazyArray:
    """Return an opened array as a Dask array, whose tasks read it."""
    import dask.array as da

    if source.in_memory:  # each task holds its part
        array = da.from_array(source.read(tuple(slice(0, n) for n in source.shape)))
    else:
        own = source.chunk_shape if max(source.chunk_shape, default=1) > 1 else "auto"
        meta = np.empty((0,) * len(source.shape), source.dtype)
        array = da.from_array(SourceReader(source), chunks=chunks or own, name=False, asarray=False, meta=meta)
    return LazyArray(array, source.dimensions, source.labels(), source.units)
