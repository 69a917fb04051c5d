"""The promises of the protocol of sources, over every kind of array that is read into the host's memory."""

from __future__ import annotations

import ast
import atexit
import contextlib
import functools
import json
import os
import pickle
import tracemalloc
from pathlib import Path

import dask.array as da
import h5py
import ml_dtypes
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

from buckets import HTTP, config_of, options_for, served
from streamloss.storage import sources
from streamloss.storage.sources import KINDS, open_source
from streamloss.storage.sources.dask import DaskSource, GivenSource
from streamloss.storage.uris import StorageOptions, address_of

SHAPE = (3000, 200)
DATA = np.random.default_rng(7).uniform(0.01, 1, SHAPE).astype(np.float32)
OF_8_BITS = np.random.default_rng(8).integers(1, 8, SHAPE).astype(np.float32) / 8
"""Numbers that all floats have, and 1 more than them, too."""
SELECTION = (slice(900, 2100), slice(30, 180))
"""Chunks of (1000, 100), and shards of (2000, 100), are cut on every side."""
SLACK = 192 << 10
"""Bytes that reading may take beside arrays: Python's objects, zarr's tasks."""


def numpy_array(data, folder):
    return data


def memmap(data, folder):
    mapped = np.memmap(folder / "a.bin", data.dtype, "w+", shape=data.shape)
    mapped[...] = data
    mapped.flush()
    return np.memmap(folder / "a.bin", data.dtype, "r", shape=data.shape)


def npy(data, folder):
    np.save(folder / "a.npy", data)
    return str(folder / "a.npy")


def zarr_array(data, folder, **options):
    array = zarr.create_array(folder / "a.zarr", shape=data.shape, dtype=data.dtype, chunks=(1000, 100), **options)
    array[...] = data
    return str(folder / "a.zarr")


def zarr_v2(data, folder):
    return zarr_array(data, folder, zarr_format=2)


def zarr_v3(data, folder):
    return zarr_array(data, folder)


def zarr_sharded(data, folder):
    return zarr_array(data, folder, shards=(2000, 100))


def zarr_decoded_by_zarr(data, folder):
    """Big-endian elements, which only zarr decodes."""
    return zarr.open_array(zarr_array(data, folder, serializer=zarr.codecs.BytesCodec(endian="big")), mode="r")


def zarr_in_zip(data, folder):
    with zarr.storage.ZipStore(folder / "a.zarr.zip", mode="w") as store:
        zarr.create_array(store, name="p", data=data, chunks=(1000, 100))
    return str(folder / "a.zarr.zip/p")


def zarr_by_uri(data, folder):
    zarr.create_array(f"memory:/{folder}/a.zarr", data=data, chunks=(1000, 100))
    return f"memory:/{folder}/a.zarr"


def h5py_dataset(data, folder):
    with h5py.File(folder / "a.h5", "w") as file:
        file.create_dataset("a", data=data, chunks=(1000, 100))
    return h5py.File(folder / "a.h5", "r")["a"]


def hdf5_file(data, folder):
    h5py_dataset(data, folder).file.close()
    return str(folder / "a.h5::/a")


def lazy_xarray(data, folder):
    chunked = {"a": {"chunksizes": (1000, 100)}}
    xarray.Dataset({"a": (("row", "column"), data)}).to_netcdf(folder / "a.nc", encoding=chunked)
    return xarray.open_dataset(folder / "a.nc")["a"]


def parquet_lists(data, folder):
    rows = pa.FixedSizeListArray.from_arrays(pa.array(data.reshape(-1)), data.shape[1])
    pq.write_table(pa.table({"id": np.arange(len(data)), "p": rows}), folder / "a.parquet", row_group_size=1000)
    return str(folder / "a.parquet::p")


def parquet_columns(data, folder):
    """Columns as classes, in two files."""
    (folder / "a").mkdir()
    names = [f"p{i}" for i in range(data.shape[1])]
    for part in range(2):
        rows = data[2000 * part : 2000 * (part + 1)]
        table = pa.table(dict(zip(names, np.ascontiguousarray(rows.T), strict=True)))
        pq.write_table(table, folder / f"a/part-{part}.parquet", row_group_size=1000)
    return f"{folder}/a::[{','.join(names)}]"


def netcdf_file(data, folder):
    lazy_xarray(data, folder).close()
    return str(folder / "a.nc::a")


