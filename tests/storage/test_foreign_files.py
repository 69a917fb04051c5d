"""Files of other kinds are named, with the way that works, whatever their names say, in every role."""

import pickle
import shutil
import zipfile

import dask.array as da
import numpy as np
import pytest
import scipy.io
import zarr

import streamloss as sl
from streamloss.cli import run
from streamloss.errors import CorruptChunkError, SourceError
from streamloss.storage.sources import open_source
from streamloss.storage.sources.foreign_files import FILES, kind_of

ROLES = ("y_true", "y_pred", "sample_weight", "mask")
VALUES = np.arange(4.0)
POINTER = "version https://git-lfs.github.com/spec/v1\noid sha256:4d7a\nsize 12345\n"


def npz(path):
    with open(path, "wb") as file:
        np.savez(file, a=VALUES, b=VALUES)


def archive(path):
    with zipfile.ZipFile(path, "w") as file:
        file.writestr("readme.txt", "nothing")


def containing(content):
    return lambda path: path.write_bytes(content if isinstance(content, bytes) else content.encode())


CASES = {  # what is written: the suffix, what it is called, the way
    "npz": (npz, ".npz", "a NumPy archive", r"numpy\.load\('\S*\.npz'\)\['name'\]"),
    "feather": (containing(b"ARROW1\0\0"), ".feather", "an Arrow or Feather file", r"polars\.read_ipc\("),
    "csv": (containing("a,b\n1,2\n"), ".csv", "a table in text", r"pandas\.read_csv\("),
    "json": (containing('{"a": [1]}'), ".json", "a JSON file", r"pandas\.read_json\("),
    "matlab": (lambda p: scipy.io.savemat(p, {"a": VALUES}), ".mat", "a MATLAB file", r"scipy\.io\.loadmat\("),
    "pickle": (lambda p: p.write_bytes(pickle.dumps(VALUES)), ".pkl", "a pickle", r"pickle\.load\("),
    "bare": (lambda p: VALUES.tofile(p), ".bin", "a file of bare numbers", r"numpy\.memmap\("),
    "tfrecord": (containing(b"\x10\0\0\0\0\0\0\0abcd"), ".tfrecord", "a TFRecord file", "as_numpy_iterator"),
    "gzip": (containing(b"\x1f\x8b\x08\0"), ".gz", "a compressed file or an archive", "Unpack it"),
    "zip": (archive, ".zip", "a compressed file or an archive", "Unpack it"),
}
MARKED = {  # recognised by what they begin with
    **{name: case for name, case in CASES.items() if name not in ("csv", "json", "bare", "tfrecord")},
    "html": (containing("<!doctype html><title>Sign in"), "", "an HTML or XML page", "download that"),
    "xml": (containing('\n<?xml version="1.0"?><Error>'), "", "an HTML or XML page", "download that"),
    "git-lfs": (containing(POINTER), "", "a pointer of git-lfs", "git lfs pull"),
    "git-annex": (containing("/annex/objects/SHA256E-s9"), "", "a pointer of git-annex", "git annex get"),
}


def evaluate(role, array):
    given = {name: np.ones(4, "i1") for name in ROLES} | {role: array}
    return sl.evaluate("mse", given.pop("y_true"), given.pop("y_pred"), **given)


@pytest.mark.parametrize("role", ROLES)
@pytest.mark.parametrize("case", CASES)
def test_files_of_other_kinds_are_named_by_their_suffix(case, role, tmp_path):
    write, suffix, what, way = CASES[case]
    path = tmp_path / f"p{suffix.upper() if suffix != '.zip' else suffix}"
    write(path)
    with pytest.raises(SourceError, match=rf"{role}: '\S*' is {what}.*{way.replace(suffix, suffix.upper())}"):
        evaluate(role, path)
    lower = tmp_path / f"q{suffix}"
    path.rename(lower)
    with pytest.raises(SourceError, match=rf"{role}: '\S*' is {what}.*{way}") as caught:
        evaluate(role, str(lower))
    assert f"as {role}" in str(caught.value) or "expected a .npy file" in str(caught.value)


@pytest.mark.parametrize("role", ROLES)
@pytest.mark.parametrize("suffix", [".npy", ".zarr", ".csv", ""])
@pytest.mark.parametrize("case", MARKED)
def test_a_suffix_that_lies_changes_nothing(case, suffix, role, tmp_path):
    write, own, what, way = MARKED[case]
    write(tmp_path / f"a{own}")
    (tmp_path / f"a{own}").rename(tmp_path / f"p{suffix}")
    way = way.replace(own, suffix) if own else way
    with pytest.raises(SourceError, match=rf"{role}: '\S*p{suffix}' is {what}.*{way}"):
        evaluate(role, tmp_path / f"p{suffix}")


