"""Arrays that are read by slices: h5py, netCDF4, xarray opened lazily, and other classes, in every role."""

from __future__ import annotations

import pickle

import h5py
import netCDF4
import numpy as np
import pytest
import xarray as xr

import streamloss as sl
from streamloss.errors import CorruptChunkError, MissingChunkError, SourceError, StreamlossWarning, UsageError
from streamloss.storage.sources import numpy as numpy_sources
from streamloss.storage.sources import open_source

ROLES = ("y_true", "y_pred", "sample_weight", "mask")
ROWS = 64


def values(role, rows=ROWS):
    return np.arange(rows) % 2 == 0 if role == "mask" else np.linspace(0, 1, rows, dtype=np.float32)


class Slices:
    """An array of another library, which gives rectangles and keeps note of their sizes."""

    def __init__(self, data):
        self.shape, self.dtype, self._data, self.largest = data.shape, data.dtype, data, 0

    def __getitem__(self, index):
        part = self._data[index]
        self.largest = max(self.largest, part.size)
        return part


class Converts:
    """An array of another library, which only converts itself as a whole."""

    def __init__(self, data):
        self.shape, self.dtype, self.nbytes, self._data = data.shape, data.dtype, data.nbytes, data

    def __array__(self, dtype=None, copy=None):
        return np.asarray(self._data, dtype)


def of_h5py(data, folder, **options):
    return h5py.File(folder / f"{len(list(folder.iterdir()))}.h5", "w").create_dataset("a", data=data, **options)


def of_netcdf4(data, folder):
    file = netCDF4.Dataset(folder / f"{len(list(folder.iterdir()))}.nc", "w")
    for axis, size in enumerate(data.shape):
        file.createDimension(f"axis{axis}", size)
    data = data.astype("i1") if data.dtype.kind == "b" else data
    variable = file.createVariable("a", data.dtype, [f"axis{axis}" for axis in range(data.ndim)])
    variable[:] = data
    return variable


def of_xarray(data, folder):
    path = folder / f"{len(list(folder.iterdir()))}.nc"
    xr.Dataset({"a": ([f"axis{axis}" for axis in range(data.ndim)], data)}).to_netcdf(path)
    return xr.open_dataset(path)["a"]


def of_variable(data, folder):
    return of_xarray(data, folder).variable


def of_class(data, folder):
    return Slices(data)


MAKERS = [of_h5py, of_netcdf4, of_xarray, of_variable, of_class]


def evaluate(role, array, **options):
    given = {name: values(name) for name in ROLES} | {"y_pred": values("") / 2, role: array}
    return sl.evaluate("mse", given.pop("y_true"), given.pop("y_pred"), executor="inline", **given, **options)[
        "mean_squared_error"
    ]


@pytest.mark.parametrize("role", ROLES)
@pytest.mark.parametrize("make", MAKERS)
def test_they_are_read_by_slices_with_the_same_bits(make, role, tmp_path):
    array = make(values(role), tmp_path)
    source = open_source(array, role, "error")
    assert not source.in_memory
    assert type(source).__name__ == "SlicedSource"
    np.testing.assert_array_equal(source.read((slice(3, 9),)), values(role)[3:9])
    assert evaluate(role, array).sum == evaluate(role, values(role)).sum


def test_no_slice_is_larger_than_a_block(tmp_path):
    rows = 1 << 20
    one, other = Slices(values("", rows)), Slices(values("", rows) / 2)
    result, expected = (
        sl.evaluate("mse", *arrays, executor="threads", workers=2)["mean_squared_error"]
        for arrays in ((one, other), (values("", rows), values("", rows) / 2))
    )
    assert result.sum == expected.sum
    assert 0 < one.largest == other.largest < rows


def test_xarray_reads_and_keeps_no_more_than_is_asked_for(tmp_path):
    array = of_xarray(values("", 4096).reshape(64, 64), tmp_path)
    evaluated = sl.evaluate("mse", array, values("", 4096).reshape(64, 64))
    assert evaluated["mean_squared_error"].sum == 0
    assert not array.variable._in_memory


@pytest.mark.parametrize("make", [of_h5py, of_netcdf4])
def test_chunks_are_known_to_the_plan(make, tmp_path):
    data = np.ones((6000, 100), np.float32)
    array = of_h5py(data, tmp_path, chunks=(1000, 100))
    if make is of_netcdf4:
        file = netCDF4.Dataset(tmp_path / "chunked.nc", "w")
        file.createDimension("row", 6000)
        file.createDimension("column", 100)
        array = file.createVariable("a", "f4", ("row", "column"), chunksizes=(1000, 100))
        array[:] = data
    source = open_source(array, "y_pred", "error")
    assert source.chunk_shape == (1000, 100)
    assert source.locate((2500, 3)) == " (chunk 2/0)"
    assert sl.plan("mse", array, array).block_shape[0] % 1000 == 0


@pytest.mark.parametrize("role", ROLES)
def test_masked_elements_are_refused_with_their_place(role, tmp_path):
    array = of_netcdf4(values(role).astype("i4"), tmp_path)
    array[7] = netCDF4.default_fillvals["i4"]
    with pytest.raises(SourceError, match=rf"{role}: .*:a has 1 masked element, the first at \[7\]"):
        evaluate(role, array)


