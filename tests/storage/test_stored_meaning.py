"""Attributes, fill values, names of dimensions and absent chunks of Zarr arrays, in every role."""

from __future__ import annotations

import json
import shutil

import dask.array
import numpy as np
import pytest
import xarray
import zarr

import streamloss as sl
from streamloss.cli import run
from streamloss.errors import MissingChunkError, ShapeError, SourceError, UsageError
from streamloss.storage.sources import open_source

pytestmark = [
    pytest.mark.filterwarnings("ignore:Consolidated metadata is currently not part"),
    pytest.mark.filterwarnings("ignore:Combining a `sharding_indexed` codec"),
]

ROLES = ("y_true", "y_pred", "sample_weight", "mask")
FORMATS = (2, 3)
ROWS = 12


def arrays():
    """Return valid arrays of every role, to replace one of them."""
    labels = np.linspace(0, 1, ROWS, dtype=np.float32)
    return {
        "y_true": labels,
        "y_pred": labels / 2,
        "sample_weight": np.ones(ROWS, np.float32),
        "mask": np.ones(ROWS, np.int8),
    }


def evaluate(role, path, **options):
    given = {**arrays(), role: path}
    y_true, y_pred = given.pop("y_true"), given.pop("y_pred")
    return sl.evaluate("mse", y_true, y_pred, executor="inline", **given, **options)["mean_squared_error"]


def stored(path, role, zarr_format=2, chunks=4, attributes=None, dtype=None, **options):
    data = arrays()[role].astype(dtype) if dtype else arrays()[role]
    array = zarr.create_array(
        path, shape=data.shape, chunks=(chunks,), dtype=data.dtype, zarr_format=zarr_format, **options
    )
    array[...] = data
    array.attrs.update(attributes or {})
    return path


@pytest.mark.parametrize("role", ROLES)
@pytest.mark.parametrize("zarr_format", FORMATS)
@pytest.mark.parametrize(
    ("attributes", "dtype"),
    [
        ({"scale_factor": 0.01}, "i1"),
        ({"add_offset": [3.0]}, "i1"),
        ({"_Unsigned": "true"}, "i1"),
        ({"_FillValue": 0}, "i1"),
        ({"missing_value": -999}, "i2"),
    ],
)
def test_attributes_that_change_the_numbers_are_refused_by_name(tmp_path, role, zarr_format, attributes, dtype):
    path = stored(tmp_path / "a.zarr", role, zarr_format, attributes=attributes, dtype=dtype)
    with pytest.raises(SourceError, match=f"{role}: .*{next(iter(attributes))}"):
        evaluate(role, path)


@pytest.mark.parametrize("role", ROLES)
@pytest.mark.parametrize("zarr_format", FORMATS)
def test_attributes_that_change_nothing_are_let_through(tmp_path, role, zarr_format):
    attributes = {"scale_factor": 1, "add_offset": [0.0], "_Unsigned": "false", "long_name": "x", "valid_min": 0}
    path = stored(tmp_path / "a.zarr", role, zarr_format, attributes=attributes)
    assert evaluate(role, path).sum == evaluate(role, arrays()[role]).sum


@pytest.mark.parametrize("role", ROLES)
@pytest.mark.parametrize("zarr_format", FORMATS)
def test_missing_values_that_xarray_writes_are_refused(tmp_path, role, zarr_format):
    data = xarray.Dataset({"a": ("row", arrays()[role].astype(np.float32))})
    data.to_zarr(tmp_path / "a.zarr", zarr_format=zarr_format, encoding={"a": {"_FillValue": -999.0}})
    with pytest.raises(SourceError, match=f"{role}: .*(fill_value|_FillValue)"):
        open_source(tmp_path / "a.zarr/a", role, "error")


@pytest.mark.parametrize("zarr_format", FORMATS)
def test_arrays_that_xarray_writes_without_missing_values_are_read(tmp_path, zarr_format):
    labels = np.arange(ROWS)
    data = xarray.Dataset({"a": ("row", arrays()["y_pred"]), "b": ("row", labels)})
    data.to_zarr(tmp_path / "a.zarr", zarr_format=zarr_format)
    for name in data:
        source = open_source(tmp_path / "a.zarr" / name, "y_pred", "error")
        np.testing.assert_array_equal(source.read((slice(0, ROWS),)), data[name])


@pytest.mark.parametrize("role", ROLES)
def test_the_fill_value_of_a_plain_array_of_format_2_says_nothing(tmp_path, role):
    path = stored(tmp_path / "a.zarr", role, 2, fill_value=0)
    assert evaluate(role, path).sum == evaluate(role, arrays()[role]).sum


@pytest.mark.parametrize("zarr_format", FORMATS)
def test_dimensions_in_another_order_meet_by_name_on_square_grids_too(tmp_path, zarr_format):
    grid = np.arange(36.0).reshape(6, 6)
    data = xarray.Dataset({"y": (("lat", "lon"), grid), "p": (("lon", "lat"), grid.T.copy())})
    data.to_zarr(tmp_path / "a.zarr", zarr_format=zarr_format)
    assert sl.evaluate("mse", tmp_path / "a.zarr/y", tmp_path / "a.zarr/p")["mean_squared_error"].sum == 0
    lazy = dask.array.from_zarr(tmp_path / "a.zarr/p")
    with pytest.raises(ShapeError, match=r"y_true .*\(lat, lon\).*y_pred .*\(lon, lat\).*Transpose"):
        sl.evaluate("mse", tmp_path / "a.zarr/y", lazy, scheduler="synchronous")
    assert sl.evaluate("mse", tmp_path / "a.zarr/y", grid)["mean_squared_error"].sum == 0


