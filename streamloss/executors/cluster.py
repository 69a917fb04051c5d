"""Groups of blocks on a cluster of `distributed`: a bounded number of tasks at a time, merged as they arrive."""

from __future__ import annotations

import contextlib
import time
import uuid
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from .. import __version__
from ..errors import ClusterError, MissingExtraError, StreamlossError, StreamlossWarning, UsageError
from ..grid import Ranges
from .base import Part, Task
from .groups import Groups, projected_seconds
from .remote import part, run_group

try:
    import distributed
except ImportError:
    raise MissingExtraError("a Dask cluster", "distributed") from None

TIMEOUT = 10.0
"""Seconds in which a scheduler has to answer, or its file to appear."""
RETRIES = 3
"""Times that a task that raised is tried again; wrong data is not tried again."""
AHEAD = 2
"""Tasks in flight for each thread: one that runs, and one so that no thread waits for the next."""
_LOOK_AGAIN = 1.0  # seconds after which the cluster's size is asked for again
REPORTED = ("python", "numba", "numpy", "zarr", "dask", "distributed", "msgpack", "cloudpickle")


def present_client() -> Any:
    """The Client that was made in this process, if it is still connected."""
    try:
        client = distributed.get_client()
    except ValueError:
        return None
    return client if client.status == "running" else None


@contextlib.contextmanager
def connected(scheduler: Any, file: str | None) -> Iterator[Any]:
    """A client of the scheduler; closed at the end if it was made here. Raises ClusterError."""
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
    if file is not None:
        _wait_for(Path(file))
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", distributed.versions.VersionMismatchWarning)  # we say it ourselves
            client = distributed.Client(scheduler, scheduler_file=file, timeout=TIMEOUT, set_as_default=False)
    except (OSError, TimeoutError, ValueError, TypeError, RuntimeError) as error:
        raise ClusterError(
            f"{place} cannot be reached: {str(error) or type(error).__name__}. Expected one that answers within "
            f"{TIMEOUT:g} s at an address such as tcp://HOST:8786 or tls://HOST:8786."
        ) from None
    try:
        _report_versions(client)
        yield client
    finally:
        with contextlib.suppress(Exception):  # the cluster may be gone
            client.close(timeout=2)


def _wait_for(file: Path) -> None:
    """The scheduler of a batch job writes its file when it has started."""
    end = time.monotonic() + TIMEOUT
    while not file.exists():
        if time.monotonic() > end:
            raise ClusterError(
                f"there is no scheduler file {str(file)!r}; expected the file that `dask scheduler --scheduler-file` "
                "writes, on a disk that this machine shares."
            )
        time.sleep(0.1)


def _report_versions(client: Any) -> None:
    """Warns of differences that may matter; raises ClusterError for workers without streamloss."""
    try:
        found = client.get_versions(packages=["streamloss", "numba", "zarr"])
    except Exception as error:
        raise ClusterError(f"the Dask scheduler does not answer: {error!r}.") from None
    here = found["client"]["packages"]
    for worker, what in found["workers"].items():
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


def run_on_cluster(client: Any, packed: bytes, task: Task, done: Callable[[Part], None]) -> int:
    """The most threads that were there. Raises ClusterError where the cluster gives up, or is gone."""
    groups = Groups(task.numbers, projected_seconds(task.plan)) if task.numbers.pieces else None
    running: dict[Any, tuple[int, int]] = {}
    arrived = distributed.as_completed()
    run, threads, most, looked = uuid.uuid4().hex[:8], 1, 0, -1e9
    try:
        while groups or running:
            if time.monotonic() - looked > _LOOK_AGAIN:
                threads, looked = max(1, sum(client.nthreads().values())), time.monotonic()
                most = max(most, threads)
            while groups and len(running) < AHEAD * threads:
                first, stop = groups.take(threads)
                future = client.submit(
                    run_group,
                    __version__,
                    packed,
                    first,
                    stop,
                    key=f"streamloss-{run}-{first}-{stop}",
                    pure=False,
                    retries=RETRIES,
                )
                running[future] = (first, stop)
                arrived.add(future)
            future = next(arrived)
            first, stop = running.pop(future)
            outcome = _result_of(future, client, task, first, stop)
            future.release()
            done(part(first, stop, outcome))
            assert groups is not None
            groups.learn(stop - first, outcome.seconds)
    except BaseException:
        with contextlib.suppress(Exception):
            client.cancel(list(running))
        raise
    return most


def _result_of(future: Any, client: Any, task: Task, first: int, stop: int) -> Any:
    try:
        return future.result()
    except StreamlossError:
        raise
    except distributed.CancelledError:
        raise ClusterError(
            f"the Dask scheduler {_address(client)} is gone, and the work in flight with it. Start it again, and this "
            "evaluation; with a checkpoint it goes on where it was."
        ) from None
    except distributed.KilledWorker as error:
        raise ClusterError(
            f"workers died, one after the other, at {_rows(task, first, stop)}: {error}. Most often their memory was "
            "not enough: see their logs, give them more or fewer threads."
        ) from None
    except Exception as error:
        raise ClusterError(
            f"{_rows(task, first, stop)} failed {RETRIES + 1} times on workers, last with "
            f"{type(error).__name__}: {error}."
        ) from error


def _rows(task: Task, first: int, stop: int) -> str:
    return task.plan.cut.describe(Ranges.of([(first, stop)]), task.plan.start)


def _address(client: Any) -> str:
    return str(getattr(client.scheduler, "address", "") if client.scheduler else "")
