"""The memory that tables by key take, in a block and in the result: bounds, for the number of keys is not yet known."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from ..aggregation.accumulation import NUM_OUTCOMES
from ..aggregation.statistics import accumulation_of, collected
from ..aggregation.tables.cuts import Cut
from ..aggregation.tables.rows_by_key import window_of
from .alignment import CLASS_AXIS, Shape
from .plan import PlannedLoss

COPIES = 3
"""A table, the one that it is merged with, and the result of that."""
KEY_BYTES = 24
"""Bytes for one key of a row of a table: its value, and its place while rows are sorted."""
SLICE = 1 << 18
"""The most rows that are handed to collectors at once."""
SLICE_BYTES = 120
"""Bytes for each of these: codes, keys, weights, outcomes, the table that numbers them, and what is left of them."""
MOST_CLASSES = 1000


@dataclass(frozen=True, slots=True)
class TableCost:
    """The tables of an evaluation."""

    losses: Sequence[PlannedLoss]
    kept: Sequence[Cut]
    shape: Shape
    """The losses' shape, for the rows evaluated."""
    max_groups: int

    def bytes_of(self, rows: int) -> int:
        """Return an upper bound of the bytes that the tables of so many rows take, those of merging included."""
        return COPIES * sum(self._bytes_of_loss(loss, rows) for loss in self.losses)

    def row_bytes(self, rows: int) -> int:
        """Return an upper bound of the bytes for the losses of the rows of a block on their way to collectors."""
        chosen = [loss for loss in self.losses if self._collects(loss)]
        conventions = 2 if any(loss.spec.both_conventions for loss in chosen) else 1
        kept = len(self.losses) if any(loss.baseline for loss in chosen) else 1
        of_rows = conventions * kept * max((loss.dtype.itemsize for loss in chosen), default=0)
        return of_rows * rows + (SLICE_BYTES * min(rows, SLICE) if chosen else 0)

    @property
    def collected(self) -> bool:
        """Whether losses of rows are handed to collectors."""
        return any(map(self._collects, self.losses))

    @staticmethod
    def _collects(loss: PlannedLoss) -> bool:
        return bool(collected(loss.identity.statistics))

    def _bytes_of_loss(self, loss: PlannedLoss, rows: int) -> int:
        names = _names(loss)
        accumulation = accumulation_of(loss.identity.statistics)
        sums = sum(8 * window_of(total).size for total in accumulation.sums)
        row = sums + 8 * (NUM_OUTCOMES + len(accumulation.counts))
        by = sum(1 for cut in loss.identity.by if cut["role"] == "by")
        keys = {
            "groups": (self.max_groups, by),
            "clusters": (self.max_groups * (2 if by else 1), by + 1),
            "paired": (self.max_groups if by else 1, by),
            "kept": (math.prod(self.shape[cut.axis or 0] for cut in self.kept), len(self.kept)),
            "confusion": (_classes(loss) ** 2, 2),
        }
        conventions = 2 if loss.spec.both_conventions else 1
        tables = [keys[name] for name in names if name in keys]
        return conventions * sum(min(most, rows) * (row + KEY_BYTES * columns) for most, columns in tables)


def _names(loss: PlannedLoss) -> list[str]:
    return [text.partition("=")[0] for text in loss.identity.statistics]


def _classes(loss: PlannedLoss) -> int:
    view = loss.alignment.y_pred
    classes = math.prod(n for n, axis in zip(view.shape, view.axes, strict=True) if axis == CLASS_AXIS)
    return min(max(2, classes), MOST_CLASSES)
