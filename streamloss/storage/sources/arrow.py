"""Numbers of Arrow arrays: their dtypes, and their values without a copy wherever Arrow holds them as NumPy does.

A null is missing data. Among floats it is read as NaN, so that the policy for NaN decides about it. Integers and
booleans have no such value: they are read as float64 where nulls are known of beforehand, and refused otherwise.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from ...errors import MissingExtraError, SourceError
from .texts import NULL_TEXT, TEXT

try:
    import pyarrow as pa
except ImportError as error:
    raise MissingExtraError("reading Parquet files and Arrow tables", "parquet") from error

Array = np.ndarray[Any, Any]

EXACT_DIGITS = 15
"""The most digits of decimals that are read: the nearest float64 has them all."""


class Form(NamedTuple):
    """The numbers that a row of an Arrow array holds."""

    dtype: np.dtype[Any]
    width: int | None = None
    """The number of numbers in a row: None where it is no list, 0 for lists whose lengths the type does not say."""

    def with_nulls(self) -> Form:
        """Return the form that can hold nulls as NaN."""
        return self if self.dtype.kind in "fTmM" else self._replace(dtype=np.dtype(np.float64))


class BadRowError(Exception):
    """A row of an Arrow array that holds no numbers as they were declared; `problem` says why, `advice` what to do."""

    def __init__(self, row: int, problem: str, advice: str) -> None:
        super().__init__(row, problem, advice)
        self.row, self.problem, self.advice = row, problem, advice


_FILL = "Fill it before (fill_null), or leave the row out, by a mask or a weight of 0 in a column of its own"


def form_of(kind: Any, place: str, key: bool = False) -> Form:
    """Return the form of an Arrow type; text and times have one only as a `key` of groups.

    Raises SourceError, which begins with `place`, for a type without numbers.
    """
    types = pa.types
    if isinstance(kind, pa.BaseExtensionType):
        return form_of(kind.storage_type, place, key)
    if types.is_dictionary(kind) or types.is_run_end_encoded(kind):
        return form_of(kind.value_type, place, key)
    if key and (types.is_string(kind) or types.is_large_string(kind) or types.is_string_view(kind)):
        return Form(TEXT)
    if key and types.is_date(kind):
        return Form(np.dtype("datetime64[D]" if types.is_date32(kind) else "datetime64[ms]"))
    if key and (types.is_timestamp(kind) or types.is_duration(kind)):
        return Form(np.dtype(f"{'datetime' if types.is_timestamp(kind) else 'timedelta'}64[{kind.unit}]"))
    if types.is_boolean(kind):
        return Form(np.dtype(np.bool_))
    if types.is_integer(kind) or types.is_floating(kind):
        return Form(np.dtype(kind.to_pandas_dtype()))
    if types.is_decimal128(kind) and kind.precision <= EXACT_DIGITS:
        return Form(np.dtype(np.float64))
    if is_list(kind):
        inner = form_of(kind.value_type, place)
        if inner.width is None:
            return Form(inner.dtype, kind.list_size if types.is_fixed_size_list(kind) else 0)
    raise SourceError(f"{place}: expected numbers; received Arrow's type {kind}. {_advice(kind)}")


def is_list(kind: Any) -> bool:
    """Return whether the values of an Arrow type are lists."""
    types = pa.types
    return bool(types.is_list(kind) or types.is_large_list(kind) or types.is_fixed_size_list(kind))


def holds_numbers(kind: Any) -> bool:
    """Return whether an Arrow type is one whose numbers are read."""
    try:
        form_of(kind, "")
    except SourceError:
        return False
    return True


def _advice(kind: Any) -> str:
    types = pa.types
    if types.is_dictionary(kind) or types.is_string(kind) or types.is_large_string(kind) or types.is_string_view(kind):
        return (
            "For labels that are text store the number of each one's class, in the order of y_pred's columns; for text "
            "of numbers cast it to double."
        )
    if types.is_temporal(kind):
        return "Store a number in a unit, such as seconds since a date, as double."
    if types.is_decimal(kind):
        return f"Decimals of up to {EXACT_DIGITS} digits are read, as the nearest float64; cast others to double."
    if types.is_struct(kind):
        return f"Store its fields as columns: {', '.join(kind.field(i).name for i in range(min(kind.num_fields, 8)))}."
    if is_list(kind):
        return "A row may be one list of numbers, and no list of lists."
    return "Cast it to double."


def numbers(array: Any, form: Form) -> Array:
    """Return the numbers of an Arrow array, (rows,) or (rows, width): a view where Arrow's memory is laid out so.

    Raises BadRowError for the first row with a null that `form` cannot hold, or a list of another length.
    """
    if isinstance(array, pa.ChunkedArray):
        parts = [numbers(chunk, form) for chunk in array.chunks]
        if len(parts) == 1:
            return parts[0]
        return np.concatenate(parts) if parts else np.empty((0, form.width or 0)[: 1 + _is_list(form)], form.dtype)
    if form.dtype.kind == "T":
        return _texts(array)
    if isinstance(array, pa.ExtensionArray):
        return numbers(array.storage, form)
    if pa.types.is_dictionary(array.type):
        return numbers(array.dictionary_decode(), form)
    if pa.types.is_run_end_encoded(array.type):
        return numbers(array.cast(array.type.value_type), form)
    if form.dtype.kind in "mM":
        return np.asarray(array.to_numpy(zero_copy_only=False)).astype(form.dtype, copy=False)
    if is_list(array.type):
        return _rows_of_lists(array, form)
    if array.null_count:
        return _with_nulls(array, form)
    return _converted(_values(array), form.dtype)


def _texts(array: Any) -> Array:
    """Return text of fixed width, with NULL_TEXT for null."""
    if isinstance(array, pa.ExtensionArray):
        array = array.storage
    encoded = array if pa.types.is_dictionary(array.type) else array.dictionary_encode()
    known = np.array([*(NULL_TEXT if t is None else t for t in encoded.dictionary.to_pylist()), NULL_TEXT], np.str_)
    codes = encoded.indices.fill_null(len(known) - 1).to_numpy(zero_copy_only=False)
    return known[codes]


def _is_list(form: Form) -> bool:
    return form.width is not None


def _rows_of_lists(array: Any, form: Form) -> Array:
    """Return lists of one length as the rows of a matrix."""
    width = form.width
    assert width is not None
    if array.null_count:
        row = int(np.argmin(_is_valid(array)))
        raise BadRowError(row, "is null", "Store a list of numbers in every row")
    if pa.types.is_fixed_size_list(array.type):
        lengths = np.full(min(1, len(array)), array.type.list_size)
    else:
        lengths = np.diff(array.offsets.to_numpy())
    other = lengths != width
    if other.any():
        row = int(np.argmax(other))
        problem = f"is a list of {lengths[row]:,} numbers; expected {width:,}, as other rows have"
        raise BadRowError(row, problem, "Store lists of one length")
    try:
        return numbers(array.flatten(), Form(form.dtype)).reshape(-1, width)
    except BadRowError as bad:
        at = f"holds a null, at position {bad.row % width}"
        problem = at if bad.problem == "is null" else bad.problem
        raise BadRowError(bad.row // width, problem, bad.advice) from None


def _with_nulls(array: Any, form: Form) -> Array:
    """Return numbers with NaN for null. Raises BadRowError where the dtype has no NaN, or does not hold a number."""
    valid = _is_valid(array)
    if form.dtype.kind != "f":
        raise BadRowError(int(np.argmin(valid)), "is null", _FILL)
    stored = _values(array)
    out = np.array(_converted(np.where(valid, stored, stored.dtype.type(0)), form.dtype))
    out[~valid] = np.nan
    return out


def _converted(stored: Array, dtype: np.dtype[Any]) -> Array:
    """Return numbers in another dtype. Raises BadRowError for the first integer that becomes another number."""
    if stored.dtype.kind in "iu" and stored.dtype.itemsize == 8 and dtype.kind == "f":
        inexact = (stored > 2**53) | (stored < -(2**53) if stored.dtype.kind == "i" else False)
        if inexact.any():
            row = int(np.argmax(inexact))
            problem = f"is {stored[row]}, beyond 2**53: float64 does not hold all such integers"
            raise BadRowError(row, problem, "Fill nulls beside integers (fill_null), or subtract an offset")
    return stored.astype(dtype, copy=False)


def _is_valid(array: Any) -> Array:
    """Return which elements are not null."""
    return _bits(array.buffers()[0], array.offset, len(array))


def _bits(buffer: Any, offset: int, count: int) -> Array:
    packed = np.frombuffer(buffer, np.uint8)[offset // 8 : -(-(offset + count) // 8)]
    return np.unpackbits(packed, bitorder="little")[offset % 8 :][:count].view(np.bool_)


def _values(array: Any) -> Array:
    """Return what is stored for each element, whatever that is where it is null."""
    kind, count = array.type, len(array)
    if count == 0:
        return np.empty(0, form_of(kind, "").dtype)
    data = array.buffers()[1]
    if pa.types.is_boolean(kind):
        return _bits(data, array.offset, count)
    if pa.types.is_decimal(kind):  # of so few digits that the lower half has them all, and both steps are exact but one
        halves = np.frombuffer(data, np.int64)[2 * array.offset :][: 2 * count : 2]
        return halves.astype(np.float64) / 10.0**kind.scale if kind.scale >= 0 else halves * 10.0**-kind.scale
    return np.frombuffer(data, form_of(kind, "").dtype)[array.offset :][:count]


def first_row(make: Callable[[], Array], name: Callable[[int], str]) -> Array:
    """Return what `make` returns; a bad row becomes a SourceError that begins with the row's `name`."""
    try:
        return make()
    except BadRowError as bad:
        raise SourceError(f"{name(bad.row)} {bad.problem}. {bad.advice}.") from None
