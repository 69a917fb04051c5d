"""Shards: whoever evaluates which part, in whatever order they are merged, the bytes are those of one run."""

import itertools
import json
import warnings

import numpy as np
import pytest
import zarr
from hypothesis import given, settings
from hypothesis import strategies as st

import streamloss as sl
from streamloss import cli
from streamloss.api.merge import _number_of_shards
from streamloss.core.blocks import Ranges
from streamloss.errors import OutputExistsError, SourceError, StateError, StreamlossWarning, UsageError
from streamloss.planning import blocks

MSE = "mean_squared_error"
ROWS, CLASSES = 50, 3

pytestmark = pytest.mark.usefixtures("small_blocks")


@pytest.fixture(autouse=True)
def place(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    rng = np.random.default_rng(5)
    for name, chunks in (("y", (7, 3)), ("p", (4, 2))):
        made = zarr.create_array(f"{name}.zarr", shape=(ROWS, CLASSES), chunks=chunks, dtype="f4")
        made[:] = rng.random((ROWS, CLASSES), np.float32)
    np.save("w.npy", rng.random(ROWS))
    return tmp_path


def evaluate(**options):
    return sl.evaluate(MSE, "y.zarr", "p.zarr", **options)


def shards(count, **options):
    """The results of all shards; some have no rows where there are more shards than blocks, and warn of that."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "shard .* has no rows", StreamlossWarning)
        return [evaluate(shard=(i, count), **options) for i in range(count)]


def state(result):
    return result[MSE].state.to_bytes()


def test_shards_merged_in_any_order_are_one_run():
    whole = evaluate(sample_weight="w.npy", out="whole.zarr")
    for count in (1, 2, 7, 40):
        parts = shards(count, sample_weight="w.npy", out=f"out{count}.zarr")
        order = np.random.default_rng(count).permutation(count)
        merged = sl.merge([parts[i] for i in order])
        assert state(merged) == state(whole)
        assert merged[MSE].to_dict() == {**whole[MSE].to_dict(), "out": merged[MSE].out}
        assert (merged.rows, merged.warnings) == (ROWS, whole.warnings)
        written, expected = (zarr.open_array(f"{out}/{MSE}")[:] for out in (f"out{count}.zarr", "whole.zarr"))
        assert written.tobytes() == expected.tobytes()


@settings(max_examples=10)
@given(data=st.data())
def test_shards_of_any_cut_need_not_be_of_one_number(data):
    """Blocks do not depend on the number of shards, the workers or the memory."""
    options = st.fixed_dictionaries(
        {"workers": st.integers(1, 4), "memory": st.sampled_from(["700MB", "4GiB"]), "executor": st.just("threads")}
    )
    parts = [evaluate(shard=(i, 2), **data.draw(options)) for i in (0,)]
    parts += [evaluate(shard=(i, 4), **data.draw(options)) for i in (2, 3)]
    assert state(sl.merge(data.draw(st.permutations(parts)))) == state(evaluate())


def test_blocks_of_parts_do_not_depend_on_the_machine(monkeypatch):
    """Else shards of other machines, and runs that go on with fewer workers, would not meet."""
    monkeypatch.setattr(blocks, "TARGET", 1 << 20)
    monkeypatch.setattr(blocks, "SMALLEST", 16)
    rows = np.zeros((4000, 3), np.float32)
    np.save("a.npy", rows)
    shapes = {
        tuple(sl.evaluate(MSE, "a.npy", "a.npy", shard=(0, 2), workers=w, memory=m).partial.manifest.block_shape)
        for w in (1, 3)
        for m in ("600MB", "4GiB")
    }
    assert len(shapes) == 1
    assert sl.plan(MSE, "a.npy", "a.npy", workers=1).block_shape not in shapes


def test_shards_cover_every_row_once():
    for count in (1, 3, 9):
        blocks = [list(part.partial.result.covered) for part in shards(count)]
        assert sorted(itertools.chain(*blocks)) == list(range(13))
    assert [part.rows for part in shards(20)].count(0) == 7, "more shards than blocks: some have none"


def test_a_shard_of_no_rows_has_no_values():
    with pytest.warns(StreamlossWarning, match="shard 0/20 has no rows: the data has 13 blocks of 4 rows, fewer"):
        part = evaluate(shard=(0, 20), sample_weight="w.npy", checkpoint="progress")
    loss = part[MSE]
    assert np.isnan([loss.value, loss.sum, loss.mean, loss.weighted_mean]).all()
    assert (part.rows, loss.count, len(part.warnings)) == (0, 0, 1)
    part.save("0.state")
    others = [evaluate(shard=(i, 20), sample_weight="w.npy") for i in (1, 3, 4, 6)]
    rest = [part for part in shards(20, sample_weight="w.npy") if part.rows]
    assert state(sl.merge(["0.state", *rest])) == state(evaluate(sample_weight="w.npy"))
    assert [part.rows for part in others] == [4, 4, 4, 4]


def test_results_in_memory_of_losses_with_lists_of_parameters_merge():
    """A list is a list, whether it comes from memory or from a file."""
    y, p = np.random.default_rng(5).random((2, 6, 3)).astype(np.float32)
    loss = sl.losses.Dice(axis=(0,))
    parts = [sl.evaluate(loss, y, p, shard=(i, 2)) for i in (0, 1)]
    assert sl.merge(parts)["dice"].state.to_bytes() == sl.evaluate(loss, y, p)["dice"].state.to_bytes()


def test_merged_states_are_states_to_merge():
    a, b, c = shards(3)
    with pytest.warns(StreamlossWarning, match="are in none of the 2 states"):
        two = sl.merge([a, c], partial=True)
    two.save("two.state")
    assert state(sl.merge(["two.state", b])) == state(evaluate())


def test_gaps_are_named_with_their_rows():
    parts = shards(4)
    with pytest.raises(StateError, match=r"^rows 12 to \d+ are not in the one state given; expected each row"):
        sl.merge(parts[0])
    with pytest.raises(StateError, match=r"^rows 12 to 23 are in none of the 3 states; .*--partial"):
        sl.merge([parts[0], parts[2], parts[3]])
    parts = [evaluate(rows=slice(20, 50), shard=(i, 4)) for i in (1, 3)]
    with pytest.raises(StateError, match=r"^rows 20 to 27, 36 to 43 are in none"):
        sl.merge(parts)


def test_overlaps_are_named_with_their_rows_and_files():
    a, b = shards(2)
    c = evaluate(shard=(1, 3))
    for name, part in (("a", a), ("b", b), ("c", c)):
        part.save(f"{name}.state")
    with pytest.raises(StateError, match=r"^a\.state and c\.state both hold rows 16 to 23; .*Leave one out"):
        sl.merge(["b.state", "c.state", "a.state"])
    with pytest.raises(StateError, match="both hold rows 0 to 23"):
        sl.merge(["a.state", "b.state", "a.state"])


@pytest.mark.parametrize(
    ("options", "named"),
    [
        ({"sample_weight": 2.0}, "sample_weight: None there, 2.0 here"),
        ({"sample_weight": "w.npy"}, "sample_weight: none there, but one here"),
        ({"nan_policy": "omit"}, "nan_policy: raise there, omit here"),
        ({"clip_probabilities": True}, "clip_probabilities: None there, True here"),
        ({"rows": slice(0, 48)}, r"rows.shape: \(50,\) there, \(48,\) here"),
        ({"reduction": "sum"}, "losses.mean_squared_error.reduction: sum_over_batch_size there, sum here"),
    ],
)
def test_shards_of_other_settings_are_refused_by_name(options, named):
    other = evaluate(shard=(1, 2), **options)
    with pytest.raises(StateError, match=f"not of one evaluation: .*{named}"):
        sl.merge([evaluate(shard=(0, 2)), other])


def test_shards_of_changed_inputs_are_refused_by_name():
    first = evaluate(shard=(0, 2))
    zarr.open_array("p.zarr")[49, 0] = 0.25
    with pytest.raises(StateError, match=r"y_pred \(p\.zarr\) has changed: sizes or times of its files"):
        sl.merge([first, evaluate(shard=(1, 2))])


def test_files_that_are_no_states_are_refused(place):
    evaluate(shard=(0, 2)).save("good.state")
    good = json.loads((place / "good.state").read_text())
    changes = ({"version": 99}, {"covered": [[0, 99]]}, {"states": []}, {"states": [1]}, {"evaluation": {}})
    for broken in (b"", b"{}", b"\x93NUMPY", *(json.dumps(good | change).encode() for change in changes)):
        (place / "bad.state").write_bytes(broken)
        with pytest.raises(StateError, match=r"^bad\.state"):
            sl.merge(["good.state", "bad.state"])
    with pytest.raises(SourceError, match=r"cannot read the state 'nowhere\.state'"):
        sl.merge("nowhere.state")
    with pytest.raises(UsageError, match="no states"):
        sl.merge([])
    with pytest.raises(UsageError, match="does not know its rows"):
        sl.merge([evaluate()])


def test_shards_do_not_take_each_others_place():
    evaluate(shard=(0, 2), out="out.zarr")
    evaluate(shard=(1, 2), out="out.zarr")
    with pytest.raises(OutputExistsError):
        evaluate(shard=(1, 2), out="out.zarr", sample_weight=2.0)
    with pytest.raises(OutputExistsError):
        evaluate(out="out.zarr")
    with pytest.raises(UsageError, match="overwrite with shard"):
        evaluate(shard=(0, 2), out="out.zarr", overwrite=True)


@pytest.mark.parametrize("shard", [(2, 2), (-1, 2), (0, 0), 3, "ab"])
def test_shards_that_are_none_are_refused(shard):
    with pytest.raises(UsageError, match="shard"):
        evaluate(shard=shard)


def test_ratios_over_the_whole_data_merge_and_are_written_by_no_shard():
    whole = sl.evaluate("dice", "y.zarr", "p.zarr")
    parts = [sl.evaluate("dice", "y.zarr", "p.zarr", shard=(i, 3)) for i in range(3)]
    assert sl.merge(parts)["dice"].state.to_bytes() == whole["dice"].state.to_bytes()
    with pytest.raises(UsageError, match="known when all shards are merged"):
        sl.evaluate("dice", "y.zarr", "p.zarr", shard=(0, 3), out="out.zarr")


def test_labels_that_decide_for_all_shards_are_those_of_the_whole_data():
    """A shard whose labels are all 0 and 1 must not read its zeros otherwise than the others."""
    labels = np.zeros((50, 3), np.float32)
    labels[-1] = -1
    np.save("labels.npy", labels)
    whole = sl.evaluate("hinge", "labels.npy", "p.zarr", out="whole.zarr")
    parts = [sl.evaluate("hinge", "labels.npy", "p.zarr", shard=(i, 5), out="parts.zarr") for i in range(5)]
    assert sl.merge(parts)["hinge"].state.to_bytes() == whole["hinge"].state.to_bytes()
    written = [zarr.open_array(f"{name}.zarr/hinge")[:].tobytes() for name in ("whole", "parts")]
    assert written[0] == written[1]


# On the command line


@pytest.fixture
def run(capsys):
    def go(*arguments, code=0):
        capsys.readouterr()
        assert cli.run(list(arguments)) == code
        return capsys.readouterr()

    return go


COMMAND = ["evaluate", "--loss", "mse", "--y-true", "y.zarr", "--y-pred", "p.zarr"]


def test_shards_and_merge_on_the_command_line(run, place):
    whole = json.loads(run(*COMMAND).out)
    for i in range(11):
        err = run(*COMMAND, "--shard", f"{i}/11").err
        assert f"are in states/{i:02}-of-11.state; `streamloss merge` adds shards up." in err
    states = [str(path) for path in (place / "states").iterdir()]
    merged = json.loads(run("merge", *states, "--state", "all.state").out)
    assert merged["losses"] == whole["losses"]
    assert json.loads(run("merge", "all.state").out)["losses"] == whole["losses"]
    assert run("merge", *states, "--fail-if", ">0", code=1).err.startswith("streamloss: the gate '>0' failed: ")
    assert "are in none of the 10 states" in run("merge", *states[1:], code=3).err
    printed = run("merge", *states[1:], "--partial", code=4)
    assert "are in none of the 10 states: this is the result of the others" in printed.err
    assert json.loads(printed.out)["rows"] < ROWS


def test_a_gate_is_for_the_merged_value(run):
    assert "give --fail-if to `streamloss merge`" in run(*COMMAND, "--shard", "0/2", "--fail-if", ">0", code=2).err


@pytest.mark.parametrize("shard", ["2/2", "a/b", "1", "-1/2"])
def test_shards_that_are_none_are_usage(run, shard):
    assert "expected I/N" in run(*COMMAND, f"--shard={shard}", code=2).err


def test_missing_shards_are_named_by_number():
    for i, part in enumerate(shards(5)):
        if i not in (1, 3):
            part.save(f"{i}-of-5.state")
    with pytest.raises(StateError, match=r"Evaluate the shards 1/5, 3/5 again \(as an array of jobs: 1,3\), or pass"):
        sl.merge([f"{i}-of-5.state" for i in (4, 0, 2)])


def test_missing_shards_are_named_where_no_file_tells_their_number():
    with pytest.raises(StateError, match=r"Evaluate the shards 1/5, 3/5 again"):
        sl.merge([part for i, part in enumerate(shards(5)) if i not in (1, 3)])


def test_the_number_of_shards_is_found_from_the_blocks_that_they_hold():
    for number in range(1, 30):
        for count in range(2, number + 1):
            for chosen in ({0}, {count - 1}, {0, count - 1}, {count // 2}):
                held = [Ranges.of_shard(i, count, number) for i in chosen]
                found = _number_of_shards(held, number)
                assert found <= count
                others = [Ranges.of_shard(i, found, number) for i in range(found)]
                assert all(blocks in others for blocks in held)
    assert _number_of_shards([Ranges.of_shard(3, 1000, 10**6), Ranges.of_shard(700, 1000, 10**6)], 10**6) == 1000
    assert _number_of_shards([Ranges.of([(0, 7)])], 9) is None, "no shard of nine blocks"
    assert _number_of_shards([Ranges.of([(0, 1), (4, 5)])], 9) is None, "a merged state"
