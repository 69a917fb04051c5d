"""The chunks of HDF5 datasets that were never written: HDF5 reads them as the dataset's fill value."""

from __future__ import annotations

import itertools
from typing import Any

from ...errors import MissingChunkError
from .base import Selection


class StoredChunks:
    """The chunks of an h5py.Dataset that are stored, and the policy for those that are not."""

    def __init__(self, dataset: Any, role: str, where: str, policy: str) -> None:
        """Raises MissingChunkError for a dataset of which nothing was ever written."""
        self.filled: set[tuple[int, ...]] = set()
        self._role, self._where, self._policy, self._fill = role, where, policy, dataset.fillvalue
        self._chunks: tuple[int, ...] = dataset.chunks or dataset.shape
        self._stored: set[tuple[int, ...]] | None = None
        """The first elements of stored chunks; None where all chunks are stored."""
        if dataset.is_virtual or dataset.external or 0 in dataset.shape:
            return
        if dataset.chunks is not None:
            grid = 1
            for size, chunk in zip(dataset.shape, dataset.chunks, strict=True):
                grid *= -(-size // chunk)
            if dataset.id.get_num_chunks() < grid:
                stored: set[tuple[int, ...]] = set()
                dataset.id.chunk_iter(lambda chunk: stored.add(chunk.chunk_offset))
                self._stored = stored
        elif dataset.id.get_storage_size() == 0:
            self._stored = set()
        if self._stored == set():
            raise MissingChunkError(
                f"{role}: nothing of {where} was ever written; HDF5 would read every element as the fill value "
                f"{dataset.fillvalue}. Write it, or pass missing_chunks='fill' if the fill value is meant."
            )

    def check(self, selection: Selection) -> None:
        """Apply the policy to the chunks under a rectangle: raise MissingChunkError, or count those that are absent."""
        if self._stored is None:
            return
        ranges = (
            range(s.start // c * c, s.stop if s.stop > s.start else s.start, c)
            for s, c in zip(selection, self._chunks, strict=True)
        )
        for first in itertools.product(*ranges):
            if first in self._stored:
                continue
            if self._policy == "error":
                raise MissingChunkError(
                    f"{self._role}: the chunk from {list(first)} on of {self._where} was never written; HDF5 would "
                    f"read its elements as the fill value {self._fill}. Write it, or pass missing_chunks='warn' or "
                    f"'fill' if the fill value is meant: {{{self._role!r}: 'fill'}} allows it for this array only."
                )
            self.filled.add(first)
