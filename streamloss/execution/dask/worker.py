"""The description of a run that travels to another process, and the evaluation of a batch of blocks there.

A run travels as a description: names and parameters of losses, the plan's numbers, where arrays are. The process that
receives it opens the arrays, compiles the kernels, and keeps both for the next batch of blocks. States come back.
"""

from __future__ import annotations

import pickle
import statistics
import threading
import time
import uuid
import zlib
from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ...aggregation.block_result import BlockResult
from ...aggregation.state import merge_all
from ...core.blocks import Ranges
from ...core.version import __version__
from ...errors import ClusterError, CorruptChunkError, DataError, SourceError, UsageError
from ...storage.sources.base import nbytes
from ..backends import Backend, CpuBackend
from ..block import Run, run_block

LARGEST = 256 << 10
"""The largest description in bytes: it travels with each batch, so that a worker that joins late needs nothing else."""
_KEPT = 4  # runs that a process keeps open


@dataclass(frozen=True, slots=True)
class Description:
    """A run as it travels: its losses, its plan, and where its arrays are kept."""

    run: Run
    fingerprints: Mapping[str, Any]
    """The fingerprints by role of the arrays as the client opened them. A file may be replaced before a worker opens
    it."""
    identity: str
    """A text that no other run has: an array that is kept open for one run must not be read for the next one, although
    both are described by the same words, because the file may have been replaced in between."""

    def check_inputs(self) -> None:
        """Raise SourceError where this process opened other arrays than the client."""
        for source in self.run.plan.sources:
            here = source.fingerprint() | {"place": None}  # a path may lead elsewhere on another machine
            if here != self.fingerprints[source.role] | {"place": None}:
                raise SourceError(
                    f"{source.role}: this worker opened another {source.where} than the client: bytes, size, time of "
                    "change or metadata differ; expected the same file on all machines. If it is being written, wait, "
                    "and evaluate again; if workers have copies, let them keep the times (cp -p, rsync -a)."
                )


def pack(run: Run) -> bytes:
    """Return the description of a run. Raises UsageError where arrays in memory would have to travel."""
    inside = [source for source in run.plan.sources if source.in_memory]
    stays = any(s.on_gpu for s in inside) or sum(nbytes(s.shape, s.dtype) for s in inside) > LARGEST
    packed = b"" if stays else zlib.compress(pickle.dumps(_described(run)), 1)
    if not packed or len(packed) > LARGEST:
        roles = ", ".join(source.role for source in inside or run.plan.sources)
        raise UsageError(
            f"{roles}: in the memory of this process, and would travel to the workers with every task; expected arrays "
            "that workers open themselves. Pass URIs or zarr.Arrays on a disk they share, Dask arrays, or "
            "executor='threads'."
        )
    return packed


def _described(run: Run) -> Description:
    return Description(run, {source.role: source.fingerprint() for source in run.plan.sources}, uuid.uuid4().hex)


def run_batch(version: str, packed: bytes, first: int, stop: int) -> BlockResult | DataError:
    """Evaluate the blocks from `first` to before `stop`, on the thread of a pool.

    Returns the error for wrong data, which trying again would not put right. Raises what may be another time or on
    another machine: files that cannot be read or written just now.
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
            return error
        seconds.append(time.perf_counter() - begin)
    try:
        for source in run.plan.sources:
            source.confirm()
    except DataError as error:
        return error
    # compiling makes the first block long: the median counts for all
    work = statistics.median(seconds) * len(seconds)
    return BlockResult(Ranges(((first, stop),)), states, opened.newly_filled(), work)


def _backend_of(run: Run) -> Backend:
    if not run.on_gpu:
        return CpuBackend()
    from ..gpu import backend_here

    return backend_here(run.plan)


class _OpenedRun:
    """A run whose arrays are open in this process, and which of their missing chunks were reported."""

    def __init__(self, run: Run) -> None:
        self.run = run
        self._reported: dict[str, int] = {}

    def newly_filled(self) -> dict[str, int]:
        """Return the missing chunks read as their fill value, by the array's role, that were not reported before."""
        new = {}
        with _lock:
            for source in self.run.plan.sources:
                filled, reported = source.filled, self._reported.get(source.role, 0)
                if filled > reported:
                    new[source.role] = filled - reported
                    self._reported[source.role] = filled
        return new


_lock = threading.Lock()
_opened: OrderedDict[bytes, _OpenedRun] = OrderedDict()


def _open(packed: bytes) -> _OpenedRun:
    """Return the run that a description describes; the last few are kept open."""
    with _lock:
        if packed not in _opened:
            description: Description = pickle.loads(zlib.decompress(packed))
            description.check_inputs()
            _opened[packed] = _OpenedRun(description.run)
        _opened.move_to_end(packed)
        while len(_opened) > _KEPT:
            _opened.popitem(last=False)
        return _opened[packed]
