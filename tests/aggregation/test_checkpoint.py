"""Checkpoints: a run that is killed, whenever, goes on from there and ends with the bytes of one that was not."""

import json
import os
import signal
import subprocess
import sys
import types
from pathlib import Path

import numpy as np
import pytest
import zarr

import streamloss as sl
from processes import SUPPORT, started
from streamloss import cli
from streamloss.aggregation import checkpoint
from streamloss.aggregation.block_result import BlockResult
from streamloss.aggregation.manifest import Manifest
from streamloss.core.blocks import Ranges
from streamloss.errors import (
    CheckpointInUseError,
    OutputExistsError,
    StateError,
    StreamlossWarning,
    UnwritableOutputError,
    ValueRangeError,
)
from waiting import HANG, wait_until

MSE = "mean_squared_error"
ALLOWED = checkpoint.SHARE
ROWS = 60

pytestmark = pytest.mark.usefixtures("small_blocks")


@pytest.fixture(autouse=True)
def save_after_each_block(monkeypatch):
    monkeypatch.setattr(checkpoint, "SHARE", 1e9)  # of the time


@pytest.fixture(autouse=True)
def place(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    store("y.zarr"), store("p.zarr")
    np.save("w.npy", np.random.default_rng(2).random(ROWS))
    return tmp_path


def store(name, rows=ROWS, chunk=4):
    made = zarr.create_array(name, shape=(rows, 3), chunks=(chunk, 2), dtype="f4", compressors=None, overwrite=True)
    made[:] = np.random.default_rng(len(name) + ord(name[0])).random((rows, 3), np.float32)
    return made


def saved(directory="saved"):
    return json.loads(Path(directory, "all.state").read_text())


class Stop(BaseException):
    pass


def evaluate(stop_after=None, **options):
    """With a sample of the progress; interrupted after so many blocks."""
    seen = []

    def progress(now):
        seen.append(now)
        if len(seen) == stop_after:
            raise Stop

    options = {"out": "out.zarr", "checkpoint": "saved", "executor": "threads", **options}
    try:
        return sl.evaluate(MSE, "y.zarr", "p.zarr", progress=progress, **options), seen
    except Stop:
        return None, seen


def whole(**options):
    """The bytes of a run that nothing happened to: the state, and the losses of rows."""
    result = sl.evaluate(MSE, "y.zarr", "p.zarr", out="whole.zarr", overwrite=True, **options)
    return result[MSE].state.to_bytes(), zarr.open_array(f"whole.zarr/{MSE}")[:].tobytes()


def ended(result):
    return result[MSE].state.to_bytes(), zarr.open_array(f"out.zarr/{MSE}")[:].tobytes()


@pytest.mark.parametrize("stop_after", [1, 7, 14])
def test_another_number_of_workers_and_another_executor_go_on(stop_after):
    evaluate(stop_after, workers=3)
    for options in ({"workers": 1, "memory": "2GiB"}, {"executor": "inline"}, {"scheduler": "synchronous"}):
        before = sum(b - a for a, b in saved()["covered"])
        result, seen = evaluate(None if "scheduler" in options else 3, **{"executor": "auto", **options})
        assert not seen or seen[0].rows > 4 * before, "nothing is done twice"
    assert ended(result) == whole()
    assert result.rows == ROWS


def test_a_run_that_is_done_is_told_again():
    first, seen = evaluate()
    again, nothing = evaluate(executor="inline")
    assert len(seen) == 15
    assert nothing == []
    assert ended(first) == ended(again) == whole()


def test_shards_have_progress_of_their_own(place):
    evaluate(2, shard=(0, 2))
    evaluate(3, shard=(1, 2))
    parts = [evaluate(shard=(i, 2))[0] for i in (0, 1)]
    assert ended(sl.merge(parts)) == whole()
    files = sorted(path.name for path in (place / "saved").glob("*.state"))
    assert files == ["0-of-2.state", "1-of-2.state"]
    assert ended(sl.merge([f"saved/{name}" for name in files])) == whole(), "a checkpoint is a state"


@pytest.mark.parametrize("role", ["y_true", "y_pred", "sample_weight"])
def test_changed_inputs_are_refused_by_name(role):
    evaluate(3, sample_weight="w.npy")
    match role:
        case "sample_weight":
            np.save("w.npy", np.ones(ROWS))
        case _:
            zarr.open_array("y.zarr" if role == "y_true" else "p.zarr")[ROWS - 1] = 0.125  # not yet evaluated
    with pytest.raises(StateError, match=rf"saved/all\.state is .* another evaluation: {role} .* has changed"):
        evaluate(sample_weight="w.npy")


@pytest.mark.parametrize(
    ("options", "named"),
    [
        ({"nan_policy": "omit"}, "nan_policy: raise there, omit here"),
        ({"clip_probabilities": True}, "clip_probabilities: None there, True here"),
        ({"out": "other.zarr"}, "losses.mean_squared_error.out: out.zarr/.* there, other.zarr/.* here"),
        ({"sample_weight": 3.0}, "sample_weight: None there, 3.0 here"),
        ({"rows": slice(4, 60)}, "rows.start: 0 there, 4 here"),
        ({"missing_chunks": "fill"}, "missing_chunks: None there, fill here"),
    ],
)
def test_changed_settings_are_refused_by_name(options, named):
    evaluate(3)
    with pytest.raises(StateError, match=named):
        evaluate(**options)


def test_arrays_in_memory_are_told_by_their_numbers():
    y, p = np.zeros((40, 2), np.float32), np.ones((40, 2), np.float32)
    for last in (1.0, 1.0, 0.5):
        p[-1] = last
        if last == 0.5:
            with pytest.raises(StateError, match=r"y_pred \(in memory\) has changed: its numbers"):
                sl.evaluate(MSE, y, p, checkpoint="saved")
        else:
            assert sl.evaluate(MSE, y, p, checkpoint="saved")[MSE].mean == 1.0


def test_a_version_or_a_view_of_the_same_file_is_another_input():
    y = np.load("w.npy", mmap_mode="r")
    sl.evaluate(MSE, y[:30], y[:30], checkpoint="saved")
    with pytest.raises(StateError, match=r"y_pred .* where in its file it begins"):
        sl.evaluate(MSE, y[:30], y[30:], checkpoint="saved")


def test_the_losses_of_rows_must_still_be_there(place):
    evaluate(3)
    (place / "out.zarr").rename(place / "gone.zarr")
    with pytest.raises(StateError, match=r"rows were written to 'out\.zarr/mean_squared_error', which is not there"):
        evaluate()


def test_begun_outputs_are_gone_on_with_whether_or_not_they_may_be_overwritten():
    store_before = zarr.create_array("out.zarr", name=MSE, shape=(3,), dtype="f4", overwrite=True)
    store_before[:] = 1
    with pytest.raises(OutputExistsError):
        evaluate()
    evaluate(3, overwrite=True)
    result, seen = evaluate(overwrite=True)
    assert seen[0].rows == 16
    assert ended(result) == whole()


def test_one_process_at_a_time():
    evaluate(3)
    with (
        checkpoint.open_checkpoint("saved", None, Manifest.from_dict(saved()["evaluation"])),
        pytest.raises(CheckpointInUseError, match="one at a time"),
    ):
        evaluate()
    assert evaluate()[0].rows == ROWS


def test_a_directory_that_cannot_be_written_is_told_before_anything_is_read(place):
    (place / "file").write_text("")
    with pytest.raises(UnwritableOutputError, match="checkpoint directory 'file/saved'"):
        evaluate(checkpoint="file/saved")


def test_damaged_checkpoints_are_refused(place):
    evaluate(3)
    (place / "saved/all.state").write_bytes((place / "saved/all.state").read_bytes()[:-20])
    with pytest.raises(StateError, match=r"saved/all\.state: these .* no saved state: .{,90}Expected a file"):
        evaluate()


def test_wrong_data_keeps_what_was_done():
    zarr.open_array("p.zarr")[41, 1] = np.nan
    with pytest.raises(ValueRangeError, match=r"y_pred\[41, 1\] is NaN"):
        evaluate(executor="inline")
    with pytest.raises(ValueRangeError, match=r"y_pred\[41, 1\] is NaN"):
        evaluate(executor="inline")
    assert saved()["covered"] == [[0, 10]]


def test_missing_chunks_of_the_rows_before_are_remembered(place):
    (place / "y.zarr/c/0/0").unlink()
    evaluate(5)
    with pytest.warns(StreamlossWarning, match=r"y_true: 1 chunk of y\.zarr does not exist"):
        result, _ = evaluate()
    (said,) = result.warnings
    assert said.startswith("y_true: 1 chunk of y.zarr does not exist; its fill value was read. If it is meant, pass ")


def test_labels_are_looked_at_once(monkeypatch):
    labels = np.zeros((60, 3), np.float32)
    labels[-1] = -1
    np.save("labels.npy", labels)
    expected = sl.evaluate("hinge", "labels.npy", "p.zarr", out="whole.zarr")
    for stop in (4, None):
        try:
            seen = []

            def progress(now, seen=seen, stop=stop):
                seen.append(now)
                if len(seen) == stop:
                    raise Stop

            result = sl.evaluate("hinge", "labels.npy", "p.zarr", out="out.zarr", checkpoint="s", progress=progress)
        except Stop:
            monkeypatch.setattr("streamloss.api.run.all_labels_are_binary", None)
    assert result["hinge"].state.to_bytes() == expected["hinge"].state.to_bytes()
    written = [zarr.open_array(f"{name}.zarr/hinge")[:].tobytes() for name in ("whole", "out")]
    assert written[0] == written[1]


@pytest.mark.parametrize("cost", [0.001, 0.01, 1.0])
def test_saving_takes_less_than_one_percent_of_a_disk_of_any_speed(cost, monkeypatch):
    """On a clock that counts 3 ms for a block, and what a save is said to cost."""
    monkeypatch.setattr(checkpoint, "SHARE", ALLOWED)
    now = [0.0]
    saves = []

    def slow(path, data):
        now[0] += cost
        saves.append(now[0])

    monkeypatch.setattr(checkpoint, "time", types.SimpleNamespace(perf_counter=lambda: now[0]))
    monkeypatch.setattr(checkpoint, "write_whole", slow)
    manifest = Manifest("0", {}, (), None, {}, 0, (), (), "raise", None, 0)
    with checkpoint.open_checkpoint("saved", None, manifest) as saved_there:
        for _ in range(30_000):
            now[0] += 0.003
            if saved_there.due:
                saved_there.save(BlockResult(Ranges(), ()), {})
    assert (len(saves) - 1) * cost < 0.01 * now[0]
    assert saves[0] == cost + 0.003, "after the first block"
    assert len(saves) > 90 * 0.004 / cost, "and not much less"


def test_a_save_that_fails_leaves_the_one_before(monkeypatch, place):
    evaluate(3)
    before = (place / "saved/all.state").read_bytes()

    def full(descriptor):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("streamloss.aggregation.state_files.os.fsync", full)
    with pytest.raises(UnwritableOutputError, match=r"checkpoint 'saved/all\.state' cannot be written: No space"):
        evaluate(2)
    monkeypatch.undo()
    assert (place / "saved/all.state").read_bytes() == before


# In processes of their own, which are killed


def test_thirty_kills_end_with_the_same_bytes():
    """Killed at any moment: while it opens, reads, computes, writes a chunk, saves."""
    store("y.zarr", 2400), store("p.zarr", 2400)
    done = subprocess.run([sys.executable, SUPPORT / "thirty_kills.py"], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    kills, code, covered, waited = map(int, done.stdout.split())
    assert (kills, code) == (30, 0), done.stderr
    assert waited <= covered < 600, "each run of those that were killed went on from the one before"
    result, seen = evaluate()
    assert seen == [], "all blocks are done"
    assert ended(result) == whole()


COMMAND = ["evaluate", "--loss", "mse", "--y-true", "y.zarr", "--y-pred", "p.zarr", "-q"]
KEPT = ["--out", "out.zarr", "--checkpoint", "saved"]


@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 75), (signal.SIGINT, 130)])
def test_signals_save_and_say_so(number, code, place, capsys):
    expected = whole()
    with started([sys.executable, SUPPORT / "interruptible.py", "merged", *COMMAND, *KEPT]) as process:
        wait_until((place / "merged").exists, process)
        process.send_signal(number)
        out, err = process.communicate(timeout=HANG)
    assert (process.returncode, out) == (code, ""), err
    assert "the same command goes on from what 'saved' holds" in err
    assert "Traceback" not in err
    covered = saved()["covered"]
    assert sum(b - a for a, b in covered) >= 3, "what was done since the last time, too"
    assert cli.run([*COMMAND, *KEPT]) == 0
    result = json.loads(capsys.readouterr().out)
    assert result["rows"] == ROWS
    assert ended(evaluate()[0]) == expected


def test_sigterm_without_a_checkpoint_ends_the_process_as_ever():
    before = signal.getsignal(signal.SIGTERM)
    assert cli.run(COMMAND) == 0
    assert signal.getsignal(signal.SIGTERM) is before


def test_the_pid_of_nobody_is_in_the_file(place):
    """The same progress, whoever made it: states are canonical."""
    states = []
    for workers in (1, 3):
        evaluate(workers=workers, checkpoint=f"saved{workers}", out=None)
        content = json.loads((place / f"saved{workers}/all.state").read_text())
        states.append(content | {"seconds": 0, "digest": None})  # the time is part of what the digest is of
    assert states[0] == states[1]
    assert str(os.getpid()) not in json.dumps(states[0]["states"])
