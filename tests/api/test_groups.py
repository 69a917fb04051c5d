"""Groups, kept axes and other statistics of `evaluate`, against pandas and NumPy, over sources and executors."""

import json
import math

import dask.array as da
import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import zarr

import streamloss as sl

ROWS = 600


@pytest.fixture(scope="module")
def data():
    rng = np.random.default_rng(11)
    p = rng.random(ROWS)
    return {
        "y": (rng.random(ROWS) < p).astype(np.int32),
        "p": p,
        "w": rng.random(ROWS) * (rng.random(ROWS) < 0.8),
        "carrier": np.array(["AA", "UA", "Zürich", None], object)[rng.integers(0, 4, ROWS)],
        "day": np.datetime64("2024-01-30", "s") + rng.integers(0, 40 * 86400, ROWS).astype("m8[s]"),
        "age": rng.normal(40, 20, ROWS),
        "mask": rng.random(ROWS) < 0.9,
    }


def losses(data):
    return sl.losses.BinaryCrossentropy(reduction="none")(data["y"], data["p"])


def expected(data, key):
    """Return the groups as pandas makes them."""
    frame = pd.DataFrame({"key": key, "v": losses(data), "w": data["w"]})[data["mask"]]
    frame["x"] = frame.v * frame.w
    grouped = frame.groupby("key", dropna=False, sort=True)
    found = grouped.agg(count=("v", "size"), sum=("x", "sum"), weight_sum=("w", "sum"))
    found["mean"], found["weighted_mean"] = found["sum"] / found["count"], found["sum"] / found["weight_sum"]
    found["share"] = found["sum"] / found["sum"].sum()
    return found.reset_index()


def stored(data, kind, folder):
    """Return labels, predictions, weights, mask and a text key by a source of some kind."""
    arrays = [data[name] for name in ("y", "p", "w", "mask", "carrier")]
    match kind:
        case "memory":
            return arrays
        case "parquet":
            table = pa.table(
                {name: data[name] for name in ("y", "p", "w", "mask")} | {"carrier": list(data["carrier"])}
            )
            pq.write_table(table, folder / "rows.parquet", row_group_size=100)
            return [f"{folder}/rows.parquet::{name}" for name in ("y", "p", "w", "mask", "carrier")]
        case "arrow":
            chunks = [list(data["carrier"][a : a + 250]) for a in range(0, ROWS, 250)]
            return [*map(pa.array, arrays[:4]), pa.chunked_array(chunks, type=pa.string())]
        case "dictionary":
            return [*arrays[:4], pa.array(list(data["carrier"])).dictionary_encode()]
        case "pandas":
            return [*arrays[:4], pd.Series(data["carrier"], dtype="category")]
        case "zarr":
            texts = np.array([t or "" for t in data["carrier"]], np.dtypes.StringDType())
            for name, array in zip("ypwmc", [*arrays[:4], texts], strict=True):
                zarr.create_array(folder / f"{name}.zarr", data=array, chunks=(70,))
            return [str(folder / f"{name}.zarr") for name in "ypwmc"]


@pytest.mark.parametrize("kind", ["memory", "parquet", "arrow", "dictionary", "pandas", "zarr"])
@pytest.mark.parametrize("executor", ["inline", "threads"])
def test_groups_by_text_are_those_of_pandas(data, kind, executor, tmp_path, small_blocks):
    y, p, w, mask, carrier = stored(data, kind, tmp_path)
    found = sl.evaluate("bce", y, p, w, mask=mask, by={"carrier": carrier}, executor=executor)["bce"].groups
    key = data["carrier"] if kind != "zarr" else np.array([t or "" for t in data["carrier"]])
    reference = expected(data, key)
    reference["key"] = reference["key"].astype(object).where(reference["key"].notna(), None)
    assert found.column("carrier") == reference["key"].tolist()
    for column in ("count", "sum", "mean", "weight_sum", "weighted_mean", "share"):
        assert found.column(column) == pytest.approx(reference[column].tolist(), rel=1e-12), column