@pytest.mark.parametrize("role", ROLES)
@pytest.mark.parametrize("policy", [None, "warn", "error"])
def test_an_array_without_any_chunk_is_refused_in_every_role(tmp_path, role, policy):
    path = stored(tmp_path / "a.zarr", role, 3)
    shutil.rmtree(path / "c")
    with pytest.raises(MissingChunkError, match=f"{role}: .*(no chunk at all|does not exist)"):
        evaluate(role, path, missing_chunks=policy)


@pytest.mark.parametrize("role", ROLES)
@pytest.mark.parametrize("policy", ["fill", "warn", "error"])
def test_chunks_under_the_other_separator_are_named(tmp_path, role, policy):
    data = np.ones((ROWS, 1), arrays()[role].dtype)
    path = tmp_path / "a.zarr"
    keys = {"name": "v2", "separator": "/"}
    zarr.create_array(path, data=data, chunks=(4, 1), zarr_format=2, chunk_key_encoding=keys, fill_value=0)
    metadata = json.loads((path / ".zarray").read_text())
    del metadata["dimension_separator"]
    (path / ".zarray").write_text(json.dumps(metadata))
    source = open_source(path, role, policy)
    with pytest.raises(MissingChunkError, match=rf"{role}: .*stored as '\d/0', but .* says '0\.0'.*'/'"):
        source.read((slice(0, ROWS), slice(0, 1)))


@pytest.mark.parametrize("role", ROLES)
@pytest.mark.parametrize("policy", ["fill", "warn", "error"])
@pytest.mark.parametrize("zarr_format", FORMATS)
def test_an_array_that_vanishes_under_the_run_is_an_error_under_every_policy(tmp_path, role, policy, zarr_format):
    path = stored(tmp_path / "a.zarr", role, zarr_format)
    source = open_source(path, role, policy)
    source.read((slice(0, 4),))
    shutil.rmtree(path)
    with pytest.raises(MissingChunkError, match=f"{role}: .* has vanished"):
        source.read((slice(4, 8),))


@pytest.mark.parametrize("policy", ["fill", "warn"])
def test_an_array_that_vanishes_from_a_store_in_memory_is_an_error(policy):
    store = zarr.storage.MemoryStore()
    array = zarr.create_array(store, data=np.ones(ROWS), chunks=(4,))
    source = open_source(array, "y_true", policy)
    store._store_dict.clear()
    with pytest.raises(MissingChunkError, match=r"y_true: .* has vanished"):
        source.read((slice(0, 4),))


@pytest.mark.parametrize("role", ROLES)
@pytest.mark.parametrize("policy", ["warn", "error"])
@pytest.mark.parametrize(
    "codecs",
    [
        [zarr.codecs.ShardingCodec(chunk_shape=(4, 4), codecs=[zarr.codecs.ShardingCodec(chunk_shape=(2, 2))])],
        [zarr.codecs.TransposeCodec(order=(1, 0)), zarr.codecs.ShardingCodec(chunk_shape=(2, 2))],
        [zarr.codecs.ShardingCodec(chunk_shape=(2, 2)), zarr.codecs.GzipCodec()],
        [zarr.codecs.ShardingCodec(chunk_shape=(2, 2)), zarr.codecs.Crc32cCodec()],
    ],
    ids=["shard in shard", "transposed", "gzip", "crc32c"],
)
def test_shards_whose_missing_chunks_cannot_be_told_are_refused(role, policy, codecs):
    array = zarr.create(store=zarr.storage.MemoryStore(), shape=(8, 8), chunks=(8, 8), codecs=codecs, dtype="f4")
    array[:2] = 1
    with pytest.raises(
        SourceError, match=rf"{role}: .*missing chunks cannot be told.*missing_chunks=\{{'{role}': 'fill'\}}"
    ):
        open_source(array, role, policy)
    assert open_source(array, role, "fill").read((slice(0, 8), slice(0, 8))).sum() == 16


def test_missing_chunks_are_allowed_for_one_role_without_silencing_another(tmp_path):
    mask = zarr.create_array(tmp_path / "m.zarr", shape=(ROWS,), chunks=(4,), dtype="bool")
    mask[:4] = True
    with pytest.raises(MissingChunkError, match="mask"):
        evaluate("mask", tmp_path / "m.zarr")
    assert evaluate("mask", tmp_path / "m.zarr", missing_chunks={"mask": "fill"}).count == 4
    predictions = stored(tmp_path / "p.zarr", "y_pred", 3)
    (predictions / "c/1").unlink()
    with pytest.raises(MissingChunkError, match="y_pred"):
        evaluate("y_pred", predictions, missing_chunks={"mask": "fill"})
    with pytest.raises(UsageError, match="missing_chunks has 'masks': 'fill'"):
        evaluate("y_pred", predictions, missing_chunks={"masks": "fill"})


def test_the_command_line_sets_missing_chunks_for_one_role(tmp_path, capsys):
    for role in ("y_true", "y_pred"):
        np.save(tmp_path / f"{role}.npy", arrays()[role])
    mask = zarr.create_array(tmp_path / "m.zarr", shape=(ROWS,), chunks=(4,), dtype="bool")
    mask[:4] = True
    command = ["evaluate", "--loss", "mse", "--y-true", str(tmp_path / "y_true.npy"), "--y-pred"]
    command += [str(tmp_path / "y_pred.npy"), "--mask", str(tmp_path / "m.zarr")]
    assert run(command) == 3
    assert "mask: chunk c/1" in capsys.readouterr().err
    assert run([*command, "--missing-chunks", "mask=fill"]) == 0
    assert run([*command, "--missing-chunks", "fill"]) == 0
    assert run([*command, "--missing-chunks", "mask=maybe"]) == 2
