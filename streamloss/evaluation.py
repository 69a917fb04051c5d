"""The façade: resolve, plan, execute, report."""

from __future__ import annotations

import time
import warnings
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from .errors import StreamlossWarning, UnknownNameError, UsageError, ValueRangeError
from .executors import Executor, Task, get_executor
from .executors.base import NAN_POLICIES, States, all_labels_are_binary
from .interop import as_loss, describe
from .kernels.convert import result_dtype
from .loss import Loss
from .machine import DEFAULT_MEMORY, parse_memory, peak_memory
from .outputs import open_sinks, targets_by_name, write_cells
from .planning import Plan, Request, make_plan
from .reductions import losses_of_cells, reduce_state, totals
from .result import LossResult, Result
from .sinks.base import ArraySink
from .sources import Source, open_source
from .sources.base import nbytes
from .types import Block, Progress, Reduction


def evaluate(
    losses: Any,
    y_true: Any,
    y_pred: Any,
    sample_weight: Any = None,
    *,
    mask: Any = None,
    class_weight: Mapping[int, float] | None = None,
    reduction: str | None = "",
    out: str | Mapping[str, str] | None = None,
    overwrite: bool = False,
    executor: str | Executor = "auto",
    memory: int | str = DEFAULT_MEMORY,
    workers: int | None = None,
    rows: slice | None = None,
    nan_policy: str = "raise",
    missing_chunks: str | None = None,
    progress: Callable[[Progress], None] | None = None,
) -> Result:
    """Evaluate losses over arrays of any size, in one pass and bounded memory, with exact sums.

    Parameters
    ----------
    losses : loss, str, config, sequence or mapping of these
        A mapping's keys name the losses in the result.
    y_true, y_pred : array_like, numpy.memmap, zarr.Array, str or path
        In memory, or a URI: ``a.npy``, ``store.zarr/path/in/group``.
    sample_weight : float, or as `y_true`, optional
        At least 0; of the losses' shape, or their rank with 1s.
    mask : as `y_true`, optional
        Booleans, or 0 and 1, of the losses' shape, or their rank with 1s. Rows where it is False have no loss: they are
        not counted, whatever they hold, and are 0 in NONE.
    class_weight : mapping of int to float, optional
        What rows of a label count, as in Keras' ``fit``; other labels count 1. Multiplies `sample_weight`. Labels are
        integers, or one-hot.
    reduction : str, optional
        For all losses; by default each loss has its own. See `Reduction`.
    out : str or mapping, optional
        Where the losses of rows go: a Zarr group, in which each loss becomes the array of its name, or a
        mapping from the losses' names to arrays.
    overwrite : bool
        Whether `out` may replace what is there.
    executor : {"auto", "inline", "threads"}
        "auto": threads, or all cores on one block at a time for arrays in memory.
    memory : int or str
        What the evaluation may add to the process: bytes, or "600MB", "1GiB".
    workers : int, optional
        Threads; by default the processors this process may use.
    rows : slice, optional
        Evaluate only these rows (of the first axis).
    nan_policy : {"raise", "omit", "propagate"}
        What to do about a row whose loss is NaN: refuse it by name; leave it out and count it; let it through.
    missing_chunks : {"error", "warn", "fill"}, optional
        What to do about a Zarr chunk that was never written. By default "error" for `y_pred` and "warn"
        (and count) for the others.
    progress : callable, optional
        Called with a `Progress` after each block.

    Raises
    ------
    UsageError, DataError, MachineError
        See :mod:`streamloss.errors`; what was written to `out` before is valid.

    Examples
    --------
    >>> import numpy as np
    >>> import streamloss as sl
    >>> result = sl.evaluate(["mse", "bce"], np.array([0, 1]), np.array([0.25, 0.5]))
    >>> result["mean_squared_error"].mean, result["binary_crossentropy"].count
    (0.15625, 2)

    """
    begin = time.perf_counter()
    named = _named(losses)
    chosen = {name: loss.reduction if reduction == "" else Reduction.parse(reduction) for name, loss in named.items()}
    if nan_policy not in NAN_POLICIES:
        raise UnknownNameError("nan_policy", nan_policy, NAN_POLICIES)
    the_plan = _plan(named, y_true, y_pred, sample_weight, mask, class_weight, memory, workers, rows, missing_chunks)
    targets = targets_by_name(out, named)
    for name, asked in chosen.items():
        if asked is Reduction.NONE and name not in targets:
            raise UsageError(
                f"{name}: reduction 'none' needs a place for the losses of rows: pass out='losses.zarr' (--out)."
            )
    runner = get_executor(executor, all(source.in_memory for source in the_plan.sources))
    sinks = open_sinks(the_plan, {name: describe(loss) for name, loss in named.items()}, targets, overwrite)
    task = Task(the_plan, sinks, nan_policy, _conventions(the_plan, sinks))
    states = _run(runner, task, progress, begin)
    _refuse_undefined_cells(the_plan, states, nan_policy)
    write_cells(the_plan, states, sinks)
    said = _warnings(the_plan, states)
    results = {
        job.name: LossResult(
            job.name, describe(named[job.name]), str(job.dtype), chosen[job.name], state, targets.get(job.name)
        )
        for job, state in zip(the_plan.jobs, states, strict=True)
    }
    return Result(
        results,
        the_plan.rows,
        time.perf_counter() - begin,
        sum(nbytes(s.shape, s.dtype) for s in the_plan.sources) * the_plan.rows // max(1, _all_rows(the_plan)),
        peak_memory(),
        runner.name,
        the_plan.workers,
        the_plan.to_dict(),
        tuple(said),
    )


