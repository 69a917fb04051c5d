"""Losses of rows in memory, where the predictions are."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np

from ...core.blocks import Block
from ..sources import Source


def sink_beside(y_pred: Source, shape: tuple[int, ...], dtype: np.dtype[Any]) -> Any:
    """For losses of rows in memory, where the predictions are; ``array()`` gives them."""
    if not y_pred.on_gpu:
        return ArraySink(shape, dtype)
    from .gpu import GpuSink

    return GpuSink(shape, dtype, y_pred)  # type: ignore[arg-type]


class ArraySink:
    """An array in memory."""

    where = "in memory"

    def memory(self, block: Block) -> None:
        """Nothing of a GPU's; see :class:`streamloss.storage.sinks.gpu.GpuSink`."""

    def __init__(self, shape: tuple[int, ...], dtype: np.dtype[Any]) -> None:
        self._array = np.empty(shape, dtype)

    def write(self, block: Block, losses: np.ndarray[Any, Any]) -> None:
        self._array[block.slices] = losses

    def array(self) -> np.ndarray[Any, Any]:
        return self._array

    def sync(self, blocks: Iterable[Block]) -> None:
        pass
