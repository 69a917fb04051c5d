"""The arrays that loops write to while they run: made in Python, because compiled code does not allocate."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

_LINE = 64  # bytes of a cache line, and of the longest vector


def empty(shape: int | tuple[int, ...], dtype: Any = np.float64) -> np.ndarray[Any, Any]:
    """Return an array of arbitrary content that begins with a cache line: no vector then lies in two of them."""
    size = (shape if isinstance(shape, int) else math.prod(shape)) * np.dtype(dtype).itemsize
    memory = np.empty(size + _LINE, np.uint8)
    start = -memory.__array_interface__["data"][0] % _LINE
    return memory[start : start + size].view(dtype).reshape(shape)