def plan(
    losses: Any,
    y_true: Any,
    y_pred: Any,
    sample_weight: Any = None,
    *,
    mask: Any = None,
    class_weight: Mapping[int, float] | None = None,
    memory: int | str = DEFAULT_MEMORY,
    workers: int | None = None,
    rows: slice | None = None,
    missing_chunks: str | None = None,
) -> Plan:
    """What :func:`evaluate` would do with the same arguments: blocks, workers, projected memory. Reads no data.

    Raises what `evaluate` would raise before its first block.
    """
    return _plan(
        _named(losses), y_true, y_pred, sample_weight, mask, class_weight, memory, workers, rows, missing_chunks
    )


def call(loss: Loss, y_true: Any, y_pred: Any, sample_weight: Any, mask: Any) -> Any:
    """``loss(y_true, y_pred, sample_weight)``: the value, or for NONE an array of the losses of rows."""
    named = {loss.name: loss}
    the_plan = _plan(named, y_true, y_pred, sample_weight, mask, None, DEFAULT_MEMORY, None, None, None)
    runner = get_executor("auto", all(source.in_memory for source in the_plan.sources))
    job = the_plan.jobs[0]
    unreduced = loss.reduction is Reduction.NONE
    sinks = {job.name: ArraySink(the_plan.shape, job.dtype)} if unreduced and job.layout.cells is None else {}
    states = runner.run(Task(the_plan, sinks, all_binary=_conventions(the_plan, sinks)), lambda block: None)
    _refuse_undefined_cells(the_plan, states, "raise")
    if job.name in sinks:
        return sinks[job.name].array
    if unreduced:
        return losses_of_cells(states[0], weighted=True)
    _warnings(the_plan, states)
    return np.float64(reduce_state(states[0], loss.reduction))


def _named(losses: Any) -> dict[str, Loss]:
    if isinstance(losses, Mapping) and "class_name" not in losses:
        named = {str(name): as_loss(loss) for name, loss in losses.items()}
    else:
        single = isinstance(losses, str | Mapping | Loss) or callable(losses)
        instances = [as_loss(loss) for loss in ([losses] if single else losses)]
        named = {loss.name: loss for loss in instances}
        if len(named) < len(instances):
            raise UsageError(
                f"two losses have one name: {', '.join(loss.name for loss in instances)}. Give them names: "
                "Loss(..., name='a'), or pass a mapping."
            )
    if not named:
        raise UsageError("no losses were given.")
    return named


def _plan(
    named: Mapping[str, Loss],
    y_true: Any,
    y_pred: Any,
    sample_weight: Any,
    mask: Any,
    class_weight: Mapping[int, float] | None,
    memory: int | str,
    workers: int | None,
    rows: slice | None,
    missing_chunks: str | None,
) -> Plan:
    true_source = open_source(y_true, "y_true", missing_chunks or "warn")
    pred_source = open_source(y_pred, "y_pred", missing_chunks or "error")
    requests = [
        Request(name, loss.spec, result_dtype(pred_source.dtype, loss.dtype), loss.precision)
        for name, loss in named.items()
    ]
    return make_plan(
        requests,
        true_source,
        pred_source,
        _open_weight(sample_weight, missing_chunks or "warn"),
        _open_mask(mask, missing_chunks or "error"),
        _checked_class_weight(class_weight),
        memory_bytes=parse_memory(memory),
        workers=workers,
        rows=rows,
    )


