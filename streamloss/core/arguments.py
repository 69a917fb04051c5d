"""The arguments of kernels as machine words, so that kernels are called without Numba.

An array becomes the fields of the structure by which Numba passes arrays, a tuple the words of its items.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

INT64, FLOAT64, BOOL = "int64", "float64", "bool"
_CONTIGUOUS_AND_ALIGNED = 0x101  # of ``flags.num``: NPY_ARRAY_C_CONTIGUOUS and NPY_ARRAY_ALIGNED


class ArrayKind(NamedTuple):
    """The C-contiguous arrays of a dtype and a number of axes."""

    dtype: np.dtype[Any]
    ndim: int


class TupleKind(NamedTuple):
    """The tuples of items of these kinds, or the records of a named tuple."""

    record: type | None
    items: tuple[Any, ...]


ArgumentKind = str | ArrayKind | TupleKind
"""The types that kernels are compiled for: an int64, a float64, a bool, an array or a tuple of these."""


class Flattened:
    """An argument whose words are known, for calls that pass it again. It keeps the argument's arrays alive."""

    __slots__ = ("kind", "value", "words")

    def __init__(self, value: Any) -> None:
        self.value = value
        self.words: list[int] = []
        self.kind = append_words(value, self.words)


def append_words(value: Any, words: list[int]) -> ArgumentKind:
    """Append the machine words of an argument to `words`, and return its kind.

    Raises TypeError for arrays that are not contiguous and aligned, and for other types; OverflowError for integers of
    more than 64 bits.
    """
    kind = type(value)
    if kind is np.ndarray:
        if value.flags.num & _CONTIGUOUS_AND_ALIGNED != _CONTIGUOUS_AND_ALIGNED:
            raise TypeError(
                f"kernels take aligned C-contiguous arrays; received {value.dtype.str} with the shape {value.shape} "
                f"and the strides {value.strides}"
            )
        address, _ = value.__array_interface__["data"]
        no_owner = 0, 0  # of reference counts: the caller holds the array
        words += (*no_owner, value.size, value.itemsize, address, *value.shape, *value.strides)
        return ArrayKind(value.dtype, value.ndim)
    if kind is Flattened:
        words += value.words
        known: ArgumentKind = value.kind
        return known
    if isinstance(value, tuple):
        items = tuple([append_words(item, words) for item in value])
        return TupleKind(None if kind is tuple else kind, items)
    if kind is bool or kind is np.bool_:
        words.append(int(value))
        return BOOL
    if kind is float or kind is np.float64:
        words.append(int(np.float64(value).view(np.int64)))
        return FLOAT64
    if isinstance(value, int | np.integer):
        if not -(1 << 63) <= value < 1 << 63:
            raise OverflowError(f"kernels take integers of 64 bits; received {value}")
        words.append(int(value))
        return INT64
    raise TypeError(f"kernels take arrays, numbers and tuples of these; received {kind.__name__}")


def text_of(kind: ArgumentKind) -> str:
    """Return a text that two kinds share only if the same machine code is right for both.

    Raises TypeError for arrays of anything but numbers in the processor's byte order.
    """
    if isinstance(kind, ArrayKind):
        if kind.dtype.kind not in "biufc":  # the names of records' fields are not in `str`
            raise TypeError(f"kernels take arrays of numbers; received {kind.dtype}")
        if not kind.dtype.isnative:
            raise TypeError(f"kernels take arrays of native byte order; received {kind.dtype.str}")
        return f"{kind.dtype.str}[{kind.ndim}]"
    if isinstance(kind, TupleKind):
        items = ", ".join(map(text_of, kind.items))
        return f"({items})" if kind.record is None else f"{text_of_record(kind.record)}({items})"
    return kind


def text_of_record(record: Any) -> str:
    """Return the name of a named tuple's class with those of its fields."""
    return f"{record.__module__}.{record.__qualname__}{record._fields}"
