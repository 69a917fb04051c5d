"""Kept axes: for each index of the axes that are not reduced, all sums and counts that the whole has."""

from ..statistic import LossRows, Statistic, TableCollector
from ..tables.keys import KeyColumn


def _collector(parameter: int) -> TableCollector:
    def columns(rows: LossRows) -> list[KeyColumn]:
        return list(rows.kept.values())

    return TableCollector("kept", columns)


STATISTIC = Statistic("kept", collect=_collector)