def test_times_bins_and_margins(data):
    by = {"month": sl.by(data["day"], unit="month"), "age": sl.by(data["age"], bins=[20, 60])}
    result = sl.evaluate("bce", data["y"], data["p"], data["w"], mask=data["mask"], by=by)
    months = expected(data, pd.Series(data["day"]).dt.strftime("%Y-%m"))
    margin = result["bce"].groups_by("month")
    assert margin.column("month") == months["key"].tolist()
    assert margin.column("weighted_mean") == pytest.approx(months["weighted_mean"].tolist(), rel=1e-12)
    ages = expected(data, pd.cut(data["age"], [-np.inf, 20, 60, np.inf], right=False))
    margin = result["bce"].groups_by("age")
    assert margin.column("age") == ["< 20", "[20, 60)", ">= 60"]
    assert margin.column("count") == ages["count"].tolist()
    assert sum(result.groups.column("count")) == result["bce"].count
    assert math.fsum(result.groups.column("sum")) == pytest.approx(result["bce"].sum, rel=1e-14)


def test_tables_become_frames_and_sort(data):
    result = sl.evaluate(["bce", "mse"], data["y"], data["p"], by={"carrier": data["carrier"], "y": data["y"]})
    table = result.groups
    assert table.columns[:3] == ("loss", "carrier", "y")
    assert len(table) == 2 * len(result["bce"].groups)
    frame, polars, arrow = table.to_pandas(), table.to_polars(), table.to_arrow()
    assert frame["sum"].tolist() == polars["sum"].to_list() == arrow["sum"].to_pylist() == table.column("sum")
    sums = result["bce"].groups.sort("share").column("share")
    assert sums == sorted(sums, reverse=True)
    grid = result["bce"].groups.to_xarray()
    assert float(grid["sum"].sum()) == pytest.approx(result["bce"].sum)
    assert set(grid["carrier"].values) == {"AA", "UA", "Zürich", "missing"}
    assert json.loads(result.to_json())["losses"]["binary_crossentropy"]["groups"] == result["bce"].groups.to_dict()
    assert "carrier" in repr(table).splitlines()[0]
    assert "<td>Zürich</td>" in table._repr_html_()
    with pytest.raises(sl.errors.UnknownNameError, match="carier"):
        result["bce"].groups_by("carier")


def test_hostile_keys_are_escaped_in_notebooks():
    keys = np.array(["<script>", "b"])
    assert "<script>" not in sl.evaluate("mse", np.zeros(2), np.ones(2), by={"k": keys}).groups._repr_html_()


def everything(data):
    return {
        "by": {"carrier": data["carrier"], "month": sl.by(data["day"], unit="M")},
        "cluster": sl.by(data["day"], unit="D"),
        "stats": "stderr,histogram,worst=7,running=9,calibration,confusion",
    }


def stores_of(data, folder, **chunks):
    places = []
    for name in ("y", "p", "w"):
        zarr.create_array(folder / f"{name}.zarr", data=data[name], chunks=(chunks.get(name, 50),))
        places.append(str(folder / f"{name}.zarr"))
    keys = everything(data)
    zarr.create_array(folder / "day.zarr", data=data["day"].astype("M8[ns]"), chunks=(64,))
    text = np.array([t or "?" for t in data["carrier"]], np.dtypes.StringDType())
    zarr.create_array(folder / "carrier.zarr", data=text, chunks=(90,))
    keys["by"] = {"carrier": str(folder / "carrier.zarr"), "month": sl.by(str(folder / "day.zarr"), unit="M")}
    keys["cluster"] = sl.by(str(folder / "day.zarr"), unit="D")
    return places, keys


