"""Batches of blocks on a cluster of `distributed`: a bounded number of tasks at a time, merged as they arrive."""

from __future__ import annotations

import contextlib
import logging
import math
import time
import uuid
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from ...aggregation.block_result import BlockResult
from ...core.blocks import Ranges
from ...core.version import __version__
from ...errors import ClusterError, DataError, MissingExtraError, StreamlossError, StreamlossWarning, UsageError
from ..block import Run
from .batches import Batches, projected_seconds
from .worker import run_batch

try:
    import distributed
except ImportError:
    raise MissingExtraError("a Dask cluster", "distributed") from None

TIMEOUT = 10.0
"""The seconds in which a scheduler has to answer, or its file to appear."""
RETRIES = 3
"""The number of times that a task that raised is tried again; wrong data is not tried again."""
AHEAD = 2
"""The tasks in flight for each thread: one that runs, and one so that no thread waits for the next."""
_LOOK_AGAIN = 1.0  # seconds after which the cluster's size is asked for again
REPORTED = ("python", "numba", "numpy", "zarr", "dask", "distributed", "msgpack", "cloudpickle")


def present_client() -> Any:
    """Return the Client that was made in this process, if it is still connected; else None."""
    try:
        client = distributed.get_client()
    except ValueError:
        return None
    return client if client.status == "running" else None


@contextlib.contextmanager
def connected(scheduler: Any, file: str | None) -> Iterator[Any]:
    """Yield a client of the scheduler, which is closed at the end if it was made here. Raises ClusterError."""
    if isinstance(scheduler, distributed.Client):
        if scheduler.asynchronous:
            raise UsageError("scheduler is an asynchronous Client; expected a synchronous one: Client(address).")
        _report_versions(scheduler)
        yield scheduler
        return
    if isinstance(scheduler, Path):
        scheduler, file = None, str(scheduler)
    if scheduler is not None and not isinstance(scheduler, str):
        scheduler = getattr(scheduler, "scheduler_address", scheduler)  # a LocalCluster, SLURMCluster, ...
    place = f"the Dask scheduler {scheduler}" if file is None else f"the Dask scheduler of {file!r}"
    log = logging.getLogger("distributed.client")  # tells of a lost connection in tracebacks; we do in one line
    level = log.level
    if file is not None:
        _wait_for(Path(file))
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", distributed.versions.VersionMismatchWarning)  # we say it ourselves
            client = distributed.Client(scheduler, scheduler_file=file, timeout=TIMEOUT, set_as_default=False)
    except (OSError, ValueError, TypeError, AssertionError, RuntimeError) as error:  # by kind of address
        raise ClusterError(
            f"{place} cannot be reached: {str(error).rstrip('.') or 'no such kind of address'}. Expected one that "
            f"answers within {TIMEOUT:g} s at an address such as tcp://HOST:8786 or tls://HOST:8786."
        ) from None
    try:
        log.setLevel(logging.CRITICAL)
        _report_versions(client)
        yield client
    finally:
        log.setLevel(level)
        with contextlib.suppress(Exception):  # the cluster may be gone
            client.close(timeout=2)


@contextlib.contextmanager
def outside_of_tasks() -> Iterator[None]:
    """Let a worker's thread take other tasks while the task that it runs waits for ours, which may be among them."""
    try:
        distributed.secede()
    except (ValueError, AttributeError):  # no task runs here; the kind depends on the version
        yield
        return
    try:
        yield
    finally:
        distributed.rejoin()


def _wait_for(file: Path) -> None:
    """Wait for the file that the scheduler of a batch job writes when it has started. Raises ClusterError."""
    end = time.monotonic() + TIMEOUT
    while not file.exists():
        if time.monotonic() > end:
            raise ClusterError(
                f"there is no scheduler file {str(file)!r}; expected the file that `dask scheduler --scheduler-file` "
                "writes, on a disk that this machine shares."
            )
        time.sleep(0.1)


def _report_versions(client: Any) -> None:
    """Warn of differences that may matter. Raises ClusterError for workers without streamloss."""
    try:
        versions = client.get_versions(packages=["streamloss", "numba", "zarr"])
    except Exception as error:
        raise ClusterError(f"the Dask scheduler does not answer: {error!r}.") from None
    here = versions["client"]["packages"]
    for worker, what in versions["workers"].items():
        there = what["packages"] if what else {}
        if there.get("streamloss") is None:
            raise ClusterError(
                f"the worker {worker} has no streamloss; install streamloss {__version__} on all workers."
            )
        differing = [
            f"{name} {here.get(name)} here, {there.get(name)} there"
            for name in REPORTED
            if here.get(name) != there.get(name)
        ]
        if differing:
            warnings.warn(
                f"the worker {worker} differs from the client: {'; '.join(differing)}", StreamlossWarning, stacklevel=2
            )


