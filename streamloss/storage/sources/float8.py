"""Arrays of 8-bit floats, of ml_dtypes, torch and safetensors: widened to float32 as they are read, exactly.

``float8_e4m3fn`` has 4 bits of exponent and 3 of mantissa, no infinity and one NaN of each sign; ``float8_e5m2`` is the
upper half of a float16 (Micikevicius et al. 2022, "FP8 formats for deep learning").
"""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np

from .base import Allocate, Selection, Source, nbytes
from .recognition import is_of
from .wrapped import Wrapped

Array = np.ndarray[Any, Any]
KINDS = ("float8_e4m3fn", "float8_e5m2")

PIECE = 1 << 14
"""The elements that are widened at once."""


@cache
def table_of(kind: str) -> Array:
    """Return the float32 of each of the 256 numbers of a kind."""
    bits = np.arange(256, dtype=np.uint16)
    if kind == "float8_e5m2":
        return (bits << np.uint16(8)).view(np.float16).astype(np.float32)
    exponent, mantissa = bits.astype(np.int32) >> 3 & 15, (bits & 7) / 8
    numbers = np.where(exponent == 0, np.ldexp(mantissa, -6), np.ldexp(1 + mantissa, exponent - 7)).astype(np.float32)
    numbers[bits & 127 == 127] = np.nan
    return np.where(bits > 127, -numbers, numbers)


def bits_of_tensor(tensor: Any) -> Any:
    """Return a torch tensor without its gradient; one of bfloat16 or float8, which NumPy has not, as its bits."""
    import torch  # type: ignore[import-not-found,unused-ignore]

    tensor = tensor.detach()
    if tensor.dtype == torch.bfloat16:
        return tensor.view(torch.int16).numpy().view("V2")
    return tensor.view(torch.uint8).numpy() if kind_of(tensor) else tensor


def kind_of(array: Any) -> str | None:
    """Return which kind of 8-bit floats an array is of; None for other arrays."""
    name = str(getattr(array, "dtype", "")).removeprefix("torch.")
    return name if name in KINDS else None


def without_names(array: Any) -> Any:
    """Return an array of dtypes that NumPy has not, of torch or ml_dtypes, as its bits; any other as it is."""
    if is_of(array, "torch", "Tensor"):
        return bits_of_tensor(array)
    return array.view(np.uint8) if isinstance(array, np.ndarray) and kind_of(array) else array


class Float8(Wrapped):
    """A float32 array of which another source holds 8 bits."""

    def __init__(self, bits: Source, kind: str) -> None:
        super().__init__(bits, np.dtype(np.float32))
        self._kind = kind

    def __reduce__(self) -> Any:
        return Float8, (self._inner, self._kind)

    def read(self, selection: Selection, allocate: Allocate = np.empty) -> Array:
        """Return the widened rectangle, made piece by piece: NumPy's indices take 8 bytes for each element."""
        bits, table = self._inner.read(selection), table_of(self._kind)
        out = allocate(bits.shape, self.dtype)
        with np.nditer(
            (bits, out),
            ["external_loop", "buffered", "zerosize_ok"],
            [["readonly"], ["writeonly"]],
            buffersize=PIECE,
        ) as pieces:
            for numbers, widened in pieces:
                widened[...] = table[numbers]
        return out

    def read_bytes(self, selection_shape: tuple[int, ...]) -> int:
        pieces = 16 * PIECE  # indices, numbers
        return nbytes(selection_shape, self.dtype) + pieces + self._inner.read_bytes(selection_shape)