def test_shards_checkpoints_and_files_have_the_bytes_of_one_run(data, tmp_path, small_blocks):
    places, keys = stores_of(data, tmp_path)
    whole = sl.evaluate("bce", *places, **keys)
    bytes_of_whole = whole["bce"].state.to_bytes()
    shards = [sl.evaluate("bce", *places, **keys, shard=(i, 3)) for i in range(3)]
    for i, shard in enumerate(shards):
        shard.save(tmp_path / f"{i}.state")
    merged = sl.merge([tmp_path / f"{i}.state" for i in (2, 0, 1)])
    assert merged["bce"].state.to_bytes() == bytes_of_whole
    assert merged.groups == whole.groups
    assert merged["bce"].worst == whole["bce"].worst
    calls = 0

    def stop(progress):
        nonlocal calls
        calls += 1
        if calls == 3:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        sl.evaluate("bce", *places, **keys, checkpoint=tmp_path / "c", executor="inline", progress=stop)
    resumed = sl.evaluate("bce", *places, **keys, checkpoint=tmp_path / "c")
    assert resumed["bce"].state.to_bytes() == bytes_of_whole
    other = {**keys, "by": {"carrier": keys["by"]["carrier"]}}
    with pytest.raises(sl.errors.StateError, match=r"by\.month"):
        sl.evaluate("bce", *places, **other, checkpoint=tmp_path / "c")
    with pytest.raises(sl.errors.StateError, match="statistics"):
        sl.evaluate("bce", *places, **{**keys, "stats": "stderr"}, checkpoint=tmp_path / "c")


def test_dask_executors_and_lazy_arrays_have_the_bytes_of_one_run(data, tmp_path, small_blocks):
    places, keys = stores_of(data, tmp_path)
    whole = sl.evaluate("bce", *places, **keys)["bce"].state.to_bytes()
    assert sl.evaluate("bce", *places, **keys, scheduler="threads")["bce"].state.to_bytes() == whole
    lazy = [da.from_zarr(place) for place in places]
    text = np.array([t or "?" for t in data["carrier"]])
    keys["by"] = {"carrier": da.from_array(text, chunks=100), "month": sl.by(da.from_array(data["day"], 77), unit="M")}
    keys["cluster"] = sl.by(da.from_array(data["day"], chunks=200), unit="D")
    assert sl.evaluate("bce", *lazy, **keys)["bce"].state.to_bytes() == whole


def test_labels_whose_convention_all_rows_decide_are_collected_under_it(small_blocks):
    y = np.array([0.0, 1.0] * 50)
    p = np.linspace(-2, 2, 100)
    found = sl.evaluate("hinge", y[:, None], p[:, None], by={"y": y.astype(int)}, stats="worst=2,histogram")["hinge"]
    rows = sl.losses.Hinge(reduction="none")(y[:, None], p[:, None])
    assert found.groups.column("sum") == pytest.approx([rows[y == 0].sum(), rows[y == 1].sum()])
    assert found.worst.column("loss") == sorted(rows, reverse=True)[:2]
    assert found.quantile(1.0) == rows.max()


def test_quantiles_are_within_a_bin_of_numpys():
    rng = np.random.default_rng(4)
    p = np.exp(rng.normal(size=20_000) * 4)
    found = sl.evaluate("mae", np.zeros(20_000), p, stats="quantiles")["mae"]
    for probability in (0.0, 1e-4, 0.01, 0.3, 0.5, 0.9, 0.999, 1.0):
        exact = np.quantile(p, probability, method="inverted_cdf")
        assert found.quantile(probability) == pytest.approx(exact, rel=1 / 512)
    assert (found.quantile(0), found.quantile(1)) == (p.min(), p.max())
    assert found.share_above(1.0) == pytest.approx((p > 1).mean(), abs=0.01)
    assert sum(found.histogram.column("count")) == 20_000
    with pytest.raises(sl.errors.UsageError, match="from 0 to 1"):
        found.quantile(95)


