"""Clusters: wherever blocks are evaluated, and whatever befalls the workers, the bytes are those of one run here."""

import json
import os
import pickle
import signal
import subprocess
import sys
import threading
import time
import types
import warnings
from multiprocessing import forkserver

import cloudpickle
import dask
import dask.array as da
import distributed
import numpy as np
import pytest
import zarr

import streamloss as sl
from processes import SUPPORT, environment
from streamloss import cli
from streamloss.aggregation.block_result import BlockResult
from streamloss.api.inputs import Inputs
from streamloss.api.interop import loss_requests
from streamloss.api.request import Options, plan_request
from streamloss.core.blocks import Ranges
from streamloss.errors import (
    ClusterError,
    CorruptChunkError,
    SourceError,
    StreamlossWarning,
    UsageError,
    ValueRangeError,
)
from streamloss.execution import Run
from streamloss.execution.dask import batches, cluster, worker
from streamloss.execution.dask.worker import pack
from waiting import HANG, wait_until, written

cloudpickle.register_pickle_by_value(sys.modules[__name__])  # what workers are made to do is defined here

MSE = "mean_squared_error"
ROWS, CLASSES = 120, 5


def local_cluster(processes):
    options = {"processes": True, "dashboard_address": "127.0.0.1:0", "silence_logs": 50}
    return distributed.LocalCluster(n_workers=processes, threads_per_worker=1, **options)


@pytest.fixture(scope="module", autouse=True)
def cluster_settings(small_blocks):
    """Processes that are forked with a compiled kernel, no word of workers that are killed, and time to connect."""
    small_blocks.setattr(cluster, "TIMEOUT", HANG)
    with pytest.MonkeyPatch.context() as context:
        context.setenv("PYTHONPATH", environment(SUPPORT)["PYTHONPATH"])
        forkserver.set_forkserver_preload(["compiled"])
        forkserver.ensure_running()
    settings = {
        "logging.distributed": "critical",
        "distributed.worker.multiprocessing-method": "forkserver",
        "multiprocessing.context": "forkserver",
    }
    with dask.config.set(settings):
        yield


@pytest.fixture(scope="module")
def workers():
    """Four processes that outlive the tests."""
    with local_cluster(4) as made:
        yield made


@pytest.fixture(scope="module")
def client(workers):
    with distributed.Client(workers, set_as_default=False, timeout=HANG) as made:
        yield made


