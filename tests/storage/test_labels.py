"""Labels of pandas, xarray, netCDF, HDF5 and Zarr: rows that meet have equal ones, in every role."""

from __future__ import annotations

import itertools

import h5py
import netCDF4
import numpy as np
import pandas as pd
import pytest
import xarray as xr
import zarr

import streamloss as sl
from streamloss.cli import run as command_line
from streamloss.errors import ShapeError
from streamloss.storage.sources import labels as labels_module
from streamloss.storage.sources.labels import Labels, first_difference
from streamloss.storage.sources.times import decoded_times

pytestmark = pytest.mark.filterwarnings("ignore:Consolidated metadata is currently not part")

ROLES = ("y_true", "y_pred", "sample_weight", "mask")
ROWS = 6
RIGHT = np.arange(10, 10 + ROWS)
WRONG = {
    "flipped": RIGHT[::-1],
    "shifted": RIGHT + 1,
    "one differs": np.r_[RIGHT[:-1], 99],
}


def values(role):
    return np.array([1, 0, 1, 1, 0, 1], "i1") if role == "mask" else np.linspace(0.25, 1, ROWS)


def of_series(data, labels, folder):
    return pd.Series(data, index=labels)


def of_frame(data, labels, folder):
    return pd.DataFrame({"a": data}, index=labels)


def of_dataarray(data, labels, folder):
    return xr.DataArray(data, coords={"lat": labels}, dims="lat")


def of_zarr(data, labels, folder, zarr_format=3):
    folder = folder / str(len(list(folder.iterdir())))
    of_dataarray(data, labels, folder).to_dataset(name="a").to_zarr(folder / "s.zarr", zarr_format=zarr_format)
    return folder / "s.zarr/a"


def of_zarr_2(data, labels, folder):
    return of_zarr(data, labels, folder, 2)


def of_opened_zarr(data, labels, folder):
    return zarr.open_array(of_zarr(data, labels, folder), mode="r")


def of_netcdf4(data, labels, folder):
    path = folder / f"{len(list(folder.iterdir()))}.nc"
    of_dataarray(data, labels, folder).to_dataset(name="a").to_netcdf(path, engine="netcdf4")
    return netCDF4.Dataset(path)["a"]


def of_h5py(data, labels, folder):
    file = h5py.File(folder / f"{len(list(folder.iterdir()))}.h5", "w")
    file["lat"], file["a"] = labels, data
    file["lat"].make_scale("lat")
    file["a"].dims[0].attach_scale(file["lat"])
    return file["a"]


MAKERS = [of_series, of_frame, of_dataarray, of_zarr, of_zarr_2, of_opened_zarr, of_netcdf4, of_h5py]


def evaluate(**given):
    arrays = {"y_true": values("y_true"), "y_pred": np.ones(ROWS), **given}
    return sl.evaluate("mse", arrays.pop("y_true"), arrays.pop("y_pred"), executor="inline", **arrays)[
        "mean_squared_error"
    ]


@pytest.mark.parametrize("roles", list(itertools.combinations(ROLES, 2)), ids="-".join)
@pytest.mark.parametrize("make", MAKERS)
@pytest.mark.parametrize("wrong", WRONG)
def test_arrays_whose_labels_differ_are_refused(wrong, make, roles, tmp_path):
    one, other = roles
    right = make(values(one), RIGHT, tmp_path)
    at = int(np.argmax(RIGHT != WRONG[wrong]))
    message = rf"{one} .*{other} .*other labels along (lat|index): at {at}, {one} has {RIGHT[at]} and {other} "
    with pytest.raises(ShapeError, match=message + str(WRONG[wrong][at])):
        evaluate(**{one: right, other: make(values(other), WRONG[wrong], tmp_path)})
    evaluate(**{one: right, other: make(values(other), RIGHT, tmp_path)})


@pytest.mark.parametrize("role", ROLES)
@pytest.mark.parametrize("make", MAKERS)
def test_an_array_without_labels_says_nothing(make, role, tmp_path):
    plain = evaluate(**{role: values(role)})
    assert evaluate(**{role: make(values(role), WRONG["flipped"], tmp_path)}).sum == plain.sum


