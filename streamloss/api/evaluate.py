"""The public function ``evaluate``."""

from __future__ import annotations

import os
import time
import warnings
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack, nullcontext
from dataclasses import replace
from typing import Any

from ..aggregation.checkpoint import Checkpoint, open_checkpoint
from ..aggregation.checks import check_snapshot, evidence_message
from ..aggregation.manifest import Manifest
from ..aggregation.snapshot import Snapshot
from ..core.kernel_cache import counts
from ..core.machine import DEFAULT_MEMORY
from ..core.types import Progress
from ..errors import StreamlossWarning, UnknownNameError, UsageError
from ..execution import Executor
from ..execution.block import MAX_GROUPS, NAN_POLICIES
from ..planning.plan import Plan
from ..planning.request import LossRequest
from ..storage.sinks import StoredSink
from .batches import evaluate_batches
from .grouping import grouping_of, labels_of
from .inputs import Inputs
from .interop import loss_requests
from .manifest import manifest_of
from .progress import shown_progress
from .request import Options, messages_about, plan_request, prepare_inputs
from .result import Result, result_of
from .run import choose_executor, run_plan
from .shards import blocks_of, nothing_of
from .storage_options import options_of_target, with_options
from .targets import check_sinks, open_sinks, refuse_targets, targets_by_name, write_ratios


