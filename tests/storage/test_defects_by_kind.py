"""Every defect of an array, in every kind of source: an error that names the array and the place, never a number."""

import functools
import json
import os
import shutil
from pathlib import Path

import dask.array as da
import h5py
import ml_dtypes
import netCDF4
import numpy as np
import obstore
import pandas as pd
import polars
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import xarray
import zarr
from safetensors.numpy import save_file

import streamloss as sl
from buckets import HTTP, config_of, options_for, served
from streamloss.errors import ShapeError, SourceError, StreamlossError, ValueRangeError

pytestmark = pytest.mark.usefixtures("small_blocks")

ROWS, CHUNK, AT = 40, 10, 25
"""The rows, those of a chunk or row group, and the row that is wrong."""
CLASSES = 4
ROLES = ("y_true", "y_pred")
SECRET = "very-secret-1611"


@pytest.fixture(scope="module")
def bucket():
    with served("defects", SECRET) as proxy:
        yield options_for(proxy, SECRET)


def npy(values, folder):
    np.save(folder / "a.npy", values)
    return str(folder / "a.npy")


def zarr_2(values, folder):
    zarr.create_array(folder / "a.zarr", data=values, chunks=chunks(values), zarr_format=2)
    return str(folder / "a.zarr")


def zarr_3(values, folder):
    zarr.create_array(folder / "a.zarr", data=values, chunks=chunks(values))
    return str(folder / "a.zarr")


def zarr_in_zip(values, folder):
    with zarr.storage.ZipStore(folder / "a.zarr.zip", mode="w") as store:
        zarr.create_array(store, name="p", data=values, chunks=chunks(values))
    return str(folder / "a.zarr.zip/p")


def zarr_packed(values, folder):
    encoding = {"dtype": "i2", "scale_factor": 0.25, "_FillValue": -999, "chunks": chunks(values)}
    dataset = xarray.Dataset({"p": (axes(values), values.astype("f8"))})
    dataset.to_zarr(folder / "a.zarr", encoding={"p": encoding}, consolidated=False)
    return f"{folder}/a.zarr::p"


def zarr_in_bucket(values, folder, options):
    uri = f"s3://defects{folder}/a.zarr"
    store = zarr.storage.ObjectStore(obstore.store.from_url(uri, config=config_of(options), client_options=HTTP))
    zarr.create_array(store, data=values, chunks=chunks(values), overwrite=True)
    return uri


def table_of(values):
    if values.ndim == 1:
        return pa.table({"p": values})
    return pa.table({"p": pa.FixedSizeListArray.from_arrays(pa.array(values.reshape(-1)), values.shape[1])})


def parquet(values, folder):
    pq.write_table(table_of(values), folder / "a.parquet", row_group_size=CHUNK)
    return f"{folder}/a.parquet::p"


def parquet_folder(values, folder):
    (folder / "run").mkdir(exist_ok=True)
    for part in range(2):
        rows = values[20 * part : 20 * (part + 1) if part == 0 else None]
        pq.write_table(table_of(rows), folder / f"run/part-{part}.parquet", row_group_size=CHUNK)
    return f"{folder}/run::p"


def parquet_in_bucket(values, folder, options):
    path = Path(parquet(values, folder).removesuffix("::p"))
    store = obstore.store.from_url("s3://defects", config=config_of(options), client_options=HTTP)
    obstore.put(store, str(path).lstrip("/"), path.read_bytes())
    return f"s3://defects{path}::p"


def hdf5(values, folder):
    with h5py.File(folder / "a.h5", "w") as file:
        file.create_dataset("p", data=values, chunks=chunks(values) if len(values) else None)
    return f"{folder}/a.h5::p"


def netcdf(values, folder):
    with netCDF4.Dataset(folder / "a.nc", "w") as file:
        for name, length in zip(axes(values), values.shape, strict=True):
            file.createDimension(name, length)
        file.createVariable("p", values.dtype, axes(values))[:] = values
    return f"{folder}/a.nc::p"


def netcdf_3(values, folder):
    values = values.astype("f4")
    xarray.Dataset({"p": (axes(values), values)}).to_netcdf(folder / "a.nc", format="NETCDF3_CLASSIC")
    return f"{folder}/a.nc::p"