@pytest.mark.parametrize(("one", "other"), list(itertools.combinations(MAKERS, 2)))
def test_labels_meet_across_containers(one, other, tmp_path):
    y_true = one(values("y_true"), RIGHT, tmp_path)
    assert evaluate(y_true=y_true, y_pred=other(np.ones(ROWS), RIGHT, tmp_path)).count == ROWS
    with pytest.raises(ShapeError, match="other labels"):
        evaluate(y_true=y_true, y_pred=other(np.ones(ROWS), RIGHT[::-1], tmp_path))


def frame(columns, index=None):
    return pd.DataFrame(np.arange(8.0).reshape(4, 2), columns=columns, index=index)


def test_columns_meet_by_name_where_both_have_names():
    with pytest.raises(ShapeError, match=r"along columns: at 0, y_true has 'a' and y_pred 'b'.*y_pred\[y_true.columns"):
        sl.evaluate("mse", frame(["a", "b"]), frame(["b", "a"]))
    assert sl.evaluate("mse", frame(["a", "b"]), frame(["a", "b"]))["mean_squared_error"].sum == 0
    assert sl.evaluate("mse", frame(["a", "b"]), frame(None))["mean_squared_error"].sum == 0
    one_column = pd.DataFrame({"prediction": values("y_pred")})
    assert evaluate(y_true=pd.Series(values("y_true"), name="label"), y_pred=one_column).sum == 0
    assert evaluate(y_true=pd.DataFrame({"label": values("y_true")}), y_pred=one_column).sum == 0


@pytest.mark.parametrize(
    ("one", "other", "cure"),
    [
        (pd.Series(range(4)), pd.Series(range(4), index=[2, 0, 1, 3]), r"Pass y_pred.loc\[y_true.index\]\. If"),
        (pd.Series(range(4), index=[7, 3, 91, 50]), pd.Series(range(4)), r"y_true.align\(y_pred, join='inner', axis"),
        (
            pd.Series(range(4), index=[7, 5, 91, 50]),
            pd.Series(range(4)),
            r"meet by position\. If .*y_pred.to_numpy\(\)",
        ),
        (pd.Series(range(9))[5:], pd.Series(range(4)), r"meet by position\. If .*reset_index\(drop=True\)"),
        (of_dataarray(values("y_true"), RIGHT, 0), of_dataarray(values(""), RIGHT[::-1], 0), r"sel\(lat=y_true.lat\)"),
        (of_dataarray(values("y_true"), RIGHT, 0), of_dataarray(values(""), RIGHT + 1, 0), "align.*join='inner'"),
        (of_dataarray(values("y_true"), RIGHT, 0), of_dataarray(values(""), -RIGHT, 0), r"y_pred.drop_vars\('lat'\)"),
    ],
)
def test_the_cure_suits_the_mistake(one, other, cure):
    with pytest.raises(ShapeError, match=cure):
        sl.evaluate("mse", one, other)


def test_the_cures_work():
    one = of_dataarray(values("y_true"), RIGHT, None)
    flipped = one[::-1]
    assert sl.evaluate("mse", one, flipped.sel(lat=one.lat))["mean_squared_error"].sum == 0
    assert evaluate(y_true=one, y_pred=flipped.drop_vars("lat")).sum > 0
    a, b = xr.align(one, one.assign_coords(lat=RIGHT + 1), join="inner")
    assert evaluate(y_true=a, y_pred=b).count == ROWS - 1
    series = pd.Series(values("y_true"), index=RIGHT)
    shuffled = series.sample(frac=1, random_state=3)
    assert sl.evaluate("mse", series, shuffled.loc[series.index])["mean_squared_error"].sum == 0
    assert evaluate(y_true=series, y_pred=shuffled.to_numpy()).count == ROWS


def test_axes_of_length_one_are_not_compared():
    grid = xr.DataArray(np.ones((4, 3)), coords={"lat": range(4), "lon": range(3)}, dims=("lat", "lon"))
    weight = xr.DataArray(np.ones((1, 3)), coords={"lat": [77], "lon": range(3)}, dims=("lat", "lon"))
    by_element = sl.losses.MeanSquaredError(axis=None)
    assert sl.evaluate(by_element, grid, grid, weight)["mean_squared_error"].sum == 0
    with pytest.raises(ShapeError, match="other labels along lon"):
        sl.evaluate(by_element, grid, grid, weight[:, ::-1])


