"""Arrays that other libraries hold on a GPU (CuPy, PyTorch, JAX, Numba), read in place.

They are accessed through DLPack or the CUDA array interface. NumPy has no bfloat16 and its float16 does not compile, so
kernels read the bits of both as uint16.
"""

from __future__ import annotations

import sys
from typing import Any

import numpy as np

from ...core.cuda_compiler import require_gpu
from ...core.cuda_memory import same_memory
from ...core.types import HALVES
from ...errors import MissingExtraError, SourceError
from . import fingerprints
from .base import Allocate, Selection, Source, nbytes
from .dtypes import refuse_no_numbers
from .labels import Labels

Array = np.ndarray[Any, Any]

COPY = {
    "torch": "y_pred.contiguous()",
    "cupy": "cupy.ascontiguousarray(y_pred)",
    "jax": "jax.numpy.array(y_pred)",
}
"""The expression that copies an array of each library to C order, for error messages."""


def library_of(array: Any) -> str:
    """Return the name of the library whose array it is: "torch", "cupy", "jax", ..."""
    torch = sys.modules.get("torch")
    if torch is not None and isinstance(array, torch.Tensor):
        return "torch"
    name = type(array).__module__.partition(".")[0]
    return "jax" if name == "jaxlib" else name


class GpuSource:
    """An array in a GPU's memory: `on_device` returns views of it, and `read` copies to the host."""

    in_memory = True
    piece_shape: tuple[int, ...] | None = None
    remote = False
    on_gpu = True
    dimensions: tuple[str | None, ...] = ()
    units: str | None = None
    filled = 0

    def __init__(self, array: Any, role: str) -> None:
        """Raises SourceError for an array whose elements do not lie in C order, and NoGpuError without a driver."""
        require_gpu()
        self.role = role
        self.dtype = _dtype_of(array, role)
        self.halves = self.dtype.name if self.dtype.name in HALVES else ""
        try:
            plain = array.detach() if library_of(array) == "torch" else array  # tensors with gradients export nothing
            seen, self.device = same_memory(plain, self.dtype)
        except Exception as error:  # whatever a foreign library raises
            raise SourceError(f"{role}: cannot read the GPU array of {type(array).__name__}: {error}") from error
        self.shape = tuple(seen.shape)
        if not seen.is_c_contiguous():
            copy = COPY.get(library_of(array), "a copy of it").replace("y_pred", role)
            raise SourceError(
                f"{role} is a GPU array of shape {self.shape} whose elements do not lie in C order (strides "
                f"{tuple(seen.strides)} bytes); expected a contiguous one. Pass {copy}."
            )
        self.where = f"on GPU {self.device}"
        self.chunk_shape = (1,) * len(self.shape)
        self.like = array
        self._bits = seen.view(np.uint16) if self.halves == "float16" else seen

    def labels(self) -> dict[int, Labels]:
        """Return none: arrays of these libraries have no labels."""
        return {}

    def on_device(self, selection: Selection) -> Any:
        """Return a view of the selected rectangle; None where it is not contiguous."""
        view = self._bits[selection]
        return view if view.is_c_contiguous() else None

    def read(self, selection: Selection, allocate: Allocate = np.empty) -> Array:
        first, *others = selection if selection else (slice(None),)
        rows: Array = self._bits[first].copy_to_host()
        stored = rows.view(self.dtype) if self.halves else rows
        return stored[(slice(None), *others)]

    def read_bytes(self, selection_shape: tuple[int, ...]) -> int:
        """Return the bytes of the host's memory that :meth:`read` copies to."""
        return nbytes((*selection_shape[:1], *self.shape[1:]), self.dtype)

    def locate(self, index: tuple[int, ...]) -> str:
        return ""

    def confirm(self) -> None:
        """Do nothing: the array is held in memory."""

    def fingerprint(self) -> fingerprints.Fingerprint:
        return fingerprints.of_memory(self.read(tuple(slice(0, n) for n in self.shape)))


def open_gpu_array(array: Any, role: str, missing_chunks: str) -> GpuSource:
    """Open an array in a GPU's memory; `missing_chunks` has no effect."""
    return GpuSource(array, role)


class GivenGpuSource(GpuSource):
    """A chunk of a Dask array that was computed on a GPU; reading returns all of it, whatever is selected."""

    def __init__(self, of: Source, array: Any) -> None:
        super().__init__(array, of.role)
        self.shape, self.chunk_shape, self.where, self._of = of.shape, of.chunk_shape, of.where, of

    def locate(self, index: tuple[int, ...]) -> str:
        return self._of.locate(index)

    def on_device(self, selection: Selection) -> Any:
        return self._bits

    def read(self, selection: Selection, allocate: Allocate = np.empty) -> Array:
        stored: Array = self._bits.copy_to_host()
        return stored.view(self.dtype) if self.halves else stored


def _dtype_of(array: Any, role: str) -> np.dtype[Any]:
    """Return NumPy's name of an array's dtype. Raises SourceError for what is not a number, and MissingExtraError for
    bfloat16 without ml_dtypes.
    """
    name = str(array.dtype).removeprefix("torch.")
    if name == "bfloat16":
        try:
            import ml_dtypes
        except ImportError:
            raise MissingExtraError("bfloat16 arrays", "cuda") from None
        return np.dtype(ml_dtypes.bfloat16)
    try:
        dtype = np.dtype(name)
    except TypeError:
        dtype = np.dtype(object)
    refuse_no_numbers(role, f"a GPU array ({array.dtype})", dtype)
    return dtype
