"""The answers of a loss beside its mean: groups, standard errors, quantiles, worst rows."""

from __future__ import annotations

import math
from collections.abc import Sequence
from fractions import Fraction
from typing import Any

import numpy as np

from ..aggregation.exact_sum import ExactSum
from ..aggregation.parts import Part
from ..aggregation.reductions import reduce_state, with_convention
from ..aggregation.selected_rows import SelectedRows
from ..aggregation.state import State
from ..aggregation.statistics import calibration, calibration_tail, confusion, histogram, running, worst
from ..aggregation.tables.cuts import Cut
from ..aggregation.tables.exact_table import ExactTable, in_order
from ..aggregation.tables.states import states_of
from ..aggregation.uncertainty import (
    Interval,
    Ratio,
    cluster_moments,
    interval,
    jackknife_error,
    ratio_error,
    standard_error,
)
from ..core.types import Reduction
from ..errors import UnknownNameError, UsageError
from .table import Table

LEVEL = 0.95
"""The level of confidence of the intervals in tables."""
MEANS = (
    Reduction.SUM_OVER_BATCH_SIZE,
    Reduction.MEAN,
    Reduction.AUTO,
    Reduction.MEAN_WITH_SAMPLE_WEIGHT,
    Reduction.SUM_BY_NONZERO_WEIGHTS,
)


def table_of(state: State, name: str, asked_by: str) -> ExactTable:
    """Return a table of a state. Raises UsageError where it was not asked for; `asked_by` is the argument that does."""
    table = state.parts.get(name)
    if not isinstance(table, ExactTable):
        raise UsageError(_missing(state, asked_by))
    return table


def part_of(state: State, name: str, asked_by: str) -> Part:
    """Return a part of a state. Raises UsageError where it was not asked for."""
    if name not in state.parts:
        raise UsageError(_missing(state, asked_by))
    return state.parts[name]


def _missing(state: State, asked_by: str) -> str:
    if not sum(state.counts.values()):
        return f"{state.identity.loss}: no row was evaluated, of which there could be anything to say."
    return f"{state.identity.loss} was evaluated without {asked_by}; pass it to evaluate."


def cuts_of(state: State, role: str) -> list[Cut]:
    """Return the keys of one role."""
    return [cut for cut in map(Cut.from_dict, state.identity.by) if cut.role == role]


class Uncertainty:
    """The standard errors of the means of a state: of independent rows, or of clusters where there are some."""

    def __init__(self, state: State, clusters: tuple[Sequence[ExactSum], Sequence[ExactSum], Sequence[int]] | None):
        """`clusters` are the sums of the losses and of the weights, and the counts, of each cluster."""
        self._state, self._clusters = with_convention(state), clusters

    @classmethod
    def of(cls, state: State) -> Uncertainty:
        """Return that of the whole. Raises UsageError where neither stats="stderr" nor cluster= was passed."""
        if "stderr" not in state.identity.statistics:
            raise UsageError(_missing(state, 'stats="stderr" or cluster='))
        table = state.parts.get("clusters")
        if not isinstance(table, ExactTable):
            return cls(state, None)
        counts = table.count("count").tolist()
        weights = table.sums("weight") if state.identity.weighted else [ExactSum.of_count(count) for count in counts]
        return cls(state, (table.sums("loss"), weights, counts))

    @property
    def of_clusters(self) -> bool:
        """Whether rows of a cluster are not independent."""
        return self._clusters is not None

    @property
    def units(self) -> int:
        """The number of independent units: rows that count, or clusters with such rows."""
        if self._clusters is None:
            return self._state.count("count")
        return sum(1 for count in self._clusters[2] if count)

    def error(self, reduction: Reduction, jackknife: bool = False) -> float:
        """Return the standard error of the mean of a reduction; `jackknife` leaves out one cluster at a time.

        Raises UsageError for the jackknife without clusters.
        """
        if self._clusters is None:
            if jackknife:
                raise UsageError("the jackknife leaves out one cluster at a time; pass cluster=, such as days.")
            return standard_error(self._state, reduction)
        losses, weights, counts = self._clusters
        if reduction is Reduction.SUM_BY_NONZERO_WEIGHTS:
            return math.nan  # clusters do not count their weights of 0
        if reduction is not Reduction.MEAN_WITH_SAMPLE_WEIGHT:
            weights = [ExactSum.of_count(count) for count in counts]
        used = [i for i, count in enumerate(counts) if count]
        losses, weights = [losses[i] for i in used], [weights[i] for i in used]
        if jackknife:
            return jackknife_error(losses, weights)
        moments = cluster_moments(losses, weights)
        if moments is None:
            return math.nan
        return ratio_error(Ratio(sum(losses, ExactSum()), sum(weights, ExactSum())), moments)