def safetensors(values, folder):
    save_file({"p": values}, folder / "a.safetensors")
    return f"{folder}/a.safetensors::p"


def safetensors_of_8_bits(values, folder):
    bits = values.astype(ml_dtypes.float8_e4m3fn).tobytes()
    header = json.dumps({"p": {"dtype": "F8_E4M3", "shape": values.shape, "data_offsets": [0, len(bits)]}}).encode()
    (folder / "a.safetensors").write_bytes(len(header).to_bytes(8, "little") + header + bits)
    return f"{folder}/a.safetensors::p"


def bfloat16_npy(values, folder):
    return npy(values.astype(ml_dtypes.bfloat16), folder)


def float8(values, folder):
    return values.astype(ml_dtypes.float8_e5m2)


def arrow(values, folder):
    return table_of(values)["p"]


def pandas_column(values, folder):
    return pd.Series(values) if values.ndim == 1 else pd.DataFrame(values)


def polars_column(values, folder):
    return polars.Series(values)


def in_xarray(values, folder):
    return xarray.DataArray(values, dims=axes(values))


def in_dask(values, folder):
    return da.from_array(values, chunks=chunks(values))


def torch_tensor(values, folder):
    return pytest.importorskip("torch").from_numpy(values)


LOCAL = (npy, zarr_2, zarr_3, zarr_in_zip, zarr_packed, parquet, parquet_folder, hdf5, netcdf, netcdf_3, safetensors)
LOCAL += (safetensors_of_8_bits, bfloat16_npy)
REMOTE = (zarr_in_bucket, parquet_in_bucket)
MEMORY = (float8, arrow, pandas_column, polars_column, in_xarray, in_dask, torch_tensor)
KINDS = (*LOCAL, *REMOTE, *MEMORY)


def chunks(values):
    return (CHUNK, *values.shape[1:])


def axes(values):
    return ("row", "class")[: values.ndim]


def sound():
    """Return labels and scores, as numbers that all kinds hold."""
    rng = np.random.default_rng(5)
    return rng.integers(0, CLASSES, ROWS), rng.integers(-4, 4, (ROWS, CLASSES)).astype("f4")


@pytest.fixture(params=KINDS, ids=lambda kind: kind.__name__)
def kind(request):
    return request.param


@pytest.fixture
def put(request, tmp_path):
    """Return a function that writes an array as a kind does, and returns what is passed."""

    def write(kind, values):
        if kind in REMOTE:
            kind = functools.partial(kind, options=request.getfixturevalue("bucket"))
        return kind(np.ascontiguousarray(values), tmp_path)

    return write


def evaluate(request, kind, loss, role, array, other, **options):
    arrays = (array, other) if role == "y_true" else (other, array)
    if kind in REMOTE:
        options["storage_options"] = {role: request.getfixturevalue("bucket")}
    options |= {"scheduler": "synchronous"} if kind is in_dask else {"executor": "inline"}
    return sl.evaluate(loss, *arrays, **options)


CROSSENTROPY = sl.losses.SparseCategoricalCrossentropy(from_logits=True)


def test_sound_arrays_have_the_number_of_memory(kind, request, put, tmp_path):
    labels, scores = sound()
    as_read = scores.astype("f8") if kind is zarr_packed else scores
    for role, values, other in (("y_pred", scores, labels), ("y_true", labels, scores)):
        if kind is polars_column and role == "y_pred":
            assert evaluate(request, kind, "mse", role, put(kind, np.float32(labels)), labels)["mse"].sum == 0
            continue
        expected = sl.evaluate(CROSSENTROPY, labels, as_read if role == "y_pred" else scores)["scce"].sum
        shutil.rmtree(tmp_path / "a.zarr", ignore_errors=True)
        assert evaluate(request, kind, CROSSENTROPY, role, put(kind, values), other)["scce"].sum == expected


