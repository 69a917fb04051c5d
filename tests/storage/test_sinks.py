"""The losses of all rows on disk: complete or absent, never somebody else's data."""

from __future__ import annotations

import math
import os
import pathlib
import pickle

import numpy as np
import pytest
import zarr

import streamloss as sl
from streamloss.core.blocks import Block
from streamloss.errors import OutputExistsError, StreamlossWarning, UnwritableOutputError, UsageError, ValueRangeError
from streamloss.storage.sinks.zarr import ZarrSink

NAME = "mean_squared_error"
ROWS, CLASSES, CHUNK = 60_000, 16, 5_000  # 4 MB, in blocks of 1 MiB and less
RNG = np.random.default_rng(11)


@pytest.fixture(scope="module")
def arrays(tmp_path_factory):
    """Labels in memory and predictions in chunks."""
    y, p = RNG.random((2, ROWS, CLASSES)).astype(np.float32)
    path = tmp_path_factory.mktemp("data") / "p.zarr"
    zarr.create_array(path, data=p, chunks=(CHUNK, CLASSES), compressors=None)
    return y, p, path


@pytest.fixture(scope="module")
def losses(arrays):
    y, p, _ = arrays
    return sl.losses.MeanSquaredError(reduction="none")(y, p)


def files(root):
    return {str(f.relative_to(root)): f.read_bytes() for f in sorted(pathlib.Path(root).rglob("*")) if f.is_file()}


@pytest.mark.parametrize("executor", ["inline", "threads"])
@pytest.mark.parametrize("rows", [slice(None), slice(7_000, 43_210)], ids=["all rows", "some rows"])
def test_the_losses_written_are_those_of_the_loss_in_chunks_that_are_blocks(tmp_path, arrays, losses, executor, rows):
    y, _, p = arrays
    out = tmp_path / "losses.zarr"
    result = sl.evaluate("mse", y, p, out=out, executor=executor, workers=2, rows=rows, reduction="none")
    written = zarr.open_array(out / NAME, mode="r")
    plan = sl.plan("mse", y, p, workers=2, rows=rows)
    assert plan.num_blocks > 2
    assert written.chunks == plan.block_shape
    assert written.nchunks_initialized == plan.num_blocks == len(files(out / NAME / "c"))
    assert written.dtype == np.float32
    np.testing.assert_array_equal(written[:], losses[rows])
    assert result[NAME].value == result[NAME].out == f"{out}/{NAME}"
    assert result[NAME].sum == math.fsum(losses[rows])


def test_the_array_knows_its_loss_and_its_first_row(tmp_path, arrays):
    y, _, p = arrays
    loss = sl.losses.MeanSquaredError(name="error", axis=1)
    sl.evaluate(loss, y, p, out=tmp_path / "losses.zarr", rows=slice(100, 20_000))
    attributes = zarr.open_array(tmp_path / "losses.zarr/error", mode="r").attrs.asdict()
    assert sl.losses.deserialize(attributes["loss"]).get_config() == loss.get_config()
    assert attributes["rows_from"] == 100


def test_a_store_of_losses_is_a_group_that_zarr_opens(tmp_path, arrays):
    y, _, p = arrays
    named = {"a": "mse", "b": "mse"}
    sl.evaluate(named, y, p, out=tmp_path / "losses.zarr")
    group = zarr.open_group(tmp_path / "losses.zarr", mode="r")
    assert sorted(group.array_keys()) == ["a", "b"]
    np.testing.assert_array_equal(group["a"][:], group["b"][:])


@pytest.mark.parametrize("uri", ["losses.zarr/run", "plain", "outer.zarr/inner.zarr", "file://"])
def test_losses_are_written_where_the_uri_says(tmp_path, arrays, losses, uri, monkeypatch):
    y, _, p = arrays
    monkeypatch.chdir(tmp_path)
    out = (tmp_path / "my losses.zarr").as_uri() if uri == "file://" else uri
    where = tmp_path / ("my losses.zarr" if uri == "file://" else uri) / NAME
    sl.evaluate("mse", y, p, out=out)
    np.testing.assert_array_equal(zarr.open_array(where, mode="r")[:], losses)
    assert len(list(tmp_path.iterdir())) == 1


def test_losses_read_back_are_what_was_evaluated(tmp_path, arrays, losses):
    y, _, p = arrays
    sl.evaluate("mse", y, p, out=tmp_path / "losses.zarr")
    again = sl.evaluate("mse", np.zeros(ROWS, np.float32), tmp_path / "losses.zarr" / NAME)
    assert again[NAME].count == ROWS


