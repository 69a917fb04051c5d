"""The distribution of the losses of each group: counts by the keys and by the bins of :mod:`.histogram`."""

from collections.abc import Mapping

import numpy as np

from ..accumulation import Accumulation
from ..parts import Part
from ..statistic import LossRows, Statistic
from ..tables.exact_table import ExactTable, merge_tables
from ..tables.keys import KeyColumn
from ..tables.rows_by_key import tabulate
from .histogram import bins_of

_COUNTS = Accumulation(())


class _ByGroup:
    def __init__(self) -> None:
        self._tables: list[ExactTable] = []

    def add(self, rows: LossRows) -> None:
        counted = np.flatnonzero(rows.counted())
        columns = [column.take(counted) for column in rows.keys.values()]
        if columns and counted.size:
            losses = np.ascontiguousarray(rows.losses[counted])
            self._tables.append(tabulate([*columns, KeyColumn(bins_of(losses))], _COUNTS, losses, None, None))

    def parts(self) -> Mapping[str, Part]:
        return {"histogram_by_group": merge_tables(self._tables)} if self._tables else {}


STATISTIC = Statistic("histogram_by_group", collect=lambda parameter: _ByGroup())
