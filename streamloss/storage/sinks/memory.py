"""Losses of rows as an array in memory, on the device where the predictions are."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np

from ...core.blocks import Block
from ..sources import Source
from .base import MemorySink


def sink_beside(y_pred: Source, shape: tuple[int, ...], dtype: np.dtype[Any]) -> MemorySink:
    """Return a sink for losses of that shape in the memory, of the host or a GPU, where the predictions are."""
    if not y_pred.on_gpu:
        return ArraySink(shape, dtype)
    from ..sources.gpu import GpuSource
    from .gpu import GpuSink

    assert isinstance(y_pred, GpuSource)
    return GpuSink(shape, dtype, y_pred)


class ArraySink:
    """The losses as a NumPy array."""

    where = "in memory"

    def __init__(self, shape: tuple[int, ...], dtype: np.dtype[Any]) -> None:
        self._array = np.empty(shape, dtype)

    def memory(self, block: Block) -> None:
        """Return None: the losses are in the host's memory."""

    def write(self, block: Block, losses: np.ndarray[Any, Any]) -> None:
        self._array[block.slices] = losses

    def array(self) -> np.ndarray[Any, Any]:
        return self._array

    def sync(self, blocks: Iterable[Block]) -> None:
        pass
