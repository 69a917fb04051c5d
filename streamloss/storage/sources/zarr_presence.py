"""Whether a Zarr array is still there, and whether any of its chunks is: asked when a chunk is found missing.

One missing chunk may be meant. An array without any chunk, chunks stored under other keys than the metadata says, and
an array whose metadata has gone are not: their fill values would pass for data.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

import zarr
from zarr.core.buffer import default_buffer_prototype
from zarr.core.sync import sync

from ...errors import MissingChunkError

_SWAP = str.maketrans("./", "/.")


@dataclass(frozen=True, slots=True)
class Presence:
    """The chunks of an array that a store lists."""

    any_chunk: bool
    """Whether there is a chunk, or whether the store cannot tell."""
    misnamed: str | None = None
    """A key that is a chunk's but for the separator; None where there is none, or where there are right ones."""


def refuse_vanished(array: zarr.Array[Any], role: str, where: str) -> None:
    """Raise MissingChunkError, whatever the policy, for an array whose metadata has gone since it was opened."""
    if not _is_there(array):
        raise MissingChunkError(
            f"{role}: {where} has vanished since it was opened: its metadata is gone (a folder that was removed, or a "
            "file system that is no longer mounted?). Restore it and evaluate again."
        )


def refuse_absent(array: zarr.Array[Any], role: str, where: str, fill_is_meant: bool) -> None:
    """Raise MissingChunkError for an array none of whose chunks is found.

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
            f"{array.fill_value}. Write the array, or pass missing_chunks='fill' if the fill value is meant."
        )


def _is_there(array: zarr.Array[Any]) -> bool:
    name = "zarr.json" if array.metadata.zarr_format == 3 else ".zarray"
    key = f"{array.path}/{name}" if array.path else name
    try:
        return sync(array.store.get(key, default_buffer_prototype())) is not None
    except FileNotFoundError:
        return False


def _presence(array: zarr.Array[Any]) -> Presence:
    """Return whether the store has any chunk of the array; the listing ends at the first."""
    if not array.store.supports_listing:
        return Presence(any_chunk=True)
    return sync(_search(array))


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
