"""bfloat16, as libraries store it, is read as the same numbers in float32, in every role and from every source."""

import json
import pickle

import dask.array as da
import numpy as np
import pytest
import zarr

import streamloss as sl
from streamloss.cli import run
from streamloss.errors import MissingChunkError, SourceError, StreamlossWarning
from streamloss.storage.sources import open_source
from streamloss.storage.sources.bfloat16 import bits_of

ml_dtypes = pytest.importorskip("ml_dtypes")

pytestmark = pytest.mark.filterwarnings(r"ignore:The data type \(RawBytes")

ROLES = ("y_true", "y_pred", "sample_weight")
VALUES = np.array([0.0, 1.0, 0.25, 3.0, 1 / 3, 1e-3, 0.7, 100.0], np.float32).astype(ml_dtypes.bfloat16)
NUMBERS = VALUES.astype(np.float32)
BITS = VALUES.view(np.uint16)


def in_memory(folder):
    return VALUES


def without_a_name(folder):
    return VALUES.view("V2")


def not_contiguous(folder):
    return np.stack([VALUES, -VALUES], axis=1).view("V2")[:, 0]


def npy(folder):
    np.save(folder / "a.npy", VALUES)
    return str(folder / "a.npy")


def memmap(folder):
    return np.load(npy(folder), mmap_mode="r")


def zarr_2(folder):
    zarr.create_array(folder / "a.zarr", data=VALUES.view("V2"), chunks=(3,), zarr_format=2)
    return str(folder / "a.zarr")


def zarr_3_of_bytes(folder):
    return zarr.create_array(folder / "a.zarr", data=VALUES.view("V2"), chunks=(3,))


def zarr_3(folder, fill_value=0, named="bfloat16", **options):
    """Write what TensorStore writes."""
    zarr.create_array(folder / "a.zarr", data=BITS, chunks=(4,), **options)
    path = folder / "a.zarr/zarr.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"data_type": named, "fill_value": fill_value}))
    return str(folder / "a.zarr")


def zarr_3_sharded(folder):
    return zarr_3(folder, "NaN", {"name": "bfloat16", "configuration": {}}, shards=(8,))


def zarr_3_big_endian(folder):
    return zarr_3(folder, serializer=zarr.codecs.BytesCodec(endian="big"))


def dask_array(folder):
    return da.from_array(VALUES.view("V2"), chunks=3)


def dask_array_with_a_name(folder):
    return da.from_array(VALUES, chunks=3)


READ = [in_memory, without_a_name, not_contiguous, npy, memmap, zarr_2, zarr_3_of_bytes]
READ += [zarr_3, zarr_3_sharded, zarr_3_big_endian]
DASK = [dask_array, dask_array_with_a_name]


def evaluate(role, array, **options):
    given = {name: np.ones(8, np.float32) for name in ROLES} | {role: array}
    if role == "y_true":
        given["y_pred"] = np.zeros(8, np.float32)
    return sl.evaluate("mse", given.pop("y_true"), given.pop("y_pred"), **given, **options)["mean_squared_error"]


@pytest.mark.parametrize("role", ROLES)
@pytest.mark.parametrize("make", READ + DASK)
def test_it_is_read_as_the_same_numbers(make, role, tmp_path):
    options = {"scheduler": "synchronous"} if make in DASK else {"executor": "inline"}
    assert evaluate(role, make(tmp_path), **options).sum == evaluate(role, NUMBERS).sum


@pytest.mark.parametrize("role", ROLES)
@pytest.mark.parametrize("make", [without_a_name, memmap, zarr_3_of_bytes])
def test_it_is_read_beside_dask_arrays(make, role, tmp_path):
    given = {name: da.ones(8, chunks=4, dtype="f4") for name in ROLES} | {role: make(tmp_path)}
    found = sl.evaluate("mse", given.pop("y_true"), given.pop("y_pred"), scheduler="synchronous", **given)
    plain = {name: np.ones(8, np.float32) for name in ROLES} | {role: NUMBERS}
    expected = sl.evaluate("mse", plain.pop("y_true"), plain.pop("y_pred"), **plain)
    assert found["mean_squared_error"].sum == expected["mean_squared_error"].sum


@pytest.mark.parametrize("make", [npy, memmap, zarr_2, zarr_3, zarr_3_sharded])
def test_a_source_of_it_is_as_any_other(make, tmp_path):
    source = open_source(make(tmp_path), "y_pred", "error")
    assert (source.dtype, source.shape, source.filled) == (np.dtype("f4"), (8,), 0)
    for of in (source, pickle.loads(pickle.dumps(source))):
        np.testing.assert_array_equal(of.read((slice(1, 7),)), NUMBERS[1:7])
    assert source.read_bytes((6,)) >= 6 * (4 + 2)
    into = np.empty(6, np.float32)
    assert source.read((slice(1, 7),), lambda shape, dtype: into) is into


