"""Fingerprints, which tell an array from another one, and from itself before it was changed.

A fingerprint holds the array's place and evidence of its content: a digest of sampled bytes, and settings, sizes and
times of change. Equal times are no proof, as a loop over ``open_memmap``, ``tar`` or a mounted object store leave them:
so bytes are read, at most 4 MiB in evenly spread pieces of a file, or 8 MiB at the beginning and the end of evenly
spread chunks. Of an array in memory it is a checksum of all bytes.
"""

from __future__ import annotations

import asyncio
import hashlib
import os
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

SAMPLED = 4096
"""The most chunk files whose size and time enter a fingerprint: about 20 ms on a local disk."""
PIECES, PIECE = 64, 64 << 10
"""The most pieces of local files that are read, and the bytes of one."""
REMOTE_CHUNKS = 16
"""The most chunks that are read of an array in another store."""

Fingerprint = dict[str, Any]


def of_file(path: Path) -> Fingerprint:
    """Return the fingerprint of an array that is one file."""
    return {"place": os.path.realpath(path), "files": _of_files([path]), "sample": _digest([_pieces_of(path, PIECES)])}


def of_files(paths: Sequence[Path]) -> Fingerprint:
    """Return the fingerprint of an array that several files hold: of their sizes and times, and of pieces of evenly
    spread ones, ends included, where footers are.
    """
    chosen = [paths[i] for i in spread(len(paths), PIECES)]
    most = max(2, PIECES // len(chosen))
    return {"files": _of_files(paths), "sample": _digest(_pieces_of(path, most) for path in chosen)}


def of_memory(array: np.ndarray[Any, Any]) -> Fingerprint:
    """Return a checksum of all bytes, piece by piece: one gigabyte takes about a second."""
    digest = hashlib.blake2b(digest_size=16)
    rows = max(1, (8 << 20) // max(1, array[:1].nbytes)) if array.ndim else 1
    for first in range(0, len(array) if array.ndim else 0, rows):
        digest.update(np.ascontiguousarray(array[first : first + rows]).view(np.uint8).data)
    return {"content": digest.hexdigest()}


def of_local_zarr(metadata: bytes, root: Path, array: str, keys: Sequence[str]) -> Fingerprint:
    """Return the fingerprint of a Zarr array in a directory; `keys` are those of the chunks whose files enter it."""
    contents = (_pieces_of(root / keys[i], 2) for i in spread(len(keys), PIECES))
    return {
        "metadata": _digest([[metadata]]),
        "place": os.path.realpath(root / array),
        "files": _of_files(root / key for key in keys),
        "sample": _digest(contents),
    }


def of_zipped_zarr(metadata: bytes, path: Path, array: str) -> Fingerprint:
    """Return the fingerprint of a Zarr array in a zip file: that of the file."""
    return of_file(path) | {"place": f"{os.path.realpath(path)}/{array}", "metadata": _digest([[metadata]])}


def of_stored_zarr(metadata: bytes, place: str, store: Any, keys: Sequence[str]) -> Fingerprint:
    """Return the fingerprint of a Zarr array in a store that is no directory: of its metadata and of the bytes of these
    chunks.
    """
    from zarr.core.sync import sync

    async def read() -> list[list[bytes]]:
        return await asyncio.gather(*(_ends_of(store, key) for key in keys))

    return {"metadata": _digest([[metadata]]), "place": place, "sample": _digest(sync(read()))}


def spread(count: int, most: int) -> list[int]:
    """Return up to `most` indices below `count`, evenly spread, the first and the last among them."""
    if count <= most:
        return list(range(count))
    return [i * (count - 1) // (most - 1) for i in range(most)]


def _digest(contents: Iterable[list[bytes]]) -> str:
    digest = hashlib.blake2b(digest_size=16)
    for pieces in contents:
        for piece in pieces:
            digest.update(len(piece).to_bytes(8, "little") + piece)
        digest.update(b"end")
    return digest.hexdigest()


def _pieces_of(path: Path, most: int) -> list[bytes]:
    """Return the size of a file, and evenly spread pieces of it, the first and the last among them."""
    try:
        with open(path, "rb", buffering=0) as file:
            size = file.seek(0, os.SEEK_END)
            found = [str(size).encode()]
            for i in spread(-(-size // PIECE), most):
                file.seek(max(0, min(i * PIECE, size - PIECE)))
                found.append(file.read(PIECE))
            return found
    except FileNotFoundError:
        return [b"absent"]
    except OSError as error:  # one that cannot be read is named where its rows are
        return [str(error.errno).encode()]


async def _ends_of(store: Any, key: str) -> list[bytes]:
    """Return the beginning and the end of a value of a store."""
    from zarr.abc.store import RangeByteRequest, SuffixByteRequest
    from zarr.core.buffer import default_buffer_prototype

    found = []
    for part in (RangeByteRequest(0, PIECE), SuffixByteRequest(PIECE)):
        try:
            value = await store.get(key, default_buffer_prototype(), part)
        except Exception:  # a store that refuses ranges beyond the value's end
            try:
                value = await store.get(key, default_buffer_prototype())
            except Exception as error:  # one that cannot be read is named where its rows are
                return [type(error).__name__.encode()]
        found.append(b"absent" if value is None else value.to_bytes())
    return found


def _of_files(paths: Iterable[Path]) -> Fingerprint:
    digest, found, size, newest = hashlib.blake2b(digest_size=16), 0, 0, 0
    for path in paths:
        try:
            status = os.stat(path)
            seen = f"{status.st_size}/{status.st_mtime_ns}"
            found, size, newest = found + 1, size + status.st_size, max(newest, status.st_mtime_ns)
        except OSError:
            seen = "absent"
        digest.update(f"{seen};".encode())
    return {"looked_at": found, "bytes": size, "newest_ns": newest, "digest": digest.hexdigest()}
