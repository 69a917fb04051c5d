"""Axes that meet by name: labels, weights and masks in another order, or with fewer dimensions, as xarray has it."""

import warnings

import numpy as np
import pandas as pd
import pytest
import xarray as xr

import streamloss as sl
from streamloss.cli import run
from streamloss.errors import ShapeError

RNG = np.random.default_rng(5)
SIZES = {"time": 7, "latitude": 4, "longitude": 6}
DIMS = tuple(SIZES)
LATITUDES = np.linspace(-80, 80, 4)
WEIGHTS = xr.DataArray(np.cos(np.deg2rad(LATITUDES)), {"latitude": LATITUDES}, "latitude")
ELEMENTS = sl.losses.MeanSquaredError(axis=None)


def field(*dims, land=False):
    values = xr.DataArray(RNG.normal(size=[SIZES[name] for name in dims]), dims=dims)
    if "latitude" in dims:
        values = values.assign_coords(latitude=LATITUDES)
    return values.where(values.longitude % 3 != 0) if land else values


Y, P = field(*DIMS), field(*DIMS)


def value(loss, *arrays, **options):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of NaN that is left out
        (result,) = sl.evaluate(loss, *arrays, executor="inline", **options).losses.values()
    return result


@pytest.mark.parametrize("dims", [DIMS, DIMS[::-1], ("latitude", "time", "longitude")])
def test_labels_in_another_order_have_the_same_sum(dims):
    for y, p in ((Y.transpose(*dims), P), (Y, P.transpose(*dims)), (Y.transpose(*dims), P.transpose(*dims))):
        assert value(ELEMENTS, y, p).sum == value(ELEMENTS, Y.values, P.values).sum


@pytest.mark.parametrize("dims", [("latitude",), ("longitude", "time"), ("latitude", "longitude"), DIMS[::-1]])
@pytest.mark.parametrize("workers", [1, 2])
def test_weights_and_masks_follow_the_dimensions_that_they_have(dims, workers):
    weight = abs(field(*dims))
    mask = field(*dims) > 0
    full = weight.broadcast_like(P).transpose(*DIMS).values
    by_name = value(ELEMENTS, Y, P, weight, mask=mask, workers=workers, memory="400MB")
    by_hand = value(ELEMENTS, Y.values, P.values, full, mask=mask.broadcast_like(P).transpose(*DIMS).values)
    assert (by_name.sum, by_name.count, by_name.state) == (by_hand.sum, by_hand.count, by_hand.state)


@pytest.mark.parametrize("dims", [("latitude", "longitude"), ("longitude",), ("longitude", "latitude"), ("time",)])
def test_labels_are_repeated_along_dimensions_that_they_do_not_have(dims):
    y = field(*dims)
    expected = ((P - y) ** 2).mean().item()
    np.testing.assert_allclose(value(ELEMENTS, y, P).value, expected, rtol=1e-13)
    assert (
        value(ELEMENTS, y, P, rows=slice(2, 5)).sum
        == value(ELEMENTS, y.broadcast_like(P).transpose(*DIMS)[2:5].values, P[2:5].values).sum
    )


def test_a_packed_store_without_land_and_latitudes_that_shrink(tmp_path):
    """The value of xarray's own weighted mean, of the values that xarray decodes."""
    packed = {"dtype": "i2", "scale_factor": 0.001, "add_offset": 1.0, "_FillValue": -32768}
    times = pd.date_range("2020", periods=7)
    for name, array in (("p", field(*DIMS)), ("y", field(*DIMS[::-1], land=True))):
        dataset = xr.Dataset({"t2m": array.assign_coords(time=times)})
        encoding = {"t2m": packed | {"chunks": (3, 2, 2)}}
        dataset.to_zarr(tmp_path / f"{name}.zarr", encoding=encoding, consolidated=False)
    WEIGHTS.to_dataset(name="w").to_zarr(tmp_path / "w.zarr", consolidated=False)
    given = [f"{tmp_path}/{name}.zarr::{of}" for name, of in (("y", "t2m"), ("p", "t2m"), ("w", "w"))]
    result = value(ELEMENTS, *given, nan_policy="omit", reduction="mean_with_sample_weight")
    y, p = (xr.open_zarr(tmp_path / f"{name}.zarr", chunks=None, consolidated=False)["t2m"] for name in "yp")
    expected = ((y.astype("f8") - p.astype("f8")) ** 2).weighted(WEIGHTS).mean().item()
    np.testing.assert_allclose(result.value, expected, rtol=1e-6 if y.dtype == np.float32 else 1e-12)
    assert result.omitted == int(y.isnull().sum()) > 0


