"""Cutting rows into blocks: whole chunks of `y_pred`, as many as a target and a budget of bytes allow."""

from __future__ import annotations

import math

from ..storage.sources.base import Source, nbytes
from .alignment import CLASS_AXIS, Shape, View
from .memory import BlockCost

TARGET = 32 << 20
"""Bytes of `y_pred` in a block: a millisecond of scheduling is nothing beside it, and a few fit any budget."""
TARGET_IN_MEMORY = 256 << 20
TARGET_ON_GPU = 4 << 30
"""A GPU reads so much in a millisecond or two; to launch its kernels takes a tenth of one."""
SMALLEST = 1 << 20
MAX_ROWS = 1 << 29
"""The most rows of a block, so that its sums fit their limbs; see ``aggregation.accumulator.MAX_VALUES``."""


def choose_block(cost: BlockCost, y_pred: Source, shape: Shape, share: int, workers: int) -> Shape:
    """Return the shape of all blocks but the last along each axis; within `share` bytes where whole chunks can be.

    `shape` is that of the losses, and `workers` the number of workers that are to have blocks.
    """
    view = next(view for source, view in cost.arrays if source is y_pred)
    return _end_with_chunks(cost, shape, _grow(cost, shape, y_pred, view, share, workers), share)


def notes(cost: BlockCost, block_shape: Shape) -> list[str]:
    """Return what costs time and could be stored otherwise, one note for each array."""
    found = {}
    for source, view in cost.arrays:
        for size, chunk, axis in zip(source.shape, source.chunk_shape, view.axes, strict=True):
            if axis == CLASS_AXIS and 1 < chunk < size:
                found[source.role] = (
                    f"{source.role} is chunked along its classes ({chunk} of {size}): rows are assembled in memory"
                )
            elif axis >= 0 and chunk > block_shape[axis]:
                found[source.role] = (
                    f"{source.role} has chunks of {chunk:,} rows, more than a block's {block_shape[axis]:,}: "
                    "each is decoded for every block it touches"
                )
    return list(found.values())


def _rows_of_chunk(view: View, shape: Shape, y_pred: Source) -> Shape:
    """Return the rows that `y_pred` decodes as a whole, for each axis of the losses."""
    chunk_shape = [1] * len(shape)
    for size, axis in zip(y_pred.chunk_shape, view.axes, strict=True):
        if axis >= 0:
            chunk_shape[axis] = max(1, min(size, shape[axis]))
    return tuple(chunk_shape)


def _grow(cost: BlockCost, shape: Shape, y_pred: Source, view: View, share: int, workers: int) -> Shape:
    """Return whole chunks up to the target, the last axis first; fewer where the budget asks for it."""
    total = nbytes(view.selected_shape(shape), y_pred.dtype)
    read = max(SMALLEST, min(TARGET, total // (4 * workers)))
    whole = y_pred.in_memory and not cost.tables.collected  # collectors have a thread each, as blocks have
    target = TARGET_ON_GPU if y_pred.on_gpu else TARGET_IN_MEMORY if whole else read

    def fits(candidate: Shape) -> bool:
        bytes_read = nbytes(view.selected_shape(candidate), y_pred.dtype)
        return bytes_read <= target and cost.bytes_of(candidate) <= share and math.prod(candidate) <= MAX_ROWS

    if all(shape) and fits(shape):
        return shape
    chunk_shape = _rows_of_chunk(view, shape, y_pred)
    block = list(chunk_shape)
    for axis in reversed(range(len(shape))):
        low, high = 1, -(-shape[axis] // chunk_shape[axis])  # in chunks; the largest that fits, by bisection
        while low < high:
            middle = (low + high + 1) // 2
            block[axis] = min(middle * chunk_shape[axis], shape[axis])
            low, high = (middle, high) if fits(tuple(block)) else (low, middle - 1)
        block[axis] = max(1, min(low * chunk_shape[axis], shape[axis]))
        if block[axis] < shape[axis]:
            break
    return tuple(block)


def _end_with_chunks(cost: BlockCost, shape: Shape, block: Shape, share: int) -> Shape:
    """Return the block, cut or doubled at most so that it ends where all arrays' chunks end: each is decoded once."""
    common = [1] * len(shape)
    for source, view in cost.arrays:
        for chunk, axis in zip(source.chunk_shape, view.axes, strict=True):
            if axis >= 0:
                common[axis] = math.lcm(common[axis], chunk)
    aligned = tuple(
        size if size == n or c > 2 * size else max(1, size // c) * c
        for size, n, c in zip(block, shape, common, strict=True)
    )
    aligned = tuple(max(1, min(size, n)) for size, n in zip(aligned, shape, strict=True))
    return aligned if cost.bytes_of(aligned) <= max(share, cost.bytes_of(block)) else block
