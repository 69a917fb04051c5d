"""Stored numbers mean the same in every container: h5py, netCDF4 and xarray, in every role."""

import dask.array as da
import h5py
import netCDF4
import numpy as np
import pytest
import xarray as xr

import streamloss as sl
from streamloss.errors import SourceError

ROLES = ["y_true", "y_pred", "sample_weight", "mask"]
CHANGES = {"scale_factor": 0.5, "add_offset": 1.0, "_Unsigned": "true", "_FillValue": np.int8(1)}
HARMLESS = {"scale_factor": 1.0, "add_offset": 0.0, "units": "m"}


def of_h5py(path, values, attributes):
    dataset = h5py.File(path / "a.h5", "w").create_dataset("a", data=values)
    dataset.attrs.update(attributes)
    return dataset


def of_netcdf4(path, values, attributes):
    dataset = netCDF4.Dataset(path / "a.nc", "w")
    dataset.createDimension("row", len(values))
    fill = attributes.get("_FillValue")
    variable = dataset.createVariable("a", values.dtype, ("row",), fill_value=fill)
    variable.set_auto_maskandscale(False)
    variable[:] = values
    variable.setncatts({name: value for name, value in attributes.items() if name != "_FillValue"})
    variable.set_auto_maskandscale(True)
    return variable


def of_xarray(path, values, attributes):
    return xr.DataArray(values, dims="row", attrs=attributes)


def of_variable(path, values, attributes):
    return xr.Variable("row", values, attributes)


MAKERS = [of_h5py, of_netcdf4, of_xarray, of_variable]


def run(role, array, lazy=False):
    given = {name: np.ones(8, "i1") for name in ROLES}
    if lazy:
        given |= {name: da.ones(8, chunks=4, dtype="i1") for name in ROLES}
    given[role] = array
    return sl.evaluate(
        "mse", given.pop("y_true"), given.pop("y_pred"), scheduler="synchronous" if lazy else None, **given
    )


@pytest.mark.parametrize("lazy", [False, True], ids=["read", "beside Dask"])
@pytest.mark.parametrize("role", ROLES)
@pytest.mark.parametrize("make", MAKERS)
@pytest.mark.parametrize("change", CHANGES)
def test_attributes_that_change_numbers_are_refused(change, make, role, lazy, tmp_path):
    if make is of_netcdf4 and change == "_Unsigned":
        pytest.skip("netCDF4 decodes it")
    array = make(tmp_path, np.ones(8, "i1"), {change: CHANGES[change]})
    with pytest.raises(SourceError, match=f"{role}: .*({change}|masked)"):
        run(role, array, lazy)


@pytest.mark.parametrize("role", ROLES)
@pytest.mark.parametrize("make", MAKERS)
def test_attributes_that_change_nothing_are_let_through(make, role, tmp_path):
    values = np.ones(8, "i1")
    attributes = HARMLESS if role != "mask" or make is not of_netcdf4 else {"units": "m"}  # decoded as floats, no mask
    array = make(tmp_path, values, attributes)
    assert run(role, array)["mean_squared_error"].sum == 0


@pytest.mark.parametrize("role", ROLES[:3])
@pytest.mark.parametrize("make", MAKERS)
def test_nan_for_missing_floats_is_let_through(make, role, tmp_path):
    array = make(tmp_path, np.ones(8, "f4"), {"_FillValue": np.float32("nan")})
    assert run(role, array)["mean_squared_error"].sum == 0


@pytest.mark.parametrize("role", ROLES)
@pytest.mark.parametrize("lazy", [False, True], ids=["read", "beside Dask"])
def test_elements_that_netcdf4_masks_are_refused(role, lazy, tmp_path):
    never_written = netCDF4.default_fillvals["i4"]
    array = of_netcdf4(tmp_path, np.array([1] * 7 + [never_written], "i4"), {})
    with pytest.raises(SourceError, match=f"{role}: .* has 1 masked element,"):
        run(role, array, lazy)


@pytest.mark.parametrize("kind", [xr.DataArray, lambda values, dims: xr.Variable(dims, values)])
def test_dimensions_of_xarray_meet_by_name(kind):
    values = np.arange(4.0).reshape(2, 2)
    assert (
        sl.evaluate("mse", kind(values, dims=("x", "y")), kind(values, dims=("x", "y")))["mean_squared_error"].sum == 0
    )
    assert (
        sl.evaluate("mse", kind(values, dims=("x", "y")), kind(values.T, dims=("y", "x")))["mean_squared_error"].sum
        == 0
    )
