"""The façade: resolve, plan, execute, report."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import replace
from typing import Any

import numpy as np

from ..aggregation.checkpoint import opened
from ..aggregation.checks import concluded, filled_chunks, refuse_undefined_cells, warned
from ..aggregation.manifest import evaluation_key
from ..aggregation.reductions import losses_of_cells, reduce_state
from ..core.machine import DEFAULT_MEMORY
from ..core.types import Progress, Reduction
from ..errors import UnknownNameError, UsageError
from ..execution import EXECUTORS, Executor, Run, get_executor, is_of_dask
from ..execution.block import NAN_POLICIES, all_labels_are_binary
from ..execution.collector import Collector
from ..planning.plan import Plan
from ..storage.sinks.memory import sink_beside
from ..storage.sources.base import on_gpu
from ..storage.sources.dask import is_lazy
from .interop import describe
from .loss import Loss
from .request import described, named_losses, planned, shard_of
from .result import Result, result_of
from .targets import open_sinks, targets_by_name, write_cells

BUFFERS = 3
"""Blocks at a time for a GPU, at least: one is read, one copied, one evaluated."""


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
    scheduler: Any = None,
    scheduler_file: str | None = None,
    memory: int | str = DEFAULT_MEMORY,
    workers: int | None = None,
    rows: slice | None = None,
    shard: tuple[int, int] | None = None,
    checkpoint: str | os.PathLike[str] | None = None,
    nan_policy: str = "raise",
    missing_chunks: str | None = None,
    progress: Callable[[Progress], None] | None = None,
) -> Result:
    """Evaluate losses over arrays of any size, in one pass and bounded memory, with exact sums.

    Parameters
    ----------
    losses : loss, str, config, sequence or mapping of these
        A mapping's keys name the losses in the result.
    y_true, y_pred : array_like, numpy.memmap, zarr.Array, dask.array.Array, str or path
        In memory (or a GPU's, as CuPy, PyTorch, JAX and Numba have arrays), or a URI: ``a.npy``,
        ``store.zarr/path/in/group``. Dask computes its arrays chunk by chunk: its
        chunks, not `memory` and `workers`, then decide how much is held; `shard` and `checkpoint` refuse them.
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
    executor : {"auto", "inline", "threads", "dask", "cuda"} or distributed.Client
        "auto": threads, or all cores on one block at a time for arrays in memory; "dask" if a scheduler is named.
        "cuda": a GPU, with the same bits; "auto" takes it for arrays that are on one. With `scheduler`, the GPUs of its
        workers.
    scheduler : distributed.Client, cluster or str, optional
        For "dask": "tcp://HOST:8786", "tls://HOST:8786", "threads", "processes" or "synchronous". By default the
        present Client, or what Dask's configuration names (``DASK_SCHEDULER_ADDRESS``).
    scheduler_file : str, optional
        Or the file that ``dask scheduler --scheduler-file`` writes.
    memory : int or str
        What the evaluation may add to the process: bytes, or "600MB", "1GiB".
    workers : int, optional
        Threads; by default the processors this process may use.
    rows : slice, optional
        Evaluate only these rows (of the first axis).
    shard : (int, int), optional
        ``(i, n)``: evaluate the i-th of n parts, from 0, and let :func:`streamloss.merge` add them up.
    checkpoint : str or path, optional
        A directory. Progress is saved there, and a call with the same inputs and settings goes on from it, whatever the
        workers, the memory and the executor.
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
    named = named_losses(losses)
    chosen = {name: loss.reduction if reduction == "" else Reduction.parse(reduction) for name, loss in named.items()}
    if nan_policy not in NAN_POLICIES:
        raise UnknownNameError("nan_policy", nan_policy, NAN_POLICIES)
    kept = shard is not None or checkpoint is not None
    arrays = (y_true, y_pred, sample_weight, mask)
    graph = _graph(named, arrays, class_weight, rows, out is not None, kept)
    if graph is not None:
        the_plan = graph.plan
    else:
        machine_independent = kept or is_of_dask(executor, scheduler, scheduler_file)
        least, written = BUFFERS if executor == "cuda" else 1, out is not None
        the_plan = planned(
            named,
            *arrays,
            class_weight,
            memory,
            workers,
            rows,
            missing_chunks,
            machine_independent,
            None,
            least,
            written,
        )
    targets = targets_by_name(out, named)
    _refuse_outputs(the_plan, chosen, targets, shard, overwrite)
    runner = _runner(graph, the_plan, executor, scheduler, scheduler_file)
    about = described(the_plan, named, chosen, targets, nan_policy, missing_chunks, kept)
    wanted = None if shard is None else shard_of(the_plan.num_blocks, shard)
    with nullcontext() if checkpoint is None else opened(str(checkpoint), shard, about) as saved:
        found = None if saved is None else saved.partial
        resumed = found is not None and len(found.covered) > 0
        configs = {name: describe(loss) for name, loss in named.items()}
        key = evaluation_key(about) if kept else None
        sinks = open_sinks(the_plan, configs, targets, overwrite and not resumed, key, resumed)
        binary = found.all_binary if found is not None else {} if graph is not None else _conventions(the_plan, sinks)
        task = Run(the_plan, sinks, nan_policy, binary, wanted)
        if found is not None:
            task = replace(task, todo=task.numbers - found.covered)
        collector = Collector(task, about, saved, progress, begin)
        try:
            runner.run(task, collector.add)
        finally:  # also where it was interrupted
            collector.save()
    partial = collector.partial
    said: list[str] = []
    if not partial.missing:
        said = concluded(partial)
        write_cells(the_plan, partial.states, sinks)
    workers_used = getattr(runner, "threads", None) or the_plan.workers
    return result_of(partial, the_plan.to_dict(), runner.name, workers_used, said)


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

    Raises what `evaluate` would raise before its first block, and UsageError for Dask arrays.
    """
    if any(map(is_lazy, (y_true, y_pred, sample_weight, mask))):
        raise UsageError(
            "plan received Dask arrays, whose chunks, and how many of them are in memory at a time, Dask decides; "
            "expected arrays that are read block by block. See array.chunks, or store them (array.to_zarr)."
        )
    return planned(
        named_losses(losses), y_true, y_pred, sample_weight, mask, class_weight, memory, workers, rows, missing_chunks
    )


def call(loss: Loss, y_true: Any, y_pred: Any, sample_weight: Any, mask: Any) -> Any:
    """``loss(y_true, y_pred, sample_weight)``: the value, or for NONE an array of the losses of rows; lazy if one of
    the arrays is Dask's.
    """
    if any(map(is_lazy, (y_true, y_pred, sample_weight, mask))):
        from ..execution.dask.graph import lazy_call

        return lazy_call(loss, y_true, y_pred, sample_weight, mask)
    named = {loss.name: loss}
    arrays = (y_true, y_pred, sample_weight, mask)
    the_plan = planned(named, *arrays, None, DEFAULT_MEMORY, None, None, None, written=not on_gpu(y_pred))
    runner = _runner(None, the_plan, "auto", None, None)
    job = the_plan.jobs[0]
    unreduced = loss.reduction is Reduction.NONE
    sinks = {}
    if unreduced and job.alignment.ratio_shape is None:
        sinks[job.name] = sink_beside(the_plan.y_pred, the_plan.shape, job.dtype)
    collector = Collector(Run(the_plan, sinks, all_binary=_conventions(the_plan, sinks)))
    runner.run(collector.task, collector.add)
    state = collector.partial.states[0]
    refuse_undefined_cells(job.name, state, "raise")
    if job.name in sinks:
        return sinks[job.name].array()
    if unreduced:
        return losses_of_cells(state, weighted=True)
    warned({job.name: state}, filled_chunks(the_plan.sources))
    return np.float64(reduce_state(state, loss.reduction))


def _conventions(the_plan: Plan, sinks: Mapping[str, Any]) -> dict[str, bool]:
    """Losses of rows are written as they are computed, so what all labels decide must be known before."""
    return {
        job.name: all_labels_are_binary(the_plan, job)
        for job in the_plan.jobs
        if job.name in sinks and job.spec.both_conventions
    }


def _graph(
    named: Mapping[str, Loss],
    arrays: Sequence[Any],
    class_weight: Mapping[int, float] | None,
    rows: slice | None,
    written: bool,
    kept: bool,
) -> Any:
    """The graph of losses of Dask arrays; None where no array is one."""
    if not any(map(is_lazy, arrays)):
        return None
    if kept:
        raise UsageError(
            "shard and checkpoint need arrays that can be read again in parts; received Dask arrays. Store them "
            "(array.to_zarr), or evaluate without; Dask tries again what its workers lose."
        )
    from ..execution.dask.graph import Graph

    y_true, y_pred, sample_weight, mask = arrays
    return Graph.of(named, y_true, y_pred, sample_weight, mask, class_weight, rows, on_blocks=written)


def _runner(graph: Any, the_plan: Plan, executor: Any, scheduler: Any, scheduler_file: str | None) -> Executor:
    if graph is None:
        sources = the_plan.sources
        in_memory, gpu = all(s.in_memory for s in sources), any(s.on_gpu for s in sources)
        return get_executor(executor, in_memory, scheduler, scheduler_file, gpu)
    from ..execution.dask.graph import GraphExecutor

    if isinstance(executor, str):
        if executor not in EXECUTORS:
            raise UnknownNameError("executor", executor, EXECUTORS)
        scheduler = {"threads": "threads", "inline": "synchronous"}.get(executor, scheduler)
    else:
        scheduler = executor
    return GraphExecutor(graph, scheduler, scheduler_file, gpu=executor == "cuda")


def _refuse_outputs(
    the_plan: Plan,
    chosen: Mapping[str, Reduction],
    targets: Mapping[str, str],
    shard: tuple[int, int] | None,
    overwrite: bool,
) -> None:
    """Raises UsageError for losses of rows without a place, and for places that shards could not share."""
    for job in the_plan.jobs:
        if chosen[job.name] is Reduction.NONE and job.name not in targets:
            raise UsageError(
                f"{job.name}: reduction 'none' needs a place for the losses of rows: pass out='losses.zarr' (--out)."
            )
        if shard is not None and job.name in targets and job.alignment.ratio_shape is not None:
            raise UsageError(
                f"{job.name}: out: ratios over the whole data are known when all shards are merged, so no shard can "
                "write them. Leave it out of out=; the merged result has their sum and mean."
            )
    if shard is not None and targets and overwrite:
        raise UsageError(
            "overwrite with shard: each shard would remove what the others wrote; expected a place where nothing is. "
            "Remove what is there, then start the shards."
        )
