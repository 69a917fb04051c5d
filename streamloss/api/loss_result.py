"""One loss of a result: its values under each reduction, all derived from the exact state."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ..aggregation.reductions import derived_values, reduce_state, totals, with_convention
from ..aggregation.state import State
from ..aggregation.uncertainty import Interval
from ..core.types import Reduction
from ..errors import UsageError
from . import loss_statistics
from .output import json_of, pandas
from .ratios import ratios_of
from .result_text import html_of_loss, text_of_loss
from .table import Table

MEANS = (Reduction.SUM_OVER_BATCH_SIZE, Reduction.MEAN, Reduction.AUTO)
"""The reductions that divide by the number of losses, whatever the weights."""


@dataclass(frozen=True, slots=True)
class LossResult:
    """One loss of an evaluation. Sums and means are float64, correctly rounded; counts are exact."""

    name: str
    config: Mapping[str, Any]
    """The loss and its parameters, as ``losses.deserialize`` takes them."""
    dtype: str
    """The dtype of the losses of rows."""
    reduction: Reduction
    state: State
    out: str | None = None
    """The URI that the losses of rows were written to, or None."""
    shape: tuple[int, ...] = ()
    """The losses' shape, of the rows that are evaluated."""
    empty: bool = False
    """Whether it is of no rows, though the data has some: then its values are NaN, for they say nothing of the data."""

    @property
    def value(self) -> float | str | None:
        """The value under the reduction asked for; for NONE, where the losses were written."""
        return self.out if self.reduction is Reduction.NONE else self._reduced(self.reduction)

    @property
    def headline(self) -> str:
        """The name of the value that tables show first and gates compare: with weights "weighted_mean" in place of a
        mean over the number of losses, which is no mean then; else "value".
        """
        return "weighted_mean" if self.weighted and self.reduction in MEANS else "value"

    @property
    def weighted(self) -> bool:
        """Whether rows had weights."""
        return self.state.identity.weighted

    @property
    def sum(self) -> float:
        """The value of SUM, ``Σ v w``."""
        return self._reduced(Reduction.SUM)

    @property
    def mean(self) -> float:
        """The value of SUM_OVER_BATCH_SIZE, ``Σ v w / count``."""
        return self._reduced(Reduction.SUM_OVER_BATCH_SIZE)

    @property
    def weighted_mean(self) -> float:
        """The value of MEAN_WITH_SAMPLE_WEIGHT, ``Σ v w / Σ w``."""
        return self._reduced(Reduction.MEAN_WITH_SAMPLE_WEIGHT)

    @property
    def count(self) -> int:
        """The number of losses added up: of rows but the ignored and the omitted ones, or of ratios over all data."""
        return totals(self.state).count

    @property
    def weight_sum(self) -> float:
        """``Σ w``, with w broadcast to the losses; without weights, the count."""
        return totals(self.state).weight.rounded()

    @property
    def ignored(self) -> int:
        """The number of rows labelled ``ignore_class``, or left out by a mask."""
        ratio_shape = self.state.identity.ratio_shape  # each ratio counts them
        return self.state.count("ignored") // (1 if ratio_shape is None else max(1, math.prod(ratio_shape)))

    @property
    def omitted(self) -> int:
        """The number of rows left out because their loss was NaN, under ``nan_policy="omit"``."""
        return self.state.count("omitted")

    @property
    def _decided(self) -> State:
        """The state under the labels' convention, where all labels decide it."""
        return with_convention(self.state)

    @property
    def stderr(self) -> float:
        """The standard error of the mean that is shown first, of independent rows; of clusters where `cluster` was
        passed.

        It is that of `value`, of `weighted_mean` where rows have weights, and of `mean` for a sum. Raises UsageError
        where the evaluation had neither ``stats="stderr"`` nor `cluster`.
        """
        return self.standard_error()

    def standard_error(self, reduction: str | None = None, *, jackknife: bool = False) -> float:
        """Return the standard error of a mean: of that of `stderr`, or of another reduction that is a mean.

        With `jackknife`, one cluster at a time is left out, such as a day of a series, in place of the formula.
        """
        of = self._mean_reduction(reduction)
        return loss_statistics.Uncertainty.of(self._decided).error(of, jackknife)

    def interval(self, level: float = 0.95, reduction: str | None = None) -> Interval:
        """Return the confidence interval ``(low, high)`` of the mean, by Student's t with one degree of freedom less
        than there are rows, or clusters.
        """
        return loss_statistics.interval_of(self._decided, self._mean_reduction(reduction), level)

    def _mean_reduction(self, asked: str | None) -> Reduction:
        if asked is None:
            return loss_statistics.mean_reduction(self.reduction, self.weighted)
        if (reduction := Reduction.parse(asked)) not in loss_statistics.MEANS:
            raise UsageError(f"{self.name}: {asked!r} is no mean; expected one of {', '.join(loss_statistics.MEANS)}.")
        return reduction

    @property
    def groups(self) -> Table:
        """The groups of `by`: a row for each combination of keys that occurs, with the keys' columns by their names,
        then count, sum, means, where it was asked for the standard error and the ends of the 95 % interval of the mean
        that is shown first, and the share of the sum of all losses.
        """
        return loss_statistics.groups_of(self._decided)

    def groups_by(self, *keys: str) -> Table:
        """Return the groups by some of the keys, summed over the others."""
        return loss_statistics.groups_of(self._decided, keys)

    @property
    def kept(self) -> Table:
        """The loss along the axes that `keep` names: a row for each index, with the columns of `groups`."""
        return loss_statistics.kept_of(self._decided)

    @property
    def ratios(self) -> Table:
        """The ratios over the whole data, such as the Dice loss of each class: the index along the axes that are not
        summed over, the loss, and the sums of ``y_true y_pred``, ``y_true`` and ``y_pred``.
        """
        return ratios_of(self.state)

    def quantile(self, probability: float) -> float:
        """Return a quantile of the losses of rows: exact for 0 and 1, else with a relative error of at most 1/512."""
        return loss_statistics.quantile(self._decided, probability)

    def group_quantiles(self, *probabilities: float) -> Table:
        """Return quantiles of the losses of each group of `by`, with a relative error of at most 1/512."""
        return loss_statistics.group_quantiles(self._decided, probabilities or (0.5,))

    @property
    def perplexity(self) -> float:
        """The exponential of the mean of a cross-entropy. Raises UsageError for another loss."""
        loss_statistics.nats(self._decided)
        return math.exp(self._reduced(self._mean_reduction(None)))

    def perplexity_interval(self, level: float = 0.95) -> Interval:
        """Return the confidence interval of the perplexity: the exponentials of the ends of that of the mean."""
        loss_statistics.nats(self._decided)
        return Interval(*map(math.exp, self.interval(level)))

    @property
    def bits(self) -> float:
        """The mean of a cross-entropy in bits, such as bits per token. Raises UsageError for another loss."""
        loss_statistics.nats(self._decided)
        return self._reduced(self._mean_reduction(None)) / math.log(2)

    def bits_per_byte(self, num_bytes: float) -> float:
        """Return the sum of a cross-entropy in bits, divided by the number of bytes of the text that it is of."""
        loss_statistics.nats(self._decided)
        return self.sum / math.log(2) / num_bytes

    def share_above(self, threshold: float) -> float:
        """Return the share of rows with a loss above a threshold, which is taken as the end of its bin (1/256 wide)."""
        return loss_statistics.share_above(self._decided, threshold)

    @property
    def histogram(self) -> Table:
        """The counts of losses in bins of the float's own bits: the lower and upper edge, and the count."""
        return loss_statistics.histogram_table(self._decided)

    @property
    def worst(self) -> Table:
        """The rows with the largest losses: index, loss, label, prediction, weight and keys."""
        return loss_statistics.worst_table(self._decided, self.shape)

    @property
    def running(self) -> Table:
        """The mean of each of equal ranges of the rows, in their order."""
        return loss_statistics.running_table(self._decided)

    @property
    def calibration(self) -> Table:
        """The bins of the predicted probability, with the share of rows where the outcome was so."""
        return loss_statistics.calibration_table(self._decided)

    @property
    def calibration_tail(self) -> Table:
        """The bins of doubt, 1 less the probability of what is predicted, by powers of two, with the share of wrong
        rows: the calibration of probabilities near 1.
        """
        return loss_statistics.tail_table(self._decided)

    @property
    def confusion(self) -> Any:
        """The rows by label and predicted class: int64 (classes, classes)."""
        return loss_statistics.confusion_matrix(self._decided)

    @property
    def statistics(self) -> dict[str, Any]:
        """The values that the evaluation's statistics derive from the exact state, by name."""
        return derived_values(self.state)

    def _uncertainty(self) -> dict[str, Any]:
        """Return the standard error and the ends of the 95 % interval of the mean that is shown first, and the number
        of clusters, by the names of the columns of groups; nothing where the evaluation had no standard error.
        """
        if "stderr" not in self.state.identity.statistics:
            return {}
        found, (low, high) = loss_statistics.Uncertainty.of(self._decided), self.interval()
        clusters = {"clusters": found.units} if found.of_clusters else {}
        return {"stderr": self.stderr, "low": low, "high": high, **clusters}

    def _reduced(self, reduction: Reduction) -> float:
        return math.nan if self.empty else reduce_state(self.state, reduction)

    def to_dict(self) -> dict[str, Any]:
        """Return the result for JSON; statistics only where there are some."""
        return {
            **self.config,
            "dtype": self.dtype,
            "reduction": str(self.reduction),
            "value": self.value,
            "sum": self.sum,
            "mean": self.mean,
            "weighted_mean": self.weighted_mean,
            "count": self.count,
            "weight_sum": self.weight_sum,
            "ignored": self.ignored,
            "omitted": self.omitted,
            "out": self.out,
            **self._uncertainty(),
            **({"statistics": self.statistics} if self.state.identity.statistics else {}),
            **({"groups": self.groups.to_dict()} if "groups" in self.state.parts else {}),
            **({"kept": self.kept.to_dict()} if "kept" in self.state.parts else {}),
            **({"ratios": self.ratios.to_dict()} if self.state.identity.ratio_shape else {}),
        }

    def to_json(self, indent: int | None = 2) -> str:
        """Return valid JSON: numbers that are not finite become the strings "NaN", "Infinity" and "-Infinity"."""
        return json_of(self.to_dict(), indent)

    def to_pandas(self) -> Any:
        """Return the loss as a pandas.Series, with the columns of ``Result.to_pandas``. Raises MissingExtraError."""
        record = self.record()
        return pandas().Series(list(record.values()), index=list(record), name=self.name, dtype=object)

    def record(self) -> dict[str, Any]:
        """Return the values and counts as one flat row of a table, statistics last."""
        return {
            "value": self.value,
            "reduction": str(self.reduction),
            "sum": self.sum,
            "mean": self.mean,
            "weighted_mean": self.weighted_mean,
            "count": self.count,
            "weight_sum": self.weight_sum,
            "ignored": self.ignored,
            "omitted": self.omitted,
            "dtype": self.dtype,
            "out": self.out,
            **self._uncertainty(),
            **{name: value for name, value in self.statistics.items() if isinstance(value, float)},
        }

    def __float__(self) -> float:
        value = self.value
        if not isinstance(value, float):
            raise UsageError(
                f"{self.name} has the reduction 'none': its losses of rows are in {value!r}, and it has no one value. "
                f"Read .sum, .mean or .weighted_mean, which every loss has."
            )
        return value

    def __format__(self, spec: str) -> str:
        """Return the value in a format of numbers, as in ``f"{loss:.4f}"``; without one, the text of the loss."""
        return format(float(self), spec) if spec else str(self)

    def __repr__(self) -> str:
        return text_of_loss(self)

    def _repr_html_(self) -> str:
        return html_of_loss(self)
