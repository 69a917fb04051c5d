"""The part that sources have in common which read another source and change what it gives."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from . import fingerprints
from .base import HostSource, Source
from .labels import Labels


class Wrapped(HostSource):
    """A source that is kept as another one is, with its chunks, labels and place."""

    def __init__(self, inner: Source, dtype: np.dtype[Any]) -> None:
        """`dtype` is that of what is read."""
        self._inner = inner
        self.role, self.where, self.shape, self.dtype = inner.role, inner.where, inner.shape, dtype
        self.chunk_shape, self.dimensions, self.units = inner.chunk_shape, inner.dimensions, inner.units
        self.piece_shape, self.in_memory, self.remote = inner.piece_shape, inner.in_memory, inner.remote

    @property
    def inner(self) -> Source:
        """Return the source that is read."""
        return self._inner

    @property
    def filled(self) -> int:
        """Return how many chunks so far were absent and read as the fill value."""
        return self._inner.filled

    def locate(self, index: tuple[int, ...]) -> str:
        return self._inner.locate(index)

    def confirm(self) -> None:
        self._inner.confirm()

    def labels(self) -> Mapping[int, Labels]:
        return self._inner.labels()

    def fingerprint(self) -> fingerprints.Fingerprint:
        return self._inner.fingerprint()
