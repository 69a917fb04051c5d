"""Losses over batches that come one after the other: of a data loader, or of an inference loop."""

from __future__ import annotations

import json
import os
import threading
import time
import warnings
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from ..aggregation.checks import refuse_undefined_ratios, warn_of_values
from ..aggregation.identity import canonical_json
from ..aggregation.snapshot import write_whole
from ..aggregation.state import State
from ..aggregation.state_files import refuse_state_target
from ..core.machine import peak_memory
from ..core.types import Reduction
from ..errors import (
    DataError,
    ShapeError,
    SourceError,
    StateError,
    StreamlossWarning,
    UnknownNameError,
    UnwritableOutputError,
    UsageError,
)
from ..execution.block import NAN_POLICIES
from ..planning.alignment import CLASS_AXIS
from ..planning.plan import Plan
from .interop import loss_requests
from .loss_result import LossResult
from .request import Inputs, Options, messages_about, plan_request, prepare_inputs
from .result import Result
from .run import choose_executor, run_plan

FORMAT, VERSION = "streamloss.evaluator", 1


class Evaluator:
    """Evaluate losses over batches, with exact sums: the result is that of all rows at once, however they were cut.

    Only the sums are held, never a batch. Threads may call :meth:`update` side by side; batches may have any number of
    rows, and come in any order.

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
        self._lock = threading.Lock()
        self.reset()

    def reset(self) -> None:
        """Forget all batches."""
        self._states: tuple[State, ...] | None = None
        self._form: tuple[Any, ...] | None = None
        self.rows = 0
        self.batches = 0
        self._seconds = 0.0
        self._plan: Mapping[str, Any] = {}

    def update(self, y_true: Any, y_pred: Any, sample_weight: Any = None, *, mask: Any = None) -> None:
        """Add a batch: arrays in memory, as those of :func:`evaluate`.

        A batch that is refused changes nothing. Raises what `evaluate` raises, with a note of the batch's number, and
        ShapeError or StateError for a batch of another kind than those before: of other classes, another dtype, or with
        weights where the others have none.
        """
        begin = time.perf_counter()
        try:
            inputs = prepare_inputs(self._requests, Inputs(y_true, y_pred, sample_weight, mask))
            if inputs.lazy:
                raise UsageError("an Evaluator takes arrays in memory; evaluate(...) takes Dask arrays.")
            plan = plan_request(self._requests, inputs, self._options)
            for message in messages_about(plan):
                warnings.warn(message, StreamlossWarning, stacklevel=2)
            run = run_plan(plan, choose_executor(plan, inputs, self._options), {}, nan_policy=self._options.nan_policy)
            self._add(tuple(run.result.states), _form_of(plan), plan.rows, 1, time.perf_counter() - begin)
        except (DataError, UsageError, StateError) as error:
            error.add_note(f"It is in batch {self.batches} of the Evaluator, counted from 0.")
            raise
        self._plan = self._plan or plan.to_dict()

    def update_all(self, batches: Iterable[Any]) -> Evaluator:
        """Add all batches of an iterable, each ``(y_true, y_pred)``, ``(y_true, y_pred, sample_weight)`` or a mapping
        with these names and perhaps ``mask``; return the evaluator.
        """
        for batch in batches:
            if isinstance(batch, Mapping):
                self.update(**batch)
            elif isinstance(batch, Sequence) and 2 <= len(batch) <= 3:
                self.update(*batch)
            else:
                raise UsageError(
                    f"batch {self.batches} is {_described(batch)}; expected (y_true, y_pred), (y_true, y_pred, "
                    "sample_weight), or a mapping with these names."
                )
        return self

    def merge(self, other: Evaluator) -> None:
        """Add the batches of another evaluator of the same losses. Raises StateError where they are others."""
        if other._states is not None:
            self._add(other._states, other._form, other.rows, other.batches, other._seconds)
            self._plan = self._plan or other._plan

    def _add(
        self, states: tuple[State, ...], form: tuple[Any, ...] | None, rows: int, batches: int, seconds: float
    ) -> None:
        with self._lock:
            if self._states is not None:
                if self._form != form:
                    raise ShapeError(
                        f"y_pred has {_shown(form)}; expected {_shown(self._form)}, as the batches before have."
                    )
                self._refuse_other(states)
                states = tuple(mine.merge(of_batch) for mine, of_batch in zip(self._states, states, strict=True))
            self._states, self._form = states, form
            self.rows, self.batches, self._seconds = self.rows + rows, self.batches + batches, self._seconds + seconds

    def _refuse_other(self, states: tuple[State, ...]) -> None:
        """Raise StateError for states that cannot be added, with the reason that they most often have."""
        assert self._states is not None
        if len(states) != len(self._states):
            raise StateError(f"the other evaluator has {len(states)} losses; expected {len(self._states)}.")
        for mine, other in zip(self._states, states, strict=True):
            one, two = mine.identity, other.identity
            if one == two:
                continue
            if one.loss == two.loss and one.weighted != two.weighted:
                has, had = ("has", "had none") if two.weighted else ("has no", "had some")
                raise StateError(
                    f"{one.loss}: this batch {has} sample_weight; those before {had}. Pass weights of 1 to the others."
                )
            if one.loss == two.loss and one.dtype != two.dtype:
                raise StateError(
                    f"{one.loss}: losses of this batch are {two.dtype}; expected {one.dtype}, as those before are. "
                    "Pass predictions of one dtype, or a loss with dtype='float32' or 'float64'."
                )
            raise StateError(f"{one.loss}: the batches are of different evaluations: {two}; expected {one}.")

    def result(self) -> Result:
        """Return the losses of all batches up to now; more may follow. Raises UsageError before the first batch."""
        states = self.states()
        for name, state in states.items():
            refuse_undefined_ratios(name, state, self._options.nan_policy)
        messages = warn_of_values(states)
        losses = {
            request.name: LossResult(
                request.name, json.loads(json.dumps(request.config)), states[request.name].identity.dtype,
                request.reduction, states[request.name],
            )
            for request in self._requests
        }  # fmt: skip
        seconds = self._seconds
        return Result(losses, self.rows, seconds, 0, peak_memory(), "inline", 1, self._plan, tuple(messages))

    def states(self) -> dict[str, State]:
        """Return the exact state of each loss by its name. Raises UsageError before the first batch."""
        if self._states is None:
            raise UsageError("this Evaluator has no batches yet; call update(y_true, y_pred) first.")
        return {request.name: state for request, state in zip(self._requests, self._states, strict=True)}

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the sums to a file, or over one that was saved before; :meth:`restore` goes on from it.

        Raises UsageError before the first batch, OutputExistsError for a file of another kind, UnwritableOutputError.
        """
        content = {
            "format": FORMAT,
            "version": VERSION,
            "states": {name: state.to_dict() for name, state in self.states().items()},
            "form": self._form,
            "rows": self.rows,
            "batches": self.batches,
            "seconds": self._seconds,
        }
        refuse_state_target(Path(path), {})
        try:
            write_whole(Path(path), canonical_json(content).encode() + b"\n")
        except OSError as error:
            raise UnwritableOutputError(f"{str(path)!r} cannot be written: {error.strerror or error}.") from error

    def restore(self, path: str | os.PathLike[str]) -> None:
        """Add the batches that another evaluator of the same losses has saved.

        Raises SourceError for a file that cannot be read, and StateError for one that is none, or of other losses.
        """
        try:
            data = Path(path).read_bytes()
        except OSError as error:
            raise SourceError(f"cannot read {str(path)!r}: {error.strerror or error}.") from None
        try:
            content = json.loads(data)
            if (content["format"], content["version"]) != (FORMAT, VERSION):
                raise ValueError("another format")
            found = {
                name: State.from_bytes(canonical_json(state).encode()) for name, state in content["states"].items()
            }
            form = tuple(map(tuple, content["form"]))
            rows, batches, seconds = int(content["rows"]), int(content["batches"]), float(content["seconds"])
        except StateError:
            raise
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
            raise StateError(f"{str(path)!r} is not what an Evaluator has saved: {error}.") from None
        names = [request.name for request in self._requests]
        if list(found) != sorted(names):
            raise StateError(f"{str(path)!r} is of {', '.join(found)}; expected {', '.join(names)}.")
        self._add(tuple(found[name] for name in names), form, rows, batches, seconds)

    def __repr__(self) -> str:
        names = ", ".join(request.name for request in self._requests)
        return f"Evaluator({names}: {self.rows:,} rows in {self.batches:,} batch{'es' * (self.batches != 1)})"


def _form_of(plan: Plan) -> tuple[Any, ...]:
    """Return what all batches have in common: for each loss the rank of predictions, and their classes."""
    views = (loss.alignment.y_pred for loss in plan.losses)
    return tuple(
        (len(view.shape), *(size for axis, size in zip(view.axes, view.shape, strict=True) if axis == CLASS_AXIS))
        for view in views
    )


def _shown(form: tuple[Any, ...] | None) -> str:
    rank, *classes = (form or ((0,),))[0]
    of_classes = f", and {' x '.join(map(str, classes))} classes or entries" if classes else ""
    return f"{rank} ax{'i' if rank == 1 else 'e'}s{of_classes}"


def _described(batch: Any) -> str:
    size = f" of {len(batch)}" if isinstance(batch, Sequence) else ""
    return f"a {type(batch).__name__}{size}"