def test_quantiles_of_groups_are_within_a_bin_of_pandas(data, small_blocks):
    by = {"carrier": data["carrier"], "y": data["y"]}
    found = sl.evaluate("bce", data["y"], data["p"], by=by, mask=data["mask"], stats="quantiles_by_group")["bce"]
    table = found.group_quantiles(0.1, 0.5, 0.9)
    frame = pd.DataFrame({"carrier": data["carrier"], "y": data["y"], "v": losses(data)})[data["mask"]]
    grouped = frame.groupby(["carrier", "y"], dropna=False, sort=True).v
    for p in (0.1, 0.5, 0.9):
        expected = [np.quantile(group, p, method="inverted_cdf") for _, group in grouped]
        assert table.column(f"{p:g}") == pytest.approx(expected, rel=1 / 500)
    assert len(table) == len(found.groups)
    with pytest.raises(sl.errors.UsageError, match="pass by="):
        sl.evaluate("bce", data["y"], data["p"], stats="quantiles_by_group")


def test_perplexity_and_bits_are_those_of_the_mean(data):
    rng = np.random.default_rng(0)
    loss = sl.losses.SparseCategoricalCrossentropy(from_logits=True)
    found = sl.evaluate(loss, rng.integers(0, 9, 50), rng.normal(size=(50, 9)), stats="stderr")[loss.name]
    assert found.perplexity == math.exp(found.mean)
    assert found.perplexity_interval(0.9) == tuple(map(math.exp, found.interval(0.9)))
    assert found.bits == found.mean / math.log(2)
    assert found.bits_per_byte(200) == found.sum / math.log(2) / 200
    with pytest.raises(sl.errors.UsageError, match="no cross-entropy"):
        sl.evaluate("mse", [0.0], [1.0])["mse"].perplexity  # noqa: B018


def test_worst_rows_are_the_first_of_equal_ones(data, small_blocks):
    p = np.round(data["p"], 1)  # many ties
    found = sl.evaluate("mse", data["y"], p, by={"carrier": data["carrier"]}, stats={"worst": 25})["mse"].worst
    rows = (data["y"] - p) ** 2
    order = np.lexsort((np.arange(ROWS), -rows))[:25]
    assert found.column("index") == order.tolist()
    assert found.column("label") == data["y"][order].tolist()
    assert found.column("prediction") == p[order].tolist()
    assert found.column("carrier") == data["carrier"][order].tolist()
    shaped = sl.evaluate("mse", data["y"].reshape(20, 30, 1), p.reshape(20, 30, 1), stats="worst=1", rows=slice(5, 20))
    (row,) = shaped["mse"].worst
    assert row["loss"] == rows[150:].max()
    assert row["index"] == tuple(int(i) for i in np.unravel_index(150 + rows[150:].argmax(), (20, 30)))


def test_kept_axes_are_not_reduced(small_blocks):
    rng = np.random.default_rng(5)
    y, p = rng.random((2, 12, 5, 7, 1))
    w = rng.random((1, 5, 1))
    rows = ((y - p) ** 2)[..., 0] * w
    found = sl.evaluate("mse", y, p, w, keep=(1, 2))["mse"].kept
    assert found.columns[:2] == ("axis_1", "axis_2")
    assert np.reshape(found.column("sum"), (5, 7)) == pytest.approx(rows.sum(axis=0))
    assert found.column("count") == [12] * 35
    first = sl.evaluate("mse", y, p, w, keep=0, rows=slice(4, 9))["mse"].kept
    assert first.column("axis_0") == [4, 5, 6, 7, 8]
    assert first.column("weighted_mean") == pytest.approx(
        rows[4:9].sum(axis=(1, 2)) / np.broadcast_to(w, (1, 5, 7)).sum()
    )
    with pytest.raises(sl.errors.UsageError, match="out of bounds"):
        sl.evaluate("mse", y, p, keep=3)
    with pytest.raises(sl.errors.MemoryBudgetError, match="cells"):
        sl.evaluate("mse", np.zeros((10, 900, 900, 1)), np.zeros((10, 900, 900, 1)), keep=(1, 2), memory="300MB")


