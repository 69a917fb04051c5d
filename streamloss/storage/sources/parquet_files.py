"""The Parquet files of one dataset: their footers, which are read once, and the columns of their row groups.

Several columns of a dataset are one source each, and share what is here. Every column of a row group is stored, and
decoded, by itself, so sources do not wait for one another.
"""

from __future__ import annotations

import bisect
import itertools
import threading
from collections import OrderedDict
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, NamedTuple

import numpy as np

from ...errors import CorruptChunkError, MissingExtraError, SourceError

try:
    import pyarrow.parquet as pq
except ImportError as error:
    raise MissingExtraError("reading Parquet files and Arrow tables", "parquet") from error

from ..objects import ObjectReadError
from .arrow import Array, BadRowError, Form, numbers
from .data_files import DataFile, LocalFile, Stamp
from .foreign_files import explain_file
from .parquet_places import SUFFIXES, begins_as_parquet

MOST_OPEN = 4
"""The files that each thread keeps open."""
MOST_DATASETS = 8
"""The datasets whose footers are kept: one for each role, and some more."""


class Part(NamedTuple):
    """Some rows of a row group."""

    group: int
    """The row group's number in the dataset."""
    start: int
    stop: int


class Footer(NamedTuple):
    """The facts about a file that are known before any of its rows is read."""

    stamp: Stamp
    metadata: Any
    schema: Any


class Dataset:
    """Files with the same columns, whose rows follow one another."""

    def __init__(self, files: Sequence[DataFile], root: str, role: str) -> None:
        """Raises SourceError for a file that cannot be read."""
        self.files = tuple(files)
        self._root = root
        with ThreadPoolExecutor(min(8, len(self.files))) as pool:  # a footer is a few reads of the file's end
            self.footers = tuple(pool.map(lambda file: _footer(file, role), self.files))
        self.groups = tuple((i, g) for i, foot in enumerate(self.footers) for g in range(foot.metadata.num_row_groups))
        self.rows = tuple(self.footers[i].metadata.row_group(g).num_rows for i, g in self.groups)
        """The rows of each row group."""
        self.starts = (0, *itertools.accumulate(self.rows))
        """The first row of each row group, and the number of all rows."""
        self._own = threading.local()

    def name(self, group: int) -> str:
        """Return the name of a row group, for a person: ``row group 2 of month=3/part-0.parquet``."""
        file, inside = self.groups[group]
        if len(self.files) == 1:
            return f"row group {inside}"
        return f"row group {inside} of {self.files[file].below(self._root)}"

    def group_of(self, row: int) -> int:
        """Return the number of the row group that holds a row."""
        return bisect.bisect_right(self.starts, row) - 1

    def parts(self, start: int, stop: int) -> Iterator[Part]:
        """Yield the parts of row groups that rows from `start` to `stop` are."""
        group = self.group_of(start)
        while start < stop:
            end = min(stop, self.starts[group + 1])
            if end > start:
                yield Part(group, start - self.starts[group], end - self.starts[group])
            start, group = end, group + 1

    def decode(self, group: int, columns: Sequence[str], form: Form, role: str) -> tuple[Array, ...]:
        """Return the numbers of columns in a row group. Raises CorruptChunkError and SourceError."""
        place = f"{role}: {self.name(group)} in {str(self.files[self.groups[group][0]])!r}"
        table = self._read(group, columns, place)
        found = []
        for column in columns:
            try:
                values = numbers(table.column(column), form)
            except BadRowError as bad:
                row = f"row {bad.row:,} of it, row {self.starts[group] + bad.row:,} of all"
                raise SourceError(f"{place}: column {column!r} {bad.problem} in {row}. {bad.advice}.") from None
            if len(values) != self.rows[group]:
                raise CorruptChunkError(
                    f"{place}: column {column!r} has {len(values):,} rows; expected {self.rows[group]:,}, as the "
                    "footer says. The file is damaged: write it anew."
                )
            found.append(values)
        return tuple(found)

    def _read(self, group: int, columns: Sequence[str], place: str) -> Any:
        file, inside = self.groups[group]
        self.refuse_changed(file, place)
        try:
            return self._opened(file).read_row_group(inside, columns=list(columns), use_threads=False)
        except MemoryError:
            raise
        except ObjectReadError as error:
            raise CorruptChunkError(f"{place} cannot be read: {error}") from None
        except Exception as error:  # Arrow raises what its decoders, codecs and thrift raise
            self.refuse_changed(file, place)
            raise CorruptChunkError(
                f"{place} cannot be decoded: {_short(error)}. The file is damaged: write it anew."
            ) from error

    def refuse_changed(self, file: int, place: str) -> None:
        """Raise SourceError where a file is not the one that was opened: its rows would be mixed with others."""
        name, expected = str(self.files[file]), self.footers[file].stamp
        try:
            found = self.files[file].known_stamp()
        except OSError as error:
            raise SourceError(f"{place}: {name!r} has vanished since it was opened: {error.strerror}.") from None
        if found != expected:
            raise SourceError(f"{place}: {name!r} was changed since it was opened. Begin again, once it is whole.")

    def _opened(self, file: int) -> Any:
        """Return the calling thread's reader of a file: Arrow's are not made for two threads at a time."""
        held: OrderedDict[int, Any] = self._own.__dict__.setdefault("held", OrderedDict())
        if file not in held:
            while len(held) >= MOST_OPEN:
                held.popitem(last=False)
            held[file] = _reader(self.files[file], self.footers[file].metadata)
        held.move_to_end(file)
        return held[file]

    def leaves(self, column: str) -> list[int]:
        """Return the numbers of the stored columns that a column consists of: one, but for structures."""
        schema = self.footers[0].metadata.schema
        paths = [schema.column(i).path for i in range(len(schema))]
        return [i for i, path in enumerate(paths) if path == column or path.startswith(f"{column}.")]

    def chunks(self, column: str) -> Iterator[Any]:
        """Yield what the footers say of a column in each row group."""
        leaves = self.leaves(column)
        for file, group in self.groups:
            of_group = self.footers[file].metadata.row_group(group)
            yield from (of_group.column(leaf) for leaf in leaves)


