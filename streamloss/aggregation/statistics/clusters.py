"""Clusters: the totals of the rows that belong together, of which standard errors are made when rows of a cluster are
not independent (days, users, documents).

See :func:`streamloss.aggregation.uncertainty.ratio_error` for the formula.
"""

from collections.abc import Mapping

from ..accumulation import Accumulation
from ..parts import Part
from ..statistic import LossRows, Statistic, TableCollector
from ..tables.keys import KeyColumn
from .totals import STATISTIC as TOTALS

_TOTALS = Accumulation(TOTALS.sums, TOTALS.counts)


class _Clusters:
    """Collects the clusters of all rows, and those of each group."""

    def __init__(self) -> None:
        self._whole = TableCollector("clusters", _cluster, _TOTALS)
        self._by_group = TableCollector("clusters_by_group", _group_and_cluster, _TOTALS)

    def add(self, rows: LossRows) -> None:
        self._whole.add(rows)
        if rows.keys:
            self._by_group.add(rows)

    def parts(self) -> Mapping[str, Part]:
        return {**self._whole.parts(), **self._by_group.parts()}


def _cluster(rows: LossRows) -> list[KeyColumn]:
    assert rows.cluster is not None
    return [rows.cluster]


def _group_and_cluster(rows: LossRows) -> list[KeyColumn]:
    return [*rows.keys.values(), *_cluster(rows)]


STATISTIC = Statistic("clusters", collect=lambda parameter: _Clusters())
