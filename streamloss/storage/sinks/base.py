"""The protocol of targets for the losses of rows (the reduction NONE)."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Protocol

import numpy as np

from ...core.blocks import Block


class Sink(Protocol):
    """A target for losses; it takes each block once, from any thread, in any order."""

    where: str
    """The place of the target, for a person: a URI, or "in memory"."""

    def memory(self, block: Block) -> Any:
        """Return the GPU's memory where the losses of a block may be written in place, as a flat contiguous array; None
        where :meth:`write` has to take them.
        """

    def write(self, block: Block, losses: np.ndarray[Any, Any]) -> None:
        """Store the losses of a block, shaped like the block. Blocks do not overlap."""

    def sync(self, blocks: Iterable[Block]) -> None:
        """Make what was written of these blocks survive a loss of power, where the target is a file of this machine."""


class StoredSink(Sink, Protocol):
    """A sink at a place that several processes write to.

    It is pickled as that place, where each worker of Dask, also one that is a thread, opens the target again. A memory
    map, for one, is pickled as a copy of what it holds, and what a worker writes to the copy is lost.
    """

    joined: bool
    """Whether the target was there and has the key of this evaluation: another part of it, or the same before an
    interruption, made it. It is then continued."""

    def check(self, blocks: Iterable[Block]) -> None:
        """Raise UnwritableOutputError where the target, or what was written of a block, is no longer there."""

    def close(self) -> None:
        """Let other runs have the target; until then they are refused."""


class MemorySink(Sink, Protocol):
    """A sink that holds the losses of all rows as one array."""

    def array(self) -> Any:
        """Return the losses, in the array type of the predictions' library if they are on a GPU, else NumPy's."""
