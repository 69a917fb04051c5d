"""Decoders of Zarr chunks, which take no more memory than a chunk has, whatever its bytes say.

A few bytes of Zstandard or gzip may state, or hold, gigabytes: what is longer than its chunk is refused before it is
decoded, or as soon as it is.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable
from typing import Any

import numcodecs
import numpy as np
from zarr.codecs import GzipCodec, ZstdCodec

from .zarr_codecs import OversizedChunkError, expect_blosc, expect_bytes, is_blosc

Array = np.ndarray[Any, Any]
Decode = Callable[[Any, Array], None]
"""A function ``decode(encoded, into)`` of two arrays of bytes."""
SLACK = 64 << 20
"""The bytes beyond its chunk that content may take whose exact length is not known before it is decoded."""
_GZIP = 31  # zlib's window, with gzip's header and check sum
_BLOCK = 128 << 10  # the most content of a block of Zstandard
_SKIPPABLE, _FRAME = 0x184D2A5, 0xFD2FB528


def decoder_of(codec: Any) -> Any:
    """Return the function that decodes a chunk, None where it is stored uncompressed, and False where only zarr can."""
    if codec is None:
        return None
    if is_blosc(codec):
        blosc = numcodecs.Blosc()

        def decode_blosc(encoded: Array, into: Array) -> None:
            expect_bytes(into.size, expect_blosc(encoded), exactly=True)
            blosc.decode(encoded, into)

        return decode_blosc
    if _is(codec, ZstdCodec, "zstd"):
        zstd = numcodecs.Zstd()

        def decode_zstd(encoded: Array, into: Array) -> None:
            if _stated(encoded) == into.size:  # a shorter frame would leave the end of `into` as it was
                zstd.decode(encoded, into)
            else:
                refuse_zstd(encoded, into.size)
                _copy(zstd.decode(encoded), into)

        return decode_zstd
    if _is(codec, GzipCodec, "gzip"):
        return decode_gzip
    return False


def checker_of(codec: Any, size: int) -> Callable[[Array], Any] | None:
    """Return a function that raises ValueError for encoded bytes that are truncated, or whose content is far longer
    than `size` bytes; None where nothing is known of a codec.
    """
    if is_blosc(codec):
        return lambda encoded: refuse_oversized(expect_blosc(encoded), size + SLACK)
    if _is(codec, ZstdCodec, "zstd"):
        return lambda encoded: refuse_zstd(encoded, size + SLACK)
    if _is(codec, GzipCodec, "gzip"):
        return lambda encoded: refuse_gzip(encoded, size + SLACK)
    return None


def _is(codec: Any, kind: type, name: str) -> bool:
    return isinstance(codec, kind) or getattr(codec, "codec_id", "") == name


def refuse_oversized(size: int, most: int) -> None:
    """Raise OversizedChunkError for content of more bytes than there may be."""
    if size > most:
        raise OversizedChunkError(f"its content has {size:,} bytes or more; expected {most:,} at most")


def decode_gzip(encoded: Any, into: Array) -> None:
    """Decode the members of gzip, and no more of them than fits. Raises ValueError for another number of bytes."""
    rest, done = memoryview(encoded), 0
    while rest.nbytes and (done == 0 or any(rest)):  # zeros may follow the last member
        member = zlib.decompressobj(_GZIP)
        content = member.decompress(rest, into.size - done + 1)
        refuse_oversized(done + len(content), into.size)
        if not member.eof:
            raise ValueError(f"truncated: {done + len(content):,} bytes of {into.size:,}")
        into[done : done + len(content)] = np.frombuffer(content, np.uint8)
        done += len(content)
        rest = memoryview(member.unused_data)
    expect_bytes(into.size, done)


def refuse_gzip(encoded: Array, most: int) -> None:
    """Raise OversizedChunkError for gzip of more content than there may be, of which a little is held at a time."""
    if encoded.size * 1100 <= most:  # deflate packs no more
        return
    rest, total = encoded.tobytes(), 0
    while rest:
        member = zlib.decompressobj(_GZIP)
        try:
            while not member.eof and rest:
                total += len(member.decompress(rest, 1 << 20))
                rest = member.unconsumed_tail
                refuse_oversized(total, most)
        except zlib.error:  # zarr says what is wrong
            return
        rest = member.unused_data


def refuse_zstd(encoded: Any, most: int) -> None:
    """Raise OversizedChunkError where frames of Zstandard state, or may have, more content than there may be.

    Raises ValueError for frames that are no Zstandard (RFC 8878, section 3.1).
    """
    data, at, total = memoryview(encoded).cast("B"), 0, 0
    while at < len(data):
        magic = int.from_bytes(data[at : at + 4], "little")
        if magic >> 4 == _SKIPPABLE:
            at += 8 + int.from_bytes(data[at + 4 : at + 8], "little")
            continue
        if magic != _FRAME:
            raise ValueError("no frame of Zstandard")
        stated = _stated(data[at : at + 18])
        at, blocks = _after_frame(data, at)
        if stated is None:
            refuse_oversized(total + blocks, most + SLACK)  # blocks need not be full
        total += blocks if stated is None else stated
        if stated is not None:
            refuse_oversized(total, most)


def _after_frame(data: memoryview, at: int) -> tuple[int, int]:
    """Return where a frame ends, and how much its blocks may have."""
    descriptor = data[at + 4] if at + 4 < len(data) else 0
    single, length = (descriptor >> 5) & 1, (0, 1, 2, 4)[descriptor & 3]
    at += 5 + (not single) + length + ((single, 2, 4, 8)[descriptor >> 6])
    content, last = 0, 0
    while not last:
        head = int.from_bytes(data[at : at + 3], "little")
        last, kind, size = head & 1, (head >> 1) & 3, head >> 3
        content += _BLOCK if kind == 2 else size
        at += 3 + (1 if kind == 1 else size)
        if kind == 3 or at > len(data):
            raise ValueError("truncated: a block of Zstandard ends beyond the chunk")
    return at + 4 * ((descriptor >> 2) & 1), content


def _stated(encoded: Any) -> int | None:
    """Return the length of the content that a Zstandard frame states (RFC 8878, 3.1.1.1); None if it states none."""
    head = bytes(encoded[:18]).ljust(18, b"\0")
    flag, single = head[4] >> 6, (head[4] >> 5) & 1
    start = 5 + (0 if single else 1) + (0, 1, 2, 4)[head[4] & 3]
    length = (single, 2, 4, 8)[flag]
    if head[:4] != b"\x28\xb5\x2f\xfd" or length == 0:
        return None
    return int.from_bytes(head[start : start + length], "little") + (256 if flag == 1 else 0)


def _copy(decoded: Any, into: Array) -> None:
    """Copy decoded bytes. Raises ValueError for another number of bytes than `into` has."""
    data = np.frombuffer(decoded, np.uint8)
    expect_bytes(into.size, data.size, exactly=True)
    into[:] = data
