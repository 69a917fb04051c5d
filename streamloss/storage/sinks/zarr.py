"""Losses of rows (the reduction NONE) as a Zarr array whose chunks are the plan's blocks.

Each chunk is written once, and atomically, so any number of threads and processes can write at a time. Parts of one
evaluation, on other machines or after a restart, have the same `key`: they continue the array that one of them created.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import uuid
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import zarr
from zarr.codecs import ZstdCodec

from ...core.blocks import Block
from ...errors import OutputExistsError, StreamlossError, UnwritableOutputError, UsageError
from ..uris import local_path, redacted, split_store
from .claims import Claim
from .zarr_surroundings import is_array, refuse_foreign_stores

KEY = "streamloss_evaluation"
"""The attribute with the key of the evaluation that an array belongs to."""
RUN = "streamloss_run"
"""The attribute with the identity of the run that an array belongs to, where it is not continued by others."""


class ZarrSink:
    """A Zarr array of losses.

    ``ZarrSink("out.zarr/mse", shape, chunks, dtype, attributes, overwrite=False)`` creates the array; with `keys` it
    opens an array that has one of them, and `joined` is then True.

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
        keys: Sequence[str] = (),
    ) -> None:
        self.where = uri
        store, inner = check_target(uri, overwrite, keys)
        self._root = store.absolute()
        self._target = self._root / inner
        self._identity = (KEY, keys[-1]) if keys else (RUN, uuid.uuid4().hex)
        self._claim: Claim | None = None
        try:
            self._target.mkdir(parents=True, exist_ok=True)
            self._claim = Claim(self._target, uri, shared=bool(keys))
            check_target(uri, overwrite, keys)  # again: another run may have come before the claim
            self.joined = _key_of(self._target) in keys and not overwrite
            if self.joined:
                self._identity = (KEY, str(_key_of(self._target)))
                self._array = zarr.open_array(self._root, path=inner, mode="r+", config={"write_empty_chunks": True})
            elif not self._claim.alone:
                raise UnwritableOutputError(
                    f"out: another run is writing to {uri!r}. Wait for it, or pass another path."
                )
            else:
                _empty(self._target)
                self._array = zarr.create_array(
                    self._root,
                    name=inner or None,
                    shape=shape,
                    chunks=tuple(max(1, c) for c in chunks),
                    dtype=dtype,
                    compressors=ZstdCodec(checksum=True),  # what is damaged later is refused
                    fill_value=np.nan,
                    attributes={**attributes, self._identity[0]: self._identity[1]},
                    config={"write_empty_chunks": True},
                )
            if keys:
                self._claim.share()
        except BaseException as error:
            self.close()
            if isinstance(error, OSError | ValueError) and not isinstance(error, StreamlossError):
                raise UnwritableOutputError(f"out: cannot write {uri!r}: {_reason(error)}.") from error
            raise

    def __getstate__(self) -> dict[str, Any]:
        """Leave the claim to the process that made it: workers write for it."""
        return {**self.__dict__, "_claim": None}

    def close(self) -> None:
        """Let other runs have the target."""
        if self._claim is not None:
            self._claim.close()

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
        self._check_identity()
        folders = set()
        for path in map(self._file_of, blocks):
            _fsync(path)
            folders.add(path.parent)
        for folder in folders:
            _fsync(folder)

    def check(self, blocks: Iterable[Block]) -> None:
        """Raise UnwritableOutputError where the array, or a chunk of one of these blocks, is no longer there."""
        self._check_identity()
        listed: dict[Path, set[str]] = {}
        for block in blocks:
            path = self._file_of(block)
            if path.parent not in listed:
                listed[path.parent] = _names_in(path.parent)
            if path.name not in listed[path.parent]:
                raise UnwritableOutputError(
                    f"out: the losses of {', '.join(f'{a}:{b}' for a, b in zip(block.start, block.stop, strict=True))} "
                    f"were written to {str(path)!r}, which is no longer there; nothing else may remove files there. "
                    "Remove the array, and the checkpoint if there is one, and evaluate again."
                )

    def _check_identity(self) -> None:
        """Raise UnwritableOutputError where the array is gone, or is another run's."""
        name, value = self._identity
        if _attribute_of(self._target, name) != value:
            raise UnwritableOutputError(
                f"out: {self.where!r} is no longer the array that this run writes to: it was removed, or another run "
                "replaced it. What is there is not to be trusted; evaluate again, to a path of its own."
            )

    def _file_of(self, block: Block) -> Path:
        position = tuple(a // c for a, c in zip(block.start, self._array.chunks, strict=True))
        return self._target / self._array.metadata.encode_chunk_key(position)


def _names_in(folder: Path) -> set[str]:
    try:
        return set(os.listdir(folder))
    except (FileNotFoundError, NotADirectoryError):
        return set()


def _empty(folder: Path) -> None:
    """Remove what is in a directory, and keep the directory, which is claimed."""
    for path in folder.iterdir():
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        else:
            path.unlink()


def _fsync(path: Path) -> None:
    """Flush a file or directory to the disk, unless it is not on this machine or its file system cannot."""
    with contextlib.suppress(OSError):
        descriptor = os.open(path, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def check_target(uri: str, overwrite: bool, keys: Sequence[str] = ()) -> tuple[Path, str]:
    """Return the store and the path inside it of a target that may be written; nothing is changed.

    Only an array may be replaced: with a group, or a directory of other files, what nobody named would be lost.
    Raises OutputExistsError, UnwritableOutputError and UsageError.
    """
    path = local_path(uri)
    if path is None:
        raise UsageError(
            f"out: cannot write {redacted(uri)!r}: {uri.partition('://')[0]}:// is not supported; "
            "expected a local path."
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
        if _key_of(target) in keys:
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
    return _attribute_of(target, KEY)


def _attribute_of(target: Path, name: str) -> str | None:
    try:
        return str(json.loads((target / "zarr.json").read_text())["attributes"][name])
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _reason(error: Exception) -> str:
    """Return what an error says, without the file's name and a full stop."""
    return (getattr(error, "strerror", None) or str(error)).rstrip(".")
