"""The fast loop over rows: for sums of float32 losses without weights, in two integers of each key.

A value is split into a multiple of 2**-18 and one of 2**-53, which hold a float32 of at least 2**-30 and below 2**13
exactly; rows that have another value are left to the loop of :mod:`.rows_by_key`. A key's count and sums lie beside
each other, so that a thousand keys stay in the first cache. Most float64 have more digits, and weights have, too.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from ...core.jit import scalar
from ...core.loop import loop
from ...core.primitives import bits_of
from .keys import Array

COARSE_UNIT, FINE_UNIT = -18, -53
"""The exponents of the units of the two integers."""
COUNT, COARSE, FINE, WIDTH = 0, 1, 2, 4
"""The columns of what the loop adds to, and their number."""
MOST_ROWS = 1 << 28
"""The most rows that one call adds: a value has less than 2**35 units of either kind."""
_COARSE, _FINE = 1.5 * 2.0 ** (52 + COARSE_UNIT), 1.5 * 2.0 ** (52 + FINE_UNIT)
_COARSE_BITS, _FINE_BITS = (int(np.float64(part).view(np.int64)) for part in (_COARSE, _FINE))
_TOP = 2.0**13


def is_fast(losses: Array) -> bool:
    """Return whether the loop is for losses of this dtype, and for so many."""
    return losses.dtype == np.float32 and len(losses) <= MOST_ROWS


@scalar
def _split(value: float) -> tuple[Any, Any, Any]:
    """Return the units of a value of either kind, and whether these are all of it."""
    coarse = value + _COARSE
    rest = value - (coarse - _COARSE)
    fine = rest + _FINE
    held = (rest - (fine - _FINE) == 0.0) & (abs(value) < _TOP)
    return bits_of(coarse) - np.int64(_COARSE_BITS), bits_of(fine) - np.int64(_FINE_BITS), held


@loop
def _add(codes: Any, losses: Any, sums: Any, missed: Any) -> int:
    left = 0
    for r in range(codes.size):
        coarse, fine, held = _split(np.float64(losses[r]))
        if held:
            of_key = sums[codes[r]]
            of_key[COUNT] += 1
            of_key[COARSE] += coarse
            of_key[FINE] += fine
        else:
            missed[left] = r
            left += 1
    return left


def add_fast(codes: Array, losses: Array, counts: Array, limbs: Array, low: int) -> Array:
    """Add rows to the counts (keys,) and limbs (keys, limbs) of their keys, and return the indices of the rows that are
    left.

    `low` is the number of the first limb. There are at most MOST_ROWS rows.
    """
    sums, missed = np.zeros((len(counts), WIDTH), np.int64), np.empty(len(codes), np.int64)
    left = _add(codes, losses, sums, missed)
    counts += sums[:, COUNT]
    _add_units(sums[:, COARSE], COARSE_UNIT, limbs, low)
    _add_units(sums[:, FINE], FINE_UNIT, limbs, low)
    return missed[:left]


def _add_units(units: Array, exponent: int, limbs: Array, low: int) -> None:
    """Add ``units * 2**exponent`` of each key to its limbs."""
    place = exponent + 1074
    first, shift = place // 32 - low, place % 32
    mask = np.int64(0xFFFFFFFF)
    lower, upper = units & mask, units >> np.int64(32)
    limbs[:, first] += (lower << shift) & mask
    limbs[:, first + 1] += (lower >> (32 - shift)) + (upper << shift)
