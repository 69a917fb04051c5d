"""A store that zarr reads through and that tracks missing chunks, and refuses truncated ones."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import numpy as np
from zarr.abc.store import RangeByteRequest, SuffixByteRequest
from zarr.storage import WrapperStore

from .zarr_codecs import ABSENT, ShardIndex, expect_bytes

_METADATA = {"zarr.json", ".zarray", ".zattrs", ".zgroup", ".zmetadata"}


class TrackingStore(WrapperStore[Any]):
    """A store that passes reads on and keeps which keys, and which inner chunks of shards, did not exist.

    Reads raise ValueError for chunks and shards that are shorter than they state themselves, where zarr would make
    numbers of them: Blosc reads past the end of its input, and an empty shard passes for one that was never written.
    """

    def __init__(self, store: Any) -> None:
        super().__init__(store)
        self.missing: set[str] = set()
        """The keys that were read and did not exist."""
        self.missing_inner: dict[str, np.ndarray[Any, Any]] = {}
        """A flat mask of the absent inner chunks for each shard that has some, by its key."""
        self.index: ShardIndex | None = None
        """The layout of the shards' index, if the store's array has shards."""
        self.check: Callable[[np.ndarray[Any, Any]], Any] | None = None
        """Raises ValueError for a value that is truncated, or whose content is far larger than a chunk."""

    def _with_store(self, store: Any) -> TrackingStore:
        twin = copy.copy(self)  # zarr reopens stores read-only through this; what was tracked stays shared
        twin._store = store
        return twin

    async def get(self, key: str, prototype: Any, byte_range: Any = None) -> Any:
        buffer = await self._store.get(key, prototype, byte_range)
        if key.rpartition("/")[2] in _METADATA:
            return buffer
        if buffer is None:
            self.missing.add(key)
        elif self.index is not None and byte_range in (None, self._index_range(self.index)):
            self._note_index(self.index, key, buffer.as_numpy_array(), whole=byte_range is None)
        elif isinstance(byte_range, RangeByteRequest):
            expect_bytes(byte_range.end - byte_range.start, len(buffer))
        elif self.check is not None:
            self.check(buffer.as_numpy_array())
        return buffer

    def _index_range(self, index: ShardIndex) -> Any:
        return RangeByteRequest(0, index.size) if index.first else SuffixByteRequest(index.size)

    def _note_index(self, index: ShardIndex, key: str, fetched: np.ndarray[Any, Any], whole: bool) -> None:
        raw = fetched[: index.size] if index.first else fetched[-index.size :]
        expect_bytes(index.size, len(raw))
        positions = index.positions(raw).reshape(-1, 2)
        absent = positions[:, 0] == ABSENT
        if whole and not absent.all():
            expect_bytes(int(positions[~absent].sum(axis=1).max()), len(fetched))
        if absent.any():
            self.missing_inner[key] = absent
