"""Variables of NetCDF files and Zarr stores, named after ``::``: their values are those of xarray, bit by bit."""

import pickle
import sys
import tracemalloc
import warnings

import numpy as np
import pandas as pd
import pytest
import xarray as xr
import zarr

import streamloss as sl
from streamloss.errors import MissingChunkError, MissingExtraError, SourceError
from streamloss.storage.sources import cf_decoding, netcdf_files, open_source

SHAPE = (24, 6)
VALUES = np.random.default_rng(3).uniform(-4, 4, SHAPE)
VALUES[3:5, 2] = np.nan
ENCODINGS = {
    "packed": {"dtype": "i2", "scale_factor": 0.01, "add_offset": 5.0, "_FillValue": -32768},
    "packed by floats": {"dtype": "i2", "scale_factor": np.float32(0.01), "_FillValue": -32768},
    "scale alone": {"dtype": "i4", "scale_factor": 0.001, "_FillValue": -999},
    "bytes": {"dtype": "u1", "scale_factor": 0.05, "add_offset": -5.0, "_FillValue": 255},
    "unsigned": {"dtype": "i1", "scale_factor": 0.05, "add_offset": -5.0, "_FillValue": -1, "_Unsigned": "true"},
    "missing": {"dtype": "f4", "_FillValue": np.float32(-999)},
    "missing value": {"dtype": "f4", "missing_value": np.float32(1e20), "_FillValue": None},
    "plain": {"dtype": "f4", "_FillValue": None},
}


def stored(kind, folder, encoding, name="v"):
    """Write the values under an encoding; return the address of the variable."""
    dataset = xr.Dataset({name: (("time", "x"), VALUES)}, {"time": pd.date_range("2020", periods=24)})
    if encoding.get("_FillValue") is None and "missing_value" not in encoding:
        dataset = dataset.fillna(0)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        if kind in {"zarr2", "zarr3"}:
            encoding = {name: encoding | {"chunks": (10, 4)}}
            dataset.to_zarr(
                folder / "a.zarr", encoding=encoding, zarr_format=int(kind[4:]), consolidated=kind == "zarr2"
            )
            return f"{folder}/a.zarr::{name}"
        version = {"netcdf3": "NETCDF3_CLASSIC", "netcdf4": "NETCDF4"}[kind]
        if kind == "netcdf4":
            encoding = encoding | {"chunksizes": (10, 4)}
        dataset.to_netcdf(folder / "a.nc", encoding={name: encoding}, format=version)
        return f"{folder}/a.nc::{name}"


def by_xarray(address):
    path, _, name = address.rpartition("::")
    options = {"decode_times": False}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        opened = xr.open_zarr(path, chunks=None, **options) if ".zarr" in path else xr.open_dataset(path, **options)
    return opened[name]


@pytest.mark.parametrize("kind", ["zarr2", "zarr3", "netcdf3", "netcdf4"])
@pytest.mark.parametrize("encoding", ENCODINGS)
def test_values_are_those_of_xarray(encoding, kind, tmp_path):
    if kind == "netcdf3" and encoding == "bytes":
        pytest.skip("NetCDF 3 has no unsigned bytes")
    address = stored(kind, tmp_path, ENCODINGS[encoding])
    source, expected = open_source(address, "y_pred", "error"), by_xarray(address)
    assert (source.shape, source.dtype.newbyteorder("="), source.dimensions) == (SHAPE, expected.dtype, ("time", "x"))
    for rows in (slice(0, 24), slice(7, 8), slice(3, 19)):
        read = source.read((rows, slice(1, 5)))
        np.testing.assert_array_equal(read.view(), expected[rows, 1:5].values)
        assert read.dtype == source.dtype
    there = pickle.loads(pickle.dumps(source))
    np.testing.assert_array_equal(there.read((slice(2, 9), slice(0, 6))), expected[2:9].values)
    assert there.fingerprint() == source.fingerprint()


@pytest.mark.parametrize("encoding", ENCODINGS)
def test_pieces_that_are_decoded_make_the_whole(encoding, tmp_path, monkeypatch):
    monkeypatch.setattr(cf_decoding, "PIECE", 7)
    address = stored("zarr3", tmp_path, ENCODINGS[encoding])
    read = open_source(address, "y_pred", "error").read((slice(3, 19), slice(1, 5)))
    np.testing.assert_array_equal(read, by_xarray(address)[3:19, 1:5].values)


