"""The memory that a block takes: the projection that a plan promises to stay within."""

from __future__ import annotations

import math
from dataclasses import dataclass

from ..storage.sources.base import Source
from .alignment import CLASS_AXIS, Shape, View
from .dtypes import floating_dtype
from .gpu import stays_on_gpu
from .plan import PlannedLoss
from .tables import TableCost

RATIO_BYTES = 4 << 10
"""Bytes for each ratio over the whole data: its sums, as integers and on the way there."""


@dataclass(frozen=True, slots=True)
class BlockCost:
    """The memory that one worker takes for a block, by the block's shape."""

    arrays: tuple[tuple[Source, View], ...]
    """All arrays that are read, each with how a loss sees it."""
    losses: tuple[PlannedLoss, ...]
    by_class: bool
    """Whether rows are weighted by their labels."""
    losses_held: bool
    """Whether the host holds losses of rows until they are written."""
    tables: TableCost
    """The tables by key that the block's rows are added to."""

    def bytes_of(self, block_shape: Shape) -> int:
        """Return an upper bound of the bytes that one worker holds while it evaluates a block of this shape."""
        read = {(source.role, view): self._read_bytes(source, view, block_shape) for source, view in self.arrays}
        rows = math.prod(block_shape)
        by_class = 4 * 8 * rows if self.by_class else 0
        held = 2 * rows if self.losses_held else 0
        ratio_shapes = [loss.alignment.ratio_shape for loss in self.losses]
        written = sum(held * loss.dtype.itemsize for loss in self.losses if loss.alignment.ratio_shape is None)
        ratios = sum(RATIO_BYTES * math.prod(shape) for shape in ratio_shapes if shape is not None)
        maps = sum(self._map_bytes(loss, block_shape) for loss in self.losses if loss.formula.is_ratio)
        tables = self.tables.bytes_of(rows) + self.tables.row_bytes(rows)
        return by_class + sum(read.values()) + written + ratios + tables + maps

    def _map_bytes(self, loss: PlannedLoss, block_shape: Shape) -> int:
        """Return the bytes for a ratio's labels that are a map, and for leaving out elements that are ignored."""
        elements = math.prod(loss.alignment.y_pred.selected_shape(block_shape))
        labels = math.prod(loss.alignment.y_true.selected_shape(block_shape))
        ignores = loss.spec.parameters["ignore_class"] is not None
        one_hot = 2 * elements + 4 * 8 * labels if loss.alignment.class_axis is not None else 0
        return one_hot + (elements * (2 + 2 * loss.dtype.itemsize) if ignores else 0)

    def _read_bytes(self, source: Source, view: View, block_shape: Shape) -> int:
        """Return the bytes for reading a block of one array, and for converting it to what kernels take."""
        if stays_on_gpu(source, view, len(block_shape), self.losses, self.by_class):
            return 0
        read = source.read_bytes(view.selected_shape(block_shape))
        rows = math.prod(block_shape)
        if source.role in ("sample_weight", "mask"):
            return read + 8 * rows
        if source.role != "y_true" and not source.role.startswith("y_pred"):
            return read  # a key; tables count what is made of it
        classes = math.prod(n for n, axis in zip(view.shape, view.axes, strict=True) if axis == CLASS_AXIS)
        if source.role == "y_true" and any(loss.formula.integer_labels for loss in self.losses):
            return read + 3 * 8 * rows * classes  # int64, and two steps on the way there from floats
        # in memory and float already: views; axes out of order or another dtype: one copy
        floating = floating_dtype(source.dtype)
        in_order = CLASS_AXIS not in view.axes or view.axes[-1] == CLASS_AXIS
        plain = floating == source.dtype and in_order and all(loss.precision is None for loss in self.losses)
        return read + (0 if plain else 2 * rows * classes * floating.itemsize)