def _open_weight(sample_weight: Any, missing_chunks: str) -> Source | float | None:
    if sample_weight is None:
        return None
    if not isinstance(sample_weight, str) and np.ndim(sample_weight) == 0 and not hasattr(sample_weight, "__fspath__"):
        weight = float(sample_weight)
        if not 0.0 <= weight < np.inf:
            raise ValueRangeError(f"sample_weight is {weight:g}; expected a finite weight of at least 0.")
        return weight
    return open_source(sample_weight, "sample_weight", missing_chunks)


def _open_mask(mask: Any, missing_chunks: str) -> Source | None:
    if mask is None:
        return None
    source = open_source(mask, "mask", missing_chunks)
    if source.dtype.kind not in "biu":
        raise UsageError(
            f"mask has dtype {source.dtype}; expected booleans, or integers 0 and 1: whether a row counts."
        )
    return source


def _checked_class_weight(class_weight: Mapping[int, float] | None) -> dict[int, float] | None:
    """None where no class has a weight. Raises UsageError for what is no class or no weight."""
    if class_weight is None:
        return None
    if not isinstance(class_weight, Mapping):
        raise UsageError(f"class_weight must map labels to weights, as {{0: 1.0, 1: 5.0}}; received {class_weight!r}.")
    for label, weight in class_weight.items():
        if isinstance(label, bool) or not isinstance(label, int | np.integer):
            raise UsageError(f"class_weight: {label!r} is no label; expected an integer.")
        if not isinstance(weight, int | float | np.number) or not 0.0 <= weight < np.inf:
            raise UsageError(f"class_weight[{label}] is {weight!r}; expected a finite weight of at least 0.")
    return {int(label): float(weight) for label, weight in class_weight.items()} or None


def _conventions(the_plan: Plan, sinks: Mapping[str, Any]) -> dict[str, bool]:
    """Losses of rows are written as they are computed, so what all labels decide must be known before."""
    return {
        job.name: all_labels_are_binary(the_plan, job)
        for job in the_plan.jobs
        if job.name in sinks and job.spec.both_conventions
    }


def _refuse_undefined_cells(the_plan: Plan, states: States, nan_policy: str) -> None:
    """Raises ValueRangeError for a ratio over the whole data that is 0 / 0."""
    for job, state in zip(the_plan.jobs, states, strict=True):
        if job.layout.cells is None or nan_policy != "raise" or not state.count("elements"):
            continue
        undefined = np.argwhere(np.isnan(losses_of_cells(state)))
        if len(undefined):
            raise ValueRangeError(
                f"{job.name}: the ratio at {tuple(undefined[0].tolist())} is 0 / 0: no label and no prediction "
                "above 0; expected an overlap that is defined. Pass epsilon above 0."
            )


def _run(runner: Executor, task: Task, progress: Callable[[Progress], None] | None, begin: float) -> States:
    rows = 0

    def done(block: Block) -> None:
        nonlocal rows
        rows += block.rows
        if progress is not None:
            progress(Progress(rows, task.plan.rows, time.perf_counter() - begin))

    return runner.run(task, done)


def _warnings(the_plan: Plan, states: States) -> list[str]:
    """What a person should know of a value before using it; also warned about."""
    said = []
    for source in the_plan.sources:
        if filled := getattr(source, "filled", 0):
            said.append(f"{source.role}: {filled} chunks of {source.where} do not exist; their fill value was read")
    for job, state in zip(the_plan.jobs, states, strict=True):
        of = totals(state)
        if of.count == 0:
            said.append(f"{job.name}: no row was left to average, so means are 0.0, as in Keras")
        elif of.nonzero_weights == 0:
            said.append(f"{job.name}: all weights are 0, so means divided by weights are 0.0, as in Keras")
        if omitted := state.count("omitted"):
            said.append(f"{job.name}: {omitted} rows whose loss is NaN were left out")
    for message in said:
        warnings.warn(message, StreamlossWarning, stacklevel=3)
    return said


def _all_rows(the_plan: Plan) -> int:
    sizes = [n for n, axis in zip(the_plan.y_pred.shape, the_plan.jobs[0].layout.y_pred.axes, strict=True) if axis >= 0]
    return int(np.prod(sizes, dtype=object))
