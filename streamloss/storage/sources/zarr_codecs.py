"""Codecs of Zarr chunks: the lengths that encoded chunks state, and the index of a shard's inner chunks."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
import zarr
from zarr.codecs import BloscCodec, BytesCodec, Crc32cCodec, ShardingCodec

Array = np.ndarray[Any, Any]

ABSENT = np.uint64(2**64 - 1)
"""The offset of an inner chunk that is not in its shard."""
_BLOSC_HEADER = 16  # bytes, among them the length of the content and, last, that of the whole buffer


class OversizedChunkError(ValueError):
    """Content of a chunk that is larger than the chunk; nobody else need decode it."""

    coordinates: tuple[int, ...] | None = None
    """The chunk's place in the grid, where it is known."""


def expect_bytes(expected: int, received: int, exactly: bool = False) -> None:
    """Raise ValueError for fewer bytes than expected, or with `exactly` for any other number."""
    if received < expected or (exactly and received != expected):
        raise ValueError(f"{'truncated' if received < expected else 'too long'}: {received:,} bytes of {expected:,}")


def expect_blosc(encoded: Array) -> int:
    """Return the length of the decoded content of a Blosc buffer.

    Raises ValueError for a truncated one, past whose end Blosc would read.
    """
    header = encoded[:_BLOSC_HEADER].tobytes()
    expect_bytes(_BLOSC_HEADER, len(header))
    expect_bytes(int.from_bytes(header[12:16], "little"), encoded.size)
    return int.from_bytes(header[4:8], "little")


def is_blosc(codec: Any) -> bool:
    """Return whether a codec is Blosc: zarr's, or numcodecs' in format 2."""
    return isinstance(codec, BloscCodec) or getattr(codec, "codec_id", None) == "blosc"


def is_little(codec: Any) -> bool:
    """Return whether the codec that makes bytes of numbers is little-endian."""
    return plain(getattr(codec, "endian", None)) == "little"


def plain(setting: Any) -> Any:
    """Return a setting of a codec as a string: up to zarr 3.1 settings are enumerations."""
    return getattr(setting, "value", setting)


@dataclass(frozen=True, slots=True)
class ShardIndex:
    """The layout of the index of an array's shards."""

    chunks_per_shard: tuple[int, ...]
    checked: bool
    """Whether a crc32c follows the index."""
    first: bool
    """Whether the index begins the shard; else it ends it."""

    @classmethod
    def of(cls, array: zarr.Array[Any], codec: ShardingCodec) -> Self | None:
        """Return the layout; None for an encoding other than little-endian bytes, with or without crc32c."""
        kinds = [type(c) for c in codec.index_codecs]
        if kinds not in ([BytesCodec], [BytesCodec, Crc32cCodec]) or not is_little(codec.index_codecs[0]):
            return None
        assert array.shards is not None
        per_shard = tuple(s // c for s, c in zip(array.shards, array.chunks, strict=True))
        return cls(per_shard, len(kinds) > 1, plain(codec.index_location) == "start")

    @property
    def size(self) -> int:
        """Return the size of the index in bytes."""
        return 16 * math.prod(self.chunks_per_shard) + 4 * self.checked

    def positions(self, raw: Array) -> Array:
        """Return the offset and length of each inner chunk, uint64 (*chunks_per_shard, 2); see ABSENT."""
        body = raw[: 16 * math.prod(self.chunks_per_shard)]
        return np.frombuffer(body.tobytes(), "<u8").reshape(*self.chunks_per_shard, 2)
