"""The comparison of models: differences of means over the same rows, judged by their exact moments."""

from __future__ import annotations

import math
import os
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ..aggregation.exact_sum import ExactSum
from ..aggregation.paired import Clusters, Pair, difference_error, mean_difference, p_value_of, skill_error
from ..aggregation.reductions import with_convention
from ..aggregation.state import State
from ..aggregation.tables.exact_table import ExactTable
from ..aggregation.tables.states import mean_of, states_of
from ..aggregation.uncertainty import Interval, interval
from ..errors import StateError, UnknownNameError, ValueRangeError
from .loss_statistics import LEVEL, clusters_by_key, cuts_of
from .output import json_of
from .result import Result
from .table import Table

if TYPE_CHECKING:
    from .report.plots import Plots

COLUMNS = (
    "mean",
    "difference",
    "stderr",
    "low",
    "high",
    "p_value",
    "better",
    "equal",
    "worse",
    "skill",
    "skill_low",
    "skill_high",
)
"""The columns of a comparison behind the model's name."""


@dataclass(frozen=True, slots=True)
class Comparison:
    """Models compared with a baseline on the same rows."""

    result: Result
    """The losses of all models, named ``loss/model``."""
    baseline: str
    models: tuple[str, ...]
    """The names of the models, the baseline first."""

    @property
    def losses(self) -> tuple[str, ...]:
        """The names of the losses."""
        return tuple(dict.fromkeys(name.rpartition("/")[0] for name in self.result))

    @property
    def table(self) -> Table:
        """A row for each loss and model. `mean` is the weighted mean where there are weights; `difference` is the
        model's mean less the baseline's, so that below 0 is better; `stderr`, `low`, `high` (95 %) and `p_value` are of
        the difference; `better`, `equal` and `worse` count rows; `skill` is ``1 - mean / baseline's mean``.
        """
        rows = []
        for loss in self.losses:
            for model in self.models:
                rows.append([loss, model, *self._row(self._pair(loss, model))])
        return Table(["loss", "model", *COLUMNS], rows, "models", 2)

    def __getitem__(self, model: str) -> dict[str, Any]:
        """Return the row of a model for the one loss, or, as ``"loss/model"``, for one of several."""
        loss, _, name = model.rpartition("/")
        table = [row for row in self.table if row["model"] == name and loss in ("", row["loss"])]
        if len(table) != 1:
            known = [*self.models] if len(self.losses) == 1 else list(self.result)
            raise UnknownNameError("model", model, known)
        return table[0]

    @property
    def grouped(self) -> bool:
        """Whether there are groups."""
        return bool(cuts_of(next(iter(self.result.values())).state, "by"))

    @property
    def groups(self) -> Table:
        """The same for each group of `by`: a row for each loss, combination of keys, and model."""
        rows: list[list[Any]] = []
        cuts = cuts_of(next(iter(self.result.values())).state, "by")
        for loss in self.losses:
            pairs = {model: self._pairs_by_group(loss, model) for model in self.models}
            for key in pairs[self.baseline]:
                labels = [cut.label(value) for cut, value in zip(cuts, key, strict=True)]
                rows += [[loss, *labels, model, *self._row(pairs[model][key])] for model in self.models]
        return Table(["loss", *(cut.name for cut in cuts), "model", *COLUMNS], rows, "groups", 2 + len(cuts))

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the comparison with its exact states to a file, as ``Result.save`` does and with its errors."""
        self.result.save(path)

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> Comparison:
        """Return the comparison that :meth:`save` wrote. Raises SourceError and StateError as ``Result.load``, and
        StateError for the result of an evaluation.
        """
        result = Result.load(path)
        models = tuple(dict.fromkeys(name.rpartition("/")[2] for name in result))
        baseline, *others = models
        compared = all(
            name.rpartition("/")[2] == baseline or "paired" in result[name].state.parts or not result.rows
            for name in result
        )
        if not others or not compared:
            raise StateError(f"{str(path)!r} holds the result of an evaluation; streamloss.load reads it.")
        return cls(result, baseline, models)

    def to_dict(self) -> dict[str, Any]:
        """Return the comparison for JSON."""
        return {
            "schema": "streamloss.comparison/1",
            "baseline": self.baseline,
            "models": list(self.models),
            "comparison": self.table.to_dict(),
            **({"groups": self.groups.to_dict()} if self.grouped else {}),
            "result": self.result.to_dict(),
        }

    def to_json(self, indent: int | None = 2) -> str:
        """Return valid JSON: numbers that are not finite become the strings "NaN", "Infinity" and "-Infinity"."""
        return json_of(self.to_dict(), indent)

    def to_html(self, path: str | os.PathLike[str] | None = None) -> str:
        """Return a report as one page of HTML, with the intervals of the differences, as ``Result.to_html`` does."""
        from .report.files import report_of

        return report_of(self.to_dict(), path)

    @property
    def plot(self) -> Plots:
        """Plots of the comparison: ``found.plot.comparison()`` draws matplotlib axes and returns them."""
        from .report.plots import Plots

        return Plots(self.to_dict())

    def to_pandas(self) -> Any:
        """Return `table` as a pandas.DataFrame. Raises MissingExtraError without pandas."""
        return self.table.to_pandas()

    def __repr__(self) -> str:
        shown = self.table.select("loss", "model", "mean", "difference", "low", "high", "p_value", "skill")
        return f"Comparison with {self.baseline!r} over {self.result.rows:,} rows, 95 % intervals\n{shown!r}"

    def _repr_html_(self) -> str:
        return self.table._repr_html_()

    def _state(self, loss: str, model: str) -> State:
        return with_convention(self.result[f"{loss}/{model}"].state)

    def _pair(self, loss: str, model: str) -> Pair:
        state, baseline = self._state(loss, model), self._state(loss, self.baseline)
        _refuse_other_rows(loss, model, self.baseline, state, baseline)
        clusters = None
        if "clusters" in state.parts:
            clusters = _clusters(state), _clusters(baseline)
        if model == self.baseline:
            return _with_itself(state, clusters)
        table = state.parts.get("paired")
        product, better, equal = ExactSum(), 0, 0
        if isinstance(table, ExactTable):
            product = sum(table.sums("loss_times_baseline"), ExactSum())
            better, equal = int(table.count("better").sum()), int(table.count("equal").sum())
        finite = product.exactly() if product.special is None else None
        return Pair(state, baseline, finite, better, equal, clusters)

    def _pairs_by_group(self, loss: str, model: str) -> dict[tuple[Any, ...], Pair]:
        state, baseline = self._state(loss, model), self._state(loss, self.baseline)
        own, others = _states_by_group(state), _states_by_group(baseline)
        clusters, others_clusters = _clusters_by_group(state), _clusters_by_group(baseline)
        both = {key: (clusters[key], others_clusters[key]) for key in clusters}
        if model == self.baseline:
            return {key: _with_itself(of, both.get(key)) for key, of in own.items()}
        table = state.parts["paired"]
        assert isinstance(table, ExactTable)
        products, better, equal = table.sums("loss_times_baseline"), table.count("better"), table.count("equal")
        keys = zip(*(column.objects() for column in table.keys), strict=True)
        found = {}
        for row, key in enumerate(keys):
            product = products[row].exactly() if products[row].special is None else None
            found[key] = Pair(own[key], others[key], product, int(better[row]), int(equal[row]), both.get(key))
        return found

    def _row(self, pair: Pair) -> list[Any]:
        mean, reference = mean_of(pair.model), mean_of(pair.baseline)
        difference, units = mean_difference(pair)
        error = difference_error(pair)
        low, high = interval(difference, error, units, LEVEL)
        p_value = p_value_of(difference, error, units)
        skill = 1.0 - mean / reference if reference else math.nan
        of_skill = interval(skill, skill_error(pair), units, LEVEL) if reference else Interval(math.nan, math.nan)
        worse = pair.model.count("count") - pair.better - pair.equal
        return [mean, difference, error, low, high, p_value, pair.better, pair.equal, worse, skill, *of_skill]


def _with_itself(state: State, clusters: tuple[Clusters, Clusters] | None) -> Pair:
    squared = state.sum("loss_squared")
    product = squared.exactly() if squared.special is None else None
    return Pair(state, state, product, 0, state.count("count"), clusters)


def _clusters(state: State) -> Clusters:
    table = state.parts["clusters"]
    assert isinstance(table, ExactTable)
    counts = table.count("count").tolist()
    weights = table.sums("weight") if state.identity.weighted else [ExactSum.of_count(count) for count in counts]
    return Clusters(table.sums("loss"), weights, counts)


def _states_by_group(state: State) -> dict[tuple[Any, ...], State]:
    table = state.parts.get("groups")
    return dict(states_of(table, state.identity)) if isinstance(table, ExactTable) else {}


def _clusters_by_group(state: State) -> dict[tuple[Any, ...], Clusters]:
    table = state.parts.get("clusters_by_group")
    if not isinstance(table, ExactTable):
        return {}
    return {key: Clusters(*held) for key, held in clusters_by_key(table, state.identity.weighted).items()}


def _refuse_other_rows(loss: str, model: str, baseline: str, own: State, other: State) -> None:
    """Raise ValueRangeError where the means are of other rows: a NaN of one model, which was left out."""
    counts = [tuple(state.count(name) for name in ("count", "omitted", "ignored")) for state in (own, other)]
    if counts[0] != counts[1]:
        raise ValueRangeError(
            f"{loss}: {model!r} has {counts[0][0]:,} rows that count, {counts[0][1]:,} omitted and {counts[0][2]:,} "
            f"ignored ones, and {baseline!r} {counts[1][0]:,}, {counts[1][1]:,} and {counts[1][2]:,}; expected the "
            "same rows. Leave rows that one of them cannot predict out of all, by mask=."
        )