def test_labels_of_classes_are_compared_with_each_other():
    dims = ("row", "kind")
    one = xr.DataArray(np.eye(3), coords={"kind": ["a", "b", "c"]}, dims=dims)
    with pytest.raises(ShapeError, match="along kind: at 0, y_true has a and y_pred c"):
        sl.evaluate("categorical_crossentropy", one, one[:, ::-1])
    assert sl.evaluate("categorical_crossentropy", one, one)["categorical_crossentropy"].sum < 1e-5
    labels = xr.DataArray([0, 1, 2], dims="row")
    assert sl.evaluate("sparse_categorical_crossentropy", labels, one)["sparse_categorical_crossentropy"].count == 3


def test_only_the_rows_evaluated_are_compared():
    one, other = pd.Series(np.arange(6.0)), pd.Series(np.arange(6.0), index=[0, 1, 2, 3, 5, 4])
    assert sl.evaluate("mse", one, other, rows=slice(0, 4))["mean_squared_error"].sum == 0
    with pytest.raises(ShapeError, match="at 4, y_true has 4 and y_pred 5"):
        sl.evaluate("mse", one, other, rows=slice(2, 6))


def test_losses_that_are_called_compare_labels_too():
    one = pd.Series(np.arange(6.0))
    with pytest.raises(ShapeError, match="other labels"):
        sl.losses.MeanSquaredError()(one, one[::-1])


def test_dimensions_meet_by_name_on_other_axes():
    grid = np.arange(9.0).reshape(3, 3)
    with pytest.raises(ShapeError, match="lon of y_pred would meet lat of y_true"):
        sl.evaluate("mse", xr.DataArray(grid, dims=("lat", "lon")), xr.DataArray(grid, dims=("lon", "x")))
    labels = xr.DataArray([0, 1, 2], dims="row")
    scores = xr.DataArray(grid, dims=("row", "kind"))
    by_first_axis = sl.losses.SparseCategoricalCrossentropy(from_logits=True, axis=0)
    with pytest.raises(ShapeError, match=r"row of y_true would meet kind of y_pred.*axis="):
        sl.evaluate(by_first_axis, labels, scores)
    unnamed = xr.DataArray([0, 1, 2]), xr.DataArray(grid)
    assert sl.evaluate(by_first_axis, *unnamed)["sparse_categorical_crossentropy"].count == 3


def test_the_command_line_refuses_other_labels(tmp_path, capsys):
    paths = [str(of_zarr(values(""), labels, tmp_path)) for labels in (RIGHT, RIGHT[::-1])]
    assert command_line(["evaluate", "--loss", "mse", "--y-true", paths[0], "--y-pred", paths[1]]) == 3
    assert "other labels along lat" in capsys.readouterr().err


@pytest.mark.parametrize("zarr_format", [2, 3])
def test_times_are_compared_as_times_whatever_their_units(zarr_format, tmp_path):
    def stored(name, units, times):
        data = xr.Dataset({"a": ("time", np.arange(4.0))}, coords={"time": times})
        encoding = {"time": {"units": units, "dtype": "int64"}}
        data.to_zarr(tmp_path / name, zarr_format=zarr_format, encoding=encoding)
        return tmp_path / name / "a"

    times = pd.date_range("2020-01-01", periods=4)
    days = stored("a.zarr", "days since 2020-01-01", times)
    hours = stored("b.zarr", "hours since 2019-12-31", times)
    later = stored("c.zarr", "days since 2021-01-01", times + pd.Timedelta(days=366))
    assert sl.evaluate("mse", days, hours)["mean_squared_error"].sum == 0
    with pytest.raises(ShapeError, match=r"along time: at 0, y_true has 2020-01-01.* and y_pred 2021-01-01"):
        sl.evaluate("mse", days, later)
    with pytest.raises(ShapeError, match=r"along time: at 0"):
        sl.evaluate("mse", xr.open_zarr(tmp_path / "a.zarr").a.load(), later)
    assert sl.evaluate("mse", pd.Series(np.arange(4.0), index=times), hours)["mean_squared_error"].sum == 0


