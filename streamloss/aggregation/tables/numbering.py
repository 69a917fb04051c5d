"""Numbering values in the order in which they first occur: a hash table over rows of machine words."""

from __future__ import annotations

from typing import Any

import numpy as np

from ...core.loop import loop

Array = np.ndarray[Any, Any]

_MIX = np.int64(-7046029254386353131)  # 2**64 divided by the golden ratio, as a signed number


def number_values(values: Array) -> tuple[Array, Array]:
    """Return the code of each value, int64, and the value of each code, in the order of their first occurrence.

    Two values are one where their bytes are equal.
    """
    words = _words_of(np.ascontiguousarray(values))
    slots = 1 << max(4, (2 * len(values) - 1).bit_length())  # at most half are taken
    table, first, codes = np.full(slots, -1, np.int64), np.empty(len(values), np.int64), np.empty(len(values), np.int64)
    count = _number(words, table, first, codes)
    return codes, values[first[:count]]


def _words_of(values: Array) -> Array:
    """Return the bytes of values as rows of integers."""
    size = values.dtype.itemsize
    word = next(width for width in (8, 4, 1) if size % width == 0)
    words = values.view(np.dtype(f"<u{word}").newbyteorder("=")).reshape(len(values), size // word)
    return words if words.flags.aligned else words.copy()  # as text may lie that came over a network


@loop
def _number(words: Any, table: Any, first: Any, codes: Any) -> int:
    n, width = words.shape
    mask, count = np.int64(table.size - 1), np.int64(0)
    for r in range(n):
        h = np.int64(0)
        for j in range(width):
            h = (h ^ np.int64(words[r, j])) * _MIX
            h ^= (h >> np.int64(32)) & np.int64(0xFFFFFFFF)
        slot = h & mask
        code = table[slot]
        while code >= 0:
            at, same = first[code], True
            for j in range(width):
                same = same and words[at, j] == words[r, j]
            if same:
                break
            slot = (slot + np.int64(1)) & mask
            code = table[slot]
        if code < 0:
            code = count
            table[slot] = code
            first[code] = r
            count += np.int64(1)
        codes[r] = code
    return int(count)