def netcdf3_file(data, folder):
    xarray.Dataset({"a": (("row", "column"), data)}).to_netcdf(folder / "a.nc", format="NETCDF3_CLASSIC")
    return str(folder / "a.nc::a")


def zarr_decoded_by_xarray(data, folder):
    encoding = {"a": {"chunks": (1000, 100), "_FillValue": np.float32(-999)}}
    xarray.Dataset({"a": (("row", "column"), data)}).to_zarr(folder / "a.zarr", encoding=encoding, consolidated=False)
    return str(folder / "a.zarr::a")


def arrow_table(data, folder):
    """Columns in chunks that end in other rows than those of other columns."""
    columns = [pa.chunked_array([column[: 700 + i], column[700 + i :]]) for i, column in enumerate(data.T.copy())]
    return pa.table(columns, [f"p{i}" for i in range(data.shape[1])])


def polars_frame(data, folder):
    return polars.DataFrame(data)


def pandas_frame(data, folder):
    return pd.DataFrame(data, columns=[f"p{i}" for i in range(data.shape[1])])


def xarray_in_memory(data, folder):
    return xarray.DataArray(data, dims=("row", "column"))


def torch_tensor(data, folder):
    return pytest.importorskip("torch").from_numpy(data)


def safetensors_file(data, folder):
    save_file({"other": np.ones(3), "p": data}, folder / "a.safetensors")
    return f"{folder}/a.safetensors::p"


def safetensors_of_8_bits(data, folder):
    bits = data.astype(ml_dtypes.float8_e4m3fn).tobytes()
    header = json.dumps({"p": {"dtype": "F8_E4M3", "shape": data.shape, "data_offsets": [0, len(bits)]}}).encode()
    (folder / "a.safetensors").write_bytes(len(header).to_bytes(8, "little") + header + bits)
    return f"{folder}/a.safetensors::p"


def float8_array(data, folder):
    return data.astype(ml_dtypes.float8_e5m2)


def bfloat16_array(data, folder):
    return data.astype(ml_dtypes.bfloat16)


def bfloat16_npy(data, folder):
    return npy(data.astype(ml_dtypes.bfloat16), folder)


def bfloat16_zarr(data, folder):
    """Chunks of bfloat16, as TensorStore writes them."""
    path = zarr_v3(data.astype(ml_dtypes.bfloat16).view(np.uint16), folder)
    metadata = json.loads(Path(path, "zarr.json").read_text())
    Path(path, "zarr.json").write_text(json.dumps(metadata | {"data_type": "bfloat16"}))
    return path


@functools.cache
def bucket():
    """Return the storage options of a bucket on loopback, which is served until the tests end."""
    return options_for(RUNNING.enter_context(served("contract", "very-secret")), "very-secret")


RUNNING = contextlib.ExitStack()
atexit.register(RUNNING.close)


def in_bucket(uri):
    return address_of(uri)._replace(options=StorageOptions(bucket()))


def zarr_in_bucket(data, folder):
    uri = f"s3://contract{folder}/a.zarr"
    store = obstore.store.from_url(uri, config=config_of(bucket()), client_options=HTTP)
    zarr.create_array(zarr.storage.ObjectStore(store), data=data, chunks=(1000, 100))
    return in_bucket(uri)


def parquet_in_bucket(data, folder):
    path = Path(parquet_lists(data, folder).removesuffix("::p"))
    store = obstore.store.from_url("s3://contract", config=config_of(bucket()), client_options=HTTP)
    obstore.put(store, str(path).lstrip("/"), path.read_bytes())
    return in_bucket(f"s3://contract{path}::p")


def dask_array(data, folder):
    return da.from_array(data, chunks=(1000, 100))


