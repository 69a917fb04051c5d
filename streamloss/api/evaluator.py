"""Losses over batches that come one after the other: of a data loader, or of an inference loop."""

from __future__ import annotations

import os
import threading
import time
import warnings
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from ..aggregation.checks import check_snapshot
from ..aggregation.state import State
from ..aggregation.state_files import refuse_state_target, write_whole
from ..core.types import Reduction
from ..errors import (
    DataError,
    SourceError,
    StreamlossWarning,
    UnknownNameError,
    UnwritableOutputError,
    UsageError,
)
from ..execution.block import NAN_POLICIES
from ..storage.regular_files import read_regular
from .batch_plans import BatchPlans
from .batch_sums import BatchSums
from .inputs import Inputs
from .interop import loss_requests
from .manifest import plan_of
from .request import Options
from .result import Result, result_of
from .run import choose_executor, run_plan

NAMES = ("y_true", "y_pred", "sample_weight", "mask")
"""The names of a batch that is a mapping."""


class Evaluator:
    """Evaluate losses over batches, with exact sums: the result is that of all rows at once, however they were cut.

    Only the sums are held, never a batch. Threads may call :meth:`update` side by side; batches may have any number of
    rows, and come in any order. It can be pickled with its sums, so that other processes send back what they added.

    Parameters
    ----------
    losses : loss, str, config, sequence or mapping of these
        As those of :func:`evaluate`. A reduction of NONE is refused: losses of rows are written by `evaluate`.
    class_weight : mapping of int to float, or sequence of float, optional
        The weight of each label.
    reduction : str, optional
        For all losses, in place of their own.
    nan_policy : {"raise", "omit", "propagate"}
        What to do about rows whose loss is NaN.
    clip_probabilities : bool
        Whether probabilities outside [0, 1] are taken as 0 or 1.

    Examples
    --------
    >>> import numpy as np
    >>> import streamloss as sl
    >>> evaluator = sl.Evaluator(["mse", "mae"])
    >>> for start in range(0, 100, 32):
    ...     rows = np.arange(start, min(start + 32, 100))
    ...     evaluator.update(rows, rows + 0.5)
    >>> evaluator.result()["mse"].value, evaluator.rows, evaluator.batches
    (0.25, 100, 4)

    """

    def __init__(
        self,
        losses: Any,
        *,
        class_weight: Mapping[int, float] | Sequence[float] | None = None,
        reduction: str | None = "",
        nan_policy: str = "raise",
        clip_probabilities: bool = False,
    ) -> None:
        if nan_policy not in NAN_POLICIES:
            raise UnknownNameError("nan_policy", nan_policy, NAN_POLICIES)
        self._requests = loss_requests(losses, reduction)
        unreduced = [request.name for request in self._requests if request.reduction is Reduction.NONE]
        if unreduced:
            raise UsageError(
                f"{', '.join(unreduced)}: an Evaluator adds losses up, so it has none of rows; expected another "
                "reduction than 'none'. evaluate(..., out='losses.zarr') writes losses of rows."
            )
        self._options = Options(class_weight=class_weight, nan_policy=nan_policy, clip_probabilities=clip_probabilities)
        self._begin()
        self._sums = BatchSums.none(self._requests, self._options)

    def _begin(self) -> None:
        self._lock = threading.Lock()
        self._plans = BatchPlans(self._requests, self._options)

    def __getstate__(self) -> dict[str, Any]:
        return {name: value for name, value in vars(self).items() if name not in ("_lock", "_plans")}

    def __setstate__(self, state: dict[str, Any]) -> None:
        vars(self).update(state)
        self._begin()

    @property
    def rows(self) -> int:
        """The number of rows of all batches."""
        return self._sums.rows

    @property
    def batches(self) -> int:
        """The number of batches."""
        return self._sums.batches

    def reset(self) -> None:
        """Forget all batches."""
        with self._lock:
            self._sums = BatchSums.none(self._requests, self._options)

    def update(self, y_true: Any, y_pred: Any, sample_weight: Any = None, *, mask: Any = None) -> None:
        """Add a batch: arrays in memory, as those of :func:`evaluate`.

        A batch that is refused changes nothing. Raises what `evaluate` raises, with a note of the batch's number, and
        ShapeError or StateError for a batch of another kind than those before: of other classes, another dtype, or with
        weights where the others have none.
        """
        begin, policy = time.perf_counter(), self._options.nan_policy
        try:
            inputs = Inputs(y_true, y_pred, sample_weight, mask)
            plan, messages = self._plans.plan(inputs)
            for message in messages:
                warnings.warn(message, StreamlossWarning, stacklevel=2)
            executor = choose_executor(plan, inputs, self._options)
            states = run_plan(plan, executor, {}, nan_policy=policy, begin=begin).result.states
            for source in plan.sources:
                if source.filled:
                    filled = f"{source.filled:,} of the chunks of {source.where} were never written"
                    warnings.warn(f"{source.role}: {filled}; fill values were read", StreamlossWarning, stacklevel=2)
            self._add(self._sums.of_batch(plan, states, time.perf_counter() - begin))
        except (DataError, UsageError) as error:
            error.add_note(f"It is in batch {self.batches} of the Evaluator, counted from 0.")
            raise

    def update_all(self, batches: Iterable[Any]) -> Evaluator:
        """Add all batches of an iterable, each ``(y_true, y_pred)``, ``(y_true, y_pred, sample_weight)`` or a mapping
        with these names and perhaps ``mask``; return the evaluator.
        """
        for batch in batches:
            if isinstance(batch, Mapping) and {"y_true", "y_pred"} <= batch.keys() <= set(NAMES):
                self.update(**batch)
            elif isinstance(batch, Sequence) and not isinstance(batch, str) and 2 <= len(batch) <= 3:
                self.update(*batch)
            else:
                raise UsageError(
                    f"batch {self.batches} is {_described(batch)}; expected (y_true, y_pred), (y_true, y_pred, "
                    "sample_weight), or a mapping with these names and perhaps mask. Take them out of the batch, as in "
                    "update(batch['label'], model(batch['image']))."
                )
        return self

    def merge(self, other: Evaluator) -> None:
        """Add the batches of another evaluator of the same losses and settings. Raises StateError where they are
        others, and UsageError for what is no evaluator.
        """
        if not isinstance(other, Evaluator):
            raise UsageError(f"merge takes another Evaluator; received {other!r}. restore adds a file of one.")
        self._add(other._sums)

    def _add(self, sums: BatchSums) -> None:
        with self._lock:
            self._sums = self._sums.merge(sums)

    def result(self) -> Result:
        """Return the losses of all batches up to now; more may follow. Raises UsageError before the first batch."""
        snapshot = self._added().snapshot(self._requests)
        messages = check_snapshot(snapshot)
        return result_of(snapshot, plan_of(snapshot.manifest), "inline", 1, messages)

    def states(self) -> dict[str, State]:
        """Return the exact state of each loss by its name. Raises UsageError before the first batch."""
        return dict(zip(self._sums.names, self._added().states, strict=True))

    def _added(self) -> BatchSums:
        """Return the sums. Raises UsageError before the first batch, whose arrays decide the losses' dtype."""
        sums = self._sums
        if not sums.states:
            raise UsageError("this Evaluator has no batches yet; call update(y_true, y_pred) first.")
        return sums

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the sums to a file, or over one that was saved before; :meth:`restore` goes on from it.

        Raises UsageError before the first batch, OutputExistsError for a file of another kind, UnwritableOutputError.
        """
        data = self._added().to_bytes()
        refuse_state_target(Path(path), {})
        try:
            write_whole(Path(path), data)
        except OSError as error:
            raise UnwritableOutputError(f"{str(path)!r} cannot be written: {error.strerror or error}.") from error

    def restore(self, path: str | os.PathLike[str]) -> None:
        """Add the batches that another evaluator of the same losses and settings has saved.

        Raises SourceError for a file that cannot be read, and StateError for one that is none, or of other losses.
        """
        try:
            data = read_regular(path)
        except OSError as error:
            raise SourceError(f"cannot read {str(path)!r}: {error.strerror or error}.") from None
        self._add(BatchSums.from_bytes(data, repr(str(path))))

    def __repr__(self) -> str:
        sums = self._sums
        names = ", ".join(sums.names)
        return f"Evaluator({names}: {sums.rows:,} rows in {sums.batches:,} batch{'es' * (sums.batches != 1)})"


def _described(batch: Any) -> str:
    if isinstance(batch, Mapping):
        return f"a mapping of {', '.join(map(repr, batch))}"
    size = f" of {len(batch)}" if isinstance(batch, Sequence) else ""
    return f"a {type(batch).__name__}{size}"
