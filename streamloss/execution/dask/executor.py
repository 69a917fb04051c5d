"""Batches of blocks as Dask's tasks: on a cluster, or on Dask's local schedulers."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

from ...aggregation.block_result import BlockResult
from ...core.version import __version__
from ...errors import ClusterError, DataError, UsageError
from ...planning.gpu import refuse_what_gpus_cannot
from ..block import Run
from .batches import Batches, projected_seconds
from .worker import pack, run_batch

LOCAL = ("threads", "processes", "synchronous")
"""The schedulers of Dask itself, which need no cluster and no `distributed`."""


class DaskExecutor:
    """Evaluates batches of blocks on a scheduler of Dask's.

    ``DaskExecutor(client)`` takes a Client; or the address of a scheduler, "threads", "processes", "synchronous", or
    None: the present Client if there is one, or what Dask's configuration names (``DASK_SCHEDULER_ADDRESS``).
    """

    name = "dask"

    def __init__(self, scheduler: Any = None, scheduler_file: str | None = None, gpu: bool = False) -> None:
        """`gpu` says whether workers evaluate on their GPUs."""
        if scheduler is not None and scheduler_file is not None:
            raise UsageError(f"both scheduler={scheduler!r} and scheduler_file={scheduler_file!r}; expected one.")
        self._scheduler, self._file, self._gpu = scheduler, scheduler_file, gpu
        self.workers_used: int | None = None

    def run(self, run: Run, done: Callable[[BlockResult], None]) -> None:
        if not run.numbers:
            return
        if self._gpu:
            refuse_what_gpus_cannot(run.plan)
        packed = pack(replace(run, on_gpu=self._gpu))
        scheduler = self._scheduler or (None if self._file else _configured())
        if isinstance(scheduler, str) and scheduler in LOCAL:
            self.workers_used = 1 if scheduler == "synchronous" else run.plan.workers
            _run_locally(scheduler, packed, run, done)
            return
        from .cluster import connected, outside_of_tasks, run_on_cluster

        with connected(scheduler, self._file) as client, outside_of_tasks():
            self.workers_used = run_on_cluster(client, packed, run, done)


def compute(lazy: Any, scheduler: Any, scheduler_file: str | None) -> Any:
    """Return a Dask collection's value, computed on the scheduler that was named, or else the one that Dask would take.

    Raises errors of ours as they are, and ClusterError for what befalls a cluster.
    """
    if scheduler is None and scheduler_file is None:
        return lazy.compute()
    if isinstance(scheduler, str) and scheduler in LOCAL:
        return lazy.compute(scheduler=scheduler)
    from .cluster import compute_on, connected, outside_of_tasks

    with connected(scheduler, scheduler_file) as client, outside_of_tasks():
        return compute_on(client, lazy)


def _configured() -> Any:
    """Return the scheduler that this process, or Dask's configuration, names.

    Raises ClusterError where none is named.
    """
    import sys

    import dask

    if "distributed" in sys.modules:
        from .cluster import present_client

        if (client := present_client()) is not None:
            return client
    if (address := dask.config.get("scheduler-address", None)) is not None:
        return address
    if (file := dask.config.get("scheduler-file", None)) is not None:
        return Path(file)
    if (named := dask.config.get("scheduler", None)) in LOCAL:
        return named
    raise ClusterError(
        "executor='dask' found no scheduler; expected scheduler='tcp://HOST:8786' (--scheduler), 'processes' or "
        "'threads', a scheduler file (--scheduler-file), a distributed.Client, or DASK_SCHEDULER_ADDRESS."
    )


def _run_locally(scheduler: str, packed: bytes, run: Run, done: Callable[[BlockResult], None]) -> None:
    """Evaluate all batches as one graph of Dask's, and hand over their results as they come."""
    from dask.base import compute
    from dask.callbacks import Callback
    from dask.delayed import delayed

    batches = Batches(run.numbers, projected_seconds(run.plan))
    pieces: dict[str, tuple[int, int]] = {}
    while batches:
        first, stop = batches.take(run.plan.workers)
        pieces[f"streamloss-{first}-{stop}"] = (first, stop)
    evaluate = delayed(run_batch, pure=False)
    tasks = [evaluate(__version__, packed, *piece, dask_key_name=key) for key, piece in pieces.items()]

    def came(key: Any, result: BlockResult | DataError, *_: Any) -> None:
        if key not in pieces:
            return
        if isinstance(result, DataError):
            raise result
        done(result)

    with Callback(posttask=came):
        compute(*tasks, scheduler=scheduler, num_workers=run.plan.workers, optimize_graph=False)