def test_kept_axes_by_name(small_blocks):
    xr = pytest.importorskip("xarray")
    p = xr.DataArray(np.random.default_rng(0).random((4, 3, 5)), dims=("time", "lat", "lon"))
    found = sl.evaluate(sl.losses.MeanSquaredError(axis="lon"), p * 0, p, keep="lat")["mse"].kept
    assert found.columns[0] == "lat"
    assert found.column("mean") == pytest.approx((p**2).mean(("time", "lon")).values.tolist())
    with pytest.raises(sl.errors.UsageError, match="have time, lat"):
        sl.evaluate(sl.losses.MeanSquaredError(axis="lon"), p * 0, p, keep="lon")


def test_keys_and_kept_axes_meet_by_name_and_carry_coordinates(tmp_path, small_blocks):
    xr = pytest.importorskip("xarray")
    rng = np.random.default_rng(1)
    time = np.arange("2024-01-29", "2024-02-10", dtype="M8[D]").astype("M8[ns]")
    coordinates = {"time": time, "lat": [10.0, 0.0, -10.5], "lon": [0, 90]}
    truth = xr.DataArray(rng.random((12, 3, 2)), coordinates, ("time", "lat", "lon"))
    truth[:, 1, 1] = np.nan
    forecast = (truth + rng.random((12, 3, 2))).transpose("lat", "lon", "time")
    for name, array in (("truth", truth), ("forecast", forecast)):
        array.to_dataset(name="t").to_netcdf(tmp_path / f"{name}.nc")
    place, loss = str(tmp_path / "truth.nc"), sl.losses.MeanSquaredError(axis=None)
    squares = (forecast - truth) ** 2
    for key, y, p in (
        (f"{place}::time", f"{place}::t", str(tmp_path / "forecast.nc") + "::t"),
        (truth.time, truth, forecast),
    ):
        with pytest.warns(sl.errors.StreamlossWarning, match="left out"):
            found = sl.evaluate(loss, y, p, nan_policy="omit", by={"month": sl.by(key, unit="M")}, keep=("lat", "lon"))
        months = squares.groupby("time.month").mean(...)
        assert found.groups.column("month") == ["2024-01", "2024-02"]
        assert found.groups.column("mean") == pytest.approx(months.values.tolist())
        kept = found["mse"].kept.to_xarray()
        xr.testing.assert_allclose(kept["mean"], squares.mean("time").rename("mean").sortby("lat"))
        assert int(kept["count"].sel(lat=0.0, lon=90)) == 0


