"""Losses of rows as a folder of Parquet files, read back by pyarrow, Polars, DuckDB and ourselves."""

import json

import duckdb
import numpy as np
import polars
import pyarrow.parquet as pq
import pytest
import zarr

import streamloss as sl

ROWS = 500


@pytest.fixture
def place(tmp_path):
    rng = np.random.default_rng(4)
    p = rng.random(ROWS)
    zarr.create_array(tmp_path / "p.zarr", data=p, chunks=(40,))
    zarr.create_array(tmp_path / "y.zarr", data=(rng.random(ROWS) < p).astype(np.int32), chunks=(70,))
    return tmp_path


def evaluate(place, losses=("bce", "mse"), out="out.parquet", **options):
    out = {name: str(place / uri) for name, uri in out.items()} if isinstance(out, dict) else str(place / out)
    return sl.evaluate(list(losses), str(place / "y.zarr"), str(place / "p.zarr"), out=out, **options)


def expected(place):
    y, p = (zarr.open_array(place / name)[:] for name in ("y.zarr", "p.zarr"))
    return {
        "binary_crossentropy": sl.losses.BinaryCrossentropy(reduction="none")(y, p),
        "mean_squared_error": sl.losses.MeanSquaredError(reduction="none")(y, p),
    }


@pytest.mark.parametrize(
    "options", [{"executor": "inline"}, {"executor": "threads", "workers": 3}, {"scheduler": "threads"}]
)
def test_every_reader_finds_the_losses_in_the_order_of_the_rows(place, options, small_blocks):
    result = evaluate(place, **options)
    folder, losses = place / "out.parquet", expected(place)
    assert len(list(folder.glob("part-*.parquet"))) > 5
    assert not [path for path in folder.iterdir() if path.suffix == ".tmp"]
    table = pq.read_table(folder)
    frame = polars.read_parquet(f"{folder}/*.parquet")
    rows = duckdb.sql(f"SELECT * FROM read_parquet('{folder}/*.parquet', file_row_number=false)").fetchnumpy()
    for name, values in losses.items():
        assert table[name].to_numpy().tolist() == values.tolist()
        assert frame[name].to_numpy().tolist() == values.tolist()
        assert sorted(rows[name].tolist()) == sorted(values.tolist())
        assert result[name].out == f"{folder}::{name}"
        again = sl.evaluate(None, None, result[name].out)["recorded"]
        assert again.sum == result[name].sum
    content = json.loads((folder / "_streamloss.json").read_text())
    assert content["columns"] == list(losses)


def test_one_loss_to_a_folder_and_one_to_zarr(place, small_blocks):
    evaluate(place, out={"mse": "mse.parquet", "bce": "bce.zarr"})
    losses = expected(place)
    assert (
        pq.read_table(place / "mse.parquet")["mean_squared_error"].to_pylist() == losses["mean_squared_error"].tolist()
    )
    assert zarr.open_array(place / "bce.zarr")[:].tolist() == losses["binary_crossentropy"].tolist()
    evaluate(place, ["mse"], out={"mse": "named.parquet::error"})
    assert pq.read_table(place / "named.parquet").column_names == ["error"]


def test_shards_and_checkpoints_go_on_with_one_folder(place, small_blocks):
    for shard in (1, 0, 2):
        evaluate(place, shard=(shard, 3))
    losses = expected(place)
    table = pq.read_table(place / "out.parquet")
    assert table["binary_crossentropy"].to_pylist() == losses["binary_crossentropy"].tolist()

    def stop(progress):
        if progress.rows > 200:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        evaluate(place, out="c.parquet", checkpoint=place / "saved", progress=stop, executor="inline")
    begun = len(list((place / "c.parquet").glob("part-*")))
    assert 0 < begun < 13
    evaluate(place, out="c.parquet", checkpoint=place / "saved")
    assert pq.read_table(place / "c.parquet")["mean_squared_error"].to_pylist() == losses["mean_squared_error"].tolist()


def test_what_is_there_is_not_lost(place, small_blocks):
    evaluate(place)
    with pytest.raises(sl.errors.OutputExistsError, match="overwrite=True"):
        evaluate(place)
    evaluate(place, ["mse"], overwrite=True)
    assert pq.read_table(place / "out.parquet").column_names == ["mean_squared_error"]
    (place / "theirs.parquet").mkdir()
    (place / "theirs.parquet" / "data").write_text("valuable")
    (place / "file.parquet").write_text("valuable")
    for name in ("theirs.parquet", "file.parquet"):
        with pytest.raises(sl.errors.OutputExistsError, match="did not write"):
            evaluate(place, out=name, overwrite=True)
    with pytest.raises(sl.errors.UsageError, match="is where y_pred is read from"):
        sl.evaluate(
            "mse", str(place / "y.zarr"), f"{place}/out.parquet::mean_squared_error", out=f"{place}/out.parquet"
        )


def test_files_that_vanish_are_noticed(place, small_blocks):
    def remove(progress):
        if progress.rows > 300:
            for path in (place / "out.parquet").glob("part-00000*"):
                path.unlink()

    with pytest.raises(sl.errors.UnwritableOutputError, match=r"rows 0 to \d+ were written"):
        evaluate(place, progress=remove, executor="inline")


def test_losses_that_are_no_column_are_refused(place):
    with pytest.raises(sl.errors.UsageError, match=r"shape \(4, 5\).*losses.zarr"):
        sl.evaluate("mse", np.zeros((4, 5, 1)), np.ones((4, 5, 1)), out=str(place / "a.parquet"))
    with pytest.raises(sl.errors.UsageError, match="one ratio over the whole data"):
        sl.evaluate("dice", np.eye(4), np.eye(4), out=str(place / "a.parquet"))
    for name in ("a.zip", "a.csv", "a.npy"):
        with pytest.raises(sl.errors.UsageError, match="names a"):
            evaluate(place, out=name)
        assert not (place / name).exists()
    with pytest.raises(sl.errors.UsageError, match="local folders"):
        sl.evaluate("mse", np.zeros(3), np.ones(3), out="s3://bucket/a.parquet")
