"""Tables in memory: Arrow's own, Polars', DuckDB's relations, and whatever else exports Arrow's C interface.

Nothing is copied but what Arrow lays out in another way than NumPy: bits of booleans, nulls, and a table's columns,
which are put side by side block by block. The rows of a table are its columns' numbers, as those of a DataFrame are.
"""

from __future__ import annotations

import hashlib
import itertools
from collections.abc import Sequence
from typing import Any

import numpy as np

from ...core.machine import mib
from ...errors import MissingExtraError, SourceError
from . import fingerprints
from .base import Allocate, HostSource, Selection, Source, nbytes, selection_shape
from .dtypes import is_key
from .numpy import MOST_CONVERTED, open_array
from .recognition import is_of

Array = np.ndarray[Any, Any]

_PIECE = 1 << 20
"""Rows that are read at a time where all are looked at."""


class TableSource(HostSource):
    """Columns in memory, each in chunks, as a vector or as the columns of a matrix."""

    def __init__(self, columns: Sequence[Any], names: Sequence[str], role: str, what: str, flat: bool) -> None:
        """Raises SourceError for columns that hold no numbers. `flat` says that the one column has no second axis."""
        from .arrow import Form, form_of

        self.role, self.where = role, f"a {what} in memory"
        self._columns, self._names = columns, names
        forms = []
        for column, name in zip(columns, names, strict=True):
            form = form_of(column.type, f"{role}: {name} of {what}", is_key(role))
            nulls = column.null_count or (form.width is not None and _inner_nulls(column))
            forms.append(form.with_nulls() if nulls and role != "mask" else form)
        if not forms:
            raise SourceError(f"{role}: the {what} has no columns; expected columns of numbers.")
        self.dtype = np.result_type(*(form.dtype for form in forms)) if len(forms) > 1 else forms[0].dtype
        widths = [form.width for form in forms]
        if not flat and any(width is not None for width in widths):
            raise SourceError(f"{role}: the {what} has a column of lists; expected numbers. Pass that column alone.")
        width = widths[0] if flat else None
        if width == 0:
            width = next((len(row) for row in columns[0][:1].to_pylist() if row is not None), 1)
        self._form = Form(self.dtype, width)
        self._flat = flat
        inner = () if flat and width is None else (width if flat else len(columns),)
        self.shape = (len(columns[0]), *(n for n in inner if n is not None))
        self.chunk_shape = self.piece_shape = (1,) * len(self.shape)

    def read(self, selection: Selection, allocate: Allocate = np.empty) -> Array:
        rows, inner = selection[0], selection[1:]
        if self._flat:
            chunks = self._columns[0].slice(rows.start, rows.stop - rows.start).chunks
            if len(chunks) == 1:
                return self._numbers(chunks[0], rows.start, 0)[(slice(None), *inner)]
            if self.dtype.kind == "T":  # each chunk has a width of its own
                return np.concatenate([self._numbers(chunk, rows.start, 0) for chunk in chunks] or [np.empty(0, "U1")])
        out = allocate(selection_shape(selection), self.dtype)
        for j in range(len(self._columns))[inner[0]] if not self._flat else (0,):
            at = 0
            for chunk in self._columns[j].slice(rows.start, rows.stop - rows.start).chunks:
                values = self._numbers(chunk, rows.start + at, j)
                target = out[at : at + len(values)]
                if self._flat:
                    target[...] = values[(slice(None), *inner)]
                else:
                    target[:, j - inner[0].start] = values
                at += len(values)
        return out

    def _numbers(self, chunk: Any, first: int, column: int) -> Array:
        from .arrow import first_row, numbers

        name = f"{self.role}: {self._names[column]} of {self.where}"
        return first_row(lambda: numbers(chunk, self._form), lambda row: f"{name}, row {first + row:,},")

    def read_bytes(self, selection_shape: tuple[int, ...]) -> int:
        return 3 * nbytes(selection_shape, self.dtype) + 8 * (selection_shape[0] if selection_shape else 0)

    def fingerprint(self) -> fingerprints.Fingerprint:
        digest = hashlib.blake2b(digest_size=16)
        for first, stop in itertools.pairwise([*range(0, self.shape[0], _PIECE), self.shape[0]]):
            part = self.read((slice(first, stop), *(slice(0, n) for n in self.shape[1:])))
            digest.update(np.ascontiguousarray(part).tobytes())
        return {"content": digest.hexdigest()}


def _inner_nulls(column: Any) -> bool:
    return any(chunk.flatten().null_count for chunk in column.chunks)


def open_table(array: Any, role: str, missing_chunks: str = "error") -> Source:
    """Open a table or column in memory; `missing_chunks` has no effect.

    Raises SourceError for what can be read only once, or is no table yet.
    """
    kind = f"{type(array).__module__.partition('.')[0]}.{type(array).__name__}"
    if is_of(array, "polars", "LazyFrame"):
        raise SourceError(f"{role}: a {kind} is a query; pass query.collect(), or write it (sink_parquet).")
    if is_of(array, "pyarrow", "RecordBatchReader"):
        raise SourceError(
            f"{role}: a {kind} can be read only once, and blocks are read in any order. Pass reader.read_all() if the "
            "rows fit in memory; otherwise write them with pyarrow.parquet.ParquetWriter, and pass "
            "'file.parquet::column'."
        )
    try:
        import pyarrow as pa
    except ImportError:
        if hasattr(array, "__array__"):  # Polars makes NumPy arrays itself
            return open_array(array, role, missing_chunks)
        raise MissingExtraError("reading Parquet files and Arrow tables", "parquet") from None
    found = _arrows(array, role, kind, pa)
    if isinstance(found, pa.Table):
        columns = [found.column(i) for i in range(found.num_columns)]
        return TableSource(columns, [f"column {name!r}" for name in found.column_names], role, kind, flat=False)
    return TableSource([found], ["the column"], role, kind, flat=True)


def _arrows(array: Any, role: str, kind: str, pa: Any) -> Any:
    """Return Arrow's table or chunked column for what gives itself as one."""
    if isinstance(array, pa.Table | pa.ChunkedArray):
        return array
    if isinstance(array, pa.RecordBatch):
        return pa.Table.from_batches([array])
    if isinstance(array, pa.Array):
        return pa.chunked_array([array])
    if is_of(array, "polars", "DataFrame"):
        return pa.table(array)
    if is_of(array, "polars", "Series"):
        return pa.chunked_array(array)
    try:
        if hasattr(array, "__arrow_c_stream__"):
            return _read_all(array, role, kind, pa)
        return _arrows(pa.array(array), role, kind, pa)
    except SourceError:
        raise
    except Exception as error:  # whatever another library raises
        raise SourceError(f"{role}: a {kind} gives no Arrow table: {error}") from error


def _read_all(array: Any, role: str, kind: str, pa: Any) -> Any:
    """Return a table of what another library computes as it is read, such as a relation of DuckDB, if it is small."""
    try:
        reader = pa.RecordBatchReader.from_stream(array)
    except pa.ArrowInvalid:  # a stream of one column
        return pa.chunked_array(array)
    batches, size = [], 0
    for batch in reader:
        batches.append(batch)
        size += batch.nbytes
        if size > MOST_CONVERTED:
            raise SourceError(
                f"{role}: a {kind} of more than {mib(MOST_CONVERTED)} can only be read as a whole. Write it as Parquet "
                "(of DuckDB: relation.write_parquet('file.parquet')) and pass 'file.parquet::column', or pass it as a "
                "pyarrow.Table if it fits in memory."
            )
    return pa.Table.from_batches(batches, reader.schema)