@pytest.mark.parametrize("axis", [-1, 1])
def test_the_losses_of_images_are_written_in_their_shape(tmp_path, axis):
    y, p = RNG.random((2, 6, 64, 48, 32)).astype(np.float32)
    expected = sl.losses.MeanSquaredError(reduction="none", axis=axis)(y, p)
    stored = zarr.create_array(zarr.storage.MemoryStore(), data=p, chunks=(2, 32, 16, 32))
    out = tmp_path / "losses.zarr"
    sl.evaluate(sl.losses.MeanSquaredError(axis=axis), y, stored, out=out, workers=2)
    written = zarr.open_array(out / NAME, mode="r")
    assert written.shape == expected.shape
    assert written.nchunks > 1
    np.testing.assert_array_equal(written[...], expected)


def test_no_rows_give_an_empty_array(tmp_path, arrays):
    y, _, p = arrays
    with pytest.warns(StreamlossWarning, match="no row was left to average"):
        result = sl.evaluate("mse", y, p, out=tmp_path / "losses.zarr", rows=slice(7, 7))
    assert (result.rows, result[NAME].sum) == (0, 0.0)
    assert zarr.open_array(tmp_path / "losses.zarr" / NAME, mode="r").shape == (0,)


# What exists


@pytest.mark.parametrize("existing", ["array", "group", "directory", "file"])
def test_what_exists_is_refused_and_untouched(tmp_path, arrays, existing):
    y, _, p = arrays
    make(existing, tmp_path / "out.zarr" / NAME)
    before = files(tmp_path)
    with pytest.raises(OutputExistsError, match=r"out\.zarr/mean_squared_error' exists") as error:
        sl.evaluate("mse", y, p, out=tmp_path / "out.zarr")
    assert "overwrite=True" in str(error.value)
    assert files(tmp_path) == before


@pytest.mark.parametrize("existing", ["group", "directory", "file"])
def test_overwriting_replaces_arrays_only(tmp_path, arrays, existing):
    y, _, p = arrays
    make(existing, tmp_path / "out.zarr" / NAME)
    before = files(tmp_path)
    with pytest.raises(OutputExistsError, match="is not a Zarr array, so it is not overwritten"):
        sl.evaluate("mse", y, p, out=tmp_path / "out.zarr", overwrite=True)
    assert files(tmp_path) == before


@pytest.mark.parametrize("existing", ["array", "empty directory"])
def test_arrays_are_overwritten_when_asked(tmp_path, arrays, losses, existing):
    y, _, p = arrays
    make(existing, tmp_path / "out.zarr" / NAME)
    make("array", tmp_path / "out.zarr" / "neighbour")
    neighbour = files(tmp_path / "out.zarr/neighbour")
    sl.evaluate("mse", y, p, out=tmp_path / "out.zarr", overwrite=True)
    np.testing.assert_array_equal(zarr.open_array(tmp_path / "out.zarr" / NAME, mode="r")[:], losses)
    assert files(tmp_path / "out.zarr/neighbour") == neighbour


def make(kind, path):
    path.parent.mkdir(parents=True, exist_ok=True)
    match kind:
        case "array":
            zarr.create_array(path, data=np.arange(9.0), chunks=(2,))
        case "group":
            zarr.create_array(path, name="precious", data=np.arange(9.0))
            zarr.open_group(path, mode="a")
        case "directory":
            (path / "2013").mkdir(parents=True)
            (path / "2013/notes.txt").write_text("precious")
        case "empty directory":
            path.mkdir()
        case "file":
            path.write_text("precious")


@pytest.mark.parametrize("overwrite", [False, True])
@pytest.mark.parametrize("as_array", [False, True])
def test_the_array_that_is_read_is_never_written(tmp_path, arrays, overwrite, as_array):
    y, p, _ = arrays
    path = tmp_path / "data.zarr/p"
    zarr.create_array(path, data=p, chunks=(CHUNK, CLASSES))
    before = files(tmp_path)
    source = zarr.open_array(path, mode="r") if as_array else path
    for out in (path, path.as_uri(), tmp_path / "data.zarr/../data.zarr/p"):
        with pytest.raises(UsageError, match="is where y_pred is read from"):
            sl.evaluate("mse", y, source, out={NAME: str(out)}, overwrite=overwrite)
    for out in (tmp_path / "data.zarr", path / "c", path / "losses"):
        with pytest.raises((UsageError, UnwritableOutputError)):
            sl.evaluate("mse", y, source, out={NAME: str(out)}, overwrite=overwrite)
    assert files(tmp_path) == before