def evaluate(
    losses: Any,
    y_true: Any = None,
    y_pred: Any = None,
    sample_weight: Any = None,
    *,
    mask: Any = None,
    batches: Iterable[Any] | None = None,
    by: Mapping[str, Any] | None = None,
    keep: int | str | Sequence[int | str] | None = None,
    stats: str | Sequence[str] | Mapping[str, Any] | None = None,
    cluster: Any = None,
    max_groups: int = MAX_GROUPS,
    class_weight: Mapping[int, float] | Sequence[float] | None = None,
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
    copies: bool = False,
    nan_policy: str = "raise",
    clip_probabilities: bool = False,
    missing_chunks: str | Mapping[str, str] | None = None,
    progress: bool | str | Callable[[Progress], None] | None = "auto",
    dtypes: Mapping[str, str] | None = None,
    storage_options: Mapping[str, Any] | None = None,
) -> Result:
    """Evaluate losses over arrays of any size, in one pass and bounded memory, with exact sums.

    Parameters
    ----------
    losses : loss, str, config, sequence or mapping of these
        A mapping's keys name the losses in the result. None, with None for `y_true`: `y_pred` holds losses of rows that
        were written before, whose groups and statistics are asked for.
    y_true, y_pred : array_like, numpy.memmap, zarr.Array, dask.array.Array, str or path
        In memory (or a GPU's, as CuPy, PyTorch, JAX and Numba have arrays), or a URI: ``a.npy``,
        ``store.zarr/path/in/group``, ``store.zarr.zip/path``, ``folder_of_parquet::column``, ``file.nc::variable``,
        ``file.h5::/group/dataset``, ``s3://bucket/store.zarr/path``; docs/sources.md has all. Arrays of h5py, netCDF4
        and xarray, and others that give slices, are read block by block. Labels (indexes of pandas, coordinates of
        xarray) must be equal where two arrays have some. Dask computes its arrays chunk by chunk: its chunks, not
        `memory` and `workers`, then decide how much is held; `shard` and `checkpoint` refuse them.
    sample_weight : float, or as `y_true`, optional
        At least 0; of the losses' shape, or their rank with 1s.
    mask : as `y_true`, optional
        Booleans, or 0 and 1, of the losses' shape, or their rank with 1s. Rows where it is False have no loss: they are
        not counted, whatever they hold, and are 0 in NONE.
    batches : iterable, optional
        In place of arrays: ``(y_true, y_pred)``, ``(y_true, y_pred, sample_weight)`` or mappings with these names and
        perhaps ``mask``, as a data loader or a generator gives them, once. See :class:`streamloss.Evaluator`.
    by : mapping of str to key, optional
        The keys of groups by name: what `sample_weight` may be, also text and times; :func:`streamloss.by` cuts times
        by a unit and numbers into bins. See ``Result.groups``.
    keep : int, str or sequence of these, optional
        The axes of the losses that are not reduced, by number or by the name of `y_pred`'s dimension; see
        ``LossResult.kept``.
    stats : str or sequence of str, or mapping, optional
        Of the same pass: "stderr", "histogram" (and quantiles), "worst=20", "running=100", "calibration=15",
        "confusion"; see "More than a mean" in the guide.
    cluster : as `by`'s keys, optional
        What rows that are not independent have in common (a day, a user): standard errors are then those of clusters.
    max_groups : int
        The most groups, or clusters; more are refused.
    class_weight : mapping of int to float, or list, optional
        What rows of a label count, as in Keras' ``fit``; other labels count 1. A list has the
        weights of 0, 1, .... Multiplies `sample_weight`. Labels are
        integers, or one-hot.
    reduction : str, optional
        For all losses; by default each loss has its own. See `Reduction`.
    out : str or mapping, optional
        Where the losses of rows go: a Zarr group, in which each loss becomes the array of its name, or a mapping from
        the losses' names to arrays; or ``losses.parquet``, a folder of Parquet files with a column for each loss.
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
    copies : bool
        Whether the inputs may be copies, at another place, of those that `checkpoint` began with, or that other shards
        read: sampled bytes are then compared, places and times of change are not.
    nan_policy : {"raise", "omit", "propagate"}
        What to do about a row whose loss is NaN: refuse it by name; leave it out and count it; let it through.
    clip_probabilities : bool
        Whether finite probabilities outside [0, 1] are taken as 0 or 1, also labels that are probabilities (whole
        numbers are codes, and refused). By default that holds of those that rounding put there: up to 4.8e-7 in
        float32.
    missing_chunks : {"error", "warn", "fill"} or mapping, optional
        What to do about a Zarr chunk that was never written. By default "error" for `y_pred` and `mask`, and "warn"
        (and count) for the others; beside a Dask array "error" for all, as the tasks of a graph return no counts.
        ``{"mask": "fill"}`` sets it for one array: for masks of False, or one-hot labels, whose writer
        skips chunks of zeros.
    progress : {"auto", True, False} or callable
        "auto": a bar on a terminal and in a notebook, for runs beyond two seconds; True: elsewhere lines on stderr;
        False: nothing. A callable is called with a `Progress` after each block.
    dtypes : mapping, optional
        The dtypes of arrays that hold bits as integers: ``{"y_pred": "bfloat16"}``, or float16, float8_e4m3fn,
        float8_e5m2.
    storage_options : mapping, optional
        Of object stores: for all URIs, or ``{"y_pred": {...}}`` by role; see "Object stores" in the guide.

    Returns
    -------
    Result
        The losses by name, and by any name that a loss has: ``result["mse"].mean``, ``float(result["mse"])``. Of one
        loss also ``result.value`` and ``float(result)``. It is printed as a table, and saved by ``result.save``.

    Raises
    ------
    UsageError, DataError, MachineError
        See :mod:`streamloss.errors`; what was written to `out` before is valid.

    Examples
    --------
    >>> import numpy as np
    >>> import streamloss as sl
    >>> result = sl.evaluate(["mse", "bce"], np.array([0, 1]), np.array([0.25, 0.5]))
    >>> result["mse"].mean, result["bce"].count
    (0.15625, 2)

    """
    begin, compiled_before = time.perf_counter(), counts.seconds
    options = Options(
        class_weight=class_weight,
        reduction=reduction,
        out=out,
        overwrite=overwrite,
        executor=executor,
        scheduler=scheduler,
        scheduler_file=scheduler_file,
        memory=memory,
        workers=workers,
        rows=rows,
        shard=shard,
        checkpoint=checkpoint,
        copies=copies,
        max_groups=max_groups,
        nan_policy=nan_policy,
        clip_probabilities=clip_probabilities,
        missing_chunks=missing_chunks,
    )
    if batches is not None:
        others = {"y_true": y_true, "y_pred": y_pred, "sample_weight": sample_weight, "mask": mask, "by": by}
        others |= {"keep": keep, "stats": stats, "cluster": cluster, "storage_options": storage_options}
        return evaluate_batches(losses, batches, options, others, progress)
    requests = loss_requests(losses, options.reduction)
    if nan_policy not in NAN_POLICIES:
        raise UnknownNameError("nan_policy", nan_policy, NAN_POLICIES)
    if not isinstance(clip_probabilities, bool):
        raise UsageError(f"clip_probabilities must be True or False; received {clip_probabilities!r}.")
    grouping = grouping_of(by, keep, cluster, stats)
    y_true = labels_of(losses, y_true, y_pred)
    given = Inputs(y_true, y_pred, sample_weight, mask, grouping, dtypes or {})
    options = replace(options, out_options=options_of_target(given, out, storage_options))
    given = with_options(given, storage_options, options.out_options)
    inputs = prepare_inputs(requests, given, options.resumable, missing_chunks)
    plan = plan_request(requests, inputs, options, losses_on_host=out is not None)
    chosen = choose_executor(plan, inputs, options)
    messages = messages_about(plan)
    with ExitStack() as held:
        options = replace(options, progress=held.enter_context(shown_progress(progress)))
        snapshot, sinks = _run(plan, requests, chosen, options, inputs.lazy, begin, held)
        for message in messages:
            warnings.warn(message, StreamlossWarning, stacklevel=2)
        if snapshot.missing and not snapshot.result.covered and options.shard is not None:
            messages.append(nothing_of(options.shard, plan))
            warnings.warn(messages[-1], StreamlossWarning, stacklevel=2)
        if not snapshot.missing:
            messages += check_snapshot(snapshot)
            write_ratios(plan, snapshot.result.states, sinks)
        check_sinks(plan, snapshot.result.covered, sinks)
    workers_used, compiling = chosen.workers_used or plan.workers, counts.seconds - compiled_before
    return result_of(snapshot, plan.to_dict(), chosen.name, workers_used, messages, compiling)


