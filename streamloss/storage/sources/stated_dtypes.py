"""Arrays of bits whose dtype the user states: bfloat16, float16 and 8-bit floats that were stored as integers."""

from __future__ import annotations

from typing import Any

import numpy as np

from ...errors import SourceError, UnknownNameError
from .base import Allocate, Selection, Source
from .bfloat16 import Widened
from .float8 import KINDS, Float8
from .wrapped import Wrapped

STATED = ("bfloat16", "float16", *KINDS)
"""The dtypes that may be stated."""


class AsFloat16(Wrapped):
    """The float16 whose bits another source holds as integers."""

    def __init__(self, bits: Source) -> None:
        super().__init__(bits, np.dtype(np.float16))

    def __reduce__(self) -> Any:
        return AsFloat16, (self._inner,)

    def read(self, selection: Selection, allocate: Allocate = np.empty) -> np.ndarray[Any, Any]:
        read = self._inner.read(selection, allocate)
        return np.ascontiguousarray(read, read.dtype.newbyteorder("=")).view(np.float16)

    def read_bytes(self, selection_shape: tuple[int, ...]) -> int:
        return 2 * self._inner.read_bytes(selection_shape)


def with_stated_dtype(source: Source, stated: str | None) -> Source:
    """Return a source whose bits are read as the stated dtype; None: the source as it is.

    Raises UnknownNameError for a dtype that cannot be stated, and SourceError for an array that does not hold its bits.
    """
    if stated is None:
        return source
    if stated not in STATED:
        raise UnknownNameError(f"{source.role}: dtype", stated, STATED)
    if isinstance(source, Widened) and stated == "bfloat16":
        return source  # two bytes without a name are read so anyway
    size = 1 if stated in KINDS else 2
    if source.dtype.kind not in "iu" or source.dtype.itemsize != size:
        raise SourceError(
            f"{source.role} ({source.where}) has dtype {source.dtype}; expected integers of {8 * size} bits, which "
            f"hold the bits of {stated}. Leave the dtype out for an array that has one of its own."
        )
    if stated == "bfloat16":
        return Widened(source)
    return AsFloat16(source) if stated == "float16" else Float8(source, stated)
