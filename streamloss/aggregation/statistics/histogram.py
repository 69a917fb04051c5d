"""The distribution of the losses of rows: exact least and greatest, and counts in bins of the float's own bits.

A bin holds the float64 that share sign, exponent and the first eight bits behind the leading one: its width is 1/256 of
its lower edge. Counts are integers, so the histogram does not depend on how rows were cut. Quantiles are those of the
inverted distribution function (Hyndman and Fan's definition 1), with the middle of a bin for the losses in it: their
relative error is at most 1/512.
"""

import itertools
import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from ...core.loop import loop
from ...core.primitives import bits_of
from ..extremes import Extremes
from ..parts import Part
from ..state import State
from ..statistic import Array, LossRows, Statistic
from ..tables.exact_table import ExactTable, in_order
from ..tables.keys import KeyColumn

BITS = 8
"""The bits behind the leading one that a bin tells apart."""
_SHIFT = 52 - BITS
NUM_BINS = (0x7FF << BITS) + 1
"""The bins of positive numbers, that of infinity included."""
PROBABILITIES = (0.01, 0.05, 0.25, 0.5, 0.75, 0.95, 0.99)
"""The quantiles that results list."""
_QUARTERS = np.array([1.0, 2**0.25, 2**0.5, 2**0.75])
MOST_BINS = 60
"""The bins that results list, at most, but for those of zeros and of infinite losses."""


class _Histogram:
    def __init__(self) -> None:
        self._counts = np.zeros(2 * NUM_BINS, np.int64)  # memory that is not touched is not taken
        self._extremes = np.array([math.inf, -math.inf])

    def add(self, rows: LossRows) -> None:
        outcomes = np.empty(0, np.int8) if rows.outcomes is None else rows.outcomes
        _count(np.ascontiguousarray(rows.losses), outcomes, self._counts, self._extremes)

    def parts(self) -> Mapping[str, Part]:
        found = np.flatnonzero(self._counts)
        if not found.size:
            return {}
        counts = self._counts[found][:, np.newaxis]
        keys = (KeyColumn(found - NUM_BINS),)
        table = in_order((), ("count",), keys, counts, np.zeros((len(found), 0), np.int64), [])
        return {"histogram": table, "extremes": Extremes.of(self._extremes)}


@loop
def _count(losses: Any, outcomes: Any, counts: Any, extremes: Any) -> int:
    """Count the losses that are numbers by the bins of :func:`bins_of`, moved up by NUM_BINS."""
    all_count, least, greatest = outcomes.size == 0, extremes[0], extremes[1]
    for r in range(losses.size):
        value = np.float64(losses[r])
        if (all_count or outcomes[r] == 0) and value == value:
            bits = bits_of(value)
            bin_of = (bits & np.int64(0x7FFFFFFFFFFFFFFF)) >> np.int64(_SHIFT)
            if value < 0.0:
                bin_of = np.int64(-1) - bin_of
            counts[bin_of + np.int64(NUM_BINS)] += 1
            least = min(least, value)
            greatest = max(greatest, value)
    extremes[0], extremes[1] = least, greatest
    return 0


def bins_of(values: Array) -> Array:
    """Return the bin of each value: int64, ascending with the values."""
    bits = np.asarray(values, np.float64).view(np.int64)
    bins = (bits & np.int64(2**63 - 1)) >> np.int64(_SHIFT)
    return np.where(bits < 0, -bins - (bits != -(2**63)), bins) if (bits < 0).any() else bins


def edges_of(bins: Array) -> tuple[Array, Array]:
    """Return the ends of bins: the lower and the upper one, each as float64; one of them is in the bin."""
    magnitude = np.where(bins < 0, -bins - 1, bins)
    near = (magnitude << np.int64(_SHIFT)).view(np.float64)
    far = ((magnitude + 1) << np.int64(_SHIFT)).view(np.float64)
    far = np.where(np.isnan(far), np.inf, far)
    return np.where(bins < 0, -far, near), np.where(bins < 0, -near, far)


def quantile_of(state: State, probability: float) -> float:
    """Return a quantile of the losses of rows; NaN where there are none, or one is NaN."""
    table, extremes = state.parts.get("histogram"), state.parts.get("extremes")
    if not isinstance(table, ExactTable) or not isinstance(extremes, Extremes) or state.sum("loss").nan:
        return math.nan
    if not 0.0 <= probability <= 1.0:
        raise ValueError(f"a quantile has a probability from 0 to 1; received {probability!r}")
    if probability in (0.0, 1.0):
        return extremes.least if probability == 0.0 else extremes.greatest
    running = np.cumsum(table.count("count"))
    rank = max(1, math.ceil(probability * int(running[-1])))
    ends = edges_of(table.keys[0].values[[int(np.searchsorted(running, rank))]])
    low, high = (float(end[0]) for end in ends)
    middle = low + (high - low) / 2 if math.isfinite(high - low) else low
    return min(max(middle, extremes.least), extremes.greatest)


