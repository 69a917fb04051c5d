"""The result of an evaluation: values under each reduction, all derived from the exact states."""

from __future__ import annotations

import json
import math
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..aggregation.reductions import derived_values, reduce_state, totals
from ..aggregation.snapshot import Snapshot, write_whole
from ..aggregation.state import State
from ..aggregation.state_files import refuse_state_target
from ..core.machine import peak_memory
from ..core.types import Reduction
from ..errors import UnwritableOutputError, UsageError

SCHEMA = "streamloss.result/1"
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
        """The number of rows labelled ``ignore_class``."""
        return self.state.count("ignored")

    @property
    def omitted(self) -> int:
        """The number of rows left out because their loss was NaN, under ``nan_policy="omit"``."""
        return self.state.count("omitted")

    @property
    def statistics(self) -> dict[str, Any]:
        """The values that the evaluation's statistics derive from the exact state, by name."""
        return derived_values(self.state)

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
            **({"statistics": self.statistics} if self.state.identity.statistics else {}),
        }


@dataclass(frozen=True, slots=True)
class Result(Mapping[str, LossResult]):
    """The losses of an evaluation by name, with the time and memory that it took."""

    losses: Mapping[str, LossResult]
    rows: int
    seconds: float
    """Wall time of the evaluation, compilation included."""
    bytes_read: int
    """Bytes of the arrays' rows that were evaluated, as they are in memory, decoded."""
    peak_memory: int
    """The process' peak resident memory so far, in bytes; 0 where the system does not say."""
    executor: str
    workers: int
    plan: Mapping[str, Any]
    warnings: tuple[str, ...] = ()
    partial: Snapshot | None = None
    """The exact states, with the rows and inputs that they are of; only for shards, checkpoints and merges."""
    compile_seconds: float = 0.0
    """The part of `seconds` in which this process compiled kernels; 0 where all were in the cache."""

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the exact states, for :func:`streamloss.merge`, to a new file or over states that were saved before.

        Raises OutputExistsError for any other file that exists, UsageError for a path in an input, and
        UnwritableOutputError.
        """
        if self.partial is None:
            raise UsageError("only results of shards, checkpoints and merges can be saved: pass shard=(0, 1) for all.")
        inputs = self.partial.manifest.inputs.items()
        refuse_state_target(Path(path), {role: of.where for role, of in inputs if of.where != "in memory"})
        try:
            Path(path).parent.mkdir(parents=True, exist_ok=True)
            write_whole(Path(path), self.partial.to_bytes())
        except OSError as error:
            raise UnwritableOutputError(f"{str(path)!r} cannot be written: {error.strerror or error}.") from error

    def __getitem__(self, name: str) -> LossResult:
        return self.losses[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self.losses)

    def __len__(self) -> int:
        return len(self.losses)

    @property
    def rows_per_second(self) -> float:
        """The speed of the evaluation, without the time in which kernels were compiled."""
        seconds = self.seconds - self.compile_seconds
        return self.rows / seconds if seconds > 0 else math.inf

    def to_dict(self) -> dict[str, Any]:
        """Return the result for JSON; ``schema`` changes when a reader would have to."""
        from ..core.version import __version__

        return {
            "schema": SCHEMA,
            "streamloss": __version__,
            "losses": {name: loss.to_dict() for name, loss in self.losses.items()},
            "rows": self.rows,
            "seconds": round(self.seconds, 6),
            "compile_seconds": round(self.compile_seconds, 6),
            "rows_per_second": round(self.rows_per_second, 1),
            "bytes_read": self.bytes_read,
            "peak_memory_bytes": self.peak_memory,
            "executor": self.executor,
            "workers": self.workers,
            "plan": dict(self.plan),
            "warnings": list(self.warnings),
        }

    def to_json(self, indent: int | None = 2) -> str:
        """Return valid JSON: numbers that are not finite become the strings "NaN", "Infinity" and "-Infinity"."""
        return json.dumps(_finite(self.to_dict()), indent=indent, allow_nan=False)


def result_of(
    snapshot: Snapshot,
    plan: Mapping[str, Any],
    executor: str,
    workers: int,
    messages: Sequence[str],
    compile_seconds: float = 0.0,
) -> Result:
    """Return the result of the blocks that a snapshot holds."""
    manifest, of_blocks = snapshot.manifest, snapshot.result
    rows = manifest.grid.rows(of_blocks.covered)
    empty = rows == 0 and bool(snapshot.missing)
    losses = {
        loss.name: LossResult(loss.name, loss.config, loss.dtype, Reduction(loss.reduction), state, loss.out, empty)
        for loss, state in zip(manifest.losses, of_blocks.states, strict=True)
    }
    return Result(
        losses,
        rows,
        of_blocks.seconds,
        sum(array.nbytes for array in manifest.inputs.values()) * rows // max(1, manifest.all_rows),
        peak_memory(),
        executor,
        workers,
        plan,
        tuple(messages),
        snapshot if manifest.fingerprinted else None,
        min(compile_seconds, of_blocks.seconds),
    )


def _finite(content: Any) -> Any:
    if isinstance(content, float) and not math.isfinite(content):
        return "NaN" if math.isnan(content) else "Infinity" if content > 0 else "-Infinity"
    if isinstance(content, Mapping):
        return {key: _finite(value) for key, value in content.items()}
    if isinstance(content, list | tuple):
        return [_finite(value) for value in content]
    return content
