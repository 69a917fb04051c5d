"""Pieces of a block: so few rows that what was read is still in the processor's caches when its losses are computed.

A plan's blocks are as large as scheduling, targets of losses and networks want them. A thread that reads 32 MiB before
it computes writes them to memory, and reads them again from there.
"""

from __future__ import annotations

import itertools
import math

from ..core.blocks import Block
from ..planning.plan import Plan
from ..storage.sources.base import nbytes

PIECE = 6 << 20
"""Bytes of all arrays in a piece: a part of the last cache that each core has to itself."""


def pieces_of(plan: Plan, block: Block) -> list[Block]:
    """Return the pieces of a block in the order of its rows; the block alone where pieces would cost more than they
    save.

    Each is cut along the first axis that the block extends over, so its rows lie one after the other in the block. No
    chunk that is decoded as a whole is cut, and no array read again.
    """
    axis = next((axis for axis, size in enumerate(block.shape) if size > 1), None)
    if axis is None or any(loss.alignment.ratio_shape is not None for loss in plan.losses):
        return [block]
    common, bytes_read = 1, 0
    for source, view in plan.views:
        if source.piece_shape is None or (axis not in view.axes and not source.in_memory):
            return [block]
        if not source.in_memory:
            bytes_read += nbytes(view.selected_shape(block.shape), source.dtype)
        for size, followed in zip(source.piece_shape, view.axes, strict=True):
            if followed == axis:
                common = math.lcm(common, size)
    start, stop = block.start[axis], block.stop[axis]
    wanted = (stop - start) * PIECE // max(1, bytes_read)
    step = max(1, wanted // common) * common
    if step >= stop - start:
        return [block]
    offset = plan.start if axis == 0 else 0  # chunks are counted from the array's first row
    cuts = [start, *range(start - (start + offset) % common + step, stop, step), stop]
    return [_between(block, axis, a, b) for a, b in itertools.pairwise(cuts)]


def _between(block: Block, axis: int, start: int, stop: int) -> Block:
    """Return a block's indices from `start` to `stop` of one axis."""
    low, high = list(block.start), list(block.stop)
    low[axis], high[axis] = start, stop
    return Block(block.index, tuple(low), tuple(high))