def mean_reduction(reduction: Reduction, weighted: bool) -> Reduction:
    """Return the reduction whose mean a result shows first: with weights the weighted mean, else the one asked for, or
    the mean over the count for a sum.
    """
    if weighted and reduction is not Reduction.SUM_BY_NONZERO_WEIGHTS:
        return Reduction.MEAN_WITH_SAMPLE_WEIGHT
    return reduction if reduction in MEANS else Reduction.SUM_OVER_BATCH_SIZE


def interval_of(state: State, reduction: Reduction, level: float) -> Interval:
    """Return the confidence interval of a mean of the whole."""
    if not 0.0 < level < 1.0:
        raise UsageError(f"a level of confidence lies between 0 and 1, such as 0.95; received {level!r}.")
    uncertainty = Uncertainty.of(state)
    return interval(reduce_state(state, reduction), uncertainty.error(reduction), uncertainty.units, level)


def groups_of(state: State, keys: Sequence[str] | None = None) -> Table:
    """Return the groups by some of the keys, by default by all: a row for each combination that occurs."""
    table, cuts = table_of(state, "groups", "by="), cuts_of(state, "by")
    names = [cut.name for cut in cuts]
    for key in keys or ():
        if key not in names:
            raise UnknownNameError("key", key, names)
    chosen = [names.index(key) for key in keys or names]
    clusters = state.parts.get("clusters_by_group")
    of_clusters = clusters if isinstance(clusters, ExactTable) else None
    if chosen != list(range(len(names))):
        table = _margin(table, chosen)
        of_clusters = None if of_clusters is None else _margin(of_clusters, [*chosen, len(names)])
    return _table_by_key(state, table, [cuts[i] for i in chosen], "groups", of_clusters)


def kept_of(state: State) -> Table:
    """Return the cells of the kept axes: a row for each index."""
    return _table_by_key(state, table_of(state, "kept", "keep="), cuts_of(state, "keep"), "cells", None)


def _margin(table: ExactTable, keys: Sequence[int]) -> ExactTable:
    """Return the table by some of the keys."""
    columns = tuple(table.keys[i] for i in keys)
    spills = [(table.spilled_at, table.spilled)]
    return in_order(table.windows, table.count_names, columns, table.counts, table.limbs, spills)


def _table_by_key(
    state: State, table: ExactTable, cuts: Sequence[Cut], what: str, clusters: ExactTable | None
) -> Table:
    weighted, errors = state.identity.weighted, "stderr" in state.identity.statistics
    by_key = clusters_by_key(clusters, weighted) if clusters is not None else {}
    columns = [cut.name for cut in cuts] + ["count", "sum", "mean"]
    columns += ["weight_sum", "weighted_mean"] if weighted else []
    columns += ["stderr", "low", "high", *(["clusters"] if by_key else [])] if errors else []
    columns += ["share"]
    shown = mean_reduction(Reduction.SUM_OVER_BATCH_SIZE, weighted)
    total = sum((of.exactly() for of in table.sums("loss")), Fraction(0))
    rows = []
    for key, of in states_of(table, state.identity):
        row = [cut.label(value) for cut, value in zip(cuts, key, strict=True)]
        count = of.count("count")  # without any row there is no mean; the 0.0 of reductions is Keras' for a whole batch
        row += [count, reduce_state(of, Reduction.SUM), _mean(of, Reduction.SUM_OVER_BATCH_SIZE)]
        if weighted:
            row += [of.sum("weight").rounded(), _mean(of, Reduction.MEAN_WITH_SAMPLE_WEIGHT)]
        if errors:
            uncertainty = Uncertainty(of, by_key.get(key))
            error, units = uncertainty.error(shown), uncertainty.units
            row += [error, *interval(reduce_state(of, shown), error, units, LEVEL), *([units] if by_key else [])]
        row.append(float(of.sum("loss").exactly() / total) if total and of.sum("loss").special is None else math.nan)
        rows.append(row)
    return Table(columns, rows, what, len(cuts))


def _mean(state: State, reduction: Reduction) -> float:
    return reduce_state(state, reduction) if state.count("count") else math.nan


