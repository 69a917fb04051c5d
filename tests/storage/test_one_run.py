"""One run at a time writes to a target, and what vanishes from it is noticed before success is reported."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import zarr

import streamloss as sl
from streamloss.aggregation import checkpoint
from streamloss.errors import OutputExistsError, StateError, StreamlossError, UnwritableOutputError

MAE = "mean_absolute_error"
ROWS = 240

pytestmark = pytest.mark.usefixtures("small_blocks")


@pytest.fixture(autouse=True)
def place(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    np.save("zeros.npy", np.zeros(ROWS, np.float32))
    np.save("ones.npy", np.ones(ROWS, np.float32))
    np.save("twos.npy", np.full(ROWS, 2, np.float32))
    return tmp_path


def contents(root="."):
    return {str(path): path.read_bytes() for path in sorted(Path(root).rglob("*")) if path.is_file()}


def losses(out="out.zarr"):
    return zarr.open_array(f"{out}/{MAE}", mode="r")[:]


def during(first, then):
    """Evaluate ones; after its first block do `then`, and keep what it raises."""
    caught = []

    def progress(now):
        if not caught:
            caught.append(None)
            try:
                then()
            except StreamlossError as error:
                caught[0] = error

    options = {"executor": "inline", "out": "out.zarr", **first}
    return sl.evaluate("mae", "zeros.npy", "ones.npy", progress=progress, **options), caught[0]


@pytest.mark.parametrize("first", [{}, {"overwrite": True}, {"shard": (0, 1)}, {"checkpoint": "ck"}])
@pytest.mark.parametrize("second", [{"overwrite": True}, {}, {"checkpoint": "other", "overwrite": True}])
def test_the_later_run_is_refused_while_the_first_is_alive(first, second):
    _, error = during(first, lambda: sl.evaluate("mae", "zeros.npy", "twos.npy", out="out.zarr", **second))
    assert isinstance(error, UnwritableOutputError if second else OutputExistsError), error
    assert (losses() == 1).all()
    sl.evaluate("mae", "zeros.npy", "twos.npy", out="out.zarr", overwrite=True)
    assert (losses() == 2).all(), "when the first is done, the target is free"


def test_after_an_error_the_target_is_free():
    np.save("bad.npy", np.full(ROWS, np.nan, np.float32))
    with pytest.raises(sl.errors.ValueRangeError):
        sl.evaluate("mae", "zeros.npy", "bad.npy", out="out.zarr")
    sl.evaluate("mae", "zeros.npy", "ones.npy", out="out.zarr", overwrite=True)
    assert (losses() == 1).all()


def test_shards_share_a_target_at_the_same_time():
    second = {}

    def other():
        second["result"] = sl.evaluate("mae", "zeros.npy", "ones.npy", out="out.zarr", shard=(1, 2))

    result, error = during({"shard": (0, 2)}, other)
    assert error is None
    assert sl.merge([result, second["result"]])[MAE].count == ROWS
    assert (losses() == 1).all()


@pytest.mark.parametrize("overwrite", [[], ["--overwrite"]])
def test_processes_that_start_together_do_not_mix(overwrite, place):
    if overwrite:
        sl.evaluate("mae", "zeros.npy", "zeros.npy", out="out.zarr")
    command = [sys.executable, "-m", "streamloss", "evaluate", "--loss", "mae", "--y-true", "zeros.npy", "-q"]
    command += ["--out", "out.zarr", *overwrite]
    started = [
        subprocess.Popen([*command, "--y-pred", name], stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        for name in ("ones.npy", "twos.npy")
    ]
    codes = [(process.communicate(), process.returncode)[1] for process in started]
    written = set(losses().tolist())
    assert written in ({1.0}, {2.0})
    assert 0 in codes
    assert set(codes) <= {0, 2, 5}
    assert overwrite or codes.count(0) == 1


@pytest.mark.parametrize("gone", ["out.zarr", f"out.zarr/{MAE}", f"out.zarr/{MAE}/c/0"])
@pytest.mark.parametrize("options", [{}, {"shard": (0, 1)}, {"checkpoint": "ck"}])
def test_output_that_vanished_is_noticed(gone, options):
    def remove():
        path = Path(gone)
        shutil.rmtree(path) if path.is_dir() else path.unlink()

    with pytest.raises((UnwritableOutputError, StateError), match=r"no longer|cannot write"):
        during(options, remove)


def test_output_that_was_replaced_is_noticed():
    def replace():
        shutil.rmtree("out.zarr")
        zarr.create_array(f"out.zarr/{MAE}", shape=ROWS, dtype="f4", chunks=(1,))

    with pytest.raises(UnwritableOutputError, match=r"another run replaced it"):
        during({}, replace)


def test_chunks_lost_before_a_resumption_are_named(monkeypatch):
    monkeypatch.setattr(checkpoint, "SHARE", 1e9)
    seen = []

    def stop(now):
        seen.append(now)
        if len(seen) == 3:
            raise KeyboardInterrupt

    options = {"out": "out.zarr", "checkpoint": "ck", "executor": "inline"}
    with pytest.raises(KeyboardInterrupt):
        sl.evaluate("mae", "zeros.npy", "ones.npy", progress=stop, **options)
    os.unlink(f"out.zarr/{MAE}/c/1")
    with pytest.raises(UnwritableOutputError, match=r"out: the losses of .*c/1' *, which is no longer there"):
        sl.evaluate("mae", "zeros.npy", "ones.npy", **options)