def test_decoding_a_large_chunk_takes_one_copy_of_its_values(tmp_path):
    """A chunk of ten hours of the globe is 83 MB: four of them would not fit what a block may take."""
    values = np.ones((10, 300, 400))
    dataset = xr.Dataset({"v": (("time", "y", "x"), values)})
    encoding = {"v": ENCODINGS["packed"] | {"chunks": values.shape}}
    dataset.to_zarr(tmp_path / "a.zarr", encoding=encoding, consolidated=False)
    source = open_source(f"{tmp_path}/a.zarr::v", "y_pred", "error")
    assert source.read_bytes(values.shape) < 3 * values.nbytes
    tracemalloc.start()
    try:
        source.read(tuple(slice(0, n) for n in values.shape))
        assert tracemalloc.get_traced_memory()[1] < source.read_bytes(values.shape)
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("kind", ["zarr3", "netcdf4"])
def test_without_attributes_nothing_is_between(kind, tmp_path):
    kinds = {"zarr3": "ZarrSource", "netcdf4": "SlicedSource"}
    source = open_source(stored(kind, tmp_path, ENCODINGS["plain"]), "y_pred", "error")
    assert type(source).__name__ == kinds[kind]


def test_a_packed_array_by_its_plain_path_is_refused_with_the_name_that_works(tmp_path):
    address = stored("zarr3", tmp_path, ENCODINGS["packed"])
    with pytest.raises(SourceError, match=r"change what its numbers mean.*Name it '(\S*)'") as caught:
        open_source(address.replace("::", "/"), "y_pred", "error")
    assert repr(address) in str(caught.value)


def test_missing_data_are_nan_under_the_policy_for_nan(tmp_path):
    address = stored("netcdf4", tmp_path, ENCODINGS["packed"])
    zeros = np.zeros(SHAPE)
    with pytest.raises(sl.errors.ValueRangeError, match="nan"):
        sl.evaluate("mae", zeros, address)
    with pytest.warns(sl.errors.StreamlossWarning, match="NaN"):
        result = sl.evaluate("mae", zeros, address, nan_policy="omit")["mean_absolute_error"]
    expected = np.abs(by_xarray(address).values.astype(float)).mean(axis=1)
    assert result.omitted == np.isnan(expected).sum() == 2
    np.testing.assert_allclose(result.value, np.nanmean(expected), rtol=1e-12)


@pytest.mark.parametrize("kind", ["zarr3", "netcdf4"])
def test_chunks_that_were_never_written_are_missing_chunks(kind, tmp_path):
    address = stored(kind, tmp_path, ENCODINGS["packed"])
    if kind == "zarr3":
        (tmp_path / "a.zarr/v/c/1/1").unlink()
    else:
        import h5py

        with h5py.File(tmp_path / "b.nc", "w") as file:
            array = file.create_dataset("v", SHAPE, "i2", chunks=(10, 4))
            array[:10] = 1
            array.attrs["scale_factor"] = 0.5
            for axis, name in enumerate(("time", "x")):
                file[name] = np.arange(SHAPE[axis])
                file[name].make_scale(name)
                array.dims[axis].attach_scale(file[name])
        address = f"{tmp_path}/b.nc::v"
    everything = tuple(slice(0, n) for n in SHAPE)
    with pytest.raises(MissingChunkError):
        open_source(address, "y_pred", "error").read(everything)
    counted = open_source(address, "y_pred", "warn")
    counted.read(everything)
    assert counted.filled > 0


def test_groups_and_the_only_variable(tmp_path):
    encoding = {"v": ENCODINGS["packed"]}
    dataset = xr.Dataset({"v": (("time", "x"), VALUES)}, {"time": np.arange(24)})
    dataset.to_netcdf(tmp_path / "a.nc", group="model/run", encoding=encoding)
    source = open_source(f"{tmp_path}/a.nc::model/run/v", "y_pred", "error")
    expected = xr.open_dataset(tmp_path / "a.nc", group="model/run")["v"]
    np.testing.assert_array_equal(source.read((slice(0, 24), slice(0, 6))), expected)
    dataset.to_netcdf(tmp_path / "b.nc", encoding=encoding)
    assert open_source(tmp_path / "b.nc", "y_pred", "error").shape == SHAPE
    dataset.assign(w=dataset["v"]).to_netcdf(tmp_path / "c.nc")
    with pytest.raises(SourceError, match=r"c\.nc' holds 2 arrays; name one.*Arrays: v .*, w "):
        open_source(tmp_path / "c.nc", "y_pred", "error")
    with pytest.raises(SourceError, match=r"c\.nc' has no array 'vv'\. Did you mean 'v'"):
        open_source(f"{tmp_path}/c.nc::vv", "y_pred", "error")