def quantiles_by_group(
    table: ExactTable, probabilities: Sequence[float]
) -> Iterator[tuple[tuple[Any, ...], list[float]]]:
    """Yield the keys of each group of a table by group and bin, and the quantiles of its losses: middles of bins."""
    keys = zip(*(column.objects() for column in table.keys[:-1]), strict=True)
    bins, counts = table.keys[-1].values, table.count("count")
    begin = 0
    for key, rows in itertools.groupby(keys):
        stop = begin + sum(1 for _ in rows)
        running, of_group = np.cumsum(counts[begin:stop]), bins[begin:stop]
        ranks = [max(1, math.ceil(p * int(running[-1]))) for p in probabilities]
        low, high = edges_of(of_group[np.searchsorted(running, ranks)])
        with np.errstate(invalid="ignore"):
            middle = np.where(
                np.isfinite(high) & np.isfinite(low), low + (high - low) / 2, np.where(low < 0, high, low)
            )
        yield key, middle.tolist()
        begin = stop


def share_above(state: State, threshold: float) -> float:
    """Return the share of the rows whose loss lies in a bin above that of the threshold."""
    table = state.parts.get("histogram")
    if not isinstance(table, ExactTable):
        return math.nan
    counts = table.count("count")
    above = table.keys[0].values > bins_of(np.array([threshold]))[0]
    return int(counts[above].sum()) / int(counts.sum())


def _quantiles(state: State) -> dict[str, float]:
    return {f"{probability:g}": quantile_of(state, probability) for probability in PROBABILITIES}


def coarse_bins(state: State, most: int = MOST_BINS) -> list[dict[str, float]]:
    """Return about `most` bins or fewer between the least and the greatest loss, those without a loss among them.

    Where no loss is negative they are quarters of octaves, or some of these each, after a bin of zeros; else all are of
    one width. Zeros and infinite losses have bins of their own. A loss counts where the middle of its narrow bin is.
    """
    table, extremes = state.parts.get("histogram"), state.parts.get("extremes")
    if not isinstance(table, ExactTable) or not isinstance(extremes, Extremes):
        return []
    keys, counts = table.keys[0].values, table.count("count")
    infinite = NUM_BINS - 1
    finite = (keys > -infinite - 1) & (keys < infinite)
    found = []
    if (below := int(counts[keys <= -infinite - 1].sum())) > 0:
        found.append({"low": -math.inf, "high": -math.inf, "count": below})
    if finite.any():
        cut = _cut_by_octaves if extremes.least >= 0.0 else _cut_evenly
        found += [{"low": a, "high": b, "count": n} for a, b, n in cut(keys[finite], counts[finite], most)]
    if (above := int(counts[keys >= infinite].sum())) > 0:
        found.append({"low": math.inf, "high": math.inf, "count": above})
    return found


def _cut_by_octaves(keys: Array, counts: Array, most: int) -> Iterator[tuple[float, float, int]]:
    zeros, keys, counts = int(counts[keys == 0].sum()), keys[keys != 0], counts[keys != 0]
    if zeros:
        yield 0.0, 0.0, zeros
    if not keys.size:
        return
    middles = _middles(keys)
    first, stop = math.frexp(middles[0])[1] - 1, math.frexp(middles[-1])[1]
    with np.errstate(over="ignore"):  # the last edge may be infinity
        edges = np.ldexp(_QUARTERS, np.arange(first, stop + 1)[:, np.newaxis]).ravel()
    begin, end = np.searchsorted(edges, middles[[0, -1]], "right") - [1, 0]
    edges = edges[begin : end + 1]
    step = next(1 << i for i in range(12) if len(edges) - 1 <= most << i)
    edges = np.append(edges[:-1:step], edges[-1])
    totals = _totals(np.searchsorted(edges, middles, "right") - 1, counts, len(edges) - 1)
    yield from zip(edges[:-1].tolist(), edges[1:].tolist(), totals, strict=True)


def _middles(keys: Array) -> Array:
    """Return the middles of the bins of finite numbers."""
    low, high = edges_of(keys)
    limit = np.finfo(np.float64).max
    return np.maximum(low, -limit) / 2 + np.minimum(high, limit) / 2


def _cut_evenly(keys: Array, counts: Array, most: int) -> Iterator[tuple[float, float, int]]:
    middles, limit = _middles(keys), np.finfo(np.float64).max
    ends = max(edges_of(keys[:1])[0][0], -limit) / 2, min(edges_of(keys[-1:])[1][0], limit) / 2
    edges = 2 * np.linspace(*ends, most + 1)  # halves, whose difference does not overflow
    bins = np.clip(np.searchsorted(edges, middles, "right") - 1, 0, len(edges) - 2)
    yield from zip(edges[:-1].tolist(), edges[1:].tolist(), _totals(bins, counts, len(edges) - 1), strict=True)


def _totals(bins: Array, counts: Array, number: int) -> list[int]:
    """Return the exact count of each of a number of bins."""
    totals = np.zeros(number, np.int64)
    np.add.at(totals, bins, counts)
    found: list[int] = totals.tolist()
    return found


def _least(state: State) -> float:
    return quantile_of(state, 0.0)


def _greatest(state: State) -> float:
    return quantile_of(state, 1.0)


def histogram_of(state: State) -> list[dict[str, float]]:
    """Return the bins that hold losses, in order: the lower and upper end, and the count."""
    table = state.parts.get("histogram")
    if not isinstance(table, ExactTable):
        return []
    low, high = edges_of(table.keys[0].values)
    counts = table.count("count").tolist()
    return [{"low": a, "high": b, "count": n} for a, b, n in zip(low.tolist(), high.tolist(), counts, strict=True)]


STATISTIC = Statistic(
    "histogram",
    collect=lambda parameter: _Histogram(),
    derived={"least": _least, "greatest": _greatest, "quantiles": _quantiles, "histogram": coarse_bins},
)
