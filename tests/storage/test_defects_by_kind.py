"""The same defects through every kind of source: an error that names the array and the place, and never a number."""

import os

import dask.array as da
import h5py
import numpy as np
import pandas as pd
import polars
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import xarray as xr
import zarr
from safetensors.numpy import save_file

import streamloss as sl

ROWS = 40
RNG = np.random.default_rng(2)
Y = RNG.integers(0, 3, ROWS)
P = RNG.dirichlet(np.ones(3), ROWS).astype(np.float32)


def columns_of(array):
    """Return an array as named columns."""
    if array.ndim == 1:
        return {"a": array}
    return {f"a{k}": array[:, k] for k in range(array.shape[1])}


def parquet(array, folder, name):
    """Return a column of a file, or several as classes."""
    columns = columns_of(array)
    pq.write_table(pa.table(columns), folder / f"{name}.parquet", row_group_size=16)
    return f"{folder}/{name}.parquet::{'a' if array.ndim == 1 else '[' + ','.join(columns) + ']'}"


def folder_of_parquet(array, folder, name):
    """Return a list column, or a column, of a folder of files."""
    (folder / f"{name}-folder").mkdir(exist_ok=True)
    for number, part in enumerate(np.array_split(array, 3)):
        table = pa.table({"a": pa.array(list(part)) if array.ndim > 1 else pa.array(part)})
        pq.write_table(table, folder / f"{name}-folder" / f"part-{number}.parquet")
    return f"{folder}/{name}-folder::a"


def npy(array, folder, name):
    np.save(folder / f"{name}.npy", array)
    return str(folder / f"{name}.npy")


def zarr_store(array, folder, name):
    zarr.create_array(folder / f"{name}.zarr", data=array, chunks=(16, *array.shape[1:]), overwrite=True)
    return str(folder / f"{name}.zarr")


def hdf5(array, folder, name):
    with h5py.File(folder / f"{name}.h5", "w") as file:
        file["a"] = array
    return f"{folder}/{name}.h5::/a"


def netcdf(array, folder, name):
    xr.DataArray(array, dims=["row", "class"][: array.ndim], name="a").to_dataset().to_netcdf(folder / f"{name}.nc")
    return f"{folder}/{name}.nc::a"


def safetensors(array, folder, name):
    save_file({"a": np.ascontiguousarray(array)}, folder / f"{name}.safetensors")
    return f"{folder}/{name}.safetensors::a"


def arrow(array, folder, name):
    return pa.table(columns_of(array)) if array.ndim > 1 else pa.array(array)


def torch_tensor(array, folder, name):
    return pytest.importorskip("torch").tensor(array)


STORED = {
    "npy": npy,
    "zarr": zarr_store,
    "parquet": parquet,
    "folder of Parquet": folder_of_parquet,
    "hdf5": hdf5,
    "netcdf": netcdf,
    "safetensors": safetensors,
}
"""The kinds that are files."""
KINDS = STORED | {
    "memory": lambda array, folder, name: array,
    "memory map": lambda array, folder, name: np.load(npy(array, folder, name), mmap_mode="r"),
    "arrow": arrow,
    "pandas": lambda array, folder, name: pd.DataFrame(array) if array.ndim > 1 else pd.Series(array),
    "polars": lambda array, folder, name: (
        polars.DataFrame(columns_of(array)) if array.ndim > 1 else polars.Series(array)
    ),
    "xarray": lambda array, folder, name: xr.DataArray(array, dims=["row", "class"][: array.ndim]),
    "dask": lambda array, folder, name: da.from_array(array, chunks=(16, *array.shape[1:])),
    "torch": torch_tensor,
}


def evaluate(kind, folder, y=Y, p=P, **options):
    return sl.evaluate("scce", KINDS[kind](y, folder, "y"), KINDS[kind](p, folder, "p"), **options)


@pytest.mark.parametrize("kind", KINDS)
def test_whole_data_have_one_value_through_every_kind(kind, tmp_path):
    assert evaluate(kind, tmp_path)["scce"].sum == sl.evaluate("scce", Y, P)["scce"].sum


@pytest.mark.parametrize("kind", KINDS)
def test_a_prediction_that_is_nan_is_named(kind, tmp_path):
    p = P.copy()
    p[23, 1] = np.nan
    with pytest.raises(sl.errors.ValueRangeError, match=r"y_pred\[23, 1\] is NaN"):
        evaluate(kind, tmp_path, p=p)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("label", [3, -1])
def test_a_label_that_is_no_class_is_named(kind, label, tmp_path):
    y = Y.copy()
    y[31] = label
    with pytest.raises(sl.errors.ValueRangeError, match=rf"y_true\[31\] is {label}"):
        evaluate(kind, tmp_path, y=y)


@pytest.mark.parametrize("kind", KINDS)
def test_arrays_of_other_lengths_are_named(kind, tmp_path):
    with pytest.raises(sl.errors.ShapeError, match=r"y_true has shape \(39,\) but y_pred has \(40, 3\)"):
        evaluate(kind, tmp_path, y=Y[:-1])


@pytest.mark.parametrize("kind", KINDS)
def test_probabilities_out_of_range_are_named(kind, tmp_path):
    p = P.copy()
    p[7, 2] = 1.5
    with pytest.raises(sl.errors.ValueRangeError, match=r"y_pred\[7, 2\] is 1\.5"):
        evaluate(kind, tmp_path, p=p)


@pytest.mark.parametrize("kind", STORED)
def test_a_file_that_is_not_there_is_named(kind, tmp_path):
    place = KINDS[kind](P, tmp_path, "gone")
    path, _, member = place.partition("::")
    moved = f"{tmp_path}/elsewhere{os.path.splitext(path)[1]}" + (f"::{member}" if member else "")
    with pytest.raises(sl.errors.SourceError, match=r"y_pred.*elsewhere"):
        sl.evaluate("scce", Y, moved)


@pytest.mark.parametrize("kind", [kind for kind in STORED if kind not in ("zarr", "folder of Parquet")])
@pytest.mark.parametrize("left", [0, 1, 30])
def test_a_file_that_was_cut_off_is_refused(kind, left, tmp_path):
    place = KINDS[kind](P, tmp_path, "cut")
    path = place.partition("::")[0]
    with open(path, "r+b") as file:
        file.truncate(left)
    with pytest.raises(sl.errors.SourceError, match="y_pred"):
        sl.evaluate("scce", Y, place)


@pytest.mark.parametrize(
    "column",
    [pa.array([1, None, 0]), polars.Series([1, None, 0]), pd.Series([1, None, 0], dtype="Int64")],
    ids=["arrow", "polars", "pandas"],
)
def test_null_is_missing_data_and_no_number(column):
    with pytest.raises(sl.errors.DataError, match="y_true"):
        sl.evaluate("scce", column, P[:3])
    with pytest.warns(sl.errors.StreamlossWarning, match="1 row"):
        found = sl.evaluate("bce", column, P[:3, 0], nan_policy="omit")
    assert found["bce"].count == 2
