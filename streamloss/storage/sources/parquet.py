"""Parquet: a column, a list column, or several columns as classes, of a file, a folder of files or a pattern."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ...errors import FEW, CorruptChunkError, SourceError, nearest
from ..uris import Address, redacted
from . import fingerprints
from .arrow import Array, Form, form_of, holds_numbers
from .base import Allocate, HostSource, Selection, Source, nbytes, selection_shape
from .data_files import DataFile, LocalFile, ObjectFile
from .dtypes import is_key
from .parquet_files import DecodedGroups, Part, dataset_of
from .parquet_objects import is_remote_parquet, objects_of
from .parquet_places import files_of

_LARGE = 32 << 20
"""Decoded bytes from which on a row group is a block of its own, whatever the others' sizes are."""
_PIECE = 6 << 20
"""Decoded bytes from which on a row group is cut into pieces that fit the processor's caches."""
_LONG = 60
"""Letters of a member from which on it is shortened where a person reads it."""
_TILE = 4096
"""Rows of several columns that are laid out row by row at a time, so that they stay in the caches."""


class ParquetSource(HostSource):
    """Columns of Parquet files. Row groups are decoded as a whole; files may have them of any sizes."""

    def __init__(self, address: Address, role: str) -> None:
        """Raises SourceError for files that cannot be read, and for columns that hold no numbers."""
        self.role = role
        self.where = redacted(
            address.uri if len(address.member) < _LONG else f"{address.place}::{address.member[:_LONG]}..."
        )
        files, root, self._address = _files_of(address, role)
        self._dataset = dataset_of(files, root, role)
        self.remote = isinstance(files[0], ObjectFile)
        schema = self._dataset.footers[0].schema
        names = _columns(address, role, schema)
        self._columns = [names] if isinstance(names, str) else names
        several = not isinstance(names, str)
        self._form = self._common_form(several)
        self.dtype = self._form.dtype
        width = len(self._columns) if several else self._form.width
        self.shape = (self._dataset.starts[-1], *(() if width is None else (width,)))
        self._set_chunks()
        self._groups = DecodedGroups(self._decode, self._dataset.rows)

    def _set_chunks(self) -> None:
        """Decide on chunks and pieces: row groups where all have one size; otherwise rows, because blocks are cut at
        multiples and `DecodedGroups` keeps the row groups that they share.
        """
        rows = self._dataset.rows or (0,)
        row_bytes = nbytes(self.shape[1:], self.dtype)
        regular = all(n == rows[0] for n in rows[:-1]) and rows[-1] <= rows[0]
        large = max(rows) * row_bytes >= _LARGE
        self.chunk_shape = (max(1, max(rows) if regular or large else 1), *self.shape[1:])
        self.piece_shape = (self.chunk_shape[0] if regular and rows[0] * row_bytes <= _PIECE else 1, *self.shape[1:])
        encoded = [0] * len(rows)
        for column in self._columns:
            for i, chunk in enumerate(self._dataset.chunks(column)):
                encoded[i] += chunk.total_compressed_size
        # two groups that blocks share, one being decoded: as 8 bytes, with levels that say what is null, and compressed
        self._group_bytes = max(rows) * (3 * row_bytes + 16 * (row_bytes // self.dtype.itemsize)) + max(encoded)

    def __reduce__(self) -> Any:
        """Pickle the address: another process opens the files itself, and compares them."""
        return _open_again, (self._address, self.role, self.where, self.shape, self.dtype.str, self._stamp())

    def _stamp(self) -> str:
        """Return a digest of the files' names and sizes, and of where their row groups end."""
        sizes = [foot.stamp[0] for foot in self._dataset.footers]
        known = (list(map(str, self._dataset.files)), sizes, self._dataset.starts)
        return _digest(known)

    def _common_form(self, several: bool) -> Form:
        """Return the form in which each of the columns is read. Raises SourceError for several that have lists."""
        found: Form | None = None
        for column in self._columns:
            form = self._form_of(column)
            if several and form.width is not None:
                raise SourceError(f"{self.role}: {self.where}: {column!r} has lists; expected numbers as classes.")
            if found is not None and form.dtype != found.dtype:
                form = Form(np.result_type(form.dtype, found.dtype))
            found = form
        assert found is not None
        return found

    def _form_of(self, column: str) -> Form:
        dataset, found = self._dataset, None
        for file, foot in zip(dataset.files, dataset.footers, strict=True):
            place = f"{self.role}: column {column!r} of {str(file)!r}"
            if (count := foot.schema.names.count(column)) != 1:
                have = "is there twice" if count else f"is missing: it has {_listed(foot.schema)}"
                raise SourceError(f"{place} {have}; expected it in each of {len(dataset.files):,} files, once.")
            form = form_of(foot.schema.field(column).type, place, is_key(self.role))
            if found is not None and form != found:
                raise SourceError(
                    f"{place} has the type {foot.schema.field(column).type}; expected "
                    f"{dataset.footers[0].schema.field(column).type}, as in {str(dataset.files[0])!r}. Write all files "
                    "with one schema."
                )
            found = form
        assert found is not None
        for group, chunk in enumerate(dataset.chunks(column)):
            if found.width is None and chunk.num_values != dataset.rows[group]:
                raise SourceError(
                    f"{self.role}: {self.where}: {dataset.name(group)} has {dataset.rows[group]:,} rows, but "
                    f"{chunk.num_values:,} values of column {column!r}. The file's footer is damaged: write it anew."
                )
        if found.width == 0:
            found = found._replace(width=self._width(column))
        # a mask stays one of booleans, and its nulls are refused where they are read
        if (
            found.dtype.kind != "f"
            and self.role != "mask"
            and any(_has_nulls(chunk) for chunk in dataset.chunks(column))
        ):
            found = found.with_nulls()
        return found

    def _width(self, column: str) -> int:
        """Return the length of a column's lists, of which the footers know how many numbers they hold. Reading compares
        the length of each.
        """
        for group, chunk in enumerate(self._dataset.chunks(column)):
            rows = self._dataset.rows[group]
            if rows:
                return max(1, round(chunk.num_values / rows))
        return 1

    def _decode(self, group: int) -> tuple[Array, ...]:
        return self._dataset.decode(group, self._columns, self._form, self.role)

    def read(self, selection: Selection, allocate: Allocate = np.empty) -> Array:
        rows, inner = selection[0], selection[1:]
        parts = list(self._dataset.parts(rows.start, rows.stop))
        if len(parts) == 1 and (len(self.shape) == 1 or self._form.width is not None):
            (column,) = self._groups.get(parts[0])
            return column[(slice(parts[0].start, parts[0].stop), *inner)]
        if self.dtype.kind == "T":  # each part has a width of its own
            texts = [self._groups.get(part)[0][part.start : part.stop] for part in parts]
            return np.concatenate(texts or [np.empty(0, "U1")])
        out, at = allocate(selection_shape(selection), self.dtype), 0
        for part in parts:
            _copy(self._groups.get(part), part, inner, out[at : at + part.stop - part.start])
            at += part.stop - part.start
        return out

    def read_bytes(self, selection_shape: tuple[int, ...]) -> int:
        return nbytes(selection_shape, self.dtype) + self._group_bytes

    def locate(self, index: tuple[int, ...]) -> str:
        return f" ({self._dataset.name(self._dataset.group_of(index[0]))})" if self._dataset.groups else ""

    def confirm(self) -> None:
        """Raise SourceError where a file has changed or vanished since it was opened."""
        for file in range(len(self._dataset.files)):
            self._dataset.refuse_changed(file, self.role)

    def fingerprint(self) -> fingerprints.Fingerprint:
        files = self._dataset.files
        local = [file.path for file in files if isinstance(file, LocalFile)]
        found = fingerprints.of_files(local) if local else {"files": _digest((str(f), f.stamp()) for f in files)}
        return found | {"place": redacted(self._address.place), "columns": self._columns}


def _copy(columns: tuple[Array, ...], part: Part, inner: Selection, out: Array) -> None:
    """Copy rows of a row group: of one column, or of several as the columns of `out`."""
    if len(columns) == 1 and columns[0].ndim == out.ndim:
        out[...] = columns[0][(slice(part.start, part.stop), *inner)]
        return
    chosen: Sequence[Array] = columns[inner[0]]
    for first in range(0, len(out), _TILE):
        stop = min(first + _TILE, len(out))
        for j, column in enumerate(chosen):
            out[first:stop, j] = column[part.start + first : part.start + stop]


def _files_of(address: Address, role: str) -> tuple[Sequence[DataFile], str, Address]:
    """Return the files of an address, the folder that they are in, and the address as other processes find it."""
    if is_remote_parquet(address):
        objects, folder = objects_of(address, role)
        return objects, folder, address
    paths = files_of(address, role)
    address = address._replace(place=os.path.abspath(str(address.path)))
    root = Path(address.place)
    while not root.is_dir():  # of a pattern, the folder before its first mark
        root = root.parent
    return [LocalFile(Path(os.path.abspath(path))) for path in paths], str(root), address


def _digest(entries: Iterable[object]) -> str:
    return hashlib.blake2b(repr(list(entries)).encode(), digest_size=16).hexdigest()


def _has_nulls(chunk: Any) -> bool:
    """Return whether the footer says that a column of a row group has nulls."""
    statistics = chunk.statistics
    return statistics is not None and statistics.has_null_count and statistics.null_count > 0


def _columns(address: Address, role: str, schema: Any) -> str | list[str]:
    """Return the name of the column that an address names, or the names of several ones in brackets."""
    member, names = address.member, schema.names
    if member in names and member:
        return member
    if member.startswith("[") and member.endswith("]"):
        several = [name.strip() for name in member[1:-1].split(",")]
        for name in several:
            _refuse_unknown(name, address, role, schema)
        return several
    if not member:
        data = [name for name in names if not (name.startswith("__index_level_") and name.endswith("__"))]
        if len(data) == 1:
            return str(data[0])
        first = next((name for name in data if holds_numbers(schema.field(name).type)), "column")
        raise SourceError(
            f"{role}: {address.uri!r} has {len(data)} columns: {_listed(schema)}. Name one, as {address.uri}::{first}, "
            f"or several as classes, as '{address.uri}::[{first},...]'."
        )
    _refuse_unknown(member, address, role, schema)
    return member


def _refuse_unknown(name: str, address: Address, role: str, schema: Any) -> None:
    if name not in schema.names:
        near = nearest(name, schema.names)
        guess = f" Did you mean {near[0]!r}?" if near else ""
        raise SourceError(f"{role}: {address.place!r} has no column {name!r}.{guess} It has {_listed(schema)}.")


def _listed(schema: Any, most: int = 3 * FEW) -> str:
    """Return columns with their types, the first ones of many."""
    shown = ", ".join(f"{field.name} ({field.type})" for field in list(schema)[:most])
    return shown + (f" and {len(schema) - most:,} others" if len(schema) > most else "")


def open_parquet(address: Address, role: str, missing_chunks: str = "error") -> Source:
    """Open columns of Parquet files; no chunk can be missing, so `missing_chunks` has no effect."""
    return ParquetSource(address, role)


def _open_again(
    address: Address, role: str, where: str, shape: tuple[int, ...], dtype: str, stamp: str
) -> ParquetSource:
    """Open a pickled source in another process."""
    source = ParquetSource(address, role)
    source.where = where
    if (source.shape, source.dtype.str, source._stamp()) != (shape, dtype, stamp):
        raise CorruptChunkError(f"{role}: the files of {where} were changed since the evaluation began.")
    return source
