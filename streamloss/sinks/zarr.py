"""NONE as a Zarr array whose chunks are the plan's blocks: each is written once, and atomically."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import zarr

from ..errors import OutputExistsError, UnwritableOutputError, UsageError
from ..types import Block
from ..uris import local_path, split_store


class ZarrSink:
    """``ZarrSink("out.zarr/mse", shape, chunks, dtype, attributes, overwrite=False)`` creates the array.

    Zarr's local store writes a chunk to a temporary file and renames it, so a reader, or a run that was
    interrupted, never sees half a chunk. Chunks that hold only the fill value (NaN) are written too, so an
    absent one was not evaluated.

    Raises OutputExistsError and UnwritableOutputError, before anything was overwritten.
    """

    def __init__(
        self,
        uri: str,
        shape: tuple[int, ...],
        chunks: tuple[int, ...],
        dtype: np.dtype[Any],
        attributes: Mapping[str, Any],
        overwrite: bool,
    ) -> None:
        self.where = uri
        store, inner = check_target(uri, overwrite)
        try:
            store.parent.mkdir(parents=True, exist_ok=True)
            self._array = zarr.create_array(
                store,
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
            raise UnwritableOutputError(f"out: cannot write {uri!r}: {_reason(error)}.") from error

    def write(self, block: Block, losses: np.ndarray[Any, Any]) -> None:
        try:
            self._array[block.slices] = losses
        except OSError as error:
            raise UnwritableOutputError(
                f"out: cannot write {self.where!r}: {_reason(error)}. The chunks already written are valid."
            ) from error


def check_target(uri: str, overwrite: bool) -> tuple[Path, str]:
    """The store and the path inside it, of a target that may be written; nothing is touched.

    Only an array may be replaced: a group, or a directory of other things, would lose what nobody named.
    Raises OutputExistsError and UsageError.
    """
    path = local_path(uri)
    if path is None:
        raise UsageError(
            f"out: cannot write {uri!r}: {uri.partition('://')[0]}:// is not supported; expected a local path."
        )
    store, inner = split_store(path)
    target = store / inner
    if not target.exists() or (target.is_dir() and not any(target.iterdir())):
        return store, inner
    if not overwrite:
        raise OutputExistsError(
            f"out: {uri!r} exists. Pass overwrite=True (--overwrite) to replace it, or another path."
        )
    if not _is_array(target):
        raise OutputExistsError(
            f"out: {uri!r} exists and is not a Zarr array, so it is not overwritten. Remove it, or pass another path."
        )
    return store, inner


def _is_array(target: Path) -> bool:
    try:
        if (target / ".zarray").exists():
            return True
        return bool(json.loads((target / "zarr.json").read_text())["node_type"] == "array")
    except (OSError, ValueError, KeyError, TypeError):
        return False


def _reason(error: Exception) -> str:
    return (getattr(error, "strerror", None) or str(error)).rstrip(".")