@pytest.fixture(autouse=True)
def place(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("DASK_SCHEDULER_ADDRESS", raising=False)
    rng = np.random.default_rng(3)
    store("p.zarr", rng.random((ROWS, CLASSES), np.float32), (4, 2))
    store("y.zarr", rng.random((ROWS, CLASSES), np.float32), (30, CLASSES))
    np.save("w.npy", rng.random(ROWS))
    np.save("key.npy", np.array(["a", "bc"])[rng.integers(0, 2, ROWS)])
    np.save("day.npy", np.datetime64("2024-01-30", "s") + rng.integers(0, 9 * 86400, ROWS).astype("m8[s]"))
    return tmp_path


def store(name, array, chunks):
    made = zarr.create_array(name, shape=array.shape, chunks=chunks, dtype=array.dtype, overwrite=True)
    made[...] = array


def evaluate(*arrays, **options):
    options = {"sample_weight": "w.npy", "out": "out.zarr", "overwrite": True, **options}
    return sl.evaluate(MSE, *(arrays or ("y.zarr", "p.zarr")), **options)


def ended(result, out="out.zarr"):
    return result[MSE].state.to_bytes(), zarr.open_array(f"{out}/{MSE}")[:].tobytes()


KILLED = """
import os, signal, sys, time
import streamloss as sl
from streamloss.aggregation import checkpoint
from streamloss.planning import blocks
blocks.SMALLEST = blocks.TARGET = 1
checkpoint.SHARE = 1e9
def progress(now):
    if now.rows >= 48:
        os.kill(os.getpid(), signal.SIGKILL)
sl.evaluate(sys.argv[1], "y.zarr", "p.zarr", "w.npy", out="killed.zarr", checkpoint="saved", progress=progress)
"""


def test_one_evaluation_in_every_way_has_the_same_bytes(workers, client, place):
    expected = ended(evaluate(executor="inline"))
    ways = {
        "threads": {"executor": "threads", "workers": 3},
        "a client": {"executor": "dask", "scheduler": client},
        "a client as the executor": {"executor": client},
        "an address": {"scheduler": workers.scheduler_address},
        "Dask's threads": {"scheduler": "threads"},
        "Dask's processes": {"scheduler": "processes"},
    }
    for way, options in ways.items():
        assert ended(evaluate(**options)) == expected, way

    y, p = (da.from_zarr(name, chunks=chunks) for name, chunks in (("y.zarr", (50, 2)), ("p.zarr", (7, 3))))
    w = da.from_array(np.load("w.npy"), chunks=11)
    for scheduler in ("synchronous", "threads", client):
        assert ended(evaluate(y, p, sample_weight=w, scheduler=scheduler)) == expected, f"Dask arrays, {scheduler}"
        unreduced = sl.losses.MeanSquaredError(reduction="none")(y, p, w)
        assert unreduced.compute(scheduler=scheduler).tobytes() == expected[1]

    parts = [evaluate(shard=(int(i), 7), out="parts.zarr", overwrite=False) for i in np.random.permutation(7)]
    assert ended(sl.merge(parts), "parts.zarr") == expected

    killed = subprocess.run([sys.executable, "-c", KILLED, MSE], capture_output=True, check=False)
    assert killed.returncode == -signal.SIGKILL, killed.stderr
    covered = json.loads((place / "saved/all.state").read_text())["covered"]
    assert 0 < covered[-1][1] < 30
    assert ended(evaluate(out="killed.zarr", checkpoint="saved", executor=client), "killed.zarr") == expected


def test_groups_and_statistics_have_the_same_bytes_on_every_scheduler(client):
    asked = {
        "by": {"key": "key.npy", "month": sl.by("day.npy", unit="M")},
        "cluster": sl.by("day.npy", unit="D"),
        "keep": 0,
        "stats": "stderr,histogram,worst=5,running=6",
        "out": None,
    }
    expected = evaluate(**asked, executor="inline")
    for scheduler in (client, "threads", "processes"):
        found = evaluate(**asked, scheduler=scheduler)
        assert found[MSE].state.to_bytes() == expected[MSE].state.to_bytes(), scheduler
        assert found.groups == expected.groups
    y, p = (da.from_zarr(name) for name in ("y.zarr", "p.zarr"))
    found = evaluate(y, p, **asked, sample_weight=da.from_array(np.load("w.npy"), chunks=9), scheduler=client)
    assert found[MSE].state.to_bytes() == expected[MSE].state.to_bytes()
    models = {"one": "p.zarr", "other": "y.zarr"}
    compared = [sl.compare(MSE, "y.zarr", models, "w.npy", scheduler=at) for at in (None, client)]
    assert compared[0].table == compared[1].table
    with pytest.raises(sl.errors.UsageError, match="max_groups"):
        evaluate(**asked, max_groups=2, scheduler=client)


def test_wrong_data_on_a_worker_is_named_and_not_tried_again(client):
    zarr.open_array("p.zarr")[101, 3] = np.nan
    with pytest.raises(ValueRangeError, match=r"y_pred\[101, 3\] is NaN \(chunk c/25/1 of p\.zarr\)"):
        evaluate(executor=client)
    with pytest.raises(ValueRangeError, match=r"y_pred\[101, 3\] is NaN"):
        evaluate(scheduler="processes")


def test_wrong_data_comes_back_as_a_value_and_files_that_fail_as_errors(place):
    """What may be another time is for Dask to try again; what will not is not."""
    zarr.open_array("p.zarr")[2, 3] = np.nan
    plan = plan_request(loss_requests(MSE), Inputs("y.zarr", "p.zarr"), Options(executor="dask", workers=1))
    packed = pack(Run(plan))
    assert isinstance(worker.run_batch(sl.__version__, packed, 0, 3), ValueRangeError)
    assert isinstance(worker.run_batch(sl.__version__, packed, 1, 3), BlockResult)
    (place / "p.zarr/c/1/0").write_bytes(b"broken")
    with pytest.raises(CorruptChunkError):
        worker.run_batch(sl.__version__, packed, 1, 3)


@pytest.mark.parametrize("scheduler", ["synchronous", "threads", "client"])
def test_a_file_that_was_replaced_is_read_anew(client, place, scheduler):
    """Workers keep arrays open from one batch to the next, not from one evaluation to the next."""
    np.save("zeros.npy", np.zeros(40, np.float32))
    for value in (1.0, 2.0, 3.0, 4.0):
        np.save("new.npy", np.full(40, value, ">f4" if value == 3.0 else "<f4"))
        os.replace("new.npy", "same.npy")
        chosen = client if scheduler == "client" else scheduler
        result = sl.evaluate("mae", "zeros.npy", "same.npy", executor="dask", scheduler=chosen)
        assert result["mean_absolute_error"].mean == value


@pytest.mark.parametrize("role", ["y_true", "y_pred", "sample_weight", "mask"])
def test_a_file_that_is_replaced_before_a_worker_opens_it_is_refused(place, role):
    names = {"y_true": "t.npy", "y_pred": "q.npy", "sample_weight": "v.npy", "mask": "m.npy"}
    for of, name in names.items():
        np.save(name, np.ones(40, bool if of == "mask" else np.float32))
    plan = plan_request(loss_requests(MSE), Inputs(**names), Options(executor="dask", workers=1))
    packed = pack(Run(plan))
    np.save("new.npy", np.zeros(40, bool if role == "mask" else np.float32))
    os.replace("new.npy", names[role])
    with pytest.raises(SourceError, match=f"{role}: this worker opened another {names[role]} than the client"):
        worker.run_batch(sl.__version__, packed, 0, 1)


def test_missing_chunks_on_workers_are_counted(client, place):
    (place / "y.zarr/c/1/0").unlink()
    one_for_each_worker_that_met_it = r"y_true: (1 chunk of y\.zarr does|[2-4] chunks of y\.zarr do) not exist"
    with pytest.warns(StreamlossWarning, match=one_for_each_worker_that_met_it):
        evaluate(executor=client)


def test_arrays_in_memory_do_not_travel(client):
    y, p = np.zeros(100_000, np.float32), np.zeros(100_000, np.float32)
    with pytest.raises(UsageError, match=r"y_true, y_pred: in the memory of this process.*executor='threads'"):
        sl.evaluate(MSE, y, p, executor=client)
    assert sl.evaluate(MSE, y[:50], p[:50], executor=client)[MSE].count == 50, "small ones do"


def test_relative_paths_and_views_of_maps_are_found_by_workers(client, place):
    whole = np.load("w.npy", mmap_mode="r")
    expected = sl.evaluate(MSE, np.array(whole[7:90][::-1]), np.array(whole[20:103]))
    client.run(os.chdir, "/")
    result = sl.evaluate(MSE, whole[7:90][::-1], whole[20:103], executor=client)
    assert result[MSE].state.to_bytes() == expected[MSE].state.to_bytes()
    assert ended(evaluate(executor=client)) == ended(evaluate())


# Connecting


def test_the_scheduler_is_found_by_its_file_its_address_or_its_client(client, workers, monkeypatch, capsys, place):
    (place / "scheduler.json").write_text(json.dumps({"address": workers.scheduler_address}))
    expected = ended(evaluate())
    assert ended(evaluate(executor="dask", scheduler_file="scheduler.json")) == expected
    with dask.config.set({"scheduler-address": workers.scheduler_address}):
        assert ended(evaluate(executor="dask")) == expected
    command = ["evaluate", "--loss", MSE, "--y-true", "y.zarr", "--y-pred", "p.zarr", "-q"]
    assert cli.run([*command, "--scheduler", workers.scheduler_address]) == 0
    ran = json.loads(capsys.readouterr().out)
    assert (ran["executor"], ran["workers"]) == ("dask", 4)
    with distributed.Client(workers):
        assert ended(evaluate(executor="dask")) == expected


@pytest.mark.parametrize(
    "where",
    [
        ["--scheduler", "tcp://127.0.0.1:1"],
        ["--scheduler", "tls://127.0.0.1:1"],
        ["--scheduler", "nonsense"],
        ["--scheduler-file", "nowhere.json"],
        ["--executor", "dask"],
    ],
)
def test_a_scheduler_that_cannot_be_reached_is_one_line(where, capsys, monkeypatch):
    monkeypatch.setattr(cluster, "TIMEOUT", 0.3)
    command = ["evaluate", "--loss", MSE, "--y-true", "y.zarr", "--y-pred", "p.zarr", "-q"]
    assert cli.run([*command, *where]) == 5
    out, err = capsys.readouterr()
    assert out == ""
    assert len(err.strip().splitlines()) == 1
    assert err.startswith("streamloss: ")
    assert "xpected" in err


@pytest.mark.parametrize(
    "options", [{"executor": "threads", "scheduler": "tcp://a:1"}, {"scheduler": "a", "scheduler_file": "b"}]
)
def test_contradictions_are_usage(options):
    with pytest.raises(UsageError, match="expected"):
        evaluate(**options)


def test_a_missing_package_names_the_extra():
    script = (
        "import sys; sys.modules['distributed'] = None\nfrom streamloss.cli import main\n"
        "main(['evaluate', '--loss', 'mse', '--y-true', 'w.npy', '--y-pred', 'w.npy', '--scheduler', 'tcp://a:1'])"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    assert done.returncode == 5, done.stderr
    assert done.stderr.strip().endswith("Install it: pip install 'streamloss[distributed]'")


def test_versions_that_differ_are_told():
    packages = {"python": "3.11.7", "numpy": "2.4.0", "streamloss": "0.1.0", "host": "x"}

    def found(**there):
        both = {"client": {"packages": packages}, "workers": {"tcp://w:1": {"packages": packages | there}}}
        return types.SimpleNamespace(get_versions=lambda packages: both)

    with pytest.warns(StreamlossWarning, match=r"worker tcp://w:1 differs .*: numpy 2\.4\.0 here, 2\.3\.0 there$"):
        cluster._report_versions(found(numpy="2.3.0"))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        cluster._report_versions(found(host="y"))
    with pytest.raises(ClusterError, match=r"worker tcp://w:1 has no streamloss; install streamloss"):
        cluster._report_versions(found(streamloss=None))


def test_another_version_of_streamloss_evaluates_nothing(client):
    with pytest.raises(ClusterError, match=r"this worker has streamloss .*, but the client 9\.9"):
        client.submit(worker.run_batch, "9.9", b"", 0, 1, pure=False).result()


# Groups


def test_groups_are_of_about_a_second_and_cover_all_blocks_once():
    for seconds, threads, todo in ((0.01, 4, [(0, 100_000)]), (3.0, 2, [(5, 9), (20, 40)]), (1e-5, 100, [(0, 999)])):
        cut, taken = batches.Batches(Ranges.of(todo), seconds), []
        while cut:
            taken.append(cut.take(threads))
            cut.learn(taken[-1][1] - taken[-1][0], seconds * (taken[-1][1] - taken[-1][0]))
        assert Ranges.of(taken) == Ranges.of(todo)
        assert sum(b - a for a, b in taken) == len(Ranges.of(todo))
        longest = max(b - a for a, b in taken) * seconds
        assert longest <= max(1.01, seconds, threads / batches.TASKS_PER_SECOND)
        if len(taken) > 10:
            last = max(b - a for a, b in taken[-3:]) * seconds
            assert last <= max(0.2, seconds), "small ones, so that all threads end at about the same time"


def test_groups_follow_what_blocks_take():
    cut = batches.Batches(Ranges.of([(0, 10**6)]), 1e-3)
    sizes = []
    for _ in range(40):
        first, stop = cut.take(4)
        sizes.append(stop - first)
        cut.learn(stop - first, 0.05 * (stop - first))  # fifty times longer than projected
    assert sizes[0] == 1000
    assert 18 <= sizes[-1] <= 21


def test_a_task_travels_in_a_few_kilobytes(client):
    described = []
    original = cluster.run_on_cluster

    def look(client, packed, task, done):
        described.append(len(packed))
        return original(client, packed, task, lambda part: described.append(part))

    patch = pytest.MonkeyPatch()
    patch.setattr(cluster, "run_on_cluster", look)
    evaluate(executor=client)
    patch.undo()
    assert described[0] < 4096
    assert all(isinstance(part, BlockResult) and len(pickle.dumps(part)) < 4096 for part in described[1:])


# Faults


SLOW = 0.15


def slowly(dask_worker=None, seconds=SLOW):
    """On a worker: each block takes a while from now on."""
    from streamloss.execution.dask import worker

    original = worker.run_block

    def run_block(*arguments, **options):
        time.sleep(seconds)
        return original(*arguments, **options)

    worker.run_block = run_block


def failing(times, dask_worker=None):
    """On a worker: the first blocks fail, as a disk does."""
    from streamloss.execution.dask import worker

    original, left = worker.run_block, [times]

    def run_block(*arguments, **options):
        if left[0]:
            left[0] -= 1
            raise OSError(5, "the disk is away")
        return original(*arguments, **options)

    worker.run_block = run_block


@pytest.fixture
def few():
    """A cluster of its own, to be damaged."""
    with local_cluster(2) as made, distributed.Client(made, set_as_default=False, timeout=HANG) as its:
        yield made, its


def when_begun(action, after=1):
    """A progress callback that calls `action` once, after so many parts."""
    seen = []

    def progress(now):
        seen.append(now.rows)
        if len(seen) == after:
            action()

    return progress


def test_workers_that_are_killed_added_and_removed_while_they_compute(few):
    cluster_of_two, its = few
    expected = ended(evaluate())
    its.run(slowly)
    pids = list(its.run(os.getpid).values())
    assert ended(evaluate(executor=its, progress=when_begun(lambda: os.kill(pids[0], signal.SIGKILL)))) == expected

    its.wait_for_workers(2, timeout=HANG)

    def add_and_remove():
        cluster_of_two.scale(3)
        its.retire_workers([next(iter(its.nthreads()))], close_workers=True)

    its.run(slowly)
    assert ended(evaluate(executor=its, progress=when_begun(add_and_remove))) == expected


def test_a_worker_that_is_killed_while_it_merges(few):
    """In the graph of Dask arrays, where workers merge."""
    _, its = few
    expected = evaluate()[MSE].state.to_bytes()

    def slow_merging(dask_worker=None):
        from streamloss.execution.dask import graph_tasks

        original = graph_tasks.merge_all

        def merge_all(*arguments):
            open("merging", "a").close()
            time.sleep(0.05)
            return original(*arguments)

        graph_tasks.merge_all = merge_all

    its.run(os.chdir, os.getcwd())
    its.run(slow_merging)
    pids = its.run(os.getpid)

    def kill_one_that_merges():
        wait_until(lambda: os.path.exists("merging"))
        os.kill(next(iter(pids.values())), signal.SIGKILL)

    killer = threading.Thread(target=kill_one_that_merges, daemon=True)
    killer.start()
    y, p = da.from_zarr("y.zarr", chunks=(30, 5)), da.from_zarr("p.zarr", chunks=(4, 5))
    result = evaluate(y, p, sample_weight=da.from_array(np.load("w.npy"), chunks=4), executor=its, out=None)
    killer.join()
    assert result[MSE].state.to_bytes() == expected


def test_a_task_that_fails_twice_and_then_works(few):
    _, its = few
    its.run(failing, 1)  # once on each of the two
    assert ended(evaluate(executor=its)) == ended(evaluate())
    its.run(failing, 1000)
    with pytest.raises(
        ClusterError, match=r"^rows \d+ to \d+ failed 4 times on workers, last with OSError: .*disk is away"
    ):
        evaluate(executor=its)


def test_a_scheduler_that_goes_away_leaves_a_checkpoint_to_go_on_from(place):
    expected = ended(evaluate())
    here = [sys.executable, "-m", "dask"]
    log = open("log", "w")  # noqa: SIM115 (of the processes)
    scheduler = subprocess.Popen(
        [*here, "scheduler", "--host", "127.0.0.1", "--port", "0", "--no-dashboard", "--scheduler-file", "s.json"],
        stderr=log,
    )
    worker = None
    try:
        worker = subprocess.Popen(
            [*here, "worker", "--scheduler-file", "s.json", "--nthreads", "2", "--no-dashboard"], stderr=log
        )
        wait_until(lambda: written(place / "s.json"), scheduler)
        with distributed.Client(scheduler_file="s.json", set_as_default=False, timeout=HANG) as its:
            its.wait_for_workers(1, timeout=HANG)
            its.run(slowly)

        def kill_scheduler():
            for made in list(distributed.Client._instances):
                made._timeout = 1.0  # seconds in which it tries to connect again, in vain
            scheduler.kill()

        with pytest.raises(
            ClusterError, match=r"Dask scheduler tcp://127\.0\.0\.1:\d+ is gone, .* with a checkpoint it goes on"
        ):
            evaluate(scheduler_file="s.json", checkpoint="saved", progress=when_begun(kill_scheduler, 2))
    finally:
        for process in (scheduler, worker):
            if process is not None:
                process.kill()
                process.wait()
        log.close()
    covered = json.loads((place / "saved/all.state").read_text())["covered"]
    assert 0 < sum(b - a for a, b in covered) < 30
    rows = []
    assert ended(evaluate(checkpoint="saved", progress=lambda now: rows.append(now.rows))) == expected
    assert len(rows) == 30 - sum(b - a for a, b in covered)
