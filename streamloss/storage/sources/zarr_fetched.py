"""Chunks of Zarr arrays in object stores, fetched by threads of our own and decoded as local ones are.

Through zarr each chunk passes one event loop and several copies. Here objects, chunks or whole shards, are asked for
once each, more of them at a time than there are processors, and decoded by the thread that reads the rows, from the
memory in which they arrived to that of the rows.
"""

from __future__ import annotations

import collections
import functools
import itertools
import os
import threading
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import zarr

from ..zarr_objects import RemoteStore
from .base import Selection
from .zarr_codecs import ABSENT, expect_bytes
from .zarr_decoders import Decode
from .zarr_local import Array, LocalChunks, Shard, local_chunks, plain_chunks

_AHEAD = 8  # objects that a reading thread has asked for; ZarrSource.read_bytes allows for ten
_THREADS = 64


class FetchedChunks(LocalChunks):
    """A reader of rectangles like LocalChunks. It also raises ObjectReadError, for objects that cannot be fetched."""

    def __init__(self, array: zarr.Array[Any], decode: Decode | None, shard: Shard | None, store: RemoteStore) -> None:
        super().__init__(array, decode, shard, Path())
        self._store = store
        self._prefix = f"{array.path}/" if array.path else ""
        self._objects: tuple[int, ...] = array.shards or array.chunks
        self._per_object = tuple(g // c for g, c in zip(self._objects, self._chunks, strict=True))
        self._held = threading.local()
        self._absent: set[str] = set()
        self.piece_shape = None  # whole objects are fetched

    def covers(self, selection: Selection) -> bool:
        """Return whether a rectangle is read without parts of shards, of which zarr fetches only what it needs."""
        return self._shard is None or all(
            s.start % n == 0 and (s.stop % n == 0 or s.stop == end)
            for s, n, end in zip(selection, self._objects, self._array.shape, strict=True)
        )

    def read(self, selection: Selection, out: Array) -> list[tuple[int, ...]]:
        """Fill `out`, of the selection's shape; return the coordinates of the missing chunks."""
        ranges = (range(s.start // n, -(-s.stop // n)) for s, n in zip(selection, self._objects, strict=True))
        places = list(itertools.product(*ranges))
        pool, coming = _pool(os.getpid()), collections.deque[Future[Any]]()
        missing = []
        try:
            for i, place in enumerate(places):
                while len(coming) < _AHEAD and i + len(coming) < len(places):
                    coming.append(pool.submit(self._store.fetch, self._key(places[i + len(coming)])))
                self._hold(self._key(place), coming.popleft().result())
                part = tuple(
                    slice(max(s.start, p * n), min(s.stop, (p + 1) * n))
                    for s, p, n in zip(selection, place, self._objects, strict=True)
                )
                inside = zip(part, selection, strict=True)
                missing += super().read(part, out[tuple(slice(p.start - s.start, p.stop - s.start) for p, s in inside)])
        finally:
            self._held.data = self._held.index = None
            for future in coming:
                future.cancel()
        return missing

    def exists(self, coordinates: tuple[int, ...]) -> bool:
        return self._key(tuple(i // n for i, n in zip(coordinates, self._per_object, strict=True))) not in self._absent

    def _key(self, place: tuple[int, ...]) -> str:
        return self._prefix + self._array.metadata.encode_chunk_key(place)

    def _hold(self, key: str, fetched: Any) -> None:
        """Let the calling thread decode from an object."""
        held = self._held
        held.data = None if fetched is None else np.frombuffer(fetched, np.uint8)
        if held.data is None:
            self._absent.add(key)
        held.index = self._shard.index_within(held.data) if self._shard and held.data is not None else None

    def _read_rows(self, coordinates: tuple[int, ...], rows: slice, into: Array) -> bool:
        encoded = self._held.data
        if encoded is None:
            return False
        if self._held.index is not None:
            offset, length = self._held.index[tuple(i % n for i, n in zip(coordinates, self._per_object, strict=True))]
            if offset == ABSENT:
                return False
            expect_bytes(int(offset) + int(length), encoded.size)
            encoded = encoded[int(offset) : int(offset) + int(length)]
        target = into.reshape(-1).view(np.uint8)
        if self._decode is None:
            expect_bytes(self._chunk_bytes, encoded.size, exactly=True)
            target[:] = encoded[rows.start * self._row_bytes : rows.stop * self._row_bytes]
        else:
            self._decode(encoded, target)
        return True


def direct_chunks(array: zarr.Array[Any]) -> LocalChunks | None:
    """Return the reader of an array's chunks that does not pass through zarr; None where only zarr can read."""
    store = array.store
    if isinstance(store, RemoteStore):
        return plain_chunks(array, lambda decode, shard: FetchedChunks(array, decode, shard, store))
    return local_chunks(array)


@functools.cache
def _pool(process: int) -> ThreadPoolExecutor:
    """Return the threads of a process, which a fork does not have; they wait for servers, and compute nothing."""
    return ThreadPoolExecutor(_THREADS, thread_name_prefix="streamloss-fetch")
