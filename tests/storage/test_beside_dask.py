"""Every kind of array beside Dask arrays, and stored arrays that Dask reads: the checks of opening, in every role."""

from __future__ import annotations

import dask
import dask.array as da
import h5py
import netCDF4
import numpy as np
import pandas as pd
import pytest
import xarray as xr
import zarr

import streamloss as sl
from streamloss.errors import MissingChunkError, ShapeError, SourceError, UsageError
from streamloss.storage.sources.dask_graphs import behind

pytestmark = pytest.mark.filterwarnings("ignore:Consolidated metadata is currently not part")

ROLES = ("y_true", "y_pred", "sample_weight", "mask")
ROWS = 8


def values(role):
    return np.arange(ROWS) % 2 == 0 if role == "mask" else np.linspace(0, 1, ROWS, dtype=np.float32)


def evaluate(role, array, **options):
    """Evaluate an array of one role beside Dask arrays of the others."""
    given = {name: da.from_array(values(name), chunks=4) for name in ROLES} | {"y_pred": da.zeros(ROWS, chunks=4)}
    given[role] = array
    return sl.evaluate("mse", given.pop("y_true"), given.pop("y_pred"), scheduler="synchronous", **given, **options)[
        "mean_squared_error"
    ]


def npy(data, folder):
    np.save(folder / "a.npy", data)
    return str(folder / "a.npy")


def memmap(data, folder):
    return np.load(npy(data, folder), mmap_mode="r")


def zarr_path(data, folder):
    zarr.create_array(folder / "a.zarr", data=data, chunks=(3,))
    return folder / "a.zarr"


def zarr_array(data, folder):
    return zarr.open_array(zarr_path(data, folder), mode="r")


def h5py_dataset(data, folder):
    return h5py.File(folder / "a.h5", "w").create_dataset("a", data=data, chunks=(3,))


def lazy_xarray(data, folder):
    xr.Dataset({"a": ("row", data)}).to_netcdf(folder / "a.nc")
    return xr.open_dataset(folder / "a.nc")["a"]


def xarray_of_dask(data, folder):
    return xr.DataArray(da.from_array(data, chunks=3), dims="row")


def series(data, folder):
    return pd.Series(data)


def numbers(data, folder):
    return data.tolist()


MAKERS = [npy, memmap, zarr_path, zarr_array, h5py_dataset, lazy_xarray, xarray_of_dask, series, numbers]


@pytest.mark.parametrize("role", ROLES)
@pytest.mark.parametrize("make", MAKERS)
def test_every_kind_is_taken_beside_dask_arrays(make, role, tmp_path):
    assert evaluate(role, make(values(role), tmp_path)).sum == evaluate(role, values(role)).sum


def with_missing_chunk(kind, role, folder):
    if kind == "h5py":
        array = h5py.File(folder / "a.h5", "w").create_dataset("a", (ROWS,), values(role).dtype, chunks=(4,))
    else:
        array = zarr.create_array(folder / "a.zarr", shape=(ROWS,), dtype=values(role).dtype, chunks=(4,))
    array[:4] = values("mask")[:4]
    reads = {"path": lambda: folder / "a.zarr", "from_zarr": lambda: da.from_zarr(array)}
    reads |= {
        "inline": lambda: da.from_zarr(array, inline_array=True),
        "rechunked": lambda: da.from_zarr(array, chunks=8),
    }
    return reads.get(kind, lambda: array)()


@pytest.mark.parametrize("role", ROLES)
@pytest.mark.parametrize("kind", ["path", "array", "h5py", "from_zarr", "inline", "rechunked"])
def test_missing_chunks_are_errors(kind, role, tmp_path):
    array = with_missing_chunk(kind, role, tmp_path)
    with pytest.raises(MissingChunkError, match=f"{role}: .*chunk"):
        evaluate(role, array)
    assert evaluate(role, array, missing_chunks={role: "fill"}).count > 0


def packed(kind, role, folder, **attributes):
    codes = values(role).astype("i1")
    if kind == "h5py":
        array = h5py.File(folder / "a.h5", "w").create_dataset("a", data=codes)
        array.attrs.update(attributes)
    elif kind == "netCDF4":
        file = netCDF4.Dataset(folder / "a.nc", "w")
        file.createDimension("row", ROWS)
        array = file.createVariable("a", "i1", ("row",))
        array[:] = codes
        array.setncatts(attributes)
        array.set_auto_maskandscale(False)
    else:
        array = zarr.create_array(folder / "a.zarr", data=codes, attributes=attributes)
    return array