def run_on_cluster(client: Any, packed: bytes, run: Run, done: Callable[[BlockResult], None]) -> int:
    """Evaluate the blocks of a run, and return the most threads that the cluster had at a time.

    Raises ClusterError where the cluster gives up, or is gone.
    """
    flight = _Flight(client, packed, run)
    try:
        while flight.ahead():
            done(flight.land())
    except BaseException:
        flight.cancel()
        raise
    return flight.most


def compute_on(client: Any, lazy: Any) -> Any:
    """Return the value of a Dask collection. Raises ClusterError where the cluster gives up, or is gone."""
    address = _address(client)
    with _connection(address):
        future = client.compute(lazy, retries=RETRIES)
        error = future.exception()
        if error is None:
            return future.result()
    raise _failed(error, "a chunk")


class _Flight:
    """The tasks that are on the cluster: a bounded number, whatever the number of blocks."""

    def __init__(self, client: Any, packed: bytes, run: Run) -> None:
        self._client, self._packed, self._run = client, packed, run
        self._batches = Batches(run.numbers, projected_seconds(run.plan))
        self._running: dict[Any, tuple[int, int]] = {}
        self._arrived = distributed.as_completed(loop=client.loop)
        self._run_id = uuid.uuid4().hex[:8]
        self._threads, self._looked = 1, -math.inf
        self._address = _address(client)
        self.most = 0
        """The most threads that the cluster had at a time."""

    def ahead(self) -> bool:
        """Submit what there is room for; False where nothing is left to wait for."""
        with _connection(self._address):
            if time.monotonic() - self._looked > _LOOK_AGAIN:
                self._threads, self._looked = max(1, sum(self._client.nthreads().values())), time.monotonic()
                self.most = max(self.most, self._threads)
            while self._batches and len(self._running) < AHEAD * self._threads:
                first, stop = self._batches.take(self._threads)
                future = self._client.submit(
                    run_batch,
                    __version__,
                    self._packed,
                    first,
                    stop,
                    key=f"streamloss-{self._run_id}-{first}-{stop}",
                    pure=False,
                    retries=RETRIES,
                )
                self._running[future] = (first, stop)
                self._arrived.add(future)
        return bool(self._running)

    def land(self) -> BlockResult:
        """Return the result of the next task that is done. Raises DataError where the data of its blocks is wrong."""
        future = next(self._arrived)
        first, stop = self._running.pop(future)
        if future.status == "error":
            rows = self._run.plan.grid.describe(Ranges.of([(first, stop)]), self._run.plan.start)
            raise _failed(future.exception(), rows)
        with _connection(self._address):
            result: BlockResult | DataError = future.result()
            future.release()
        if isinstance(result, DataError):
            raise result
        self._batches.learn(stop - first, result.seconds)
        return result

    def cancel(self) -> None:
        with contextlib.suppress(Exception):
            self._client.cancel(list(self._running), force=True)


def _failed(error: BaseException | None, what: str) -> Exception:
    """Return the error for a task that was given up; errors of ours as they are. `what` names its blocks."""
    if isinstance(error, StreamlossError):
        return error
    if isinstance(error, distributed.KilledWorker):
        return ClusterError(
            f"workers died, one after the other, at {what}: most often their memory was not enough. See their logs "
            f"({error.last_worker}); give them more memory, or fewer threads."
        )
    return ClusterError(
        f"{what} failed {RETRIES + 1} times on workers, last with {type(error).__name__}: {error}. See their logs."
    )


@contextlib.contextmanager
def _connection(address: str) -> Iterator[None]:
    """Raise ClusterError for what goes wrong inside, which is between the client and the scheduler."""
    try:
        yield
    except (distributed.CancelledError, RuntimeError, OSError) as error:
        raise ClusterError(
            f"the Dask scheduler {address} is gone, and the work in flight with it ({type(error).__name__}). "
            "Start it and this evaluation again; with a checkpoint it goes on where it was."
        ) from None


def _address(client: Any) -> str:
    return str(getattr(client.scheduler, "address", "") if client.scheduler else "")
