"""Exact sums of float64 values in 64-bit integers: the loops.

A finite float64 is an integer multiple of 2**-1074. An accumulator holds the sum of such integers as limbs of
radix 2**32 in int64, carry-save: a value adds less than 2**32 to each limb it touches, so ``MAX_VALUES`` of
them fit before anything could overflow, and no carry travels until :mod:`streamloss.aggregation.state` reads the
limbs into one Python integer. Integer addition commutes: the order of the values cannot change a bit.

Most losses lie in a window around 1 where the split into limbs is three additions (see :func:`_split`) and
vectorises; the others take :func:`_add_any`. (Neal, "Fast exact summation using small and large
superaccumulators", 2015, has the limbs; the window is ours.)
"""

from typing import Any

import numpy as np

from ..core.jit import no_alloc, scalar
from ..core.primitives import bits_of

LIMBS = 67  # 2**-1074 ... 2**1024 are 2098 bits, 66 limbs; the last takes carries
NAN, POSITIVE_INFINITY, NEGATIVE_INFINITY = LIMBS, LIMBS + 1, LIMBS + 2  # counters behind the limbs
SIZE = LIMBS + 3
MAX_VALUES = 1 << 30

_MASK = np.int64(0xFFFFFFFF)
HIGH_LIMB = 33  # its unit is 2**(32*33 - 1074) = 2**-18; the two below it have 2**-50 and 2**-82
_HIGH = 1.5 * 2.0**34  # 1.5 * 2**52 * 2**-18: adding it rounds to a multiple of 2**-18
_MIDDLE = 1.5 * 2.0**2
_LOW = 1.5 * 2.0**-30
_WINDOW_TOP = 2.0**13  # below it the high part is less than 2**31 units
_WINDOW_BOTTOM = 2.0**-30  # from here on the last bit of a float64 is at least 2**-82


@scalar
def spread(value: float) -> tuple[Any, Any, Any, Any]:
    """A value of any magnitude: what it adds to the limb of the first number and to the two behind it. Infinities
    and NaN add 1 to their counter, and have nothing for what is behind it.
    """
    bits = bits_of(value)
    exponent = (bits >> np.int64(52)) & np.int64(0x7FF)
    mantissa = bits & np.int64(0xFFFFFFFFFFFFF)
    if exponent == 0x7FF:
        infinite = POSITIVE_INFINITY if bits > 0 else NEGATIVE_INFINITY
        return (NAN if mantissa != 0 else infinite), np.int64(1), np.int64(0), np.int64(0)
    if exponent > 0:
        mantissa |= np.int64(1) << np.int64(52)
        exponent -= np.int64(1)
    shift = exponent & np.int64(31)
    low = (mantissa & ((np.int64(1) << (np.int64(32) - shift)) - np.int64(1))) << shift
    rest = mantissa >> (np.int64(32) - shift)
    sign = np.int64(-1) if bits < 0 else np.int64(1)
    return exponent >> np.int64(5), sign * low, sign * (rest & _MASK), sign * (rest >> np.int64(32))


@scalar
def _add_any(limbs: Any, value: float) -> None:
    """Add one value of any magnitude."""
    k, low, middle, high = spread(value)
    limbs[k] += low
    if k < LIMBS:
        limbs[k + 1] += middle
        limbs[k + 2] += high


@scalar
def inside(value: float) -> bool:
    """Whether a value lies inside the window."""
    return ((abs(value) >= _WINDOW_BOTTOM) & (abs(value) < _WINDOW_TOP)) | (value == 0.0)


@scalar
def _split(value: float) -> tuple[int, int, int]:
    """The units of 2**-18, 2**-50 and 2**-82 that a value inside the window consists of, each with the bits
    of its constant still on top (the caller subtracts them once for many values).
    """
    high = value + _HIGH
    rest = value - (high - _HIGH)
    middle = rest + _MIDDLE
    low = (rest - (middle - _MIDDLE)) + _LOW
    return bits_of(high), bits_of(middle), bits_of(low)


@scalar
def parts(value: float) -> tuple[int, int, int]:
    """Return what a value inside the window adds to HIGH_LIMB and to the two limbs below it."""
    high, middle, low = _split(value)
    return high - bits_of(_HIGH), middle - bits_of(_MIDDLE), low - bits_of(_LOW)


@no_alloc
def add_within(limbs: Any, values: Any) -> bool:
    """Add a contiguous array, if two parts of the window hold each of its values exactly, as they do of most float32;
    else, and if there is a NaN, add nothing and return False.
    """
    n = values.size
    high, middle = np.int64(0), np.int64(0)
    outside = np.int64(0)
    for i in range(n):
        v = np.float64(values[i])
        h = v + _HIGH
        rest = v - (h - _HIGH)
        m = rest + _MIDDLE
        lost = rest - (m - _MIDDLE)
        outside += np.int64(0) if (lost == 0.0) & (abs(v) < _WINDOW_TOP) else np.int64(1)
        high += bits_of(h)
        middle += bits_of(m)
    if outside:
        return False
    count = np.int64(n)
    limbs[HIGH_LIMB] += high - count * bits_of(_HIGH)  # wraps and unwraps: the difference is small
    limbs[HIGH_LIMB - 1] += middle - count * bits_of(_MIDDLE)
    return True


@no_alloc
def add(limbs: Any, values: Any) -> None:
    """Add a contiguous float32 or float64 array to ``limbs`` (int64, ``SIZE`` long, carry-save)."""
    n = values.size
    high, middle, low = np.int64(0), np.int64(0), np.int64(0)
    outside = 0
    for i in range(n):
        v = np.float64(values[i])
        within = inside(v)
        outside += 0 if within else 1
        h, m, w = _split(v if within else 0.0)
        high += h
        middle += m
        low += w
    count = np.int64(n)
    limbs[HIGH_LIMB] += high - count * bits_of(_HIGH)  # wraps and unwraps: the difference is small
    limbs[HIGH_LIMB - 1] += middle - count * bits_of(_MIDDLE)
    limbs[HIGH_LIMB - 2] += low - count * bits_of(_LOW)
    if outside:
        for i in range(n):
            v = np.float64(values[i])
            if not inside(v):
                _add_any(limbs, v)