@pytest.mark.parametrize("kind", ["netcdf3", "netcdf4"])
@pytest.mark.parametrize("damage", ["truncated", "garbage", "empty"])
def test_damaged_files_are_named(damage, kind, tmp_path):
    address = stored(kind, tmp_path, ENCODINGS["packed"])
    path = tmp_path / "a.nc"
    content = path.read_bytes()
    kept = {"truncated": content[:100], "garbage": content[:8] + bytes(range(256)) * 8, "empty": b""}
    path.write_bytes(kept[damage])
    with pytest.raises(SourceError, match=r"y_pred: '\S*a\.nc' cannot be read as NetCDF: "):
        open_source(address, "y_pred", "error")


def test_without_the_libraries_the_extra_is_named(tmp_path, monkeypatch):
    address = stored("zarr3", tmp_path, ENCODINGS["packed"])
    netcdf = stored("netcdf4", tmp_path, ENCODINGS["packed"])
    monkeypatch.setattr(netcdf_files, "find_spec", lambda name: None)
    with pytest.raises(MissingExtraError, match=r"streamloss\[xarray\]"):
        open_source(netcdf, "y_pred", "error")
    monkeypatch.setitem(sys.modules, "xarray", None)
    with pytest.raises(MissingExtraError, match=r"packed numbers of \S*a\.zarr::v .*streamloss\[xarray\]"):
        open_source(address, "y_pred", "error")


def test_zarr_arrays_that_xarray_cannot_open_say_so(tmp_path):
    group = zarr.open_group(tmp_path / "a.zarr", mode="w")
    group.create_array("v", data=np.ones((4, 2), "i2"), attributes={"scale_factor": 0.5})
    with pytest.raises(SourceError, match=r"xarray cannot open '\S*a\.zarr::v'"):
        open_source(f"{tmp_path}/a.zarr::v", "y_pred", "error")


def test_coordinates_of_files_are_compared(tmp_path):
    address = stored("netcdf4", tmp_path, ENCODINGS["plain"])
    opened = xr.open_dataset(tmp_path / "a.nc")["v"]
    assert sl.evaluate("mse", address, opened)["mean_squared_error"].sum == 0
    with pytest.raises(sl.errors.ShapeError, match="other labels along time"):
        sl.evaluate("mse", address, opened[::-1])


LAZY = {
    "whole": lambda a: a,
    "reversed": lambda a: a[::-1],
    "rows": lambda a: a[2:9],
    "empty": lambda a: a[:0],
    "several": lambda a: a.assign_coords(member=("x", list("abcdef"))),
    "multiindex": lambda a: a.assign_coords(
        xr.Coordinates.from_pandas_multiindex(pd.MultiIndex.from_product([[0, 1], range(12)]), "time")
    ),
}


@pytest.mark.parametrize("change", LAZY)
def test_variables_of_a_store_opened_without_dask_are_read_by_slices(change, tmp_path):
    address = stored("zarr3", tmp_path, ENCODINGS["packed"])
    array = LAZY[change](xr.open_zarr(address.partition("::")[0], chunks=None, consolidated=False)["v"])
    source = open_source(array, "y_pred", "error")
    assert type(source).__name__ == "SlicedSource"
    everything = tuple(slice(0, n) for n in array.shape)
    np.testing.assert_array_equal(source.read(everything), array.values)
    assert source.dimensions == ("time", "x")
    given = np.zeros(array.shape)
    if array.shape[0]:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of NaN that is left out
            one, other = (sl.evaluate("mse", given, given_as, nan_policy="omit") for given_as in (array, array.values))
        assert one["mean_squared_error"].sum == other["mean_squared_error"].sum


def test_times_are_no_numbers(tmp_path):
    stored("netcdf4", tmp_path, ENCODINGS["plain"])
    times = xr.open_dataset(tmp_path / "a.nc")["time"]
    with pytest.raises(SourceError, match="datetime64"):
        open_source(times, "y_pred", "error")