@pytest.mark.parametrize("role", ROLES)
def test_nan_is_named_with_its_row(role, kind, request, put):
    values = (1 + np.arange(ROWS) % 3).astype("f4")  # Zarr does not write chunks of zeros
    other = values.copy()
    values[AT] = np.nan
    with pytest.raises(ValueRangeError, match=rf"{role}\[{AT}\] is NaN.*nan_policy") as caught:
        evaluate(request, kind, "mse", role, put(kind, values), other)
    assert SECRET not in str(caught.value)


@pytest.mark.parametrize("label", [CLASSES, -1])
def test_labels_beyond_the_classes_are_named_with_their_row(label, kind, request, put):
    labels, scores = sound()
    labels[AT] = label
    with pytest.raises(ValueRangeError, match=rf"y_true\[{AT}\] is {label}"):
        evaluate(request, kind, CROSSENTROPY, "y_true", put(kind, labels), scores)


@pytest.mark.parametrize("role", ROLES)
@pytest.mark.parametrize("rows", [ROWS - 1, 0])
def test_another_length_is_an_error_before_anything_is_read(rows, role, kind, request, put):
    values = np.ones(ROWS, "f4")
    with pytest.raises(ShapeError, match=rf"{role}.*({rows},|no rows)"):
        evaluate(request, kind, "mse", role, put(kind, values[:rows]), values)


def file_of(kind, array):
    """Return the file, or the folder, that an array's path names."""
    return Path(str(array).partition("::")[0].removesuffix("/p"))


@pytest.mark.parametrize("role", ROLES)
@pytest.mark.parametrize("kind", LOCAL, ids=lambda kind: kind.__name__)
def test_what_is_not_there_is_named(role, kind, request, put):
    array = put(kind, np.ones(ROWS, "f4"))
    file = file_of(kind, array)
    file.rename(file.with_name("moved"))
    with pytest.raises(SourceError, match=rf"{role}: .*{file.name}"):
        evaluate(request, kind, "mse", role, array, np.ones(ROWS, "f4"))


@pytest.mark.parametrize("role", ROLES)
@pytest.mark.parametrize("kind", REMOTE, ids=lambda kind: kind.__name__)
def test_an_object_that_is_not_there_is_named(role, kind, request, put):
    array = put(kind, np.ones(ROWS, "f4")).replace("/a.", "/nothing.")
    with pytest.raises(SourceError, match=rf"{role}: .*nothing"):
        evaluate(request, kind, "mse", role, array, np.ones(ROWS, "f4"))


@pytest.fixture
def as_nobody(tmp_path):
    """Let a test change to a user without rights; root may read everything."""
    for folder in (tmp_path, *tmp_path.parents[:3]):
        os.chmod(folder, 0o755)
    before = os.geteuid()
    yield lambda: os.seteuid(65534) if before == 0 else None
    os.seteuid(before)


@pytest.mark.parametrize("what", ["file", "folder"])
@pytest.mark.parametrize("kind", LOCAL, ids=lambda kind: kind.__name__)
def test_what_may_not_be_read_is_named(kind, what, request, put, tmp_path, as_nobody):
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    evaluate(request, kind, "mse", "y_pred", kind(np.ones(ROWS, "f4"), elsewhere), np.ones(ROWS, "f4"))  # imports
    array = put(kind, np.ones(ROWS, "f4"))
    file = file_of(kind, array)
    locked = file if what == "file" else tmp_path
    os.chmod(locked, 0o000)
    as_nobody()
    with pytest.raises(StreamlossError, match=rf"y_pred: .*{file.name}.*([Pp]ermission|denied|read)"):
        evaluate(request, kind, "mse", "y_pred", array, np.ones(ROWS, "f4"))


def with_nulls(kind, values, folder):
    """Return a column whose row AT is null."""
    listed = values.tolist()
    listed[AT] = None
    kinds = {parquet: pa, arrow: pa, parquet_in_bucket: pa}
    if kind is pandas_column:
        return pd.Series(pd.array(listed, dtype="Int64" if values.dtype.kind == "i" else "Float64"))
    if kind is polars_column:
        return polars.Series(listed)
    table = kinds[kind].table({"p": pa.array(listed, pa.from_numpy_dtype(values.dtype))})
    if kind is arrow:
        return table["p"]
    pq.write_table(table, folder / "n.parquet", row_group_size=CHUNK)
    return f"{folder}/n.parquet::p"