def test_calibration_and_confusion_are_those_of_numpy(data):
    rng = np.random.default_rng(6)
    logits, labels = rng.normal(size=(ROWS, 4)) * 2, rng.integers(0, 4, ROWS)
    loss = sl.losses.SparseCategoricalCrossentropy(from_logits=True)
    found = sl.evaluate(loss, labels, logits, stats="calibration=10,confusion")[loss.name]
    shares = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    confidence, predicted = shares.max(axis=1), shares.argmax(axis=1)
    assert np.array_equal(found.confusion, pd.crosstab(labels, predicted).to_numpy())
    assert found.statistics["accuracy"] == (labels == predicted).mean()
    bins = np.minimum((confidence * 10).astype(int), 9)
    errors = [abs(confidence[bins == b].mean() - (labels == predicted)[bins == b].mean()) for b in np.unique(bins)]
    shares = [np.mean(bins == b) for b in np.unique(bins)]
    assert found.statistics["expected_calibration_error"] == pytest.approx(np.dot(shares, errors))
    assert found.statistics["maximum_calibration_error"] == pytest.approx(max(errors))
    assert found.calibration.column("rows") == [int((bins == b).sum()) for b in np.unique(bins)]

    tail = sl.evaluate(loss, labels, 9 * logits, stats="calibration_tail")[loss.name].calibration_tail
    with np.errstate(under="ignore"):
        shares = np.sort(np.exp(9 * (logits - logits.max(axis=1, keepdims=True))), axis=1)
    doubt = shares[:, :-1].sum(axis=1) / shares.sum(axis=1)
    for row in tail:
        here = (doubt >= row["doubt_from"]) & (doubt < row["doubt_to"])
        assert row["rows"] == here.sum()
        assert row["doubt"] == pytest.approx(doubt[here].mean(), rel=1e-12)
        assert row["wrong"] == pytest.approx((labels != predicted)[here].mean())
    assert sum(tail.column("rows")) == ROWS

    binary = sl.evaluate("bce", data["y"], data["p"], data["w"], stats="calibration=5,confusion")["bce"]
    assert np.array_equal(binary.confusion, pd.crosstab(data["y"], data["p"] >= 0.5).to_numpy())
    first = data["p"] < 0.2
    share = np.average(data["y"][first], weights=data["w"][first])
    assert binary.calibration[0]["accuracy"] == pytest.approx(share)
    parts = binary.statistics["brier_decomposition"]
    base = np.average(data["y"], weights=data["w"])
    assert parts["uncertainty"] == pytest.approx(base * (1 - base))
    brier = np.average((data["y"] - data["p"]) ** 2, weights=data["w"])
    assert parts["reliability"] - parts["resolution"] + parts["uncertainty"] == pytest.approx(brier, abs=0.02)


def test_rows_that_are_left_out_are_in_no_statistic(small_blocks):
    labels = np.array([0, 1, -1, 1, 0, 1])
    p = np.array([[0.9, 0.1], [0.2, 0.8], [0.01, 0.99], [np.nan, 0.5], [0.6, 0.4], [0.7, 0.3]])
    loss = sl.losses.SparseCategoricalCrossentropy(ignore_class=-1)
    with pytest.warns(sl.errors.StreamlossWarning, match="left out"):
        found = sl.evaluate(
            loss,
            labels,
            p,
            mask=np.arange(6) != 5,
            nan_policy="omit",
            by={"all": np.zeros(6, int)},
            stats="histogram,worst=9,running=2,calibration=4,confusion",
        )[loss.name]
    assert (found.count, found.ignored, found.omitted) == (3, 2, 1)
    assert found.groups.column("count") == [3]
    assert sum(found.histogram.column("count")) == len(found.worst) == found.confusion.sum() == 3
    assert sum(found.calibration.column("rows")) == 3
    assert sum(found.running.column("count")) == 3


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"by": "carrier"}, sl.errors.UsageError, "must map names to keys"),
        ({"by": {"mean": np.zeros(4, int)}}, sl.errors.UsageError, "column of every table"),
        ({"by": {"k": np.zeros(3, int)}}, sl.errors.ShapeError, r"by\.k has shape \(3,\)"),
        ({"by": {"k": np.array([0.5, 1, 2, 3])}}, sl.errors.ValueRangeError, r"by\.k .*no whole number.*bins="),
        (
            {"by": {"k": sl.by(np.array([0, np.nan, 1, 1]), missing="raise")}},
            sl.errors.ValueRangeError,
            r"by\.k .*1 of \d rows .* have no key",
        ),
        ({"by": {"k": np.zeros(4, complex)}}, sl.errors.SourceError, r"by\.k"),
        ({"by": {"k": np.array([1, "a", None, 2], object)}}, sl.errors.SourceError, r"by\.k: 1 is a int"),
        ({"by": {"k": sl.by(np.zeros(4), unit="D")}}, sl.errors.ValueRangeError, "cuts dates and times"),
        ({"by": {"k": np.arange(4)}, "max_groups": 3}, sl.errors.UsageError, "4 groups so far; expected at most 3"),
        ({"cluster": np.arange(4), "max_groups": 3}, sl.errors.UsageError, "4 clusters so far"),
        ({"stats": "stdder"}, sl.errors.UnknownNameError, "Did you mean 'stderr'"),
        ({"stats": "groups"}, sl.errors.UsageError, "by="),
        ({"stats": "worst=0"}, sl.errors.UsageError, "1 to 100,000 rows"),
        ({"stats": "stderr=3"}, sl.errors.UsageError, "has no number"),
        ({"stats": "calibration"}, sl.errors.UsageError, "needs predictions that are probabilities or logits"),
        ({"keep": 1.5}, sl.errors.UsageError, "keep must list axes"),
    ],
)
def test_mistakes_are_named(arguments, error, message):
    with pytest.raises(error, match=message):
        sl.evaluate("mse", np.zeros(4), np.ones(4), **arguments)