MAKERS = (numpy_array, memmap, npy, zarr_v2, zarr_v3, zarr_sharded, zarr_decoded_by_zarr, zarr_in_zip, dask_array)
MAKERS += (h5py_dataset, hdf5_file, lazy_xarray, netcdf_file, netcdf3_file, zarr_decoded_by_xarray)
MAKERS += (parquet_lists, parquet_columns, zarr_by_uri, arrow_table, polars_frame)
MAKERS += (pandas_frame, xarray_in_memory, torch_tensor, safetensors_file, zarr_in_bucket)
MAKERS += (parquet_in_bucket, safetensors_of_8_bits, float8_array, bfloat16_array, bfloat16_npy, bfloat16_zarr)
LOW_PRECISION = (safetensors_of_8_bits, float8_array, bfloat16_array, bfloat16_npy, bfloat16_zarr)
"""Sources of floats of 16 or 8 bits."""
IN_MEMORY = (numpy_array, pandas_frame, xarray_in_memory, torch_tensor, float8_array, bfloat16_array)
REMOTE = (zarr_by_uri, zarr_in_bucket, parquet_in_bucket)
COPYING = (memmap, npy, zarr_v2, zarr_v3, zarr_sharded, h5py_dataset, hdf5_file, netcdf_file)
COPYING += (parquet_lists, parquet_columns, arrow_table, polars_frame, zarr_decoded_by_xarray)
COPYING += (safetensors_file, parquet_in_bucket, zarr_in_bucket)
COPYING += (safetensors_of_8_bits, float8_array, bfloat16_npy, bfloat16_zarr)
"""Sources that read into the memory that they are given."""
IN_WORKERS = (memmap, npy, zarr_v2, zarr_v3, zarr_sharded, zarr_decoded_by_zarr, zarr_in_zip, h5py_dataset)
IN_WORKERS += (hdf5_file, lazy_xarray, netcdf_file, netcdf3_file, zarr_decoded_by_xarray)
IN_WORKERS += (parquet_lists, parquet_columns, parquet_in_bucket, zarr_in_bucket)
IN_WORKERS += (safetensors_file, safetensors_of_8_bits, bfloat16_npy, bfloat16_zarr)
"""Sources that another process opens itself."""
CHUNKS = {  # of sources that have chunks
    zarr_v2: (1000, 100),
    zarr_v3: (1000, 100),
    zarr_sharded: (2000, 100),
    zarr_decoded_by_zarr: (1000, 100),
    zarr_in_zip: (1000, 100),
    zarr_by_uri: (1000, 100),
    dask_array: (1000, 100),
    h5py_dataset: (1000, 100),
    hdf5_file: (1000, 100),
    netcdf_file: (1000, 100),
    zarr_decoded_by_xarray: (1000, 100),
    lazy_xarray: (1000, 100),
    zarr_in_bucket: (1000, 100),
    bfloat16_zarr: (1000, 100),
    parquet_in_bucket: (1000, 200),
    parquet_lists: (1000, 200),
    parquet_columns: (1000, 200),
}


def data_of(make):
    return OF_8_BITS if make in LOW_PRECISION else DATA


def dtype_of(make):
    """Return the dtype of what is read: NumPy has bfloat16 of ml_dtypes itself, and the rest is widened."""
    return np.dtype(ml_dtypes.bfloat16) if make is bfloat16_array else DATA.dtype


def computed(source, array):
    """A source that is read: a Dask array is, one rectangle at a time, once it is computed."""
    return GivenSource(source, np.asarray(array.compute()), None) if isinstance(source, DaskSource) else source


def opened(make, data, folder):
    folder.mkdir(exist_ok=True)
    array = make(data, folder)
    return computed(open_source(array, "y_pred", "error"), array)


@pytest.fixture(params=MAKERS, ids=lambda make: make.__name__)
def make(request):
    return request.param


@pytest.fixture
def source(make, tmp_path):
    return opened(make, data_of(make), tmp_path)


def expected(make):
    return (
        data_of(make) if make is dask_array else data_of(make)[SELECTION]
    )  # a computed block is the rectangle that was asked for


def test_what_is_known_before_reading(make, source):
    assert source.role == "y_pred"
    assert isinstance(source.where, str)
    assert source.shape == SHAPE
    assert source.dtype.newbyteorder("=") == dtype_of(make)
    assert source.chunk_shape == CHUNKS.get(make, (1, 1))
    assert source.in_memory is (make in IN_MEMORY)
    assert source.remote is (make in REMOTE)


def test_the_host_holds_it(source):
    assert (source.on_gpu, source.device, source.on_device(SELECTION)) == (False, None, None)


def test_a_rectangle_has_numpys_values(make, source):
    read = source.read(SELECTION)
    assert read.dtype.newbyteorder("=") == dtype_of(make)
    np.testing.assert_array_equal(read, expected(make))
    assert source.filled == 0


def test_copies_go_into_the_memory_that_was_given(make, source):
    given = []

    def allocate(shape, dtype):
        given.append(np.zeros(shape, dtype))
        return given[-1]

    read = source.read(SELECTION, allocate)
    np.testing.assert_array_equal(read, expected(make))
    assert len(given) == (make in COPYING)
    assert all(np.shares_memory(read, memory) for memory in given)


