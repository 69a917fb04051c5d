"""What travels to another process, and what happens there.

A task travels as a description: names and parameters of losses, the plan's numbers, where arrays are. The process that
receives it opens the arrays, compiles the kernels, and keeps both for the next group of blocks. States come back.
"""

from __future__ import annotations

import pickle
import statistics
import threading
import time
import zlib
from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass

from ...aggregation.state import States, merge_all
from ...core.version import __version__
from ...errors import ClusterError, CorruptChunkError, DataError, UsageError
from ...storage.sources.base import nbytes
from ..backends import Backend, CpuBackend
from ..block import BlockResult, Run, run_block

LARGEST = 256 << 10
"""Bytes of a description: it travels with each group, so that a worker that joins late needs nothing else."""
_KEPT = 4  # tasks that a process keeps open


@dataclass(frozen=True, slots=True)
class WorkerResult:
    """Of a group of blocks: a few kilobytes."""

    states: States
    filled: Mapping[str, int]
    """Missing chunks read as their fill value, by the array's role, that this process had not met before."""
    seconds: float
    """Of work: the median of the blocks' times, as compiling makes the first one long, times their number."""
    error: DataError | None = None
    """Wrong data, which trying again would not put right."""


def pack(run: Run) -> bytes:
    """The description. Raises UsageError where arrays in memory would have to travel."""
    inside = [source for source in run.plan.sources if source.in_memory]
    stays = any(s.on_gpu for s in inside) or sum(nbytes(s.shape, s.dtype) for s in inside) > LARGEST
    packed = b"" if stays else zlib.compress(pickle.dumps(run), 1)
    if not packed or len(packed) > LARGEST:
        roles = ", ".join(source.role for source in inside or run.plan.sources)
        raise UsageError(
            f"{roles}: in the memory of this process, and would travel to the workers with every task; expected arrays "
            "that workers open themselves. Pass URIs or zarr.Arrays on a disk they share, Dask arrays, or "
            "executor='threads'."
        )
    return packed


def run_group(version: str, packed: bytes, first: int, stop: int) -> WorkerResult:
    """Evaluate the blocks from `first` to before `stop`, on the thread of a pool.

    Raises what may be another time or on another machine: files that cannot be read or written just now.
    """
    if version != __version__:
        raise ClusterError(
            f"this worker has streamloss {__version__}, but the client {version}; expected one version, or bits could "
            "differ. Install it on all workers."
        )
    opened = _open(packed)
    run = opened.run
    states, seconds, backend = run.empty(), [], _backend_of(run)
    for index in range(first, stop):
        begin = time.perf_counter()
        try:
            states = merge_all(states, run_block(run, run.plan.grid.block(index), backend))
        except CorruptChunkError:
            raise
        except DataError as error:
            return WorkerResult(run.empty(), {}, 0.0, error)
        seconds.append(time.perf_counter() - begin)
    return WorkerResult(states, opened.newly_filled(), statistics.median(seconds) * len(seconds))


def _backend_of(run: Run) -> Backend:
    if not run.on_gpu:
        return CpuBackend()
    from ..gpu import backend_here

    return backend_here(run.plan)


def part(first: int, stop: int, outcome: WorkerResult) -> BlockResult:
    """Raises the error of a group whose data is wrong."""
    if outcome.error is not None:
        raise outcome.error
    return BlockResult(first, stop, outcome.states, outcome.filled)


class _Opened:
    """A task in this process, and which missing chunks were told of."""

    def __init__(self, run: Run) -> None:
        self.run = run
        self._told: dict[str, int] = {}

    def newly_filled(self) -> dict[str, int]:
        new = {}
        with _lock:
            for source in self.run.plan.sources:
                filled, told = source.filled, self._told.get(source.role, 0)
                if filled > told:
                    new[source.role] = filled - told
                    self._told[source.role] = filled
        return new


_lock = threading.Lock()
_tasks: OrderedDict[bytes, _Opened] = OrderedDict()


def _open(packed: bytes) -> _Opened:
    with _lock:
        if packed not in _tasks:
            _tasks[packed] = _Opened(pickle.loads(zlib.decompress(packed)))
        _tasks.move_to_end(packed)
        while len(_tasks) > _KEPT:
            _tasks.popitem(last=False)
        return _tasks[packed]
