"""The arguments that ask for more than a mean: ``by``, ``keep``, ``cluster`` and ``stats``."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..aggregation.statistic import chosen
from ..aggregation.statistics import known
from ..aggregation.tables.cuts import UNITS, Cut
from ..errors import UnknownNameError, UsageError

INTERNAL = {
    "totals": "",
    "groups": "by=",
    "kept": "keep=",
    "clusters": "cluster=",
    "paired": "streamloss.compare",
}
"""The statistics that no name asks for, with the argument that does."""
ALIASES = {"quantiles": "histogram", "quantiles_by_group": "histogram_by_group", "standard_error": "stderr"}
_UNIT_NAMES = {"year": "Y", "month": "M", "week": "W", "day": "D", "hour": "h", "minute": "m", "second": "s"}


@dataclass(frozen=True, slots=True)
class By:
    """A key of groups, with how its values are cut; made by :func:`by`."""

    array: Any
    unit: str | None = None
    bins: tuple[float, ...] | None = None
    missing: str = "group"


def by(array: Any, *, unit: str | None = None, bins: Sequence[float] | None = None, missing: str = "group") -> By:
    """Return a key for ``evaluate(by=...)`` whose values are cut: times by a unit, or numbers into bins.

    Parameters
    ----------
    array : array_like, str or path
        What `sample_weight` may be, of the losses' shape; also text and times.
    unit : {"Y", "M", "W", "D", "h", "m", "s", "ms", "us", "ns"}, optional
        Times of one year, month, week (from Monday), day and so on are one group.
    bins : sequence of float, optional
        Ascending edges: a bin holds its lower edge, and not its upper one. What lies before the first edge, and from
        the last one on, is a group of its own.
    missing : {"group", "raise"}
        Rows whose key is null, NaN or NaT are a group of their own, ``None``, or an error.

    Raises
    ------
    UsageError
        For an unknown unit, and for edges that do not ascend.

    Examples
    --------
    >>> import numpy as np
    >>> import streamloss as sl
    >>> age = sl.by(np.array([17, 30, 70]), bins=[18, 65])
    >>> result = sl.evaluate("mse", np.zeros(3), np.array([1.0, 2.0, 4.0]), by={"age": age})
    >>> [(row["age"], row["mean"]) for row in result.groups]
    [('< 18', 1.0), ('[18, 65)', 4.0), ('>= 65', 16.0)]

    """
    if unit is not None:
        unit = _UNIT_NAMES.get(str(unit), unit)
        if unit not in UNITS:
            raise UnknownNameError("unit of times", unit, [*UNITS, *_UNIT_NAMES], UNITS)
    if missing not in ("group", "raise"):
        raise UnknownNameError("policy for missing keys", missing, ("group", "raise"))
    if bins is not None:
        if unit is not None:
            raise UsageError("sl.by takes unit= for times or bins= for numbers; received both.")
        if isinstance(bins, int | str):
            raise UsageError(
                f"bins must list the edges, such as [0, 10, 100]; received {bins!r}. A number of bins would need the "
                "range or the quantiles of the data before they are read: find the edges first, such as "
                "np.quantile(a_sample, [0.25, 0.5, 0.75])."
            )
        edges = tuple(float(edge) for edge in bins)
        if not edges or any(a >= b for a, b in itertools.pairwise(edges)) or not all(map(math.isfinite, edges)):
            raise UsageError(f"bins must be finite edges that ascend; received {list(bins)!r}.")
        return By(array, None, edges, missing)
    return By(array, unit, None, missing)


@dataclass(frozen=True, slots=True)
class Grouping:
    """The requests beside a mean, checked as far as they can be without the arrays."""

    keys: tuple[tuple[Cut, Any], ...] = ()
    """The keys of groups and clusters, with their arrays."""
    keep: tuple[int | str, ...] = ()
    """The axes of the losses that are not reduced, by number or name."""
    statistics: tuple[str, ...] = ()
    """The names of the statistics, sorted."""

    def arrays(self) -> dict[str, Any]:
        """Return the arrays of the keys by role."""
        return {role_of(cut): array for cut, array in self.keys}

    def with_arrays(self, arrays: Mapping[str, Any]) -> Grouping:
        """Return the same with other arrays for some roles."""
        keys = tuple((cut, arrays.get(role_of(cut), array)) for cut, array in self.keys)
        return Grouping(keys, self.keep, self.statistics)


NO_GROUPING = Grouping()


def labels_of(losses: Any, y_true: Any, y_pred: Any) -> Any:
    """Return the labels; where `losses` is None, for `y_pred` holds losses that were written, these themselves.

    Raises UsageError for labels beside losses that were written.
    """
    if losses is not None:
        return y_true
    if y_true is not None:
        raise UsageError(
            "losses=None says that y_pred holds the losses of rows, which were written before; then y_true must be "
            "None, too. Name a loss to compute it from labels and predictions."
        )
    return y_pred


def role_of(cut: Cut) -> str:
    """Return the name that errors give to the array of a key."""
    return "cluster" if cut.role == "cluster" else f"by.{cut.name}"


def grouping_of(by: Any, keep: Any, cluster: Any, stats: Any) -> Grouping:
    """Return what ``evaluate`` takes as these arguments as a record. Raises UsageError for what is none."""
    keys = [(_cut(name, "by", key), key.array) for name, key in _named(by).items()]
    if cluster is not None:
        key = cluster if isinstance(cluster, By) else By(cluster)
        keys.append((_cut("cluster", "cluster", key), key.array))
    kept = () if keep is None else (keep,) if isinstance(keep, str) or not isinstance(keep, Iterable) else tuple(keep)
    for axis in kept:
        if not isinstance(axis, int | str | np.integer) or isinstance(axis, bool):
            raise UsageError(f"keep must list axes of the losses, by number or name; received {axis!r}.")
    statistics = set(statistics_of(stats))
    if "histogram_by_group" in statistics and by is None:
        raise UsageError("the statistic 'histogram_by_group' needs groups: pass by=, or 'histogram' for all rows.")
    statistics |= {"groups"} if by is not None else set()
    statistics |= {"kept"} if kept else set()
    statistics |= {"clusters", "stderr"} if cluster is not None else set()
    return Grouping(tuple(keys), kept, tuple(sorted(statistics)))


def _cut(name: str, role: Any, key: By) -> Cut:
    return Cut(name, role, key.unit, key.bins, "raise" if key.missing == "raise" else "group")


def _named(by: Any) -> dict[str, By]:
    if by is None:
        return {}
    if not isinstance(by, Mapping) or not by:
        raise UsageError(
            f"by must map names to keys, such as {{'carrier': 'flights.parquet::carrier'}}; received a "
            f"{type(by).__name__}{'' if by is None or isinstance(by, Mapping) else '. Give the key a name'}."
        )
    for name in by:
        if not isinstance(name, str) or not name:
            raise UsageError(f"by has a key named {name!r}; expected text.")
        if name in RESERVED:
            raise UsageError(f"by has a key named {name!r}, which is a column of every table of groups; rename it.")
    return {name: key if isinstance(key, By) else By(key) for name, key in by.items()}


RESERVED = (
    "loss",
    "count",
    "weight_sum",
    "sum",
    "mean",
    "weighted_mean",
    "stderr",
    "low",
    "high",
    "clusters",
    "share",
    "omitted",
    "ignored",
)
"""The columns of tables of groups beside keys."""


def statistics_of(stats: Any) -> list[str]:
    """Return the canonical texts of statistics: ``["stderr", "worst=20"]``, or as one text, or ``{"worst": 20}``.

    Raises UnknownNameError for a name that is none.
    """
    if stats is None:
        return []
    if isinstance(stats, str):
        stats = [text for text in stats.split(",") if text.strip()]
    if isinstance(stats, Mapping):
        stats = [name if value is None or value is True else f"{name}={value}" for name, value in stats.items()]
    if not isinstance(stats, Iterable):
        raise UsageError(f"stats must list names of statistics; received {stats!r}.")
    return [_statistic(text) for text in stats]


def _statistic(text: Any) -> str:
    name, equals, number = str(text).strip().partition("=")
    name = ALIASES.get(name.strip(), name.strip())
    if INTERNAL.get(name):
        raise UsageError(f"the statistic {name!r} is asked for by {INTERNAL[name]}, and not by its name.")
    public = [statistic for statistic in known() if statistic not in INTERNAL]
    if name not in public:
        raise UnknownNameError("statistic", name, [*public, *ALIASES], public)
    return chosen(f"{name}{equals}{number}", known()).text
