"""Exact conversion of the dtypes that people store to the few that kernels are compiled for."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..errors import ValueRangeError
from ..planning.dtypes import floating_dtype

Array = np.ndarray[Any, Any]

LABELS = (np.dtype(np.uint8), np.dtype(np.int32), np.dtype(np.int64))
"""The dtypes of integer labels that kernels are compiled for; others become the next larger one."""
TARGETS = (np.dtype(np.uint8), np.dtype(np.int64), np.dtype(np.float32), np.dtype(np.float64))
"""The dtypes of labels that are numbers."""

MOST_EXACT = 1 << 53
"""The largest integer up to which float64 holds them all."""
NOT_A_LABEL = np.int64(np.iinfo(np.int64).min)
"""The stand-in for a label that is no integer of 64 bits; kernels refuse it as out of range."""


def contiguous(data: Array, dtype: Any = None) -> Array:
    """Return values as a contiguous array whose elements begin where the processor wants them; the array itself where
    it is that already. Arrays over bytes that came through a network begin anywhere.
    """
    return np.require(data, dtype, ["C_CONTIGUOUS", "ALIGNED"])


def floating(data: Array, least: np.dtype[Any] | None = None) -> Array:
    """Return values as contiguous native float32 or float64; the array itself where it is that already.

    `least` float64 widens float32, which is exact: fewer combinations of dtypes are compiled.
    """
    dtype = floating_dtype(data.dtype)
    return contiguous(data, dtype if least is None else np.promote_types(dtype, least))


def targets(data: Array, least: np.dtype[Any]) -> Array:
    """Return labels that are numbers as a contiguous array of `TARGETS`; the array itself where it is that already."""
    if data.dtype == np.bool_:
        return contiguous(data).view(np.uint8)
    if data.dtype in (np.uint8, np.int64):
        return contiguous(data)
    return floating(data, least)


def inexact_integers(data: Array) -> bool:
    """Return whether there are integers beyond 2**53, which a float64 may not hold."""
    if data.dtype.kind not in "iu" or data.dtype.itemsize < 8 or data.size == 0:
        return False
    return bool(data.max() > 2**53 or (data.dtype.kind == "i" and data.min() < -(2**53)))


def rounded(data: Array, precision: str | None) -> Array:
    """Return floats rounded to float16 or bfloat16, as a loss of that dtype would receive them, in float32."""
    if precision is None or data.dtype.kind in "b":
        return data
    if precision == "float16":
        with np.errstate(over="ignore"):  # infinities are refused, or not, like any other
            return data.astype(np.float16).astype(np.float32)
    with np.errstate(over="ignore"):
        narrow = np.array(data, np.float32, order="C")
    bits = narrow.view(np.uint32)
    if data.dtype.itemsize > 4:  # to the next float32 towards 0, made odd: rounding again then ends where once would
        bits -= np.abs(narrow) > np.abs(data)
        bits |= (narrow != data) & (narrow == narrow)
    nearest = (bits + (np.uint32(0x7FFF) + ((bits >> np.uint32(16)) & np.uint32(1)))) & np.uint32(0xFFFF0000)
    return np.where(np.isnan(bits.view(np.float32)), np.float32(np.nan), nearest.view(np.float32))


def widened(bits: Array, halves: str) -> Array:
    """Return the floats whose bits are given as uint16, in float32."""
    if halves == "float16":
        return bits.view(np.float16).astype(np.float32)
    return (bits.astype(np.uint32) << np.uint32(16)).view(np.float32)


def mask(data: Array) -> Array | None:
    """Return booleans from booleans or integers 0 and 1; None where there is another integer."""
    if data.dtype.kind != "b" and ((data != 0) & (data != 1)).any():
        return None
    return contiguous(data, np.bool_)


def weights(data: Array) -> Array:
    """Return weights as contiguous float32 or float64. Raises ValueRangeError for integers that neither can hold."""
    if data.dtype.kind in "iu" and data.dtype.itemsize == 8 and data.size:
        largest = max(int(data.max()), -int(data.min()))
        if largest > MOST_EXACT:
            raise ValueRangeError(
                f"sample_weight has the integer {largest:,}; expected at most 2**53, beyond which float64 has no "
                "digits for all of them. Pass array.astype(float) to round them, or divide them."
            )
    return contiguous(data, np.float32 if data.dtype == np.float32 else np.float64)


def labels(data: Array) -> Array:
    """Return labels as a contiguous array of `LABELS`; fractions, NaN and integers beyond int64 become NOT_A_LABEL."""
    if data.dtype.kind == "b":
        return contiguous(data).view(np.uint8)
    if data.dtype.kind == "i" or (data.dtype.kind == "u" and data.dtype.itemsize < 8):
        return contiguous(data, next(dtype for dtype in LABELS if np.can_cast(data.dtype, dtype)))
    if data.dtype.kind == "u":
        return np.where(data > np.uint64(np.iinfo(np.int64).max), NOT_A_LABEL, data.astype(np.int64))
    values = data.astype(np.float64)
    whole = (np.floor(values) == values) & (np.abs(values) < 2.0**63)
    return np.where(whole, np.where(whole, values, 0.0).astype(np.int64), NOT_A_LABEL)
