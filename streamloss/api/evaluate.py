"""The public functions ``evaluate`` and ``plan``."""

from __future__ import annotations

import math
import operator
import os
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import nullcontext
from typing import Any

from ..aggregation.checkpoint import open_checkpoint
from ..aggregation.checks import check_snapshot
from ..aggregation.manifest import InputManifest, LossManifest, Manifest
from ..aggregation.snapshot import Snapshot
from ..core.blocks import Ranges
from ..core.machine import DEFAULT_MEMORY
from ..core.types import Progress
from ..core.version import __version__
from ..errors import UnknownNameError, UsageError
from ..execution import Executor
from ..execution.block import NAN_POLICIES
from ..planning.plan import Plan
from ..planning.request import LossRequest
from ..storage.sources.base import nbytes
from ..storage.sources.dask import is_lazy
from .interop import loss_requests
from .request import Inputs, Options, plan_request, prepare_inputs
from .result import Result, result_of
from .run import choose_executor, run_plan
from .targets import open_sinks, refuse_targets, targets_by_name, write_cells


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
        nan_policy=nan_policy,
        missing_chunks=missing_chunks,
        progress=progress,
    )
    requests = loss_requests(losses, options.reduction)
    if nan_policy not in NAN_POLICIES:
        raise UnknownNameError("nan_policy", nan_policy, NAN_POLICIES)
    inputs = prepare_inputs(Inputs(y_true, y_pred, sample_weight, mask), options.resumable)
    plan = plan_request(requests, inputs, options, losses_on_host=out is not None)
    chosen = choose_executor(plan, inputs, options)
    targets = targets_by_name(out, [request.name for request in requests])
    refuse_targets(plan, requests, targets, options)
    manifest = _manifest_of(plan, requests, targets, options)
    todo = None if shard is None else _blocks_of(shard, plan.num_blocks)
    with nullcontext() if checkpoint is None else open_checkpoint(str(checkpoint), shard, manifest) as saved:
        resumed = saved is not None and len(saved.covered) > 0
        key = manifest.key if options.resumable else None
        configs = {request.name: request.config for request in requests}
        sinks = open_sinks(plan, configs, targets, overwrite and not resumed, key, resumed)
        collected = run_plan(
            plan,
            chosen,
            sinks,
            lazy=inputs.lazy,
            nan_policy=nan_policy,
            todo=todo,
            checkpoint=saved,
            progress=progress,
            begin=begin,
        )
    snapshot = Snapshot(manifest, collected.result, collected.run.all_binary)
    messages: list[str] = []
    if not snapshot.missing:
        messages = check_snapshot(snapshot)
        write_cells(plan, snapshot.result.states, sinks)
    return result_of(snapshot, plan.to_dict(), chosen.name, chosen.workers_used or plan.workers, messages)


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
    """Return what :func:`evaluate` would do with the same arguments: blocks, workers, projected memory. Reads no data.

    Raises what `evaluate` would raise before its first block, and UsageError for Dask arrays.
    """
    inputs = Inputs(y_true, y_pred, sample_weight, mask)
    if any(map(is_lazy, inputs.by_role().values())):
        raise UsageError(
            "plan received Dask arrays, whose chunks, and how many of them are in memory at a time, Dask decides; "
            "expected arrays that are read block by block. See array.chunks, or store them (array.to_zarr)."
        )
    options = Options(
        class_weight=class_weight, memory=memory, workers=workers, rows=rows, missing_chunks=missing_chunks
    )
    return plan_request(loss_requests(losses), inputs, options)


def _manifest_of(plan: Plan, requests: Sequence[LossRequest], targets: Mapping[str, str], options: Options) -> Manifest:
    """Return what tells an evaluation from any other one, with the inputs' fingerprints where parts are to be merged
    or gone on with.
    """
    inputs = {
        source.role: InputManifest(
            source.where,
            source.shape,
            str(source.dtype),
            source.chunk_shape,
            nbytes(source.shape, source.dtype),
            source.fingerprint() if options.resumable else None,
        )
        for source in plan.sources
    }
    losses = tuple(
        LossManifest(loss.name, request.config, str(loss.dtype), str(request.reduction), targets.get(loss.name))
        for request, loss in zip(requests, plan.losses, strict=True)
    )
    return Manifest(
        version=__version__,
        inputs=inputs,
        losses=losses,
        sample_weight=plan.sample_weight if isinstance(plan.sample_weight, float) else None,
        class_weight={str(label): weight for label, weight in (plan.class_weight or {}).items()},
        start=plan.start,
        shape=plan.shape,
        block_shape=plan.block_shape,
        nan_policy=options.nan_policy,
        missing_chunks=options.missing_chunks,
        all_rows=_rows_of_arrays(plan),
    )


def _rows_of_arrays(plan: Plan) -> int:
    """Return the number of rows of the arrays, those that are not evaluated among them."""
    axes = plan.losses[0].alignment.y_pred.axes
    return math.prod(n for n, axis in zip(plan.y_pred.shape, axes, strict=True) if axis >= 0)


def _blocks_of(shard: tuple[int, int], num_blocks: int) -> Ranges:
    """Return the blocks of shard ``(i, n)``. Raises UsageError where there is no such shard."""
    try:
        index, count = (operator.index(number) for number in shard)
    except (TypeError, ValueError):
        raise UsageError(f"shard must be (i, n), such as (0, 4); received {shard!r}.") from None
    if not 0 <= index < count:
        raise UsageError(f"shard {index}/{count}: expected i from 0 to n - 1, so the first of four is 0/4.")
    return Ranges.of([(index * num_blocks // count, (index + 1) * num_blocks // count)])