def test_labels_of_it_are_classes():
    classes = np.array([0, 1, 2, 200])
    scores = np.random.default_rng(0).normal(size=(4, 201))
    loss = sl.losses.SparseCategoricalCrossentropy(from_logits=True)
    assert loss(classes.astype(ml_dtypes.bfloat16).view("V2"), scores) == loss(classes, scores)


@pytest.mark.parametrize(
    ("fill_value", "number"),
    [(0, 0.0), (1.5, 1.5), ("NaN", np.nan), ("-Infinity", -np.inf), ("0x3f80", 1.0), ("0x7fc0", np.nan)],
)
def test_fill_values_are_numbers_of_it(fill_value, number, tmp_path):
    assert np.array(bits_of(fill_value), np.uint16).view(ml_dtypes.bfloat16).astype("f4").item() == pytest.approx(
        number, nan_ok=True
    )
    path = zarr_3(tmp_path, fill_value)
    (tmp_path / "a.zarr/c/1").unlink()
    with pytest.raises(MissingChunkError, match=r"y_true: chunk c/1"):
        open_source(path, "y_true", "error").read((slice(0, 8),))
    source = open_source(path, "y_true", "warn")
    np.testing.assert_array_equal(source.read((slice(0, 8),)), [*NUMBERS[:4], *[number] * 4])
    assert source.filled == 1


@pytest.mark.parametrize("role", ROLES)
@pytest.mark.parametrize("named", ["bfloat16", "torch.bfloat16", "ml_dtypes.bfloat16"])
@pytest.mark.parametrize("dtype", ["u2", "i2"])
def test_integers_that_say_they_are_bits_of_it_are_refused(role, named, dtype, tmp_path):
    array = zarr.create_array(tmp_path / "a.zarr", data=BITS.view(dtype), attributes={"dtype": named})
    for given in (array, str(tmp_path / "a.zarr")):
        with pytest.raises(SourceError, match=rf"{role}: .*{named}.* bits of bfloat16 numbers: store .*ml_dtypes"):
            evaluate(role, given)


def test_a_bfloat16_array_may_say_so_itself(tmp_path):
    path = zarr_3(tmp_path, attributes={"dtype": "bfloat16", "units": "m"})
    assert evaluate("y_pred", path).sum == evaluate("y_pred", NUMBERS).sum


@pytest.mark.parametrize("loss", ["mse", "poisson", "bce", "zero_one_loss"])
@pytest.mark.parametrize("dtype", ["<u2", ">u2", "i2"])
def test_predictions_that_may_be_bits_of_it_are_warned_of(loss, dtype, tmp_path):
    predictions = np.array([[0, 1], [1, 0]], dtype)
    np.save(tmp_path / "p.npy", predictions)
    labels = np.array([1, 0]) if loss == "zero_one_loss" else np.array([[0, 1], [1, 0]])
    for given in (predictions, str(tmp_path / "p.npy")):
        with pytest.warns(StreamlossWarning) as caught:
            sl.evaluate(loss, labels, given)
        assert any("y_pred has dtype" in str(w.message) and "ml_dtypes.bfloat16" in str(w.message) for w in caught)


def test_other_integers_are_not_warned_of():
    for dtype in ("u1", "i4", "i8", "bool"):
        sl.evaluate("mse", np.ones(4), np.ones(4, dtype))


@pytest.mark.parametrize("dtype", ["u2", "i2"])
def test_images_against_images_are_not_warned_of(dtype):
    assert sl.evaluate("mse", np.zeros(4, dtype), np.ones(4, dtype))["mean_squared_error"].sum == 4


def test_dask_chunks_are_checked_before_they_are_widened():
    lying = da.ones(8, chunks=4).map_blocks(lambda chunk: chunk, dtype="V2", meta=np.empty(0, "V2"))
    with pytest.raises(SourceError, match=r"y_pred: the chunk .* has dtype float64"):
        evaluate("y_pred", lying, scheduler="synchronous")


def test_floats_of_8_bits_without_a_name_are_named(tmp_path):
    values = np.ones(8, np.float32).astype(ml_dtypes.float8_e4m3fn)
    np.save(tmp_path / "a.npy", values)
    for given in (values.view("V1"), tmp_path / "a.npy", da.from_array(values)):
        with pytest.raises(SourceError, match=r"y_pred: .*8 bits: .*astype\('float32'\)"):
            evaluate("y_pred", given)


def test_the_command_line_reads_it(tmp_path, capsys):
    np.save(tmp_path / "y.npy", np.zeros(8, np.float32))
    (tmp_path / "z").mkdir()
    for path in (npy(tmp_path), zarr_3(tmp_path / "z")):
        command = ["evaluate", "--loss", "mse", "--y-true", str(tmp_path / "y.npy"), "--y-pred", path, "--json"]
        assert run(command) == 0
        found = json.loads(capsys.readouterr().out)["losses"]["mean_squared_error"]["sum"]
        assert found == sl.evaluate("mse", np.zeros(8), NUMBERS)["mean_squared_error"].sum