@pytest.mark.parametrize("role", ROLES)
def test_a_path_inside_of_a_file_is_named_in_the_advice(role, tmp_path):
    npz(tmp_path / "a.npz")
    with pytest.raises(SourceError, match=rf"{role}: .*numpy\.load\('\S*a\.npz'\)\['b'\] as {role}"):
        evaluate(role, tmp_path / "a.npz/b")


def test_a_folder_of_parquet_files_is_one(tmp_path):
    (tmp_path / "a.parquet").mkdir()
    with pytest.raises(SourceError, match=r"y_pred: the folder '\S*' has no Parquet files"):
        evaluate("y_pred", tmp_path / "a.parquet")


def test_a_parquet_file_named_as_another_kind_is_to_be_renamed(tmp_path):
    (tmp_path / "p.npy").write_bytes(b"PAR1....PAR1")
    with pytest.raises(SourceError, match=r"y_pred: '\S*' is a Parquet file of another name.*ends with .parquet"):
        evaluate("y_pred", tmp_path / "p.npy")


def test_a_npy_file_of_another_name_is_to_be_renamed(tmp_path):
    with open(tmp_path / "p.bin", "wb") as file:
        np.save(file, VALUES)
    with pytest.raises(SourceError, match=r"y_pred: '\S*p.bin' is a .npy file of another name.*Rename it"):
        evaluate("y_pred", tmp_path / "p.bin")


@pytest.mark.parametrize("what", ["zarr.json", "c/0"])
@pytest.mark.parametrize("role", ROLES)
def test_pointers_inside_of_a_store_are_named(what, role, tmp_path):
    path = tmp_path / "a.zarr"
    zarr.create_array(path, data=np.ones(4, "i1"))
    (path / what).write_text(POINTER)
    with pytest.raises((SourceError, CorruptChunkError), match=rf"{role}: '\S*{what}' is a pointer of git-lfs.*pull"):
        evaluate(role, path)


@pytest.mark.parametrize("case", ["npz", "feather", "csv"])
def test_beside_dask_arrays_the_way_is_the_same(case, tmp_path):
    write, suffix, _, way = CASES[case]
    write(tmp_path / f"p{suffix}")
    with pytest.raises(SourceError, match=rf"y_pred: .* pass {way}"):
        sl.evaluate("mse", da.ones(4), tmp_path / f"p{suffix}")
    with zarr.storage.ZipStore(tmp_path / "a.zarr.zip", mode="w") as store:
        zarr.create_array(store, name="p", data=np.arange(4.0), chunks=(2,))
    beside = sl.evaluate("mse", da.ones(4), tmp_path / "a.zarr.zip/p", scheduler="synchronous")
    alone = sl.evaluate("mse", np.ones(4), tmp_path / "a.zarr.zip/p")
    assert beside["mean_squared_error"].sum == alone["mean_squared_error"].sum


@pytest.mark.parametrize("case", CASES)
def test_the_command_line_names_them(case, tmp_path, capsys):
    write, suffix, what, _ = CASES[case]
    write(tmp_path / f"p{suffix}")
    np.save(tmp_path / "y.npy", VALUES)
    assert (
        run(["evaluate", "--loss", "mse", "--y-true", str(tmp_path / "y.npy"), "--y-pred", f"{tmp_path}/p{suffix}"])
        == 3
    )
    said = capsys.readouterr().err
    assert f"is {what}" in said
    assert "a .npy file" in said


def test_what_is_not_there_is_not_of_another_kind(tmp_path):
    with pytest.raises(SourceError, match=r"y_pred: there is no '\S*nowhere.npz'"):
        evaluate("y_pred", tmp_path / "nowhere.npz")
    with pytest.raises(SourceError, match="is not read from object stores"):
        evaluate("y_pred", "s3://bucket/p.npz")


def test_each_kind_has_a_way_and_each_suffix_one_kind():
    suffixes = [suffix for kind in FILES for suffix in kind.suffixes]
    assert len(suffixes) == len(set(suffixes))
    assert all(bool(kind.opened) != bool(kind.cure) for kind in FILES)


def test_arrays_that_are_read_are_of_no_other_kind(tmp_path):
    zarr.create_array(tmp_path / "a.zarr", data=VALUES)
    assert kind_of(tmp_path / "a.zarr") is None
    shutil.make_archive(str(tmp_path / "a.zarr"), "zip", tmp_path / "a.zarr")
    for path in (tmp_path / "a.zarr", tmp_path / "a.zarr.zip"):
        np.testing.assert_array_equal(open_source(path, "y_true", "error").read((slice(0, 4),)), VALUES)