def test_the_axis_of_classes_by_name():
    scores = xr.DataArray(RNG.normal(size=(5, 3, 4)), dims=("row", "class", "x"))
    labels = xr.DataArray(RNG.integers(0, 3, (4, 5)), dims=("x", "row"))
    by_name = sl.losses.SparseCategoricalCrossentropy(from_logits=True, axis="class")
    by_number = sl.losses.SparseCategoricalCrossentropy(from_logits=True, axis=1)
    expected = value(by_number, labels.values.T, scores.values)
    assert value(by_name, labels, scores).state == expected.state
    weight = xr.DataArray(np.arange(4.0), dims="x")
    assert (
        value(by_name, labels, scores, weight).sum
        == value(by_number, labels.values.T, scores.values, np.arange(4.0)[None]).sum
    )
    with pytest.raises(ShapeError, match=r"axis='kind'.*has the dimensions \(row, class, x\); expected one"):
        value(sl.losses.SparseCategoricalCrossentropy(axis="kind"), labels, scores)
    with pytest.raises(ShapeError, match=r"axis='class'.*has no names of dimensions"):
        value(by_name, labels, scores.values)
    assert value(sl.losses.Dice(axis=["class", "x"]), abs(scores) % 1, abs(scores) % 1).count == 5


@pytest.mark.parametrize("role", ["sample_weight", "mask"])
def test_names_that_conflict_are_an_error(role):
    other = xr.DataArray(np.ones(4, "i1"), dims="lat")
    with pytest.raises(
        ShapeError, match=rf"{role} .*\(lat\), but the losses \(time, latitude, longitude\): lat is none"
    ):
        value(ELEMENTS, Y, P, **{role: other})
    averaged = xr.DataArray(np.ones(6, "i1"), dims="longitude")
    with pytest.raises(ShapeError, match=r"losses \(time, latitude\) have none along longitude, which .*axis=None"):
        value("mse", Y, P, **{role: averaged})
    as_long = xr.DataArray(np.ones(Y.shape[1], "i1"), dims="latitude")
    with pytest.raises(ShapeError, match=r"losses \(time\) have none along latitude"):
        value(sl.losses.MeanSquaredError(axis=("latitude", "longitude")), Y, P, **{role: as_long})
    short = xr.DataArray(np.ones(3, "i1"), dims="latitude")
    with pytest.raises(ShapeError, match=role):
        value(ELEMENTS, Y, P, **{role: short})


def test_arrays_without_names_meet_by_position():
    weight = np.arange(1.0, 5)
    with pytest.raises(ShapeError, match="Reshape it to"):
        value(ELEMENTS, Y, P, weight)
    unnamed = xr.DataArray(weight)  # dim_0
    with pytest.raises(ShapeError, match="Reshape it to"):
        value(ELEMENTS, Y, P, unnamed)
    assert (
        value(ELEMENTS, Y, P, weight[None, :, None]).sum
        == value(ELEMENTS, Y.values, P.values, weight[None, :, None]).sum
    )


def test_labels_along_dimensions_are_compared_in_the_order_of_names():
    flipped = WEIGHTS[::-1]
    with pytest.raises(ShapeError, match="other labels along latitude"):
        value(ELEMENTS, Y, P, flipped)


def test_the_command_line_takes_them(tmp_path, capsys):
    xr.Dataset({"y": Y.transpose(*DIMS[::-1]), "p": P, "w": WEIGHTS}).to_netcdf(tmp_path / "a.nc")
    flags = [
        f"--{flag}={tmp_path}/a.nc::{name}" for flag, name in (("y-true", "y"), ("y-pred", "p"), ("sample-weight", "w"))
    ]
    assert run(["evaluate", "--loss", "mse:axis=none", "--json", *flags]) == 0, capsys.readouterr().err
