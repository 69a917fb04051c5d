"""Losses of rows (the reduction NONE) as a Zarr array in an object store, whose chunks are the plan's blocks.

An object is written as a whole or not at all, so any number of threads and processes can write at a time. Object stores
have no locks: two runs that write to one place are noticed at the end, when the array is another one's.
"""

from __future__ import annotations

import json
import uuid
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import zarr
from zarr.codecs import ZstdCodec

from ...core.blocks import Block
from ...errors import OutputExistsError, SourceError, StreamlossError, UnwritableOutputError, UsageError
from ..stores import FAMILIES, scrubbed, split_remote
from ..uris import StorageOptions, address_of, redacted
from ..zarr_objects import RemoteStore
from .zarr import KEY, RUN


class RemoteZarrSink:
    """A Zarr array of losses in an object store; with `keys` it goes on with an array that has one of them.

    Raises UsageError for a place that cannot be written, OutputExistsError for what is there, and
    UnwritableOutputError.
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
        options: StorageOptions | None = None,
    ) -> None:
        self.where = redacted(uri)
        self._store, self._inner = _store_of(uri, options or StorageOptions())
        try:
            found = self._found()
            held = str(found.get("attributes", {}).get(KEY)) if found else None
            self.joined = held in keys and not overwrite
            if found and not self.joined:
                _refuse(self.where, found, overwrite)
            self._identity = (KEY, keys[-1]) if keys else (RUN, uuid.uuid4().hex)
            if self.joined:
                self._identity = (KEY, str(held))
                opened = zarr.open_array(self._store, path=self._inner, mode="r+", config={"write_empty_chunks": True})
            else:
                opened = zarr.create_array(
                    self._store,
                    name=self._inner or None,
                    shape=shape,
                    chunks=tuple(max(1, c) for c in chunks),
                    dtype=dtype,
                    compressors=ZstdCodec(checksum=True),  # what is damaged later is refused
                    fill_value=np.nan,
                    attributes={**attributes, self._identity[0]: self._identity[1]},
                    config={"write_empty_chunks": True},
                    overwrite=bool(found),
                )
            self._array = opened
        except StreamlossError as error:
            if isinstance(error, SourceError):
                raise UnwritableOutputError(f"out: cannot write {self.where!r}: {error}") from None
            raise
        except Exception as error:  # of the provider
            raise UnwritableOutputError(f"out: cannot write {self.where!r}: {scrubbed(error)}") from None

    def memory(self, block: Block) -> None:
        """Return None: the losses go to the store."""

    def write(self, block: Block, losses: np.ndarray[Any, Any]) -> None:
        try:
            self._array[block.slices] = losses
        except Exception as error:  # of the provider, after its retries
            raise UnwritableOutputError(
                f"out: cannot write {self.where!r}: {scrubbed(error)} The chunks already written are valid."
            ) from None

    def sync(self, blocks: Iterable[Block]) -> None:
        """Do nothing: an object that was accepted is kept."""

    def check(self, blocks: Iterable[Block]) -> None:
        """Raise UnwritableOutputError where the array is another run's by now, or a block's chunk is gone."""
        found = self._found() or {}
        name, value = self._identity
        if found.get("attributes", {}).get(name) != value:
            raise UnwritableOutputError(
                f"out: {self.where!r} is no longer the array that this run writes to: it was removed, or another run "
                "replaced it. What is there is not to be trusted; evaluate again, to a place of its own."
            )
        listed = self._listed()
        for block in blocks:
            position = tuple(a // c for a, c in zip(block.start, self._array.chunks, strict=True))
            key = self._array.metadata.encode_chunk_key(position)
            if key not in listed:
                raise UnwritableOutputError(
                    f"out: the chunk {key!r} of {self.where!r} was written and is no longer there; nothing else may "
                    "remove objects there. Remove the array, and the checkpoint if there is one, and evaluate again."
                )

    def close(self) -> None:
        """Do nothing: there is no lock to give back."""

    def _key(self, name: str) -> str:
        return f"{self._inner}/{name}" if self._inner else name

    def _found(self) -> dict[str, Any] | None:
        """Return the metadata of what is at the place; None where there is nothing."""
        for name in ("zarr.json", ".zarray", ".zgroup"):
            data = self._store.fetch(self._key(name))
            if data is not None:
                content: dict[str, Any] = json.loads(bytes(data))
                return content if name == "zarr.json" else {"node_type": "format 2"}
        return None

    def _listed(self) -> set[str]:
        import obstore

        prefix = f"{self._inner}/" if self._inner else ""
        pages = obstore.list(self._store.store, prefix=prefix or None)
        return {entry["path"].removeprefix(prefix) for page in pages for entry in page}


def _store_of(uri: str, options: StorageOptions) -> tuple[RemoteStore, str]:
    address = address_of(uri)
    if FAMILIES.get(address.scheme, "http") == "http":
        raise UsageError(
            f"out: cannot write {redacted(uri)!r}: expected a local path, or s3://, gs:// or az://; "
            f"{address.scheme}:// is not written to."
        )
    if "?" in uri:
        raise UsageError(f"out: {redacted(uri)!r} was given with a query; expected options in storage_options=.")
    place, inner = split_remote(address)
    return RemoteStore(place, options, "out", read_only=False), inner


def _refuse(where: str, found: Mapping[str, Any], overwrite: bool) -> None:
    """Raise OutputExistsError for what is at a place already, unless it is an array that may be replaced."""
    if not overwrite:
        raise OutputExistsError(
            f"out: {where!r} exists. Pass overwrite=True (--overwrite) to replace it, or another place."
        )
    if found.get("node_type") != "array":
        raise OutputExistsError(
            f"out: {where!r} exists and is not a Zarr array of format 3, so it is not overwritten. Remove it, or pass "
            "another place."
        )
