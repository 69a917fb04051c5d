"""HDF5 files by their paths: which dataset is meant, and what is said where there is none."""

import pickle
import subprocess
import sys

import h5py
import numpy as np
import pytest

import streamloss as sl
from streamloss.cli import run
from streamloss.errors import MissingChunkError, MissingExtraError, SourceError
from streamloss.storage.sources import open_source

Y, P = np.linspace(0, 1, 600).reshape(60, 10), np.linspace(1, 2, 600).reshape(60, 10)


@pytest.fixture
def file(tmp_path):
    with h5py.File(tmp_path / "a.h5", "w") as opened:
        opened.create_dataset("model/p", data=P, chunks=(20, 10), compression="gzip")
        opened["y"] = Y
    return tmp_path / "a.h5"


@pytest.mark.parametrize("name", ["::/model/p", "::model/p", "/model/p"])
def test_a_dataset_is_found_by_its_name(name, file):
    source = open_source(f"{file}{name}", "y_pred", "error")
    assert (source.shape, source.chunk_shape, source.where) == (P.shape, (20, 10), f"{file}::/model/p")
    np.testing.assert_array_equal(source.read((slice(7, 43), slice(2, 9))), P[7:43, 2:9])


@pytest.mark.parametrize("executor", ["inline", "threads"])
def test_the_bits_are_those_of_arrays_in_memory(executor, file):
    by_path = sl.evaluate("mse", f"{file}::y", f"file://{file}::model/p", executor=executor)
    assert by_path["mean_squared_error"].sum == sl.evaluate("mse", Y, P)["mean_squared_error"].sum


@pytest.mark.parametrize("name", ["a.npy", "a.zarr", "a", "a.H5"])
def test_the_first_bytes_decide_not_the_name(name, tmp_path):
    with h5py.File(tmp_path / name, "w") as opened:
        opened["p"] = P
    source = open_source(str(tmp_path / name), "y_pred", "error")
    np.testing.assert_array_equal(source.read((slice(0, 60), slice(0, 10))), P)


def test_the_only_dataset_needs_no_name(tmp_path):
    with h5py.File(tmp_path / "a.h5", "w") as opened:
        opened["deep/p"], opened["time"] = P, np.arange(60)
        opened["time"].make_scale("time")
        opened["deep/p"].dims[0].attach_scale(opened["time"])
    assert open_source(tmp_path / "a.h5", "y_pred", "error").shape == P.shape
    assert open_source(f"{tmp_path}/a.h5::time", "y_pred", "error").shape == (60,)


def test_several_are_listed(file):
    with pytest.raises(SourceError, match=r"holds 2 arrays; name one of them, as in '\S*a\.h5::/model/p'") as caught:
        open_source(file, "y_pred", "error")
    assert "Arrays: /model/p (60, 10) float64, /y (60, 10) float64." in str(caught.value)


@pytest.mark.parametrize(("name", "near"), [("model/q", "/model/p"), ("p", "/model/p"), ("model", "/model/p")])
def test_a_wrong_name_has_a_suggestion(name, near, file):
    with pytest.raises(SourceError, match=rf"y_true: '\S*a\.h5' has no array '/{name}'\. Did you mean '{near}'\?"):
        open_source(f"{file}::{name}", "y_true", "error")


def test_a_file_without_datasets(tmp_path):
    h5py.File(tmp_path / "a.h5", "w").close()
    with pytest.raises(SourceError, match=r"a\.h5' holds no arrays"):
        open_source(tmp_path / "a.h5", "y_pred", "error")
    with pytest.raises(SourceError, match=r"y_pred: there is no file '\S*b\.h5'"):
        open_source(f"{tmp_path}/b.h5::p", "y_pred", "error")


@pytest.mark.parametrize("damage", ["truncated", "garbage", "empty", "zeros"])
def test_damaged_files_are_named(damage, file):
    content = file.read_bytes()
    damaged = {
        "truncated": content[: len(content) // 2],
        "garbage": content[:8] + bytes(range(256)) * 8,
        "empty": b"",
        "zeros": bytes(4096),
    }
    file.write_bytes(damaged[damage])
    with pytest.raises(SourceError, match=r"y_pred: '\S*a\.h5' cannot be read as HDF5: "):
        open_source(f"{file}::/y", "y_pred", "error")


def test_a_damaged_chunk_is_named_with_its_place(file):
    with h5py.File(file) as opened:
        at = opened["model/p"].id.get_chunk_info(1)
    content = bytearray(file.read_bytes())
    content[at.byte_offset : at.byte_offset + at.size] = bytes(at.size)
    file.write_bytes(content)
    with pytest.raises(sl.errors.CorruptChunkError, match=r"y_pred: cannot read \[.*\] of \S*a\.h5::/model/p"):
        sl.evaluate("mse", f"{file}::y", f"{file}::model/p")


def test_packed_numbers_are_refused_and_missing_chunks_too(tmp_path):
    with h5py.File(tmp_path / "a.h5", "w") as opened:
        opened["packed"] = np.arange(4, dtype="i2")
        opened["packed"].attrs["scale_factor"] = 0.5
        opened.create_dataset("holes", (4,), "f4", chunks=(2,))[:2] = 1
    with pytest.raises(SourceError, match=r"a\.h5::/packed has the attributes.*scale_factor"):
        open_source(f"{tmp_path}/a.h5::packed", "y_pred", "error")
    with pytest.raises(MissingChunkError, match=r"a\.h5::/holes was never written"):
        open_source(f"{tmp_path}/a.h5::holes", "y_pred", "error").read((slice(0, 4),))
    assert open_source(f"{tmp_path}/a.h5::holes", "y_pred", "fill").read((slice(0, 4),)).tolist() == [1, 1, 0, 0]


def test_other_processes_open_it_themselves(file, monkeypatch, tmp_path):
    monkeypatch.chdir(file.parent)
    pickled = pickle.dumps(open_source("a.h5::y", "y_true", "error"))
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "source.pickle").write_bytes(pickled)
    code = (
        "import pickle; source = pickle.load(open('../source.pickle', 'rb'));"
        "print(source.read((slice(0, 60), slice(0, 10))).sum())"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path / "elsewhere", capture_output=True, check=True)
    assert float(done.stdout) == Y.sum()


def test_the_command_line_takes_them(file, capsys):
    assert run(["evaluate", "--loss", "mse", "--y-true", f"{file}::y", "--y-pred", f"{file}::model/p", "--json"]) == 0
    assert "mean_squared_error" in capsys.readouterr().out


def test_without_h5py_the_extra_is_named(file, monkeypatch):
    monkeypatch.setitem(sys.modules, "h5py", None)
    with pytest.raises(MissingExtraError, match=r"streamloss\[hdf5\]"):
        open_source(f"{file}::y", "y_true", "error")