@pytest.mark.parametrize("bins", [[], [3, 1], [1, 1], [np.nan, 2], 10])
def test_edges_must_ascend(bins):
    with pytest.raises(sl.errors.UsageError, match="bins must"):
        sl.by(np.zeros(3), bins=bins)
    with pytest.raises(sl.errors.UnknownNameError):
        sl.by(np.zeros(3), unit="fortnight")


def test_values_that_were_not_asked_for_say_how_to_ask():
    loss = sl.evaluate("mse", np.zeros(4), np.ones(4))["mse"]
    for name, wanted in {
        "stderr": "stderr",
        "groups": "by=",
        "kept": "keep=",
        "worst": "worst=20",
        "histogram": "histogram",
        "running": "running",
        "calibration": "calibration",
        "confusion": "confusion",
    }.items():
        with pytest.raises(sl.errors.UsageError, match=wanted):
            getattr(loss, name)


def test_a_statistic_without_meaning_for_one_loss_is_left_to_the_others():
    found = sl.evaluate(["bce", "mse"], np.array([0, 1]), np.array([0.25, 0.5]), stats="calibration,stderr")
    assert "calibration=15" in found["bce"].state.identity.statistics
    assert found["mse"].state.identity.statistics == ("stderr",)


def test_ratios_over_the_whole_data_have_no_groups():
    with pytest.raises(sl.errors.UsageError, match="one ratio over the whole data has none"):
        sl.evaluate("dice", np.eye(3), np.eye(3), by={"k": np.arange(3)})


def test_losses_of_undecided_labels_are_collected_under_both_conventions(small_blocks, tmp_path):
    """Parts of the rows whose labels are all 0 or 1 merge with others, and what all labels decide holds for all."""
    rng = np.random.default_rng(8)
    p = rng.normal(size=(90, 1))
    for y in (rng.integers(0, 2, (90, 1)), np.concatenate([np.ones((60, 1)), -np.ones((30, 1))]).astype(int)):
        asked = {"by": {"third": np.arange(90) % 3}, "stats": "worst=3,quantiles", "cluster": np.arange(90) // 9}
        whole = sl.evaluate("hinge", y, p, **asked)["hinge"]
        parts = [sl.evaluate("hinge", y, p, **asked, rows=slice(a, a + 30))["hinge"].state for a in (60, 0, 30)]
        merged = parts[0].merge(parts[1].merge(parts[2]))
        assert merged.to_bytes() == whole.state.to_bytes()
        rows = sl.losses.Hinge(reduction="none")(y, p)
        assert whole.groups.column("sum") == pytest.approx([rows[k::3].sum() for k in range(3)], rel=1e-12)
        assert whole.worst.column("loss") == sorted(rows, reverse=True)[:3]
        out = sl.evaluate("hinge", y, p, **asked, out=str(tmp_path / "out.zarr"), overwrite=True)
        assert zarr.open_group(tmp_path / "out.zarr")["hinge"][:].tolist() == rows.tolist()
        assert out["hinge"].state == whole.state
        other = rng.normal(size=(90, 1))
        row = sl.compare("hinge", y, {"a": p, "b": other})["b"]
        assert row["better"] == (sl.losses.Hinge(reduction="none")(y, other) < rows).sum()
