"""A store that zarr reads through, which remembers what was not there, and refuses what zarr would make numbers of."""

from __future__ import annotations

import copy
from typing import Any

import numpy as np
from zarr.abc.store import RangeByteRequest, SuffixByteRequest
from zarr.storage import WrapperStore

from .zarr_codecs import ABSENT, ShardIndex, expect_blosc, expect_bytes

_METADATA = {"zarr.json", ".zarray", ".zattrs", ".zgroup", ".zmetadata"}


class TrackingStore(WrapperStore[Any]):
    """Passes reads on and remembers which keys, and which inner chunks of shards, were not there.

    Raises ValueError for what is shorter than it says itself, where zarr would make numbers of it: Blosc reads
    past the end of its input, and an empty shard passes for one that was never written.
    """

    def __init__(self, store: Any) -> None:
        super().__init__(store)
        self.missing: set[str] = set()
        self.missing_inner: dict[str, np.ndarray[Any, Any]] = {}
        """For each shard with gaps, a flat mask of the inner chunks that are absent."""
        self.index: ShardIndex | None = None
        """Of its shards, where the store's array has them."""
        self.blosc = False
        """Whether what is kept under a key is one Blosc buffer."""

    def _with_store(self, store: Any) -> TrackingStore:
        twin = copy.copy(self)  # zarr reopens stores read-only through this; what was seen stays shared
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
        elif self.blosc:
            expect_blosc(buffer.as_numpy_array())
        return buffer

    def _index_range(self, index: ShardIndex) -> Any:
        return RangeByteRequest(0, index.size) if index.first else SuffixByteRequest(index.size)

    def _note_index(self, index: ShardIndex, key: str, fetched: np.ndarray[Any, Any], whole: bool) -> None:
        raw = fetched[: index.size] if index.first else fetched[-index.size :]
        expect_bytes(index.size, len(raw))
        places = index.places(raw).reshape(-1, 2)
        absent = places[:, 0] == ABSENT
        if whole and not absent.all():
            expect_bytes(int(places[~absent].sum(axis=1).max()), len(fetched))
        if absent.any():
            self.missing_inner[key] = absent