@pytest.mark.parametrize("dtype", ["i8", "f4"])
@pytest.mark.parametrize("kind", [parquet, arrow, pandas_column, polars_column], ids=lambda kind: kind.__name__)
def test_a_null_is_no_number(kind, dtype, request, tmp_path):
    labels, scores = sound()
    with pytest.raises(StreamlossError, match=rf"y_true.*({AT}\].*(NaN|null|missing)|(NaN|null|NA|missing))"):
        evaluate(request, kind, CROSSENTROPY, "y_true", with_nulls(kind, labels.astype(dtype), tmp_path), scores)
    with pytest.raises(StreamlossError, match=r"y_pred.*(NaN|null|NA)"):
        evaluate(request, kind, "mse", "y_pred", with_nulls(kind, labels.astype(dtype), tmp_path), labels)


@pytest.mark.parametrize("role", ROLES)
def test_probabilities_out_of_range_are_named_with_their_row(role, kind, request, put):
    values = np.full(ROWS, 0.5, "f4")
    other = values.copy()
    values[AT] = 1.5
    with pytest.raises(ValueRangeError, match=rf"{role}\[{AT}\] is 1\.5"):
        evaluate(request, kind, "bce", role, put(kind, values), other)


@pytest.mark.parametrize("left", [0, 1, 30])
@pytest.mark.parametrize(
    "kind", [kind for kind in LOCAL if kind not in (zarr_2, zarr_3, zarr_packed)], ids=lambda kind: kind.__name__
)
def test_a_file_that_was_cut_off_is_named(kind, left, request, put):
    array = put(kind, np.ones(ROWS, "f4"))
    for path in files_of(file_of(kind, array)):
        os.truncate(path, left)
    with pytest.raises(SourceError, match="y_pred"):
        evaluate(request, kind, "mse", "y_pred", array, np.ones(ROWS, "f4"))


def files_of(place):
    return [place] if place.is_file() else [path for path in place.rglob("*") if path.is_file()]


@pytest.mark.parametrize("how", ["rewritten", "cut short", "replaced"])
@pytest.mark.parametrize("kind", LOCAL, ids=lambda kind: kind.__name__)
def test_what_changes_under_the_run_is_an_error(kind, how, request, put, tmp_path):
    array, other = put(kind, np.ones(ROWS, "f4")), tmp_path / "other"
    file = file_of(kind, array)
    for path in files_of(file):
        os.utime(path, ns=(10**18, 10**18))
    other.mkdir()
    changed = file_of(kind, kind(np.full(ROWS, 2, "f4"), other))
    acted = []

    def change(progress):
        if acted or progress.rows < CHUNK:
            return
        acted.append(progress.rows)
        if how == "replaced":
            file.rename(tmp_path / "before")
            changed.rename(file)
            return
        for path in files_of(file):
            if how == "cut short":
                os.truncate(path, 10)
            else:
                shutil.copyfile(changed / path.relative_to(file) if file.is_dir() else changed, path)

    with pytest.raises(StreamlossError, match=rf"y_pred: .*{file.name}"):
        evaluate(request, kind, "mse", "y_pred", array, np.zeros(ROWS, "f4"), progress=change)
    assert acted


@pytest.mark.parametrize("kind", [zarr_2, zarr_3, zarr_packed], ids=lambda kind: kind.__name__)
def test_chunks_that_are_written_anew_after_they_were_read_are_an_error(kind, request, put):
    array = put(kind, np.ones(ROWS, "f4"))
    path = Path(array.replace("::", "/"))
    chunks_of = [file for file in files_of(path) if "json" not in file.name and not file.name.startswith(".")]
    for file in chunks_of:
        os.utime(file, ns=(10**18, 10**18))

    def change(progress):
        if progress.rows == 2 * CHUNK:
            for file in chunks_of:
                os.utime(file)

    with pytest.raises(SourceError, match=r"y_pred: .*a\.zarr\S* was changed since it was opened"):
        evaluate(request, kind, "mse", "y_pred", array, np.zeros(ROWS, "f4"), progress=change)
