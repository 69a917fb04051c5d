"""Chunks of local Zarr arrays, read and decoded without passing through zarr.

Through zarr a chunk passes an event loop, one thread that all others wait for, and several copies: with two threads
and Blosc that took three times as long as opening the file, reading it into one buffer and decoding it directly into
the memory of the rows. The codecs are numcodecs', as in zarr. Arrays that are not a plain pipeline of them (filters,
transposed or big-endian elements, remote stores, ...) are read by zarr: see :func:`local_chunks`.
"""

from __future__ import annotations

import contextlib
import itertools
import math
import os
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numcodecs
import numcodecs.checksum32
import numpy as np
import zarr
from zarr.codecs import BytesCodec, ShardingCodec
from zarr.storage import LocalStore

from ..regular_files import open_regular
from .base import Selection, nbytes
from .zarr_codecs import ABSENT, OversizedChunkError, ShardIndex, expect_bytes, is_little
from .zarr_decoders import Decode, decoder_of
from .zarr_metadata import fill_of

Array = np.ndarray[Any, Any]


class LocalChunks:
    """A reader of rectangles of an array. It raises ValueError, or what its codec raises, for chunks that cannot be
    decoded.
    """

    def __init__(self, array: zarr.Array[Any], decode: Decode | None, shard: Shard | None, keys: Path) -> None:
        self._array, self._decode, self._shard, self._keys = array, decode, shard, str(keys) + os.sep
        self._chunks = array.chunks
        self._fill = np.asarray(fill_of(array), array.dtype)
        self._chunk_bytes = nbytes(self._chunks, array.dtype)
        self._row_bytes = self._chunk_bytes // self._chunks[0]
        self._buffers = threading.local()
        self.piece_shape = None if decode is not None else (1, *self._chunks[1:])
        """The shape of what is read as a whole: rows of what is not compressed are read by themselves."""

    def read(self, selection: Selection, out: Array) -> list[tuple[int, ...]]:
        """Fill `out`, a contiguous array of the selection's shape; return the coordinates of the missing chunks."""
        missing = []
        ranges = (range(s.start // c, -(-s.stop // c)) for s, c in zip(selection, self._chunks, strict=True))
        for coordinates in itertools.product(*ranges):
            begin = [i * c for i, c in zip(coordinates, self._chunks, strict=True)]
            low = [max(s.start, b) for s, b in zip(selection, begin, strict=True)]
            high = [min(s.stop, b + c) for s, b, c in zip(selection, begin, self._chunks, strict=True)]
            target = out[tuple(slice(a - s.start, b - s.start) for a, b, s in zip(low, high, selection, strict=True))]
            rows = slice(0, self._chunks[0]) if self._decode else slice(low[0] - begin[0], high[0] - begin[0])
            shape = (rows.stop - rows.start, *self._chunks[1:])
            if target.shape == shape and target.flags.c_contiguous:
                found = self._read_chunk(coordinates, rows, target)
            else:
                part = self._buffer("chunk", shape, self._array.dtype)
                if found := self._read_chunk(coordinates, rows, part):
                    begin[0] += rows.start
                    inside = zip(low, high, begin, strict=True)
                    target[...] = part[tuple(slice(a - b, c - b) for a, c, b in inside)]
            if not found:
                target[...] = self._fill
                missing.append(coordinates)
        return missing

    def _read_chunk(self, coordinates: tuple[int, ...], rows: slice, into: Array) -> bool:
        """Do what :meth:`_read_rows` does, and say of which chunk what is too large is."""
        try:
            return self._read_rows(coordinates, rows, into)
        except OversizedChunkError as error:
            error.coordinates = coordinates
            raise

    def _read_rows(self, coordinates: tuple[int, ...], rows: slice, into: Array) -> bool:
        """Decode the rows of a chunk, all of one that is compressed, into C-contiguous memory of their shape; return
        whether the chunk exists.
        """
        target = into.reshape(-1).view(np.uint8)
        if self._shard is None:
            return self._read_file(self._path(coordinates), 0, None, rows, target)
        per_shard = self._shard.chunks_per_shard
        outer = tuple(i // n for i, n in zip(coordinates, per_shard, strict=True))
        index = self._shard.index(self._path(outer))
        if index is None:
            return False
        inner = tuple(i % n for i, n in zip(coordinates, per_shard, strict=True))
        offset, length = index[inner]
        return bool(offset != ABSENT) and self._read_file(self._path(outer), int(offset), int(length), rows, target)

    def covers(self, selection: Selection) -> bool:
        """Return whether a rectangle is read here rather than by zarr."""
        return True

    def exists(self, coordinates: tuple[int, ...]) -> bool:
        """Return whether there is a file that could hold a chunk."""
        per_shard = self._shard.chunks_per_shard if self._shard else (1,) * len(coordinates)
        return os.path.exists(self._path(tuple(i // n for i, n in zip(coordinates, per_shard, strict=True))))

    def _path(self, coordinates: tuple[int, ...]) -> str:
        return self._keys + self._array.metadata.encode_chunk_key(coordinates)

    def _read_file(self, path: str, offset: int, length: int | None, rows: slice, target: Array) -> bool:
        """Decode rows of the chunk in `length` bytes of a file (None: to its end) into `target`; return whether the
        file exists.
        """
        file = _opened(path)
        if file is None:
            return False
        with file:
            end = file.seek(0, 2)
            size = end - offset if length is None else length
            expect_bytes(offset + size, end)  # before there is memory for what an index says
            if self._decode is None:
                expect_bytes(self._chunk_bytes, size, exactly=True)
                file.seek(offset + rows.start * self._row_bytes)
                _fill(file, target)
            else:
                file.seek(offset)
                encoded = self._buffer("encoded", (size,), np.dtype(np.uint8))
                _fill(file, encoded)
                self._decode(encoded, target)
        return True

    def _buffer(self, name: str, shape: tuple[int, ...], dtype: np.dtype[Any]) -> Array:
        """Return memory of the calling thread, which its next chunk uses again."""
        size = math.prod(shape) * dtype.itemsize
        held: Array | None = getattr(self._buffers, name, None)
        if held is None or held.size < size:
            held = np.empty(size, np.uint8)
            setattr(self._buffers, name, held)
        return held[:size].view(dtype).reshape(shape)


class Shard:
    """The positions of inner chunks in their shards. Each thread keeps the last index read: blocks are whole shards."""

    def __init__(self, index: ShardIndex) -> None:
        self._index = index
        self.chunks_per_shard = index.chunks_per_shard
        self._checksum = numcodecs.checksum32.CRC32C(location="end")
        self._last = threading.local()

    def index(self, path: str) -> Array | None:
        """Return offsets and lengths as `ShardIndex.positions`; None where there is no shard."""
        if getattr(self._last, "path", None) != path:
            file = _opened(path)
            if file is None:
                return None
            with file:
                raw = np.empty(self._index.size, np.uint8)
                file.seek(0 if self._index.first else -raw.size, 0 if self._index.first else 2)
                _fill(file, raw)
            self._last.path, self._last.positions = path, self._checked(raw)
        return self._last.positions

    def index_within(self, shard: Array) -> Array:
        """Return the same of the bytes of a whole shard. Raises ValueError where they are fewer than its index."""
        size = self._index.size
        expect_bytes(size, shard.size)
        return self._checked(np.array(shard[:size] if self._index.first else shard[-size:]))

    def _checked(self, raw: Array) -> Array:
        if self._index.checked:
            self._checksum.decode(raw)
        return self._index.positions(raw)


def local_chunks(array: zarr.Array[Any]) -> LocalChunks | None:
    """Return the reader of an array's chunks; None for an array that only zarr can read."""
    store = array.store
    if type(store) is LocalStore:
        keys = Path(store.root) / array.path if array.path else Path(store.root)
        return plain_chunks(array, lambda decode, shard: LocalChunks(array, decode, shard, keys))
    return None


def plain_chunks(
    array: zarr.Array[Any], reader: Callable[[Decode | None, Shard | None], LocalChunks]
) -> LocalChunks | None:
    """Return the reader of chunks that are encoded by a plain pipeline; None for others."""
    if array.dtype.byteorder == ">" or 0 in array.shape or not array.shape:
        return None
    metadata: Any = array.metadata
    if metadata.zarr_format == 2:
        if metadata.filters or metadata.order != "C":
            return None
        decode = decoder_of(metadata.compressor)
        return None if decode is False else reader(decode, None)
    codecs = list(metadata.codecs)
    shard = None
    if len(codecs) == 1 and isinstance(codecs[0], ShardingCodec):
        index = ShardIndex.of(array, codecs[0])
        if index is None:
            return None
        shard, codecs = Shard(index), list(codecs[0].codecs)
    if not codecs or not isinstance(codecs[0], BytesCodec) or not (array.dtype.itemsize == 1 or is_little(codecs[0])):
        return None
    if len(codecs) > 2:
        return None
    decode = decoder_of(codecs[1]) if len(codecs) == 2 else None
    return None if decode is False else reader(decode, shard)


def _opened(path: str) -> Any:
    """Return the open file; None where there is none."""
    with contextlib.suppress(FileNotFoundError):
        return open_regular(path)
    return None


def _fill(file: Any, buffer: Array) -> None:
    """Read as many bytes as `buffer` has. Raises ValueError where the file ends before."""
    done, view = 0, memoryview(buffer.data)
    while done < len(view):
        count = file.readinto(view[done:])
        if not count:
            expect_bytes(len(view), done)
        done += count