@pytest.mark.parametrize("overwrite", [False, True])
@pytest.mark.parametrize(
    "at", ["old.zarr", "old", "old.zarr/p", "old.zarr/deep/er", "above/old.zarr/group/losses.zarr"]
)
@pytest.mark.parametrize("consolidated", [False, True])
def test_nothing_is_written_into_a_store_of_format_2(tmp_path, arrays, at, overwrite, consolidated):
    y, _, p = arrays
    store = tmp_path / at[: at.index("old")] / ("old.zarr" if "zarr" in at else "old")
    group = zarr.open_group(store, mode="w", zarr_format=2)
    group.create_array("p", data=np.arange(9.0), chunks=(2,))
    if consolidated:
        zarr.consolidate_metadata(store, zarr_format=2)
        (store / ".zgroup").unlink()
    before = files(tmp_path)
    with pytest.raises(OutputExistsError, match=r"of format 2.* Pass another place"):
        sl.evaluate("mse", y, p, out={NAME: str(tmp_path / at)}, overwrite=overwrite)
    with pytest.raises(OutputExistsError, match=r"of format 2.* Pass another place"):
        sl.evaluate("mse", y, p, out=tmp_path / at, overwrite=overwrite)
    assert files(tmp_path) == before


@pytest.mark.parametrize("overwrite", [False, True])
def test_an_array_of_format_2_is_no_target(tmp_path, arrays, overwrite):
    y, p, _ = arrays
    zarr.create_array(tmp_path / "p.zarr", data=p, chunks=(CHUNK, CLASSES), zarr_format=2)
    before = files(tmp_path)
    for out in (tmp_path / "p.zarr", {NAME: str(tmp_path / "p.zarr")}):
        with pytest.raises(UsageError):
            sl.evaluate("mse", y, tmp_path / "p.zarr", out=out, overwrite=overwrite)
        with pytest.raises(OutputExistsError, match="of format 2"):
            sl.evaluate("mse", y, p, out=out, overwrite=overwrite)
    assert files(tmp_path) == before


@pytest.mark.parametrize("below", ["losses", "c/losses.zarr", "c/7"])
def test_nothing_is_written_below_an_array(tmp_path, arrays, below):
    y, p, _ = arrays
    for name in ("other.zarr", "other"):
        make("array", tmp_path / name)
    before = files(tmp_path)
    for name in ("other.zarr", "other"):
        with pytest.raises(OutputExistsError, match=r"other.*which is a Zarr array.* Pass another place"):
            sl.evaluate("mse", y, p, out=tmp_path / name / below)
    assert files(tmp_path) == before


@pytest.mark.parametrize("role", ["y_true", "y_pred", "sample_weight", "mask"])
def test_no_target_is_above_or_below_an_input(tmp_path, role):
    roles = {"y_true": np.zeros(4), "y_pred": np.ones(4)} | {role: np.ones(4, bool if role == "mask" else float)}
    zarr.create_array(tmp_path / "data.zarr/deep/array", data=roles[role], chunks=(2,))
    np.save(tmp_path / "a.npy", roles[role])
    before = files(tmp_path)
    for place, outs in {
        "data.zarr/deep/array": ["data.zarr/deep/array/x", "data.zarr", "data.zarr/deep"],
        "a.npy": ["."],
    }.items():
        for out in outs:
            with pytest.raises(UsageError, match=f"is where {role} is read from, or above or below it"):
                sl.evaluate("mse", **{**roles, role: tmp_path / place}, out={NAME: str(tmp_path / out)})
    assert files(tmp_path) == before


def test_losses_may_lie_beside_the_input_in_its_group(tmp_path, arrays):
    y, p, _ = arrays
    group = zarr.open_group(tmp_path / "preds.zarr", mode="w")
    group.create_array("p", data=p, chunks=(CHUNK, CLASSES))
    sl.evaluate("mse", y, tmp_path / "preds.zarr/p", out=tmp_path / "preds.zarr")
    again = zarr.open_group(tmp_path / "preds.zarr", mode="r")
    np.testing.assert_array_equal(again["p"][:], p)
    assert again[NAME].shape == (ROWS,)


def test_where_one_of_several_outputs_exists_none_is_created(tmp_path, arrays):
    y, _, p = arrays
    make("array", tmp_path / "out.zarr/b")
    before = files(tmp_path)
    with pytest.raises(OutputExistsError, match="/b' exists"):
        sl.evaluate({"a": "mse", "b": "mse"}, y, p, out=tmp_path / "out.zarr")
    assert files(tmp_path) == before