def test_nan_that_netcdf4_masks_is_subject_to_the_policy_for_nan(tmp_path):
    file = netCDF4.Dataset(tmp_path / "a.nc", "w")
    file.createDimension("row", ROWS)
    array = file.createVariable("a", "f4", ("row",), fill_value=np.float32("nan"))
    array[:] = np.r_[values("")[:-2], np.nan, 1]
    assert np.ma.is_masked(array[:])
    with pytest.raises(sl.errors.DataError, match="nan"):
        evaluate("y_pred", array)
    with pytest.warns(StreamlossWarning, match="1 row whose loss is NaN"):
        assert evaluate("y_pred", array, nan_policy="omit").omitted == 1


@pytest.mark.parametrize("role", ROLES)
def test_chunks_of_hdf5_that_were_never_written_are_missing_chunks(role, tmp_path):
    array = h5py.File(tmp_path / "a.h5", "w").create_dataset("a", (ROWS,), values(role).dtype, chunks=(16,))
    with pytest.raises(MissingChunkError, match=f"{role}: nothing of .*a.h5::/a was ever written"):
        evaluate(role, array)
    array[:32] = values(role)[:32]
    with pytest.raises(MissingChunkError, match=rf"{role}: the chunk from \[32\] on of .* was never written"):
        evaluate(role, array, missing_chunks="error")
    with pytest.warns(StreamlossWarning, match=f"{role}.* 2"):
        evaluate(role, array, missing_chunks="warn")
    assert evaluate(role, array, missing_chunks={role: "fill"}).count > 0
    assert evaluate(role, array, rows=slice(0, 32)).count > 0
    array[32:] = values(role)[32:]
    assert evaluate(role, array).sum == evaluate(role, values(role)).sum


def test_contiguous_datasets_of_which_nothing_was_written_are_refused(tmp_path):
    array = h5py.File(tmp_path / "a.h5", "w").create_dataset("a", (ROWS,), "f4")
    with pytest.raises(MissingChunkError, match="nothing of"):
        evaluate("y_pred", array)
    array[0] = 1
    assert evaluate("y_pred", array).count == ROWS // 2


@pytest.mark.parametrize("role", ROLES)
def test_a_slice_of_another_dtype_or_shape_is_refused(role):
    class OtherDtype(Slices):
        def __getitem__(self, index):
            part = super().__getitem__(index)
            return part.astype(np.float64) if part.size else part

    class OtherShape(Slices):
        def __getitem__(self, index):
            return super().__getitem__(index)[:1]

    class Fails(Slices):
        def __getitem__(self, index):
            if super().__getitem__(index).size:
                raise OSError("disk on fire")
            return super().__getitem__(index)

    with pytest.raises(SourceError, match=f"{role}: a slice of a .*OtherDtype has dtype float64; expected"):
        evaluate(role, OtherDtype(values(role)))
    with pytest.raises(SourceError, match=rf"{role}: slices of a .*OtherShape are ndarray of shape \(1,\)"):
        evaluate(role, OtherShape(values(role)))
    with pytest.raises(CorruptChunkError, match=rf"{role}: cannot read \[0:64\] of a .*OSError: disk on fire"):
        evaluate(role, Fails(values(role)))


@pytest.mark.parametrize("role", ROLES)
def test_what_only_converts_itself_is_refused_above_a_size(role, monkeypatch):
    array = Converts(values(role))
    assert evaluate(role, array).sum == evaluate(role, values(role)).sum
    monkeypatch.setattr(numpy_sources, "MOST_CONVERTED", values(role).nbytes - 1)
    with pytest.raises(SourceError, match=rf"{role}: a .*Converts of .* as a whole; .*numpy.asarray\(array\)"):
        evaluate(role, array)
    assert evaluate(role, np.asarray(array)).count > 0


def test_text_is_refused_before_it_is_read(tmp_path):
    array = of_h5py(np.array([b"a"] * ROWS), tmp_path)
    with pytest.raises(SourceError, match="y_true: expected numbers; received dtype"):
        evaluate("y_true", array)


def test_one_dimension_less_is_a_number_or_an_error(tmp_path):
    weight = of_h5py(np.float64(2), tmp_path)
    assert sl.evaluate("mse", values(""), values("") / 2, weight)["mean_squared_error"].sum > 0


@pytest.mark.parametrize("make", MAKERS)
def test_fingerprints_tell_arrays_apart(make, tmp_path):
    data = values("", 4096)
    changed = data.copy()
    changed[-1] += 1
    one = open_source(make(data, tmp_path), "y_pred", "error").fingerprint()
    other = open_source(make(changed, tmp_path), "y_pred", "error").fingerprint()
    assert dict(one, place="", array="") != dict(other, place="", array="")


def test_parts_of_one_file_are_told_apart(tmp_path):
    array = of_xarray(values("", 4096), tmp_path)
    one, other = (open_source(part, "y_pred", "error") for part in (array[:2048], array[2048:]))
    assert one.fingerprint() != other.fingerprint()


@pytest.mark.parametrize("make", [of_h5py, of_netcdf4, of_xarray, of_variable])
def test_another_process_opens_them_itself(make, tmp_path):
    array = make(values(""), tmp_path)
    if make is of_h5py:
        array.file.close()
        array = h5py.File(next(tmp_path.iterdir()), "r")["a"]
    if make is of_netcdf4:
        array.group().close()
        array = netCDF4.Dataset(next(tmp_path.iterdir()))["a"]
    source = open_source(array, "y_pred", "error")
    there = pickle.loads(pickle.dumps(source))
    np.testing.assert_array_equal(there.read((slice(3, 9),)), values("")[3:9])
    assert there.fingerprint() == source.fingerprint()


def test_other_processes_cannot_open_every_class():
    with pytest.raises(UsageError, match=r"y_pred is an array of .*which other processes cannot open"):
        pickle.dumps(open_source(Slices(values("")), "y_pred", "error"))
