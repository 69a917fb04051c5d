"""Groups: for each combination of keys that occurs, all sums and counts that the whole has."""

from ..statistic import LossRows, Statistic, TableCollector
from ..tables.keys import KeyColumn


def _collector(parameter: int) -> TableCollector:
    def columns(rows: LossRows) -> list[KeyColumn]:
        return list(rows.keys.values())

    return TableCollector("groups", columns)


STATISTIC = Statistic("groups", collect=_collector)
