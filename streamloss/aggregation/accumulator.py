"""Exact sums of float64 values in 64-bit integers: the loops.

A finite float64 is an integer multiple of 2**-1074. An accumulator holds the sum of such integers as limbs of
radix 2**32 in int64, carry-save: a value adds less than 2**32 to each limb it touches, so ``MAX_VALUES`` of
them fit before anything could overflow, and no carry travels until :mod:`streamloss.aggregation.state` reads the
limbs into one Python integer. Integer addition commutes: the order of the values cannot change a bit.

Most losses are held exactly by two parts, multiples of 2**-22 and of 2**-73, which three additions split off and
LLVM vectorises (:func:`two_parts`); a tile of these is added at once. If there are others in a tile, those in a window
around 1 are split into three limbs (:func:`_split`), and the rest take :func:`_add_any`. (Neal, "Fast exact summation
using small and large superaccumulators", 2015, has the limbs; parts and window are ours.)
"""

from collections.abc import Callable
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

_COARSE_UNIT, _FINE_UNIT = -22, -73  # exponents; two parts hold float32 from 2**-50 and float64 from 2**-21 on
_COARSE, _FINE = 1.5 * 2.0 ** (52 + _COARSE_UNIT), 1.5 * 2.0 ** (52 + _FINE_UNIT)
NO_COARSE_PART, _NO_FINE_PART = (int(np.float64(part).view(np.int64)) for part in (_COARSE, _FINE))
"""The bits of the parts of 0."""
SIGN = -(1 << 63)
MOST_AT_ONCE = 1 << 11  # values of up to 2**51 units each, whose sum fits int64
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


@scalar
def two_parts(value: Any) -> tuple[Any, Any, Any]:
    """Return the bits of the coarse and of the fine part of a value, with those of their constants on top, and the bits
    of what the two lack of it.
    """
    coarse = value + _COARSE
    rest = value - (coarse - _COARSE)
    fine = rest + _FINE
    return bits_of(coarse), bits_of(fine), bits_of(rest - (fine - _FINE))


@scalar
def held_by_two_parts(far: Any, lacking: Any) -> Any:
    """Return whether two parts hold each of some values exactly. `far` has the bits in which any coarse part differs
    from NO_COARSE_PART, `lacking` the bits that any value lacks: cheaper than a comparison of each value.
    """
    return ((far >> np.int64(52)) == 0) & (lacking == 0)  # sign or exponent differ beyond the window, and for NaN


@scalar
def add_parts(limbs: Any, count: Any, coarse: Any, fine: Any) -> None:
    """Add the sums of the first two numbers that :func:`two_parts` gave for `count` values, at most MOST_AT_ONCE."""
    # the constants wrap and unwrap: the differences are small
    _add_units(limbs, coarse - count * NO_COARSE_PART, np.int64(_COARSE_UNIT))
    _add_units(limbs, fine - count * _NO_FINE_PART, np.int64(_FINE_UNIT))


@scalar
def _add_units(limbs: Any, units: Any, exponent: Any) -> None:
    """Add ``units * 2**exponent``."""
    place = exponent + np.int64(1074)
    k, shift = place >> np.int64(5), place & np.int64(31)
    low, high = units & _MASK, units >> np.int64(32)
    limbs[k] += (low << shift) & _MASK
    limbs[k + 1] += (low >> (np.int64(32) - shift)) + ((high << shift) & _MASK)
    limbs[k + 2] += high >> (np.int64(32) - shift)


def _adder(rounds: bool) -> Callable[[Any, Any], bool]:
    @no_alloc
    def add_values(limbs: Any, values: Any) -> bool:
        n = values.size
        coarse, fine, far, lacking = np.int64(0), np.int64(0), np.int64(0), np.int64(0)
        for i in range(n):
            value = np.float64(values[i])
            if rounds:
                value = np.float64(np.float32(value))
                values[i] = value
            coarse_part, fine_part, rest = two_parts(value)
            coarse += coarse_part
            fine += fine_part
            far |= coarse_part ^ NO_COARSE_PART
            lacking |= rest
        if n > MOST_AT_ONCE or not held_by_two_parts(far, lacking):
            return False
        add_parts(limbs, np.int64(n), coarse, fine)
        return True

    return add_values


add_within = _adder(rounds=False)
"""``add_within(limbs, values) -> bool`` adds a contiguous array of at most MOST_AT_ONCE values, if two parts hold each
of them exactly, as they do of most float32; else, and if there is a NaN, it adds nothing and returns False."""
add_rounded_within = _adder(rounds=True)
"""The same, after it has rounded float64 values to float32 in place."""


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
