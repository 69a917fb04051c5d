"""The façade: resolve, plan, execute, report."""

from __future__ import annotations

import resource
import sys
import time
import warnings
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import numpy as np

from .errors import StreamlossWarning, UnknownNameError, UsageError
from .executors import Executor, Task, get_executor
from .executors.base import NAN_POLICIES, States
from .kernels.convert import result_dtype
from .loss import Loss, as_loss, serialize
from .planning import Job, Plan, make_plan
from .result import LossResult, Result, reduce_state
from .sinks.base import ArraySink, Sink
from .sources import Source, open_source
from .sources.base import nbytes
from .types import Block, Progress, Reduction
from .uris import same_place

DEFAULT_MEMORY = "1GiB"
_UNITS = {
    "": 1,
    "b": 1,
    "kb": 10**3,
    "mb": 10**6,
    "gb": 10**9,
    "tb": 10**12,
    "kib": 2**10,
    "mib": 2**20,
    "gib": 2**30,
    "tib": 2**40,
}


def evaluate(
    losses: Any,
    y_true: Any,
    y_pred: Any,
    sample_weight: Any = None,
    *,
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
    the_plan = _plan(named, y_true, y_pred, sample_weight, memory, workers, rows, missing_chunks)
    targets = _targets(out, named)
    for name, asked in chosen.items():
        if asked is Reduction.NONE and name not in targets:
            raise UsageError(
                f"{name}: reduction 'none' needs a place for the losses of rows: pass out='losses.zarr' (--out)."
            )
    runner = get_executor(executor, all(source.in_memory for source in the_plan.sources))
    task = Task(the_plan, _open_sinks(the_plan, named, targets, overwrite), nan_policy)
    states = _run(runner, task, progress, begin)
    said = _warnings(the_plan, states)
    results = {
        job.name: LossResult(
            job.name, serialize(named[job.name]), str(job.dtype), chosen[job.name], state, targets.get(job.name)
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
    memory: int | str = DEFAULT_MEMORY,
    workers: int | None = None,
    rows: slice | None = None,
    missing_chunks: str | None = None,
) -> Plan:
    """What :func:`evaluate` would do with the same arguments: blocks, workers, projected memory. Reads no data.

    Raises what `evaluate` would raise before its first block.
    """
    return _plan(_named(losses), y_true, y_pred, sample_weight, memory, workers, rows, missing_chunks)


def call(loss: Loss, y_true: Any, y_pred: Any, sample_weight: Any) -> Any:
    """``loss(y_true, y_pred, sample_weight)``: the value, or for NONE an array of the losses of rows."""
    the_plan = _plan({loss.name: loss}, y_true, y_pred, sample_weight, DEFAULT_MEMORY, None, None, None)
    runner = get_executor("auto", all(source.in_memory for source in the_plan.sources))
    job = the_plan.jobs[0]
    if loss.reduction is Reduction.NONE:
        sink = ArraySink(the_plan.shape, job.dtype)
        runner.run(Task(the_plan, {job.name: sink}), lambda block: None)
        return sink.array
    states = runner.run(Task(the_plan), lambda block: None)
    _warnings(the_plan, states)
    return np.float64(reduce_state(states[0], loss.reduction))


def parse_memory(memory: int | str) -> int:
    """Bytes from 1073741824, "1GiB", "600 MB"."""
    text = str(memory).strip().lower()
    number = text.rstrip("bikmgt ")
    unit = text[len(number) :].strip()
    try:
        size = int(float(number) * _UNITS[unit])
    except (KeyError, ValueError, OverflowError):
        raise UsageError(f"memory must be bytes or a size such as '600MB' or '1GiB'; received {memory!r}.") from None
    if size <= 0:
        raise UsageError(f"memory must be positive; received {memory!r}.")
    return size


def peak_memory() -> int:
    """The process' peak resident memory in bytes."""
    try:  # ru_maxrss would begin with the memory of the process that started this one
        with open("/proc/self/status", encoding="ascii") as status:
            return next(int(line.split()[1]) * 1024 for line in status if line.startswith("VmHWM:"))
    except (OSError, StopIteration):
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        return peak if sys.platform == "darwin" else peak * 1024


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
    memory: int | str,
    workers: int | None,
    rows: slice | None,
    missing_chunks: str | None,
) -> Plan:
    true_source = open_source(y_true, "y_true", missing_chunks or "warn")
    pred_source = open_source(y_pred, "y_pred", missing_chunks or "error")
    specs = [(name, loss.spec, result_dtype(pred_source.dtype, loss.dtype)) for name, loss in named.items()]
    return make_plan(
        specs,
        true_source,
        pred_source,
        _open_weight(sample_weight, missing_chunks or "warn"),
        memory_bytes=parse_memory(memory),
        workers=workers,
        rows=rows,
    )


def _open_weight(sample_weight: Any, missing_chunks: str) -> Source | float | None:
    if sample_weight is None:
        return None
    if not isinstance(sample_weight, str) and np.ndim(sample_weight) == 0 and not hasattr(sample_weight, "__fspath__"):
        return float(sample_weight)
    return open_source(sample_weight, "sample_weight", missing_chunks)


def _targets(out: str | Mapping[str, str] | None, named: Iterable[str]) -> dict[str, str]:
    """Where the losses of rows go, by name."""
    names = list(named)
    if out is None:
        return {}
    if isinstance(out, Mapping):
        for name in out:
            if name not in names:
                raise UnknownNameError("loss in out", name, names)
        return {name: str(uri) for name, uri in out.items()}
    return {name: f"{str(out).rstrip('/')}/{name}" for name in names}


def _open_sinks(
    the_plan: Plan, named: Mapping[str, Loss], targets: Mapping[str, str], overwrite: bool
) -> dict[str, Sink]:
    """Create the targets; none of them if one is refused."""
    if not targets:
        return {}
    from .sinks.zarr import ZarrSink, check_target

    taken = {f"{source.role} is read from": source.where for source in the_plan.sources}
    for name, uri in targets.items():
        for use, place in taken.items():
            if same_place(uri, place):
                raise UsageError(f"out: {uri!r} is where {use}; write to another place.")
        taken[f"{name} is written"] = uri
        check_target(uri, overwrite)
    chunks = tuple(max(1, size) for size in the_plan.block_shape)

    def open_sink(job: Job) -> Sink:
        attributes = {"loss": serialize(named[job.name]), "rows_from": the_plan.start}
        return ZarrSink(targets[job.name], the_plan.shape, chunks, job.dtype, attributes, overwrite)

    return {job.name: open_sink(job) for job in the_plan.jobs if job.name in targets}


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
        if state.count("count") == 0:
            said.append(f"{job.name}: no row was left to average, so means are 0.0, as in Keras")
        elif state.count("nonzero_weights") == 0:
            said.append(f"{job.name}: all weights are 0, so means divided by weights are 0.0, as in Keras")
        if omitted := state.count("omitted"):
            said.append(f"{job.name}: {omitted} rows whose loss is NaN were left out")
    for message in said:
        warnings.warn(message, StreamlossWarning, stacklevel=3)
    return said


def _all_rows(the_plan: Plan) -> int:
    sizes = [n for n, axis in zip(the_plan.y_pred.shape, the_plan.jobs[0].layout.y_pred.axes, strict=True) if axis >= 0]
    return int(np.prod(sizes, dtype=object))