@pytest.mark.parametrize("role", ROLES)
@pytest.mark.parametrize("kind", ["zarr", "h5py", "netCDF4"])
@pytest.mark.parametrize(
    "change",
    [
        lambda array: array,
        lambda array: array[:ROWS],
        lambda array: array.rechunk(2),
        lambda array: da.concatenate([array[:4], array[4:]]),
        lambda array: array.reshape(2, 4).reshape(ROWS),
    ],
)
def test_packed_numbers_that_dask_reads_are_refused(change, kind, role, tmp_path):
    array = packed(kind, role, tmp_path, scale_factor=0.5)
    with pytest.raises(SourceError, match=rf"{role}: .*scale_factor"):
        evaluate(role, change(da.from_array(array, chunks=4)))


def test_masks_that_dask_drops_are_refused(tmp_path):
    array = packed("netCDF4", "y_pred", tmp_path)
    array.set_auto_maskandscale(True)
    lazy = da.from_array(array, chunks=4)
    with pytest.raises(SourceError, match="y_pred: Dask drops the mask"):
        evaluate("y_pred", lazy[:ROWS].rechunk(2))
    assert evaluate("y_pred", lazy).count == ROWS // 2
    array[1] = np.ma.masked
    with pytest.raises(SourceError, match=r"y_pred: .* 1 masked element"):
        evaluate("y_pred", lazy)


def test_numbers_that_dask_computes_are_not_judged(tmp_path):
    array = da.from_zarr(packed("zarr", "y_pred", tmp_path, scale_factor=0.5))
    assert evaluate("y_pred", array * 0.5).count == ROWS // 2
    assert behind(array).is_all
    assert not behind(array[1:]).is_all
    assert behind(array[1:]).stored
    assert not behind(array * 0.5).stored
    assert not behind(da.ones(3)).stored


def test_attributes_of_xarray_around_dask_are_judged():
    array = xr.DataArray(da.ones(ROWS, chunks=4, dtype="i1"), dims="row", attrs={"scale_factor": 0.5})
    with pytest.raises(SourceError, match=r"y_pred: .*scale_factor"):
        evaluate("y_pred", array)


@pytest.mark.parametrize("role", ROLES[1:])
def test_labels_and_dimensions_of_xarray_around_dask_meet(role):
    def labelled(role, labels, dims="lat"):
        return xr.DataArray(da.from_array(values(role), chunks=4), coords={dims: labels}, dims=dims)

    labels = np.arange(ROWS)
    y_true = labelled("y_true", labels)
    given = {name: values(name) for name in ROLES[1:]}

    def run(array):
        arrays = {**given, role: array}
        return sl.evaluate("mse", y_true, arrays.pop("y_pred"), **arrays, scheduler="synchronous")

    assert run(labelled(role, labels))["mean_squared_error"].count == ROWS // 2
    with pytest.raises(ShapeError, match=f"y_true .*{role} .* have other labels along lat: at 0"):
        run(labelled(role, labels[::-1]))
    with pytest.raises(ShapeError, match="along lat and index: at 0"):
        run(pd.Series(values(role), index=labels[::-1]))


def test_labels_beside_a_zarr_array_meet_those_of_xarray_around_dask(tmp_path):
    grid = xr.DataArray(np.arange(16.0).reshape(4, 4), coords={"lat": range(4)}, dims=("lat", "lon"), name="a")
    grid.to_dataset().to_zarr(tmp_path / "a.zarr")
    lazy = grid.chunk({"lat": 2})
    assert sl.evaluate("mse", tmp_path / "a.zarr/a", lazy)["mean_squared_error"].sum == 0
    with pytest.raises(ShapeError, match="other labels along lat"):
        sl.evaluate("mse", tmp_path / "a.zarr/a", lazy[::-1])
    with pytest.raises(ShapeError, match="Transpose"):
        sl.evaluate("mse", tmp_path / "a.zarr/a", lazy.T)


def test_xarray_around_dask_is_not_computed_before_it_is_asked_for():
    def fail(block):
        raise AssertionError("computed")

    array = xr.DataArray(da.ones(ROWS, chunks=4).map_blocks(fail, dtype=float, meta=np.empty(0)), dims="row")
    losses = sl.losses.mean_squared_error(array, values(""))
    assert isinstance(losses, da.Array)
    with pytest.raises(AssertionError, match="computed"):
        losses.compute(scheduler="synchronous")


def test_plans_refuse_xarray_around_dask_as_they_do_dask():
    array = xr.DataArray(da.ones(ROWS, chunks=4), dims="row")
    with pytest.raises(UsageError, match="plan received Dask arrays"):
        sl.plan("mse", array, array)


def test_graphs_with_stored_arrays_are_the_same_in_other_processes(tmp_path):
    np.save(tmp_path / "y.npy", values(""))
    array = da.from_zarr(zarr_array(values("") / 2, tmp_path))
    with dask.config.set(scheduler="processes", num_workers=1):
        loss = sl.losses.MeanSquaredError()(str(tmp_path / "y.npy"), array).compute()
    assert loss == sl.losses.MeanSquaredError()(values(""), values("") / 2)