def test_two_losses_are_never_written_to_one_place(tmp_path, arrays):
    y, _, p = arrays
    target = str(tmp_path / "out.zarr/losses")
    with pytest.raises(UsageError):
        sl.evaluate({"a": "mse", "b": "mse"}, y, p, out={"a": target, "b": target}, overwrite=True)


@pytest.mark.parametrize("name", ["", ".", "..", "../a", "a/b", "a\\b", "/a", "a\0b", ".zgroup", "zarr.json"])
def test_names_that_would_leave_the_group_are_no_names_of_targets(tmp_path, arrays, name):
    y, _, p = arrays
    with pytest.raises(UsageError, match=r"out: the loss' name .* as the name of an array"):
        sl.evaluate({"a": "mse", name: "mse"}, y, p, out=tmp_path / "sub/losses.zarr", overwrite=True)
    assert list(tmp_path.iterdir()) == []
    sl.evaluate({"a..b": "mse"}, y, p, out=tmp_path / "losses.zarr")
    assert (tmp_path / "losses.zarr/a..b/zarr.json").exists()


@pytest.mark.parametrize(
    "out", ["a.npy", "a.NPZ", "a.csv", "losses.feather", "a.h5", "deep/a.json", "a.zip", "a.npy/", "a.zip/b/c.zarr"]
)
def test_a_file_is_no_place_for_losses(tmp_path, arrays, out):
    y, _, p = arrays
    with pytest.raises(UsageError, match=r"out is a Zarr group; expected a path such as losses\.zarr"):
        sl.evaluate("mse", y, p, out=f"{tmp_path}/{out}")
    with pytest.raises(UsageError, match=r"out is a Zarr array; expected a path such as losses\.zarr"):
        sl.evaluate("mse", y, p, out={NAME: f"{tmp_path}/{out}"})
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("out", ["", "a\0b"])
def test_a_place_without_a_name_is_refused(arrays, out):
    y, _, p = arrays
    for given in (out, {NAME: out}):
        with pytest.raises(UsageError, match=r"out: .* is no path; expected one such as losses\.zarr"):
            sl.evaluate("mse", y, p, out=given)


# What cannot be written


@pytest.mark.parametrize("out", ["file.txt", "file.txt/losses.zarr", "file.txt/a/b/losses.zarr"])
def test_a_place_that_cannot_be_written_is_named(tmp_path, arrays, out):
    y, _, p = arrays
    (tmp_path / "file.txt").write_text("precious")
    with pytest.raises(UnwritableOutputError, match=f"out: cannot write '{tmp_path}/{out}/{NAME}'") as error:
        sl.evaluate("mse", y, p, out=tmp_path / out)
    assert error.value.exit_code == 5
    assert files(tmp_path) == {"file.txt": b"precious"}


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root may write everywhere")
def test_a_directory_without_permission_is_named(tmp_path, arrays):
    y, _, p = arrays
    tmp_path.chmod(0o500)
    with pytest.raises(UnwritableOutputError, match="Permission denied"):
        sl.evaluate("mse", y, p, out=tmp_path / "losses.zarr")


def test_remote_stores_are_refused_not_written_beside(tmp_path, arrays, monkeypatch):
    y, _, p = arrays
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UsageError, match="https:// is not written to"):
        sl.evaluate("mse", y, p, out="https://host/losses.zarr")
    assert list(tmp_path.iterdir()) == []


def test_a_write_that_fails_half_way_says_that_earlier_chunks_are_valid(tmp_path):
    sink = ZarrSink(str(tmp_path / "losses.zarr"), (4,), (2,), np.dtype(np.float32), {}, overwrite=False)
    sink.write(Block(0, (0,), (2,)), np.ones(2, np.float32))
    (tmp_path / "losses.zarr/c/1").mkdir()
    (tmp_path / "losses.zarr/c/1/in the way").touch()
    with pytest.raises(UnwritableOutputError, match="The chunks already written are valid"):
        sink.write(Block(1, (2,), (4,)), np.ones(2, np.float32))
    np.testing.assert_array_equal(zarr.open_array(tmp_path / "losses.zarr", mode="r")[:2], 1)


def zarr_sink(folder):
    return ZarrSink(str(folder / "losses.zarr"), (4,), (2,), np.dtype(np.float32), {}, overwrite=False)


@pytest.mark.parametrize("make", [zarr_sink], ids=lambda make: make.__name__)
def test_what_another_process_writes_is_in_the_same_place(tmp_path, make):
    sink = make(tmp_path)
    there = pickle.loads(pickle.dumps(sink))
    there.write(Block(1, (2,), (4,)), np.full(2, 7, np.float32))
    there.sync([Block(1, (2,), (4,))])
    sink.write(Block(0, (0,), (2,)), np.ones(2, np.float32))
    again = sl.evaluate("mse", np.zeros(4, np.float32), sink.where)
    assert again[NAME].sum == 1 + 1 + 49 + 49


