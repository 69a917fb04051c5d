"""What the rest of the house knows of a target for the losses of rows."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Protocol

import numpy as np

from ...core.blocks import Block


class Sink(Protocol):
    """Takes each block of losses once, from any thread, in any order."""

    where: str
    """For a person: a URI, or "in memory"."""

    def write(self, block: Block, losses: np.ndarray[Any, Any]) -> None:
        """Store the losses of a block, shaped like the block. Blocks do not overlap."""

    def sync(self, blocks: Iterable[Block]) -> None:
        """See to it that what was written of these blocks outlives a loss of power, where that is for us to do."""
