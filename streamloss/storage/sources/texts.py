"""Text as keys of groups: arrays of fixed-width text, in which one text that nobody writes stands for null."""

from __future__ import annotations

from typing import Any

import numpy as np

Array = np.ndarray[Any, Any]

NULL_TEXT = "\U0010ffff"
"""The text that stands for null: the last code point, which Unicode reserves for the use within a program."""
TEXT = np.dtypes.StringDType()
"""The dtype that a source of text declares: the width of its texts is known when they are read."""


def fixed_width(values: Any) -> Array:
    """Return text of any kind as an array of fixed-width text, with NULL_TEXT for None, NaN and NA.

    Raises TypeError for an object that is neither text nor null.
    """
    if values.dtype.kind == "T" and not hasattr(values.dtype, "na_object"):
        width = max(1, int(np.strings.str_len(values).max(initial=1)))
        return np.asarray(values.astype(f"U{width}"))
    if values.dtype.kind == "T":
        values = values.astype(object)
    if values.dtype.kind != "O":
        return np.asarray(values)
    return np.array([_text_of(value) for value in values.ravel().tolist()], np.str_).reshape(values.shape)


def _text_of(value: Any) -> str:
    if isinstance(value, str):
        return value
    if isinstance(value, bytes):
        return value.decode("utf-8", "replace")
    if value is None or value != value or type(value).__name__ in ("NAType", "NaTType"):
        return NULL_TEXT
    raise TypeError(f"{value!r} is a {type(value).__name__}, and no text")
