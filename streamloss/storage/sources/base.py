"""What the rest of the house knows of an array, wherever it is kept."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

import numpy as np

Selection = tuple[slice, ...]
"""One slice with start and stop for each axis."""


Allocate = Callable[[tuple[int, ...], np.dtype[Any]], np.ndarray[Any, Any]]
"""Where to put what is read: an array of a shape and dtype, such as ``numpy.empty`` makes."""


class Source(Protocol):
    """An N-dimensional array that is read piece by piece."""

    role: str
    """What it is to the evaluation: "y_true", "y_pred" or "sample_weight"; errors name it."""
    where: str
    """Where it is kept, for a person: a URI, or "in memory"."""
    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    chunk_shape: tuple[int, ...]
    """The piece that is decoded as a whole: its chunk or shard shape, or 1s where any piece is as good."""
    in_memory: bool
    """Whether reading is free."""
    remote: bool
    """Whether reading is mostly waiting for a network."""
    on_gpu: bool
    """Whether it is in a GPU's memory, where ``on_device(selection)`` gives it in place."""

    def read(self, selection: Selection, allocate: Allocate = np.empty) -> np.ndarray[Any, Any]:
        """The selected rectangle, in the array's dtype. Not to be written to: it may be a view. What is not is in the
        memory that `allocate` gives.

        Raises MissingChunkError or CorruptChunkError.
        """

    def read_bytes(self, selection_shape: tuple[int, ...]) -> int:
        """An upper bound of the memory that reading a rectangle of this shape takes, the result included."""

    def locate(self, index: tuple[int, ...]) -> str:
        """Where an element is kept, for an error message: " (chunk c/3/0)", or nothing."""

    def fingerprint(self) -> dict[str, Any]:
        """Return what tells the array from one that was changed, for JSON; see :mod:`.fingerprints`."""


def nbytes(shape: tuple[int, ...], dtype: np.dtype[Any]) -> int:
    return int(np.prod(shape, dtype=object)) * dtype.itemsize


def selection_shape(selection: Selection) -> tuple[int, ...]:
    return tuple(s.stop - s.start for s in selection)


_CUDA, _CUDA_MANAGED = 2, 13  # DLPack's numbers


def on_gpu(array: Any) -> bool:
    """Whether an array is in a GPU's memory, by what it says of itself (DLPack, CUDA array interface)."""
    if isinstance(array, np.ndarray) or type(array).__module__.startswith(("zarr", "dask")):
        return False
    try:
        if hasattr(array, "__dlpack_device__"):
            return bool(array.__dlpack_device__()[0] in (_CUDA, _CUDA_MANAGED))
        return hasattr(array, "__cuda_array_interface__")
    except Exception:  # arrays spread over devices, or of none: whatever becomes of them elsewhere
        return False
