"""What tells an array from one that was changed, without reading it: settings, sizes and times of files.

A local Zarr array is told by its metadata (shape, dtype, chunks, codecs, attributes) and by the size and the time of
change, in nanoseconds, of its chunk files: of all of them up to ``SAMPLED``, and of as many evenly spread ones beyond.
So what rewrites an array, or a thousandth of a large one, is noticed; one chunk among a million may not be. A ``.npy``
file or a memory map is told by its file's size and time, an array in memory by a checksum of its bytes, an array in a
remote store by its metadata alone. Paths do not matter: a copy that keeps the times (``cp -p``, ``rsync -a``) is the
same array.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

SAMPLED = 4096
"""Chunk files whose size and time are looked at: about 20 ms on a local disk."""

Fingerprint = dict[str, Any]


def of_file(path: Path) -> Fingerprint:
    return {"files": _of_files([path])}


def of_memory(array: np.ndarray[Any, Any]) -> Fingerprint:
    """A checksum of all bytes, piece by piece: one gigabyte takes about a second."""
    digest = hashlib.blake2b(digest_size=16)
    rows = max(1, (8 << 20) // max(1, array[:1].nbytes)) if array.ndim else 1
    for first in range(0, len(array) if array.ndim else 0, rows):
        digest.update(np.ascontiguousarray(array[first : first + rows]).view(np.uint8).data)
    return {"content": digest.hexdigest()}


def of_zarr(metadata: bytes, root: Path | None, keys: Iterator[str] | None) -> Fingerprint:
    """`root` is the local store's directory, None for a remote one; `keys` of the chunks to look at."""
    fingerprint: Fingerprint = {"metadata": hashlib.blake2b(metadata, digest_size=16).hexdigest()}
    if root is not None and keys is not None:
        fingerprint["files"] = _of_files(root / key for key in keys)
    return fingerprint


def sample(count: int) -> list[int]:
    """Numbers of up to SAMPLED things of `count`, evenly spread, both ends among them."""
    if count <= SAMPLED:
        return list(range(count))
    return [i * (count - 1) // (SAMPLED - 1) for i in range(SAMPLED)]


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
