"""The protocol of arrays that are read, wherever they are kept."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any, Protocol

import numpy as np

from .labels import Labels
from .unchanged import Stamp, refuse_changed

Selection = tuple[slice, ...]
"""One slice with start and stop for each axis."""


Allocate = Callable[[tuple[int, ...], np.dtype[Any]], np.ndarray[Any, Any]]
"""A function that makes an array of a shape and dtype for what is read, as ``numpy.empty`` does."""


class Source(Protocol):
    """An N-dimensional array that is read piece by piece.

    What opens one raises SourceError for an array that cannot be read. A worker of another process unpickles the
    source, and opens the array again where it is kept in files.
    """

    role: str
    """The array's part in the evaluation: "y_true", "y_pred", "sample_weight" or "mask"; errors name it."""
    where: str
    """The place where the array is kept, for a person: a URI, or "in memory"."""
    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    """A dtype of integers, floats or booleans, bfloat16 included; what opens the array refuses others."""
    dimensions: tuple[str | None, ...]
    """The names of the axes, as labelled arrays have them; empty where there are none."""
    units: str | None
    """The units of the numbers, as the attribute `units` states them; None where none does."""
    chunk_shape: tuple[int, ...]
    """The shape of the piece that is decoded as a whole: of a chunk or shard, or 1s where any piece is as good."""
    piece_shape: tuple[int, ...] | None
    """The shape of the pieces, from an index that is a multiple of it, in which the array is read as fast as at once;
    None where more is read faster at once."""
    in_memory: bool
    """Whether reading is free."""
    remote: bool
    """Whether reading is mostly waiting for a network."""
    on_gpu: bool
    """Whether the array is in a GPU's memory, where :meth:`on_device` gives views of it."""

    @property
    def device(self) -> int | None:
        """The number of the GPU that holds the array; None if none does."""

    @property
    def filled(self) -> int:
        """The number of chunks so far that were absent and read as their fill value; 0 where nothing can be absent."""

    def labels(self) -> Mapping[int, Labels]:
        """Return the labels along those axes that have some, not yet read; none in another process."""

    def read(self, selection: Selection, allocate: Allocate = np.empty) -> np.ndarray[Any, Any]:
        """Return the selected rectangle, in the array's dtype: a view, or a copy in memory that `allocate` gives, where
        the source can write there. The caller must not write to it.

        Raises MissingChunkError or CorruptChunkError.
        """

    def on_device(self, selection: Selection) -> Any:
        """Return the selected rectangle as a contiguous view in the GPU's memory; None where there is no such view."""

    def read_bytes(self, selection_shape: tuple[int, ...]) -> int:
        """Return an upper bound of the memory in bytes that reading a rectangle of this shape takes, the result
        included.
        """

    def locate(self, index: tuple[int, ...]) -> str:
        """Return where an element is kept, for an error message: " (chunk c/3/0)", or nothing."""

    def confirm(self) -> None:
        """Raise MissingChunkError if the array has vanished, or is vanishing, since it was opened: what was then read
        may have been the fill value; and SourceError if it was changed. To be called after reading, and before
        anything that was computed is kept.
        """

    def fingerprint(self) -> dict[str, Any]:
        """Return what tells the array from one that was changed, for JSON; see :mod:`.fingerprints`."""


class HostSource:
    """The answers that most sources outside a GPU's memory share; each gives its own where it has another."""

    piece_shape: tuple[int, ...] | None = None
    in_memory = False
    remote = False
    on_gpu = False
    role: str
    dimensions: tuple[str | None, ...] = ()
    given_labels: Mapping[int, Labels] = MappingProxyType({})
    """The labels of the array that the source was opened from."""
    stamps: Mapping[Path, Stamp] = MappingProxyType({})
    """The files that must not change while the array is read, as they were when it was opened."""

    def __getstate__(self) -> dict[str, Any]:
        """Return what is pickled: no labels, which are compared before anything is sent to workers, and no stamps of
        files, which the process that opened them compares.
        """
        return {name: value for name, value in self.__dict__.items() if name not in ("given_labels", "stamps")}

    def labels(self) -> Mapping[int, Labels]:
        """Return the labels of the array that the source was opened from."""
        return self.given_labels

    units: str | None = None

    @property
    def device(self) -> None:
        """Return None: no GPU holds the array."""

    @property
    def filled(self) -> int:
        """Return 0: no chunk can be absent."""
        return 0

    def on_device(self, selection: Selection) -> None:
        """Return None: nothing is in a GPU's memory."""

    def confirm(self) -> None:
        """Raise SourceError where a file was changed since it was opened; what has vanished cannot be read."""
        refuse_changed(self.role, self.stamps)

    def locate(self, index: tuple[int, ...]) -> str:
        """Return nothing: there are no chunks to name."""
        return ""


def fill_option(role: str) -> str:
    """Return how to say, in Python and on the command line, that missing chunks of one array mean their fill value."""
    return f"missing_chunks={{{role!r}: 'fill'}} (--missing-chunks {role}=fill)"


def nbytes(shape: tuple[int, ...], dtype: np.dtype[Any]) -> int:
    """Return the bytes of an array of that shape and dtype."""
    return math.prod(map(int, shape)) * dtype.itemsize


def selection_shape(selection: Selection) -> tuple[int, ...]:
    """Return the shape of the selected rectangle."""
    return tuple(s.stop - s.start for s in selection)


def touched(selection: Selection, chunk_shape: tuple[int, ...]) -> Iterator[tuple[int, ...]]:
    """Return the coordinates of the chunks that a selection touches."""
    ranges = (range(s.start // c, -(-s.stop // c)) for s, c in zip(selection, chunk_shape, strict=True))
    return itertools.product(*ranges)


_CUDA, _CUDA_MANAGED = 2, 13  # DLPack's numbers


def on_gpu(array: Any) -> bool:
    """Return whether an array is in a GPU's memory, as it declares itself (DLPack, CUDA array interface)."""
    if isinstance(array, np.ndarray) or type(array).__module__.startswith(("zarr", "dask")):
        return False
    try:
        if hasattr(array, "__dlpack_device__"):
            return bool(array.__dlpack_device__()[0] in (_CUDA, _CUDA_MANAGED))
        return hasattr(array, "__cuda_array_interface__")
    except Exception:  # arrays spread over devices, or on none: what opens them as other arrays raises its own error
        return False
