"""Fingerprints, which tell an array from one that was changed without reading files: settings, sizes and times.

The fingerprint of a local Zarr array is its metadata (shape, dtype, chunks, codecs, attributes), and the size and the
time of change, in nanoseconds, of its chunk files: of all of them up to ``SAMPLED``, and of that many evenly spread
ones beyond. So it changes when an array, or a thousandth of a large one, is rewritten; it may not when one chunk among
a million is. Of a ``.npy`` file or a memory map it is the file's size and time, of an array in memory a checksum of its
bytes, of an array in a remote store the metadata alone. Paths do not matter: a copy that keeps the times (``cp -p``,
``rsync -a``) is the same array.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

SAMPLED = 4096
"""The most chunk files whose size and time enter a fingerprint: about 20 ms on a local disk."""

Fingerprint = dict[str, Any]


def of_file(path: Path) -> Fingerprint:
    """Return the fingerprint of an array that is one file."""
    return {"files": _of_files([path])}


def of_memory(array: np.ndarray[Any, Any]) -> Fingerprint:
    """Return a checksum of all bytes, piece by piece: one gigabyte takes about a second."""
    digest = hashlib.blake2b(digest_size=16)
    rows = max(1, (8 << 20) // max(1, array[:1].nbytes)) if array.ndim else 1
    for first in range(0, len(array) if array.ndim else 0, rows):
        digest.update(np.ascontiguousarray(array[first : first + rows]).view(np.uint8).data)
    return {"content": digest.hexdigest()}


def of_zarr(metadata: bytes, root: Path | None, keys: Iterator[str] | None) -> Fingerprint:
    """Return the fingerprint of a Zarr array. `root` is the local store's directory, None for a remote one; `keys` are
    those of the chunks whose files enter it.
    """
    fingerprint: Fingerprint = {"metadata": hashlib.blake2b(metadata, digest_size=16).hexdigest()}
    if root is not None and keys is not None:
        fingerprint["files"] = _of_files(root / key for key in keys)
    return fingerprint


def sample(count: int) -> list[int]:
    """Return up to SAMPLED indices below `count`, evenly spread, the first and the last among them."""
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