def _run(
    plan: Plan,
    requests: Sequence[LossRequest],
    executor: Executor,
    options: Options,
    lazy: bool,
    begin: float,
    held: ExitStack,
) -> tuple[Snapshot, Mapping[str, StoredSink]]:
    """Create the targets, evaluate the blocks that are asked for and not yet saved, and return what all of them add up
    to, with the sinks of the losses of rows by name.
    """
    targets = targets_by_name(options.out, {request.name: request.spec.name for request in requests})
    refuse_targets(plan, requests, targets, options)
    manifest = manifest_of(plan, requests, targets, options)
    todo = None if options.shard is None else blocks_of(options.shard, plan.num_blocks)
    with _open_checkpoint(options, manifest) as saved:
        resumed = saved is not None and len(saved.covered) > 0
        keys: tuple[str, ...] = ()
        if options.resumable:
            manifest = manifest if saved is None else saved.manifest
            keys = (manifest.key, manifest.key_of_copies) if options.copies or resumed else (manifest.key,)
            keys = keys if options.copies else keys[::-1]
        if manifest.without_evidence:
            warnings.warn(
                evidence_message(manifest, f"the progress in {str(options.checkpoint)!r}"),
                StreamlossWarning,
                stacklevel=3,
            )
        configs = {request.name: request.config for request in requests}
        overwrite, begun = options.overwrite and not resumed, saved.covered if saved else None
        sinks = open_sinks(plan, configs, targets, overwrite, keys, begun, options.out_options, held=held)
        collected = run_plan(
            plan,
            executor,
            sinks,
            lazy=lazy,
            nan_policy=options.nan_policy,
            max_groups=options.max_groups,
            todo=todo,
            checkpoint=saved,
            progress=options.progress,
            begin=begin,
        )
    return Snapshot(manifest, collected.result, collected.run.all_binary), sinks


def _open_checkpoint(options: Options, manifest: Manifest) -> AbstractContextManager[Checkpoint | None]:
    if options.checkpoint is None:
        return nullcontext()
    return open_checkpoint(str(options.checkpoint), options.shard, manifest, options.copies)
