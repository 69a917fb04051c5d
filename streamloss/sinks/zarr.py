"""NONE as a Zarr array whose chunks are the plan's blocks: each is written once, and atomically."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import zarr

from ..errors import OutputExistsError, UnwritableOutputError
from ..types import Block
from ..uris import split_store


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
        store, inner = split_store(Path(uri))
        target = store / inner
        if target.exists() and not overwrite and any(target.iterdir() if target.is_dir() else [target]):
            raise OutputExistsError(
                f"out: {uri!r} exists. Pass overwrite=True (--overwrite) to replace it, or another path."
            )
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
        except OSError as error:
            raise UnwritableOutputError(f"out: cannot write {uri!r}: {error.strerror or error}.") from error

    def write(self, block: Block, losses: np.ndarray[Any, Any]) -> None:
        try:
            self._array[block.slices] = losses
        except OSError as error:
            raise UnwritableOutputError(
                f"out: cannot write {self.where!r}: {error.strerror or error}. The chunks already written are valid."
            ) from error
