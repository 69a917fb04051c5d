"""The dtypes that an evaluation computes in."""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np


def result_dtype(y_pred: np.dtype[Any], asked: str | None) -> np.dtype[Any]:
    """Return the dtype of losses of rows: float64 where `y_pred` is, or where it was asked for; else float32."""
    if asked is not None:
        return np.dtype(np.float64 if asked == "float64" else np.float32)  # float16 and bfloat16 round the inputs
    return np.dtype(np.float64 if y_pred.kind == "f" and y_pred.itemsize >= 8 else np.float32)


@cache
def floating_dtype(dtype: np.dtype[Any]) -> np.dtype[Any]:
    """Return float32 or float64, whichever holds every value of `dtype` (int64 and uint64: up to 2**53)."""
    if dtype.name == "bfloat16" or np.can_cast(dtype, np.float32):
        return np.dtype(np.float32)
    return np.dtype(np.float64)
