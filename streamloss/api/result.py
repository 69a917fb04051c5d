"""The result of an evaluation: values under each reduction, all derived from the exact states."""

from __future__ import annotations

import json
import math
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..aggregation.snapshot import Snapshot, refused_if_senseless
from ..aggregation.state_files import refuse_state_target, write_whole
from ..core.machine import peak_memory
from ..core.types import Reduction
from ..errors import SourceError, StateError, UnwritableOutputError, UsageError
from ..storage.regular_files import read_regular
from .loss_result import LossResult
from .names import loss_named
from .output import json_of, pandas
from .result_text import html_of, text_of
from .table import Table

if TYPE_CHECKING:
    from .report.plots import Plots

SCHEMA, OLDER = "streamloss.result/2", ("streamloss.result/1",)
"""The schema of results that are written, and the earlier ones that are read, too: version 2 has groups."""


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
    snapshot: Snapshot | None = field(default=None, compare=False)
    """The exact states, with the blocks and inputs that they are of."""
    compile_seconds: float = 0.0
    """The part of `seconds` in which this process compiled kernels; 0 where all were in the cache."""

    @property
    def partial(self) -> Snapshot | None:
        """The snapshot, where :func:`streamloss.merge` takes it: of shards, checkpoints and merges, whose inputs are
        told from changed ones; else None.
        """
        return self.snapshot if self.snapshot is not None and self.snapshot.manifest.fingerprinted else None

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the result with its exact states to a new file, or over a file of states that was saved before.

        :func:`streamloss.load` gives the same result again; :func:`streamloss.merge` takes files of shards, checkpoints
        and merges. Raises OutputExistsError for any other file that exists, UsageError for a path in an input, and
        UnwritableOutputError.
        """
        if self.snapshot is None:
            raise UsageError("this result was made without states, so there is nothing to save.")
        inputs = self.snapshot.manifest.inputs.items()
        refuse_state_target(Path(path), {role: of.where for role, of in inputs if of.where != "in memory"})
        try:
            Path(path).parent.mkdir(parents=True, exist_ok=True)
            write_whole(Path(path), replace(self.snapshot, run=self._run()).to_bytes())
        except OSError as error:
            raise UnwritableOutputError(f"{str(path)!r} cannot be written: {error.strerror or error}.") from error

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> Result:
        """Return the result that :meth:`save`, ``--state`` or ``--shard`` wrote, with its exact states.

        Parameters
        ----------
        path : str or path
            The file.

        Returns
        -------
        Result
            Equal to the one that was saved.

        Raises
        ------
        SourceError
            For a file that cannot be read.
        StateError
            For one that is no result, or of another schema.

        """
        try:
            data = read_regular(path)
        except OSError as error:
            raise SourceError(f"cannot read the result {str(path)!r}: {error.strerror or error}.") from None
        snapshot = Snapshot.from_bytes(data, str(path))
        run = snapshot.run
        if run is None:
            raise StateError(
                f"{str(path)!r} holds states, but no result: a checkpoint, or a file of an earlier version. "
                "streamloss.merge makes a result of it."
            )
        if run.get("schema") not in (SCHEMA, *OLDER):
            raise StateError(
                f"{str(path)!r} holds a result of the schema {run.get('schema')!r}; expected {SCHEMA!r}. Use the "
                "version of streamloss that wrote it, or streamloss.merge, which reads the states alone."
            )
        with refused_if_senseless(repr(str(path))):
            given = {name: run[name] for name in _OF_THE_RUN}
            given["warnings"] = tuple(given["warnings"])
            return cls(_losses_of(snapshot), **given, snapshot=replace(snapshot, run=None))

    def _run(self) -> dict[str, Any]:
        """Return for a file all but the losses."""
        return {"schema": SCHEMA, **{name: getattr(self, name) for name in _OF_THE_RUN}}

    def __getitem__(self, name: str) -> LossResult:
        """Return a loss by its name in the result, or by any name of the loss that it is: "mse", "MeanSquaredError".

        Raises UnknownLossError, a KeyError, where there is none or are several.
        """
        if (loss := self.losses.get(name)) is not None:
            return loss
        canonical = {own: loss.state.identity.loss for own, loss in self.losses.items()}
        return self.losses[loss_named(name, canonical)]

    def __iter__(self) -> Iterator[str]:
        return iter(self.losses)

    def __len__(self) -> int:
        return len(self.losses)

    @property
    def value(self) -> float | str | None:
        """The value of the one loss. Raises UsageError where there are several, naming them."""
        return self._only("value").value

    def _only(self, wanted: str) -> LossResult:
        if len(self.losses) != 1:
            names = ", ".join(self.losses)
            raise UsageError(f"{wanted}: this result has {len(self.losses)} losses: {names}. Name one: result[NAME].")
        (loss,) = self.losses.values()
        return loss

    def __float__(self) -> float:
        return float(self._only("float"))

    def __format__(self, spec: str) -> str:
        """Return the value of the one loss in a format of numbers; without one, the text of the result."""
        return format(float(self), spec) if spec else str(self)

    def __repr__(self) -> str:
        return text_of(self)

    def _repr_html_(self) -> str:
        return html_of(self)

    @property
    def groups(self) -> Table:
        """The groups of the one loss, as ``LossResult.groups``; of several losses those of all, with a column that
        names the loss.
        """
        if len(self.losses) == 1:
            return self._only("groups").groups
        tables = {name: loss.groups for name, loss in self.losses.items()}
        columns = next(iter(tables.values())).columns
        rows = [[name, *row.values()] for name, table in tables.items() for row in table]
        return Table(["loss", *columns], rows, "groups")

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
        return json_of(self.to_dict(), indent)

    def to_html(self, path: str | os.PathLike[str] | None = None) -> str:
        """Return a report as one page of HTML that needs nothing else, with charts of what the result holds.

        `path` names a file that it is written to: a new one, or a report. Raises OutputExistsError for any other file,
        and UnwritableOutputError.

        Examples
        --------
        >>> import streamloss as sl
        >>> page = sl.evaluate("mse", [0.0, 1.0], [0.5, 0.5]).to_html()
        >>> page.splitlines()[0]
        '<!doctype html>'

        """
        from .report.files import report_of

        return report_of(self.to_dict(), path)

    @property
    def plot(self) -> Plots:
        """Plots of what the result holds: ``result.plot.groups()`` draws matplotlib axes and returns them."""
        from .report.plots import Plots

        return Plots(self.to_dict())

    def to_pandas(self) -> Any:
        """Return a pandas.DataFrame with a row for each loss. Raises MissingExtraError without pandas."""
        records = [loss.record() for loss in self.losses.values()]
        return pandas().DataFrame(records, index=pandas().Index(list(self.losses), name="loss"))

    def to_arrow(self) -> Any:
        """Return a pyarrow.Table with a row for each loss. Raises MissingExtraError without pyarrow."""
        records = [{"loss": name, **loss.record()} for name, loss in self.losses.items()]
        columns = list(dict.fromkeys(column for record in records for column in record))
        return Table(
            columns, [[record.get(column) for column in columns] for record in records], "losses", 1
        ).to_arrow()


_OF_THE_RUN = (
    "rows",
    "seconds",
    "bytes_read",
    "peak_memory",
    "executor",
    "workers",
    "plan",
    "warnings",
    "compile_seconds",
)
"""The fields of a result that its states do not decide, as files hold them."""

load = Result.load


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
    return Result(
        _losses_of(snapshot),
        rows,
        of_blocks.seconds,
        sum(array.nbytes for array in manifest.inputs.values()) * rows // max(1, manifest.all_rows),
        peak_memory(),
        executor,
        workers,
        _plain(plan),
        tuple(messages),
        snapshot,
        min(compile_seconds, of_blocks.seconds),
    )


def _losses_of(snapshot: Snapshot) -> dict[str, LossResult]:
    manifest, of_blocks = snapshot.manifest, snapshot.result
    empty = bool(snapshot.missing) and manifest.grid.rows(of_blocks.covered) == 0
    return {
        loss.name: LossResult(
            loss.name,
            _plain(loss.config),
            loss.dtype,
            Reduction(loss.reduction),
            state,
            loss.out,
            tuple(manifest.shape),
            empty,
        )
        for loss, state in zip(manifest.losses, of_blocks.states, strict=True)
    }


def _plain(content: Mapping[str, Any]) -> dict[str, Any]:
    """Return a mapping as it comes back from a file, with lists for tuples."""
    plain: dict[str, Any] = json.loads(json.dumps(content))
    return plain