@pytest.mark.parametrize(
    ("numbers", "attributes", "expected"),
    [
        ([0, 1], {"units": "days since 2000-01-01"}, np.array(["2000-01-01", "2000-01-02"], "M8[us]")),
        ([0.5], {"units": "hour since 2000-01-01 00:00:00 UTC"}, np.array(["2000-01-01T00:30"], "M8[us]")),
        ([0], {"units": b"s since 1970-01-01T00:00:00Z", "calendar": b"gregorian"}, np.array([0], "M8[s]")),
        ([2], {"units": "hours"}, np.array([2], "m8[h]")),
        ([2], {"units": "m"}, np.array([2])),
        ([2], {"units": "degrees_north"}, np.array([2])),
        ([2], {"units": "days since 2000-01-01", "calendar": "noleap"}, ["2 days since 2000-01-01, noleap"]),
        ([2], {"units": "days since 1-1-1"}, ["2 days since 1-1-1, standard"]),
        ([2], {"units": "months since 2000-01-01"}, ["2 months since 2000-01-01, standard"]),
    ],
)
def test_numbers_with_units_are_times(numbers, attributes, expected):
    np.testing.assert_array_equal(decoded_times(np.array(numbers), attributes), expected)


def test_missing_times_are_equal():
    times = decoded_times(np.array([np.nan, 1e300]), {"units": "days since 2000-01-01"})
    assert np.isnat(times).all()


SAME = [
    (np.array([0.1, np.nan]), np.array([0.1, np.nan])),
    (np.array([1, 2]), np.array([1.0, 2.0], "f4")),
    (np.array(["2000-01-01"], "M8[D]"), np.array(["2000-01-01"], "M8[ns]")),
    (np.array(["NaT"], "M8[D]"), np.array(["NaT"], "M8[ns]")),
    (np.array(["a", "b"]), np.array(["a", "b"], object)),
    (np.array([b"a", "b"], object), np.array(["a", "b"])),
    (np.array([b"a"]), np.array(["a"])),
    (pd.RangeIndex(5, 9), pd.Index([5, 6, 7, 8])),
    (pd.MultiIndex.from_tuples([("a", 1), ("b", 2)]), pd.MultiIndex.from_tuples([("a", 1), ("b", 2)])),
    (pd.date_range("2000", periods=2, tz="UTC"), pd.date_range("2000-01-01 01:00", periods=2, tz="Europe/Paris")),
    (pd.CategoricalIndex(["a", "b"]), np.array(["a", "b"])),
]
OTHER = [
    (np.array([0.1, np.nan]), np.array([0.1, 0.2])),
    (np.array([0.1]), np.array([0.1], "f4")),
    (np.array(["2000-01-01"], "M8[D]"), np.array(["2000-01-02"], "M8[ns]")),
    (np.array(["a", "b"]), np.array([1, 2])),
    (np.array([0]), np.array(["1970-01-01"], "M8[D]")),
    (pd.RangeIndex(5, 9), pd.RangeIndex(4, 8)),
    (pd.MultiIndex.from_tuples([("a", 1), ("b", 2)]), pd.MultiIndex.from_tuples([("a", 1), ("b", 3)])),
    (np.array([[1], [2]]), np.array([1, 2])),
]


@pytest.mark.parametrize(("one", "other"), SAME)
def test_equal_labels_of_other_dtypes_are_equal(one, other):
    assert first_difference(Labels("", "", one), Labels("", "", other), 0, len(one)) is None


@pytest.mark.parametrize(("one", "other"), OTHER)
def test_labels_that_differ_do(one, other):
    assert first_difference(Labels("", "", one), Labels("", "", other), 0, len(one)) is not None


def test_labels_are_compared_piece_by_piece(monkeypatch):
    monkeypatch.setattr(labels_module, "PIECE", 3)
    sizes = []

    class Recorded(np.ndarray):
        def __getitem__(self, index):
            part = super().__getitem__(index)
            sizes.append(np.size(part))
            return part

    one, other = np.arange(10).view(Recorded), np.arange(10)
    assert first_difference(Labels("", "", one), Labels("", "", other), 2, 10) is None
    assert max(sizes) <= 3
    other[8] = 1
    found = first_difference(Labels("", "", one), Labels("", "", other), 2, 10)
    assert (found.at, found.one, found.other) == (8, 8, 1)


def test_labels_are_not_sent_to_workers():
    import pickle

    from streamloss.storage.sources import open_source

    source = open_source(pd.Series(np.ones(4)), "y_true", "error")
    assert source.labels()[0].name == "index"
    assert pickle.loads(pickle.dumps(source)).labels() == {}
