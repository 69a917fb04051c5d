"""Bits that were stored as integers, and tensors of `torch.save`."""

import pickle

import ml_dtypes
import numpy as np
import pytest
import zarr

import streamloss as sl
from streamloss import cli
from streamloss.storage.sources import open_source

RNG = np.random.default_rng(5)
P = RNG.normal(size=(60, 5)).astype(np.float32)
Y = RNG.integers(0, 5, 60)
LOSS = sl.losses.SparseCategoricalCrossentropy(from_logits=True, axis=-1)
STORED = {
    "bfloat16": (P.astype(ml_dtypes.bfloat16), np.uint16),
    "float16": (P.astype(np.float16), np.int16),
    "float8_e4m3fn": (P.astype(ml_dtypes.float8_e4m3fn), np.uint8),
    "float8_e5m2": (P.astype(ml_dtypes.float8_e5m2), np.int8),
}


@pytest.mark.parametrize("stated", STORED)
@pytest.mark.parametrize("kind", ["memory", "npy", "zarr"])
def test_bits_are_read_as_what_they_are(stated, kind, tmp_path, capsys):
    numbers, dtype = STORED[stated]
    bits = numbers.view(dtype)
    np.save(tmp_path / "p.npy", bits)
    zarr.create_array(tmp_path / "p.zarr", data=bits, chunks=(16, 5))
    given = {"memory": bits, "npy": str(tmp_path / "p.npy"), "zarr": str(tmp_path / "p.zarr")}[kind]
    found = sl.evaluate(LOSS, Y, given, dtypes={"y_pred": stated})
    assert found.value == sl.evaluate(LOSS, Y, numbers.astype(np.float32)).value
    if kind != "memory":
        np.save(tmp_path / "y.npy", Y)
        command = [
            "evaluate",
            "--loss",
            "scce:from_logits=true",
            "--y-true",
            str(tmp_path / "y.npy"),
            "--y-pred",
            given,
        ]
        assert cli.run([*command, "--dtype", f"y_pred={stated}", "-q", "--json"]) == 0
        assert f'"value": {found.value!r}' in capsys.readouterr().out


def test_dask_workers_and_shards_read_bits_too(tmp_path, small_blocks):
    numbers, dtype = STORED["bfloat16"]
    for name, array in (("p", numbers.view(dtype)), ("y", Y)):
        zarr.create_array(tmp_path / f"{name}.zarr", data=array, chunks=(16, *array.shape[1:]))
    arrays, asked = (str(tmp_path / "y.zarr"), str(tmp_path / "p.zarr")), {"dtypes": {"y_pred": "bfloat16"}}
    expected = sl.evaluate(LOSS, *arrays, **asked)[LOSS.name].state
    assert sl.evaluate(LOSS, *arrays, **asked, scheduler="processes")[LOSS.name].state == expected
    shards = [sl.evaluate(LOSS, *arrays, **asked, shard=(i, 2)) for i in range(2)]
    assert sl.merge(shards)[LOSS.name].state == expected


@pytest.mark.parametrize(
    ("dtypes", "error", "message"),
    [
        ({"y_pred": "bfloat17"}, sl.errors.UnknownNameError, "Did you mean 'bfloat16'"),
        ({"y_pred": "float8_e5m2"}, sl.errors.SourceError, "integers of 8 bits"),
        ({"y_true": "bfloat16"}, sl.errors.SourceError, "y_true .* integers of 16 bits"),
        ({"y": "bfloat16"}, sl.errors.UsageError, "expected roles of y_true"),
    ],
)
def test_dtypes_that_do_not_fit_are_refused(dtypes, error, message):
    with pytest.raises(error, match=message):
        sl.evaluate(LOSS, Y, STORED["bfloat16"][0].view(np.uint16), dtypes=dtypes)


def test_tensors_of_torch_files(tmp_path):
    torch = pytest.importorskip("torch")
    tensor = torch.tensor(P)
    torch.save({"logits": tensor.bfloat16(), "labels": torch.tensor(Y), "step": 3}, tmp_path / "run.pt")
    torch.save(tensor, tmp_path / "one.pth")
    place = str(tmp_path / "run.pt")
    found = sl.evaluate(LOSS, f"{place}::labels", f"{place}::logits")
    assert found.value == sl.evaluate(LOSS, Y, STORED["bfloat16"][0].astype(np.float32)).value
    assert sl.evaluate(LOSS, Y, str(tmp_path / "one.pth")).value == sl.evaluate(LOSS, Y, P).value
    source = pickle.loads(pickle.dumps(open_source(f"{place}::logits", "y_pred", "error")))
    assert source.read((slice(3, 9), slice(0, 5))).tolist() == STORED["bfloat16"][0].astype(np.float32)[3:9].tolist()
    for uri, message in (
        (f"{place}::logit", "Did you mean 'logits'"),
        (place, "holds 2 tensors; name one"),
        (f"{tmp_path}/one.pth::x", "one tensor without a name"),
        (f"{tmp_path}/none.pt", "no file"),
    ):
        with pytest.raises(sl.errors.SourceError, match=message):
            open_source(uri, "y_pred", "error")


def test_code_in_a_torch_file_is_not_run(tmp_path):
    torch = pytest.importorskip("torch")

    class Runs:
        def __reduce__(self):
            return (np.save, (str(tmp_path / "was-run.npy"), 1))

    torch.save({"logits": Runs()}, tmp_path / "evil.pt")
    with pytest.raises(sl.errors.SourceError, match="cannot be read as tensors"):
        open_source(str(tmp_path / "evil.pt") + "::logits", "y_pred", "error")
    assert not (tmp_path / "was-run.npy").exists()
