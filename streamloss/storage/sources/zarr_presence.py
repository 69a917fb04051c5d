"""Whether a Zarr array is still there, and whether any of its chunks is: asked when a chunk is found missing.

One missing chunk may be meant. An array without any chunk, chunks stored under other keys than the metadata says, an
array whose metadata has gone, and chunks that were read and are gone are not: their fill values would pass for data. A
folder is removed file by file, its metadata perhaps last, so an array is looked at again at the end of a run.
"""

from __future__ import annotations

import asyncio
import re
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import zarr
from zarr.core.sync import sync
from zarr.storage import LocalStore

from ...errors import CorruptChunkError, MissingChunkError
from .base import fill_option
from .foreign_files import explain_stand_in
from .unchanged import Stamp, stamp_of
from .zarr_metadata import fill_of

_SWAP = str.maketrans("./", "/.")
WITNESSES = 8
"""The most chunks that were read and are looked for again."""


@dataclass(frozen=True, slots=True)
class Presence:
    """The chunks of an array that a store lists."""

    any_chunk: bool
    """Whether there is a chunk, or whether the store cannot tell."""
    misnamed: str | None = None
    """A key that is a chunk's but for the separator; None where there is none, or where there are right ones."""


class Witnesses:
    """The keys of a few chunks that were read, evenly spread over the reads. Any thread may add one."""

    def __init__(self, root: Path | None = None) -> None:
        """`root` is the folder of the keys, where they are local files, whose versions are then kept, too."""
        self._root = root
        self._keys: dict[str, Stamp | None] = {}
        self._reads, self._every = 0, 1
        self._lock = threading.Lock()

    def add(self, key: str) -> None:
        with self._lock:
            if self._reads % self._every == 0:
                self._keys.setdefault(key, None if self._root is None else stamp_of(self._root / key))
                if len(self._keys) > WITNESSES:
                    self._keys = dict(list(self._keys.items())[::2])
                    self._every *= 2
            self._reads += 1

    @property
    def keys(self) -> tuple[str, ...]:
        """The keys that are kept up to now."""
        return tuple(self._keys)

    @property
    def stamps(self) -> dict[Path, Stamp]:
        """The versions of those of the kept keys that are files and still there."""
        if self._root is None:
            return {}
        found = {self._root / key: stamp for key, stamp in dict(self._keys).items() if stamp is not None}
        return {path: stamp for path, stamp in found.items() if path.exists()}


def refuse_vanished(array: zarr.Array[Any], role: str, where: str, keys: Sequence[str]) -> None:
    """Raise MissingChunkError, whatever the policy, where one of the keys has gone: of the metadata, and of chunks that
    were read before.
    """
    gone = sync(_gone(array, keys))
    if gone is not None:
        raise vanished(role, where, gone)


def vanished(role: str, where: str, gone: str) -> MissingChunkError:
    """Return the error about an array of which something is gone since it was opened."""
    return MissingChunkError(
        f"{role}: {where} has vanished since it was opened: {gone} is gone (a folder that was removed, or a file "
        "system that is no longer mounted?). Restore it and evaluate again."
    )


def unreadable(array: zarr.Array[Any], role: str, where: str, key: str, error: Exception) -> CorruptChunkError:
    """Return the error about a chunk that is there, but cannot be read or decoded."""
    if isinstance(array.store, LocalStore) and (found := explain_stand_in(array.store.root / key, role)) is not None:
        return CorruptChunkError(found)
    what, why = f"{role}: chunk {key} of {where} cannot be", f"{type(error).__name__}: {error}"
    if isinstance(error, OSError):  # it may be whole: permissions, a mount that is gone
        return CorruptChunkError(f"{what} read: {why}. Make it readable, and evaluate again.")
    return CorruptChunkError(f"{what} decoded: {why}. Write it again.")


def refuse_absent(array: zarr.Array[Any], role: str, where: str, fill_is_meant: bool) -> bool:
    """Raise MissingChunkError for an array none of whose chunks is found; return whether one is.

    With `fill_is_meant`, or where each missing chunk is refused anyway, only chunks under other keys are refused here.
    """
    found = _presence(array)
    if found.misnamed is not None:
        raise MissingChunkError(
            f"{role}: the chunks of {where} are stored as {found.misnamed!r}, but its metadata says "
            f"{array.metadata.encode_chunk_key((0,) * array.ndim)!r}, so none is found. Correct the separator in the "
            f'metadata, to {"/" if "/" in found.misnamed else "."!r} (format 2: "dimension_separator" in .zarray).'
        )
    if not found.any_chunk and not fill_is_meant:
        raise MissingChunkError(
            f"{role}: {where} has no chunk at all; Zarr would read every element as the fill value "
            f"{fill_of(array)}. Write the array, or pass {fill_option(role)} if the fill value is meant."
        )
    return found.any_chunk


async def _gone(array: zarr.Array[Any], keys: Sequence[str]) -> str | None:
    """Return the first of the keys that the store has no longer, or why it cannot tell; None where all are there."""

    async def look(key: str) -> str | None:
        try:
            return None if await array.store.exists(key) else key
        except Exception as error:  # each store has its own; a mount that has gone raises OSError
            return f"{key} ({type(error).__name__}: {error})"

    return next(filter(None, await asyncio.gather(*map(look, keys))), None)


def _presence(array: zarr.Array[Any]) -> Presence:
    """Return whether the store has any chunk of the array; the listing ends at the first."""
    if not array.store.supports_listing:
        return Presence(any_chunk=True)
    try:
        return sync(_search(array))
    except Exception:
        if isinstance(array.store, LocalStore):
            raise
        return Presence(any_chunk=True)  # a bucket that may be read need not be listed


async def _search(array: zarr.Array[Any]) -> Presence:
    prefix = f"{array.path}/" if array.path else ""
    key = array.metadata.encode_chunk_key((0,) * array.ndim)
    own, other = (re.compile(re.escape(k).replace("0", r"\d+")) for k in (key, key.translate(_SWAP)))
    misnamed = None
    async for found in array.store.list_prefix(prefix):
        name = found.removeprefix(prefix)
        if own.fullmatch(name):
            return Presence(any_chunk=True)
        if misnamed is None and other.fullmatch(name):
            misnamed = name
    return Presence(any_chunk=False, misnamed=misnamed)
