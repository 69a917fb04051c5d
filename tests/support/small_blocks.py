"""Blocks of single chunks, so that small arrays have many of them."""

import contextlib

import pytest

from streamloss.execution import row_statistics
from streamloss.planning import blocks


@contextlib.contextmanager
def small_blocks():
    """Plan blocks that are no larger than chunks ask for."""
    with pytest.MonkeyPatch.context() as patch:
        for name in ("TARGET", "TARGET_IN_MEMORY", "SMALLEST"):
            patch.setattr(blocks, name, 1)
        patch.setattr(row_statistics, "SLICE", 7)
        yield patch
