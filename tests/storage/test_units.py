"""Units that two arrays state and that differ are warned of, in every container that has attributes."""

import shutil
import warnings

import dask.array as da
import h5py
import netCDF4
import numpy as np
import pytest
import xarray as xr
import zarr

import streamloss as sl
from streamloss.cli import run
from streamloss.errors import StreamlossWarning
from streamloss.storage.sources.encoding import same_units, units_of

pytestmark = pytest.mark.filterwarnings("ignore:Consolidated metadata is currently not part")

VALUES = np.ones(4, np.float32)


def zarr_path(path, units, zarr_format=3):
    zarr.create_array(path / "a.zarr", data=VALUES, attributes=units, zarr_format=zarr_format)
    return str(path / "a.zarr")


def zarr_2(path, units):
    return zarr_path(path, units, zarr_format=2)


def zarr_array(path, units):
    return zarr.open_array(zarr_path(path, units), mode="r")


def zarr_zip(path, units):
    zarr_path(path, units)
    return shutil.make_archive(str(path / "a.zarr"), "zip", path / "a.zarr")


def of_h5py(path, units):
    dataset = h5py.File(path / "a.h5", "w").create_dataset("a", data=VALUES)
    dataset.attrs.update(units)
    return dataset


def of_netcdf4(path, units):
    dataset = netCDF4.Dataset(path / "a.nc", "w")
    dataset.createDimension("row", 4)
    variable = dataset.createVariable("a", "f4", ("row",))
    variable[:] = VALUES
    variable.setncatts(units)
    return variable


def of_xarray(path, units):
    return xr.DataArray(VALUES, dims="row", attrs=units)


MAKERS = [zarr_path, zarr_2, zarr_array, zarr_zip, of_h5py, of_netcdf4, of_xarray]
LAZY = [zarr_array, of_h5py, of_netcdf4, of_xarray]


def made(make, folder, units):
    folder.mkdir()
    return make(folder, {} if units is None else {"units": units})


def test_units_that_are_bytes_are_text():
    assert units_of({"units": b"m s-1"}) == "m s-1"
    assert units_of({"units": b" "}) is None


@pytest.mark.parametrize("make", MAKERS)
@pytest.mark.parametrize("call", [lambda *arrays: sl.evaluate("mse", *arrays), sl.losses.MeanSquaredError()])
def test_units_that_differ_are_warned_of(make, call, tmp_path):
    labels, predictions = made(make, tmp_path / "y", "K"), made(of_xarray, tmp_path / "p", "degC")
    with pytest.warns(StreamlossWarning, match=r"y_true \(.*\) is in 'K', but y_pred \(.*\) in 'degC'; .*convert one"):
        call(labels, predictions)
    with pytest.warns(StreamlossWarning, match=r"y_true \(.*\) is in 'degC', but y_pred \(.*\) in 'K'"):
        call(predictions, labels)


@pytest.mark.parametrize("make", MAKERS)
@pytest.mark.parametrize(("one", "other"), [("K", "K"), ("K", None), (None, "degC"), ("m s**-1", "m/s"), ("", "K")])
def test_units_that_agree_or_are_not_stated_are_not(make, one, other, tmp_path):
    sl.evaluate("mse", made(make, tmp_path / "y", one), made(make, tmp_path / "p", other))


@pytest.mark.parametrize("make", LAZY)
def test_units_are_compared_beside_dask_arrays(make, tmp_path):
    labels, predictions = made(make, tmp_path / "y", "K"), made(of_xarray, tmp_path / "p", "degC")
    with pytest.warns(StreamlossWarning, match="is in 'K', but y_pred"):
        sl.evaluate("mse", labels, predictions, da.ones(4), scheduler="synchronous")


@pytest.mark.parametrize("role", ["sample_weight", "mask"])
def test_units_of_weights_and_masks_say_nothing(role, tmp_path):
    array = made(of_xarray, tmp_path / "w", "m2") if role == "sample_weight" else xr.DataArray(VALUES > 0, dims="row")
    labels = made(of_xarray, tmp_path / "y", "K")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        sl.evaluate("mse", labels, labels, **{role: array})


def test_the_command_line_warns_of_them(tmp_path, capsys):
    given = [made(zarr_path, tmp_path / "y", "K"), made(zarr_2, tmp_path / "p", "degC")]
    assert run(["evaluate", "--loss", "mse", "--y-true", given[0], "--y-pred", given[1]]) == 0
    assert "streamloss: warning: y_true" in (said := capsys.readouterr().err)
    assert "is in 'K', but y_pred" in said


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("K", "kelvin", True),
        ("degC", "degrees_celsius", True),
        ("°C", "Celsius", True),
        ("deg_C", "degree C", True),
        ("W/m2", "W m-2", True),
        ("W m**-2", "W m^-2", True),
        ("m/s2", "m s-2", True),
        ("m", "mm", False),
        ("mm", "Mm", False),
        ("m s-1", "m s-2", False),
        ("1", "%", False),
        ("degrees_north", "degrees_east", False),
        ("K", "degC", False),
        ("degF", "degC", False),
    ],
)
def test_ways_of_writing_units(one, other, same):
    assert same_units(one, other) == same_units(other, one) == same


def test_units_that_are_no_text_are_stated():
    assert [units_of({"units": units}) for units in (1, " K ", "", None)] == ["1", "K", None, None]