def _reader(file: DataFile, metadata: Any = None) -> Any:
    return pq.ParquetFile(file.open(), metadata=metadata, page_checksum_verification=True)


def _footer(file: DataFile, role: str) -> Footer:
    try:
        stamp = file.known_stamp()
        reader = _reader(file)
        with reader:
            metadata, schema = reader.metadata, reader.schema_arrow
        in_groups = sum(metadata.row_group(i).num_rows for i in range(metadata.num_row_groups))
        if in_groups != metadata.num_rows:
            raise ValueError(f"its footer counts {metadata.num_rows:,} rows, and {in_groups:,} in row groups")
        return Footer(stamp, metadata, schema)
    except MemoryError:
        raise
    except ObjectReadError as error:
        raise SourceError(f"{role}: cannot open {str(file)!r}: {error}") from None
    except Exception as error:  # a damaged footer raises whatever thrift raises
        if isinstance(error, OSError) and error.errno is not None:
            raise SourceError(f"{role}: cannot open {str(file)!r}: {error.strerror or _short(error)}.") from error
        path, other = file.path if isinstance(file, LocalFile) else None, None
        if path is not None and not (path.suffix.lower() in SUFFIXES and begins_as_parquet(path)):
            other = explain_file(path, role)
        raise SourceError(other or f"{role}: {str(file)!r} is no whole Parquet file: {_short(error)}.") from error


def _short(error: Exception) -> str:
    """Return the first line of an error of Arrow."""
    return (str(error).strip().splitlines() or [type(error).__name__])[0].rstrip(". ")[:300]


_DATASETS: OrderedDict[tuple[str, ...], Dataset] = OrderedDict()
_LOCK = threading.Lock()


def dataset_of(files: Sequence[DataFile], root: str, role: str) -> Dataset:
    """Return the dataset of these files: the one that another source has opened, unless a file was changed since."""
    key = tuple(map(str, files))
    with _LOCK:
        found = _DATASETS.get(key)
        if found is None or found.files != tuple(files) or [f.stamp for f in found.footers] != _stamps(files):
            found = Dataset(files, root, role)
        _DATASETS[key] = found
        _DATASETS.move_to_end(key)
        while len(_DATASETS) > MOST_DATASETS:
            _DATASETS.popitem(last=False)
        return found


def _stamps(files: Sequence[DataFile]) -> list[Stamp] | None:
    try:
        return [file.known_stamp() for file in files]
    except OSError:
        return None


class DecodedGroups:
    """Decoded row groups of one source that blocks share at their borders, so that each is decoded once.

    One is let go when all its rows were asked for, and the oldest one where there are more than two for each thread.
    """

    def __init__(self, decode: Callable[[int], tuple[Array, ...]], rows: Sequence[int]) -> None:
        self._decode, self._rows = decode, rows
        self._lock = threading.Lock()
        self._held: OrderedDict[int, _Held] = OrderedDict()
        self._threads: set[int] = set()

    def get(self, part: Part) -> tuple[Array, ...]:
        """Return the columns of the row group that `part` is of, whole."""
        with self._lock:
            self._threads.add(threading.get_ident())
            held = self._held.get(part.group)
            if held is None:
                held = self._held[part.group] = _Held(self._rows[part.group])
                while len(self._held) > 2 * len(self._threads):
                    self._held.popitem(last=False)
            held.left -= part.stop - part.start
            if held.left <= 0:
                self._held.pop(part.group, None)
        with held.lock:  # another thread may be decoding it
            if held.columns is None:
                held.columns = self._decode(part.group)
            return held.columns


class _Held:
    __slots__ = ("columns", "left", "lock")

    def __init__(self, rows: int) -> None:
        self.lock = threading.Lock()
        self.columns: tuple[np.ndarray[Any, Any], ...] | None = None
        self.left = rows
