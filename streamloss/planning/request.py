"""The records that a plan is made from: the losses that were asked for, the opened arrays, and the limits."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from ..aggregation.tables.cuts import Cut
from ..core.types import Reduction
from ..formulas._registry import LossSpec
from ..storage.sources.base import Source


@dataclass(frozen=True, slots=True)
class LossRequest:
    """One loss that was asked for."""

    name: str
    """Its name in the result."""
    spec: LossSpec
    dtype: str | None = None
    """The dtype that was asked for, such as "float64"; None: the dtype of `y_pred` decides."""
    precision: str | None = None
    """"float16" or "bfloat16" where labels and predictions are to be rounded to it first."""
    reduction: Reduction = Reduction.SUM_OVER_BATCH_SIZE
    config: Mapping[str, Any] = field(default_factory=dict)
    """The loss with all its settings, for results; empty where the losses' value is all that is asked for."""
    model: str = ""
    """The name of the predictions that it is of, where there are several: see ``Sources.others``."""
    baseline: str | None = None
    """The name of the loss that its losses of rows are compared with."""
    statistics: tuple[str, ...] = ()
    """The statistics to add up beside the totals; see :mod:`streamloss.aggregation.statistics`."""


@dataclass(frozen=True, slots=True)
class Sources:
    """The opened arrays of an evaluation."""

    y_true: Source
    y_pred: Source
    sample_weight: Source | float | None = None
    """An array, or one weight for all rows."""
    mask: Source | None = None
    keys: tuple[tuple[Cut, Source], ...] = ()
    """The keys of groups and clusters that arrays hold."""
    keep: tuple[int | str, ...] = ()
    """The axes of the losses that are not reduced, by number or by the name of `y_pred`'s dimension."""
    others: Mapping[str, Source] = field(default_factory=dict)
    """The predictions of other models than that of `y_pred`, by name."""
    lazy: bool = False
    """Whether Dask computes the arrays: then their axes stay as they are."""

    def predictions(self, model: str) -> Source:
        """Return the predictions of a model."""
        return self.others[model] if model else self.y_pred

    @property
    def arrays(self) -> tuple[Source, ...]:
        """All arrays that there are; a weight that is a number is none."""
        optional = (self.sample_weight, self.mask, *(source for _, source in self.keys), *self.others.values())
        return (self.y_true, self.y_pred, *(s for s in optional if s is not None and not isinstance(s, float)))


@dataclass(frozen=True, slots=True)
class Limits:
    """The memory and the workers that a plan may use."""

    memory_bytes: int
    """The bytes that the evaluation may add to the process."""
    workers: int | None = None
    """Blocks evaluated at a time; None: as many as processors, or more for arrays that come over a network."""
    least_workers: int = 1
    """Blocks at a time where `workers` is None, even on fewer processors, if memory allows them."""
    machine_independent: bool = False
    """Whether blocks are cut by the data alone, whatever the memory and the workers: then parts that are evaluated on
    other machines, or another day, have the same blocks."""
    max_groups: int = 100_000
    """The most groups, and clusters, that tables may have."""
    losses_on_host: bool = True
    """Whether losses of rows that a GPU computes are held by the host until they are written."""

    @classmethod
    def unlimited(cls) -> Limits:
        """Return the limits for arrays that Dask computes: their chunks decide how much is in memory at a time."""
        return cls(1 << 62, workers=1, machine_independent=True)
