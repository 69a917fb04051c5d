"""What encoded chunks and shards say of themselves: how long they are, and where a shard's inner chunks lie."""

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
_BLOSC_HEADER = 16  # bytes: among them how long the content is, and last the whole buffer


def expect_bytes(expected: int, received: int, exactly: bool = False) -> None:
    """Raises ValueError for fewer bytes, or `exactly` for another number."""
    if received < expected or (exactly and received != expected):
        raise ValueError(f"{'truncated' if received < expected else 'too long'}: {received:,} bytes of {expected:,}")


def expect_blosc(encoded: Array) -> int:
    """How long the content of a Blosc buffer is. Raises ValueError for a truncated one, past whose end Blosc reads."""
    header = encoded[:_BLOSC_HEADER].tobytes()
    expect_bytes(_BLOSC_HEADER, len(header))
    expect_bytes(int.from_bytes(header[12:16], "little"), encoded.size)
    return int.from_bytes(header[4:8], "little")


def is_blosc(codec: Any) -> bool:
    """Of zarr's codecs, or of numcodecs' in format 2."""
    return isinstance(codec, BloscCodec) or getattr(codec, "codec_id", None) == "blosc"


def is_little(codec: Any) -> bool:
    """Whether the codec that makes bytes of numbers puts the lowest first."""
    return plain(getattr(codec, "endian", None)) == "little"


def plain(setting: Any) -> Any:
    """Settings of codecs are enumerations up to zarr 3.1, and strings since."""
    return getattr(setting, "value", setting)


@dataclass(frozen=True, slots=True)
class ShardIndex:
    """How the index of an array's shards is stored."""

    chunks_per_shard: tuple[int, ...]
    checked: bool
    """Whether a crc32c follows."""
    first: bool
    """Whether it begins the shard, or ends it."""

    @classmethod
    def of(cls, array: zarr.Array[Any], codec: ShardingCodec) -> Self | None:
        """None where it is encoded in a way that we do not read."""
        kinds = [type(c) for c in codec.index_codecs]
        if kinds not in ([BytesCodec], [BytesCodec, Crc32cCodec]) or not is_little(codec.index_codecs[0]):
            return None
        assert array.shards is not None
        per_shard = tuple(s // c for s, c in zip(array.shards, array.chunks, strict=True))
        return cls(per_shard, len(kinds) > 1, plain(codec.index_location) == "start")

    @property
    def size(self) -> int:
        """In bytes."""
        return 16 * math.prod(self.chunks_per_shard) + 4 * self.checked

    def places(self, raw: Array) -> Array:
        """Offset and length of each inner chunk; see ABSENT."""
        body = raw[: 16 * math.prod(self.chunks_per_shard)]
        return np.frombuffer(body.tobytes(), "<u8").reshape(*self.chunks_per_shard, 2)