# Bad data and NaN


def test_after_an_error_the_blocks_before_it_are_valid_and_the_others_absent(tmp_path, arrays, losses):
    y, p, _ = arrays
    bad = p.copy()
    bad[-1, 3] = np.nan
    stored = zarr.create_array(zarr.storage.MemoryStore(), data=bad, chunks=(CHUNK, CLASSES))
    plan = sl.plan("mse", y, stored, workers=1)
    with pytest.raises(ValueRangeError, match=r"y_pred\[59999, 3\] is NaN \(chunk c/11/0"):
        sl.evaluate("mse", y, stored, out=tmp_path / "losses.zarr", executor="inline", workers=1)
    written = zarr.open_array(tmp_path / "losses.zarr" / NAME, mode="r")
    last = plan.num_blocks - 1
    assert written.nchunks_initialized == last > 2
    assert not (tmp_path / "losses.zarr" / NAME / f"c/{last}").exists()
    size = plan.block_shape[0]
    np.testing.assert_array_equal(written[: last * size], losses[: last * size])
    with pytest.raises(sl.errors.MissingChunkError, match=f"chunk {NAME}/c/{last} "):
        sl.evaluate("mse", np.zeros(ROWS, np.float32), tmp_path / "losses.zarr" / NAME)


def test_after_an_error_in_threads_every_chunk_written_is_whole(tmp_path, arrays, losses):
    y, p, _ = arrays
    bad = p.copy()
    bad[ROWS // 2, 0] = np.nan
    stored = zarr.create_array(zarr.storage.MemoryStore(), data=bad, chunks=(CHUNK, CLASSES))
    with pytest.raises(ValueRangeError, match="is NaN"):
        sl.evaluate("mse", y, stored, out=tmp_path / "losses.zarr", executor="threads", workers=2)
    written = zarr.open_array(tmp_path / "losses.zarr" / NAME, mode="r")[:]
    there = ~np.isnan(written)
    assert not there[ROWS // 2]
    np.testing.assert_array_equal(written[there], losses[there])


def test_a_chunk_of_nothing_but_nan_is_written(tmp_path, arrays):
    y, p, _ = arrays
    holed = p.copy()
    holed[: ROWS // 2] = np.nan
    stored = zarr.create_array(zarr.storage.MemoryStore(), data=holed, chunks=(CHUNK, CLASSES))
    out = tmp_path / "losses.zarr"
    sl.evaluate("mse", y, stored, out=out, nan_policy="propagate", workers=2)
    written = zarr.open_array(out / NAME, mode="r")
    assert written.nchunks_initialized == written.nchunks > 2
    assert np.isnan(written[: ROWS // 2]).all()
    assert not np.isnan(written[ROWS // 2 :]).any()


# Before anything is written


def test_none_without_a_place_for_it_is_refused(arrays):
    y, _, p = arrays
    with pytest.raises(UsageError, match="pass out="):
        sl.evaluate("mse", y, p, reduction="none")


def test_a_place_for_a_loss_nobody_asked_for_is_refused(tmp_path, arrays):
    y, _, p = arrays
    with pytest.raises(sl.errors.UnknownNameError, match="unknown loss in out 'mae'"):
        sl.evaluate("mse", y, p, out={"mae": str(tmp_path / "losses.zarr")})
    assert list(tmp_path.iterdir()) == []


def test_arrays_that_do_not_align_leave_no_output_behind(tmp_path, arrays):
    y, _, p = arrays
    with pytest.raises(sl.errors.ShapeError):
        sl.evaluate("mse", y[:-1], p, out=tmp_path / "losses.zarr")
    assert list(tmp_path.iterdir()) == []


def test_losses_that_are_damaged_later_are_refused(tmp_path, arrays):
    y, _, p = arrays
    sl.evaluate("mse", y, p, out=f"{tmp_path}/losses.zarr", reduction="none")
    place = tmp_path / "losses.zarr" / NAME
    whole = zarr.open_array(place, mode="r")[:]
    chunk = next(path for path in sorted((place / "c").rglob("*")) if path.is_file())
    content = chunk.read_bytes()
    for at in range(0, len(content), max(1, len(content) // 40)):
        chunk.write_bytes(content[:at] + bytes([content[at] ^ 4]) + content[at + 1 :])
        try:
            read = zarr.open_array(place, mode="r")[:]
        except Exception:
            continue
        np.testing.assert_array_equal(read, whole)
