"""Files of states: written to free names and over states only, and nothing is left of a save that fails."""

import pathlib
import threading

import numpy as np
import pytest
import zarr

import streamloss as sl
from streamloss import cli
from streamloss.aggregation.state_files import write_whole
from streamloss.errors import OutputExistsError, SourceError, StateError, UnwritableOutputError, UsageError

MSE = ["--loss", "mse", "--y-true", "t.npy", "--y-pred", "p.zarr"]


@pytest.fixture(autouse=True)
def place(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    np.save("t.npy", np.zeros(4))
    zarr.create_array("p.zarr", data=np.ones(4), chunks=(2,))
    pathlib.Path("job.toml").write_text(
        "y_true = 't.npy'\ny_pred = 'p.zarr'\n[[losses]]\nloss = 'mse'\n", encoding="utf-8"
    )
    return tmp_path


def evaluate():
    return sl.evaluate("mse", "t.npy", "p.zarr", shard=(0, 1))


def files(root="."):
    return {str(f): f.read_bytes() for f in sorted(pathlib.Path(root).rglob("*")) if f.is_file()}


@pytest.fixture
def nothing_is_read(monkeypatch):
    def refuse(*given, **options):
        raise AssertionError("an evaluation began")

    monkeypatch.setattr("streamloss.cli.commands.evaluate", refuse)
    monkeypatch.setattr("streamloss.cli.commands.merge", refuse)


CONTENTS = [b"", b"precious", b"{}", b'{"format": 1}', b'{"format": "other"}', b"{broken", b'["streamloss.state"]']


@pytest.mark.parametrize("content", CONTENTS)
def test_only_states_are_replaced(content):
    result = evaluate()
    pathlib.Path("file").write_bytes(content)
    with pytest.raises(OutputExistsError, match="exists as a file that is no state, so it is not replaced; name"):
        result.save("file")
    assert pathlib.Path("file").read_bytes() == content
    for _ in range(2):
        result.save("deep/all.state")
    assert sl.merge("deep/all.state")["mean_squared_error"].mean == 1.0


@pytest.mark.parametrize("where", ["t.npy", "p.zarr", "p.zarr/all.state", "p.zarr/c/new/all.state"])
def test_an_input_is_no_place_of_a_state(where):
    before = files()
    with pytest.raises(UsageError, match="which is read; name another file"):
        evaluate().save(where)
    assert files() == before


@pytest.mark.usefixtures("nothing_is_read")
@pytest.mark.parametrize("state", ["t.npy", "p.zarr", "p.zarr/all.state", "job.toml", "other.txt", "folder"])
@pytest.mark.parametrize("arguments", [[*MSE], ["job.toml"], [*MSE, "--shard", "0/2"]], ids=["flags", "file", "shard"])
def test_the_command_line_refuses_a_state_before_anything_is_read(capsys, state, arguments):
    pathlib.Path("other.txt").write_text("precious", encoding="utf-8")
    pathlib.Path("folder").mkdir()
    before = files()
    assert cli.run(["evaluate", *arguments, "--state", state]) == 2
    assert "name another file" in capsys.readouterr().err
    assert files() == before


@pytest.mark.usefixtures("nothing_is_read")
def test_a_place_that_cannot_be_made_is_refused_before_anything_is_read(capsys):
    before = files()
    for command in (["evaluate", *MSE], ["merge", "a.state"]):
        assert cli.run([*command, "--state", "t.npy/below/all.state"]) != 0
        assert cli.run([*command, "--state", "job.toml/all.state"]) == 5
        assert "cannot be written" in capsys.readouterr().err
    assert files() == before


def test_a_trial_leaves_nothing_behind():
    assert cli.run(["evaluate", *MSE, "--state", "new/all.state", "-q"]) == 0
    assert [str(f) for f in pathlib.Path("new").iterdir()] == ["new/all.state"]


@pytest.mark.usefixtures("nothing_is_read")
def test_a_merge_does_not_replace_what_it_merges(capsys):
    evaluate().save("a.state")
    before = files()
    for state in ("a.state", "./a.state", "t.npy"):
        assert cli.run(["merge", "a.state", "--state", state]) == 2
    assert "name another file" in capsys.readouterr().err
    assert files() == before


@pytest.mark.parametrize("command", ["evaluate", "merge"])
def test_a_result_that_cannot_be_saved_is_printed(monkeypatch, capsys, command):
    evaluate().save("a.state")

    def full(path, data):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("streamloss.api.result.write_whole", full)
    arguments = [*MSE, "-q"] if command == "evaluate" else ["a.state"]
    assert cli.run([command, *arguments, "--state", "all.state", "--json"]) == 5
    out, err = capsys.readouterr()
    assert '"mean": 1.0' in out
    assert "'all.state' cannot be written: No space left on device" in err
    assert "rows are in" not in err


def test_two_savers_do_not_share_a_temporary_file(monkeypatch):
    """Each is stopped between writing and renaming until the other has written, too."""
    both = threading.Barrier(2, timeout=30)
    synced = threading.local()

    def fsync(descriptor):
        if not getattr(synced, "once", False):
            synced.once = True
            both.wait()

    monkeypatch.setattr("streamloss.aggregation.state_files.os.fsync", fsync)
    contents, errors = [b"1" * 1000, b"2" * 10], []

    def save(data):
        try:
            write_whole(pathlib.Path("saved"), data)
        except OSError as error:
            errors.append(error)

    savers = [threading.Thread(target=save, args=(data,)) for data in contents]
    for saver in savers:
        saver.start()
    for saver in savers:
        saver.join()
    assert errors == []
    assert pathlib.Path("saved").read_bytes() in contents
    assert [f.name for f in pathlib.Path().glob("saved*")] == ["saved"]


def test_nothing_is_left_of_a_save_that_fails(monkeypatch):
    def full(descriptor):
        raise OSError(28, "No space left on device")

    result = evaluate()
    before = files()
    monkeypatch.setattr("streamloss.aggregation.state_files.os.fsync", full)
    with pytest.raises(UnwritableOutputError):
        result.save("all.state")
    assert files() == before


def test_what_a_killed_saver_left_in_a_checkpoint_is_removed():
    pathlib.Path("saved").mkdir()
    for name in ("all.state.77-0123abcd.tmp", "mine.tmp"):
        (pathlib.Path("saved") / name).touch()
    sl.evaluate("mse", "t.npy", "p.zarr", checkpoint="saved")
    assert {f.name for f in pathlib.Path("saved").iterdir()} == {".all.state.lock", "all.state", "mine.tmp"}


def test_the_state_of_one_loss_is_saved_and_read_again(tmp_path):
    state = sl.evaluate("mse", [0.0, 1.0], [0.5, 1.0])["mse"].state
    state.save(tmp_path / "mse.state")
    state.merge(state).save(tmp_path / "mse.state")
    assert sl.State.load(tmp_path / "mse.state") == state.merge(state)
    (tmp_path / "notes.txt").write_text("mine")
    with pytest.raises(OutputExistsError, match="exists as a file that is no state"):
        state.save(tmp_path / "notes.txt")
    with pytest.raises(UnwritableOutputError, match="cannot be written"):
        state.save(tmp_path / "nowhere" / "mse.state")
    with pytest.raises(SourceError, match="cannot read the state"):
        sl.State.load(tmp_path / "nowhere.state")
    with pytest.raises(StateError, match="are not a saved state"):
        sl.State.load(tmp_path / "notes.txt")