def clusters_by_key(table: ExactTable, weighted: bool) -> dict[tuple[Any, ...], Any]:
    """Return the clusters' sums and counts of each group."""
    found: dict[tuple[Any, ...], Any] = {}
    losses, counts = table.sums("loss"), table.count("count").tolist()
    weights = table.sums("weight") if weighted else [ExactSum.of_count(count) for count in counts]
    keys = zip(*(column.objects() for column in table.keys), strict=True)
    for row, (*group, _) in enumerate(keys):
        held = found.setdefault(tuple(group), ([], [], []))
        for values, value in zip(held, (losses[row], weights[row], counts[row]), strict=True):
            values.append(value)
    return found


def quantile(state: State, probability: float) -> float:
    """Return a quantile of the losses of rows."""
    part_of(state, "histogram", 'stats="quantiles"')
    if not isinstance(probability, int | float) or not 0.0 <= probability <= 1.0:
        raise UsageError(f"a quantile has a probability from 0 to 1; received {probability!r}.")
    return histogram.quantile_of(state, probability)


def group_quantiles(state: State, probabilities: Sequence[float]) -> Table:
    """Return quantiles of the losses of rows of each group."""
    table, cuts = table_of(state, "histogram_by_group", 'stats="histogram_by_group" and by='), cuts_of(state, "by")
    rows = [
        [*(cut.label(value) for cut, value in zip(cuts, key, strict=True)), *values]
        for key, values in histogram.quantiles_by_group(table, probabilities)
    ]
    return Table([*(cut.name for cut in cuts), *(f"{p:g}" for p in probabilities)], rows, "groups", len(cuts))


def nats(state: State) -> None:
    """Raise UsageError for a loss that is no cross-entropy, whose unit is no nat."""
    if "crossentropy" not in state.identity.loss or "focal" in state.identity.loss:
        raise UsageError(
            f"{state.identity.loss} is no cross-entropy, so it has no perplexity and no bits; evaluate one."
        )


def share_above(state: State, threshold: float) -> float:
    """Return the share of the rows with a loss above a threshold, to the width of a bin."""
    part_of(state, "histogram", 'stats="histogram"')
    return histogram.share_above(state, threshold)


def histogram_table(state: State) -> Table:
    """Return the bins that hold losses."""
    part_of(state, "histogram", 'stats="histogram"')
    bins = histogram.histogram_of(state)
    return Table(["low", "high", "count"], [[of["low"], of["high"], of["count"]] for of in bins], "bins")


def worst_table(state: State, shape: Sequence[int]) -> Table:
    """Return the rows with the largest losses; `shape` is that of the losses, whose indices are shown."""
    part = part_of(state, "worst", 'stats="worst=20"')
    assert isinstance(part, SelectedRows)
    rows = worst.rows_of(state)
    columns = [name.removeprefix("by.") for name, _ in part.columns]
    cuts = {cut.name: cut for cut in cuts_of(state, "by")}
    found = []
    for row in rows:
        first, inner = divmod(row["position"], math.prod(shape[1:]))
        place = (first, *map(int, np.unravel_index(inner, shape[1:])))
        of_keys = [cuts[name[3:]].label(row[name]) if name.startswith("by.") else row[name] for name, _ in part.columns]
        found.append([place[0] if len(place) == 1 else place, row["loss"], *of_keys])
    return Table(["index", "loss", *columns], found, "rows")


def running_table(state: State) -> Table:
    """Return the mean of each of equal ranges of the rows, in their order."""
    part_of(state, "running", 'stats="running"')
    rows = [[of["range"], of["count"], of["mean"]] for of in running.ranges_of(state)]
    return Table(["range", "count", "mean"], rows, "ranges")


def calibration_table(state: State) -> Table:
    """Return the bins of the predicted probability."""
    part_of(state, "calibration", 'stats="calibration"')
    return Table(calibration.Bin._fields, calibration.bins_of(state), "bins")


def tail_table(state: State) -> Table:
    """Return the bins of doubt, 1 less the probability of what is predicted."""
    part_of(state, "calibration_tail", 'stats="calibration_tail"')
    return Table(calibration_tail.TailBin._fields, calibration_tail.tail_of(state), "bins")


def confusion_matrix(state: State) -> Any:
    """Return the rows by label and predicted class."""
    part_of(state, "confusion", 'stats="confusion"')
    return confusion.confusion_matrix(state)
