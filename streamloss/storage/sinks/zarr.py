"""Losses of rows (the reduction NONE) as a Zarr array whose chunks are the plan's blocks.

Each chunk is written once, and atomically, so any number of threads and processes can write at a time. Parts of one
evaluation, on other machines or after a restart, have the same `key`: they continue the array that one of them created.
"""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import zarr

from ...core.blocks import Block
from ...errors import OutputExistsError, UnwritableOutputError, UsageError
from ..uris import local_path, split_store
from .zarr_surroundings import is_array, refuse_foreign_stores

KEY = "streamloss_evaluation"
"""The attribute with the key of the evaluation that an array belongs to."""


class ZarrSink:
    """A Zarr array of losses.

    ``ZarrSink("out.zarr/mse", shape, chunks, dtype, attributes, overwrite=False)`` creates the array; with a `key` it
    opens an array that has the same key, and `joined` is then True.

    Zarr's local store writes a chunk to a temporary file and renames it, so a reader, or a run that was
    interrupted, never sees half a chunk. Chunks that hold only the fill value (NaN) are written too, so an
    absent one was not evaluated.

    Raises OutputExistsError and UnwritableOutputError before anything is overwritten.
    """

    def __init__(
        self,
        uri: str,
        shape: tuple[int, ...],
        chunks: tuple[int, ...],
        dtype: np.dtype[Any],
        attributes: Mapping[str, Any],
        overwrite: bool,
        key: str | None = None,
    ) -> None:
        self.where = uri
        store, inner = check_target(uri, overwrite, key)
        self._root = store.absolute()
        self.joined = key is not None and _key_of(store / inner) == key and not overwrite
        if self.joined:
            self._array = zarr.open_array(self._root, path=inner, mode="r+", config={"write_empty_chunks": True})
            return
        if key is not None:
            attributes = {**attributes, KEY: key}
        try:
            store.parent.mkdir(parents=True, exist_ok=True)
            self._array = zarr.create_array(
                self._root,
                name=inner or None,
                shape=shape,
                chunks=tuple(max(1, c) for c in chunks),
                dtype=dtype,
                fill_value=np.nan,
                attributes=dict(attributes),
                overwrite=overwrite,
                config={"write_empty_chunks": True},
            )
        except (OSError, ValueError) as error:  # ValueError: zarr's, such as a parent that is an array
            if key is not None and _key_of(store / inner) == key:  # another part was faster
                self.joined = True
                self._array = zarr.open_array(self._root, path=inner, mode="r+", config={"write_empty_chunks": True})
                return
            raise UnwritableOutputError(f"out: cannot write {uri!r}: {_reason(error)}.") from error

    def memory(self, block: Block) -> None:
        """Return None: the losses go to the store."""

    def write(self, block: Block, losses: np.ndarray[Any, Any]) -> None:
        try:
            self._array[block.slices] = losses
        except OSError as error:
            raise UnwritableOutputError(
                f"out: cannot write {self.where!r}: {_reason(error)}. The chunks already written are valid."
            ) from error

    def sync(self, blocks: Iterable[Block]) -> None:
        """Flush the chunks of blocks to the disk, so that they survive a loss of power."""
        folders = set()
        for block in blocks:
            position = tuple(a // c for a, c in zip(block.start, self._array.chunks, strict=True))
            path = self._root / self._array.path / self._array.metadata.encode_chunk_key(position)
            _fsync(path)
            folders.add(path.parent)
        for folder in folders:
            _fsync(folder)


def _fsync(path: Path) -> None:
    """Flush a file or directory to the disk, unless it is not on this machine or its file system cannot."""
    with contextlib.suppress(OSError):
        descriptor = os.open(path, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def check_target(uri: str, overwrite: bool, key: str | None = None) -> tuple[Path, str]:
    """Return the store and the path inside it of a target that may be written; nothing is changed.

    Only an array may be replaced: with a group, or a directory of other files, what nobody named would be lost.
    Raises OutputExistsError, UnwritableOutputError and UsageError.
    """
    path = local_path(uri)
    if path is None:
        raise UsageError(
            f"out: cannot write {uri!r}: {uri.partition('://')[0]}:// is not supported; expected a local path."
        )
    store, inner = split_store(path)
    target = store / inner
    if (file := next((folder for folder in target.parents if folder.is_file()), None)) is not None:
        raise UnwritableOutputError(
            f"out: cannot write {uri!r}: {str(file)!r} is a file; expected a Zarr group, or a name that is free."
        )
    refuse_foreign_stores(uri, target)
    if not target.exists() or (target.is_dir() and not any(target.iterdir())):
        return store, inner
    if not overwrite:
        if key is not None and _key_of(target) == key:
            return store, inner
        raise OutputExistsError(
            f"out: {uri!r} exists. Pass overwrite=True (--overwrite) to replace it, or another path."
        )
    if not is_array(target):
        raise OutputExistsError(
            f"out: {uri!r} exists and is not a Zarr array, so it is not overwritten. Remove it, or pass another path."
        )
    return store, inner


def _key_of(target: Path) -> str | None:
    """Return the key of the evaluation that an array belongs to; None where there is no array, or no key."""
    try:
        return str(json.loads((target / "zarr.json").read_text())["attributes"][KEY])
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _reason(error: Exception) -> str:
    """Return what an error says, without the file's name and a full stop."""
    return (getattr(error, "strerror", None) or str(error)).rstrip(".")