def test_reading_takes_no_more_memory_than_announced(make, source):
    if make in (zarr_in_bucket, parquet_in_bucket):
        pytest.skip("the server of the bucket is in this process, and allocates, too")
    source.read(SELECTION)  # imports, pools of threads, buffers of codecs
    announced = source.read_bytes(tuple(s.stop - s.start for s in SELECTION))
    tracemalloc.start()
    try:
        read = source.read(SELECTION)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert read.size
    assert peak <= announced + SLACK


def test_elements_are_located_by_their_chunk(make, source):
    assert source.locate((2500, 150)) == {
        zarr_v2: " (chunk 2.1)",
        zarr_v3: " (chunk c/2/1)",
        zarr_sharded: " (chunk c/1/1)",
        zarr_decoded_by_zarr: " (chunk c/2/1)",
        zarr_in_zip: " (chunk p/c/2/1)",
        zarr_by_uri: " (chunk c/2/1)",
        dask_array: " (chunk 2/1)",
        zarr_in_bucket: " (chunk c/2/1)",
        bfloat16_zarr: " (chunk c/2/1)",
        parquet_in_bucket: " (row group 2)",
        h5py_dataset: " (chunk 2/1)",
        hdf5_file: " (chunk 2/1)",
        netcdf_file: " (chunk 2/1)",
        zarr_decoded_by_xarray: " (chunk a/c/2/1)",
        lazy_xarray: " (chunk 2/1)",
        parquet_lists: " (row group 2)",
        parquet_columns: " (row group 0 of part-1.parquet)",
    }.get(make, "")


def test_fingerprints_tell_arrays_apart(make, source, tmp_path):
    fingerprint = source.fingerprint()
    assert json.loads(json.dumps(fingerprint)) == fingerprint
    data = data_of(make)
    again = dict.fromkeys((*IN_MEMORY, dask_array, arrow_table, polars_frame), lambda: make(data, tmp_path))
    again[memmap] = lambda: source._array
    again |= dict.fromkeys((zarr_in_bucket, parquet_in_bucket), lambda: in_bucket(source.where))
    again[h5py_dataset] = again[memmap]
    again[lazy_xarray] = lambda: xarray.open_dataset(tmp_path / "a.nc")["a"]
    where = source.where
    again[parquet_columns] = lambda: f"{tmp_path}/a::[{','.join(f'p{i}' for i in range(SHAPE[1]))}]"
    array = again[make]() if make in again else where.removeprefix("file://")
    assert computed(open_source(array, "y_pred", "error"), array).fingerprint() == fingerprint
    changed = data.copy()
    changed[-1, -1] += 1
    other = opened(make, changed, tmp_path / "other")
    for path in tmp_path.rglob("*"):
        os.utime(path, ns=(0, 0))  # equal times are no proof
    one, two = (dict(of.fingerprint(), place="") for of in (source, other))
    assert one != two


@pytest.mark.parametrize("make", IN_WORKERS, ids=lambda make: make.__name__)
def test_another_process_opens_it_itself(make, tmp_path):
    source = opened(make, data_of(make), tmp_path)
    pickled = pickle.dumps(source)
    assert len(pickled) < DATA.nbytes / 100
    there = pickle.loads(pickled)
    assert (there.role, there.where, there.shape, there.dtype) == ("y_pred", source.where, SHAPE, source.dtype)
    assert there.fingerprint() == source.fingerprint()
    np.testing.assert_array_equal(there.read(SELECTION), data_of(make)[SELECTION])


@pytest.mark.parametrize("opener", [kind.opener for kind in KINDS])
def test_openers_are_functions_of_array_role_and_policy(opener):
    """Read from their files: modules of optional packages are not imported."""
    module, _, name = opener.partition(":")
    tree = ast.parse((Path(sources.__file__).parent / f"{module}.py").read_text(encoding="utf-8"))
    (found,) = (node for node in tree.body if getattr(node, "name", None) == name)
    if isinstance(found, ast.ClassDef):
        found = next(node for node in found.body if getattr(node, "name", None) == "__init__")
    names = [argument.arg for argument in found.args.args if argument.arg != "self"]
    assert names[1:3] == ["role", "missing_chunks"]
