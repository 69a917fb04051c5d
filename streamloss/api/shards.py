"""The shards of an evaluation: which blocks are in one."""

from __future__ import annotations

import math
import operator

from ..core.blocks import Ranges
from ..errors import UsageError
from ..planning.plan import Plan


def nothing_of(shard: tuple[int, int], plan: Plan) -> str:
    """Return the message about a shard without rows, which is no error: jobs may have more tasks than blocks."""
    blocks = f"{plan.num_blocks:,} block{'s' * (plan.num_blocks > 1)}"
    return (
        f"shard {shard[0]}/{shard[1]} has no rows: the data has {blocks} of {math.prod(plan.block_shape):,} rows, "
        "fewer than shards"
    )


def blocks_of(shard: tuple[int, int], num_blocks: int) -> Ranges:
    """Return the blocks of shard ``(i, n)``. Raises UsageError where there is no such shard."""
    try:
        index, count = (operator.index(number) for number in shard)
    except (TypeError, ValueError):
        raise UsageError(f"shard must be (i, n), such as (0, 4); received {shard!r}.") from None
    if not 0 <= index < count:
        raise UsageError(f"shard {index}/{count}: expected i from 0 to n - 1, so the first of four is 0/4.")
    return Ranges.of_shard(index, count, num_blocks)
