"""Zarr arrays in zip files, and arrays whose metadata only a group above them has, in every role."""

import json
import pickle
import shutil
import zipfile
from pathlib import Path

import numpy as np
import pytest
import zarr

import streamloss as sl
from streamloss.cli import run
from streamloss.errors import MissingChunkError, SourceError
from streamloss.storage.sources import open_source

pytestmark = [
    pytest.mark.filterwarnings("ignore:Consolidated metadata is currently not part"),
    pytest.mark.filterwarnings("ignore:Duplicate name"),
]

ROLES = ("y_true", "y_pred", "sample_weight", "mask")
FORMATS = (2, 3)
ROWS, CHUNK = 12, 4


def data(role):
    values = np.linspace(0, 1, ROWS, dtype="f4")
    return {"y_true": values, "y_pred": values / 2, "mask": np.tile(np.int8([1, 0]), ROWS // 2)}.get(role, values)


def group(path, role, zarr_format, **options):
    """Write a group with the array ``models/p``."""
    zarr.create_group(path, zarr_format=zarr_format)
    array = zarr.create_group(path, path="models", zarr_format=zarr_format).create_array(
        "p", data=data(role), chunks=(CHUNK,), **options
    )
    return path, array


def consolidated(folder, role, zarr_format):
    path, _ = group(folder / "a.zarr", role, zarr_format)
    zarr.consolidate_metadata(path, zarr_format=zarr_format)
    for name in (".zarray", ".zattrs", "zarr.json"):
        (path / "models/p" / name).unlink(missing_ok=True)
    return f"{path}/models/p"


def consolidated_without_group(folder, role, zarr_format):
    """Leave nothing but ``.zmetadata`` in format 2; in format 3, name the store as if it were none."""
    where = consolidated(folder, role, zarr_format)
    for name in (".zgroup", ".zattrs", "models/.zgroup", "models/.zattrs"):
        (folder / "a.zarr" / name).unlink(missing_ok=True)
    if zarr_format == 3:
        shutil.move(folder / "a.zarr", folder / "plain")
        return f"{folder}/plain/models/p"
    return where


def zipped(folder, role, zarr_format):
    with zarr.storage.ZipStore(folder / "a.zarr.zip", mode="w") as store:
        group(store, role, zarr_format)
    return f"{folder}/a.zarr.zip/models/p"


def zip_of_a_folder(folder, role, zarr_format):
    group(folder / "a.zarr", role, zarr_format)
    shutil.make_archive(str(folder / "b"), "zip", folder, "a.zarr")
    shutil.rmtree(folder / "a.zarr")
    return f"{folder}/b.zip/a.zarr/models/p"


def zip_of_consolidated(folder, role, zarr_format):
    consolidated(folder, role, zarr_format)
    shutil.make_archive(str(folder / "a.zarr"), "zip", folder / "a.zarr")
    return f"{folder}/a.zarr.zip/models/p"


MAKERS = [consolidated, consolidated_without_group, zipped, zip_of_a_folder, zip_of_consolidated]


def evaluate(role, array, **options):
    given = {name: data(name) for name in ROLES} | {role: array}
    y_true, y_pred = given.pop("y_true"), given.pop("y_pred")
    return sl.evaluate("mse", y_true, y_pred, executor="inline", **given, **options)["mean_squared_error"]


def without_chunk(where, zarr_format):
    """Remove the second chunk, from a directory or a zip file."""
    key = "models/p/" + ("c/1" if zarr_format == 3 else "1")
    archive, suffix, _ = where.partition(".zip/")
    if not suffix:
        Path(where.removesuffix("models/p") + key).unlink()
        return
    shutil.move(archive + ".zip", archive + ".old")
    with zipfile.ZipFile(archive + ".old") as old, zipfile.ZipFile(archive + ".zip", "w") as new:
        for name in old.namelist():
            if not name.endswith(key):
                new.writestr(name, old.read(name))


@pytest.mark.parametrize("zarr_format", FORMATS)
@pytest.mark.parametrize("make", MAKERS)
@pytest.mark.parametrize("role", ROLES)
def test_stores_as_people_have_them_are_read(make, role, zarr_format, tmp_path):
    where = make(tmp_path, role, zarr_format)
    found = evaluate(role, where)
    assert (found.sum, found.count) == (evaluate(role, data(role)).sum, evaluate(role, data(role)).count)
    source = pickle.loads(pickle.dumps(open_source(where, role, "error")))
    np.testing.assert_array_equal(source.read((slice(0, ROWS),)), data(role))
    assert source.fingerprint() == open_source(where, role, "error").fingerprint()


@pytest.mark.parametrize("policy", ["error", "warn", "fill"])
@pytest.mark.parametrize("zarr_format", FORMATS)
@pytest.mark.parametrize("make", MAKERS)
@pytest.mark.parametrize("role", ROLES)
def test_missing_chunks_are_noticed_there_too(make, role, zarr_format, policy, tmp_path):
    where = make(tmp_path, role, zarr_format)
    without_chunk(where, zarr_format)
    source = open_source(where, role, policy)
    if policy == "error":
        with pytest.raises(MissingChunkError, match=rf"{role}: chunk \S*models/p/(c/)?1 of .* does not exist"):
            source.read((slice(0, ROWS),))
        return
    expected = data(role)
    expected[CHUNK : 2 * CHUNK] = 0
    np.testing.assert_array_equal(source.read((slice(0, ROWS),)), expected)
    source.confirm()
    assert source.filled == (policy == "warn")


def test_missing_inner_chunks_of_a_zipped_shard_are_noticed(tmp_path):
    with zarr.storage.ZipStore(tmp_path / "a.zip", mode="w") as store:
        array = zarr.create_array(store, shape=(ROWS,), chunks=(2,), shards=(CHUNK,), dtype="f4", fill_value=9)
        array[:2] = 1
    with pytest.raises(MissingChunkError, match=r"chunk c/0 \(inner chunk \(1,\)\)"):
        open_source(tmp_path / "a.zip", "y_true", "error").read((slice(0, CHUNK),))


@pytest.mark.parametrize("zarr_format", FORMATS)
@pytest.mark.parametrize("make", [consolidated, zipped])
def test_attributes_are_looked_at_there_too(make, zarr_format, tmp_path):
    path = tmp_path / "a.zarr"
    _, array = group(path, "y_true", zarr_format)
    array.attrs["scale_factor"] = 0.5
    if make is zipped:
        shutil.make_archive(str(path), "zip", path)
        where = f"{path}.zip/models/p"
    else:
        zarr.consolidate_metadata(path, zarr_format=zarr_format)
        for name in (".zarray", ".zattrs", "zarr.json"):
            (path / "models/p" / name).unlink(missing_ok=True)
        where = f"{path}/models/p"
    with pytest.raises(SourceError, match=r"y_true: .*scale_factor"):
        evaluate("y_true", where)


@pytest.mark.parametrize("policy", ["error", "warn", "fill"])
@pytest.mark.parametrize("zarr_format", FORMATS)
def test_an_array_that_was_deleted_but_is_still_listed_is_refused(zarr_format, policy, tmp_path):
    where = consolidated(tmp_path, "y_true", zarr_format)
    shutil.rmtree(where)
    with pytest.raises(MissingChunkError, match=r"y_true: .*(no chunk at all|does not exist)"):
        evaluate("y_true", where, missing_chunks=policy)


@pytest.mark.parametrize("zarr_format", FORMATS)
def test_a_group_above_that_vanishes_is_noticed(zarr_format, tmp_path):
    source = open_source(consolidated(tmp_path, "y_true", zarr_format), "y_true", "fill")
    without_chunk(str(tmp_path / "a.zarr/models/p"), zarr_format)
    (tmp_path / "a.zarr" / (".zmetadata" if zarr_format == 2 else "zarr.json")).unlink()
    with pytest.raises(MissingChunkError, match=r"y_true: .* has vanished"):
        source.read((slice(0, ROWS),))


@pytest.mark.parametrize("zarr_format", FORMATS)
def test_arrays_opened_from_consolidated_metadata_are_read(zarr_format, tmp_path):
    consolidated(tmp_path, "y_pred", zarr_format)
    array = zarr.open_group(tmp_path / "a.zarr", mode="r")["models/p"]
    assert evaluate("y_pred", array).sum == evaluate("y_pred", data("y_pred")).sum
    shutil.rmtree(tmp_path / "a.zarr")
    with pytest.raises(MissingChunkError, match=r"y_pred: .* has vanished since it was opened: its metadata"):
        evaluate("y_pred", array)


def test_a_zip_file_that_fsspec_opens_is_read(tmp_path):
    where = zipped(tmp_path, "y_pred", 3).removesuffix("/models/p")
    store = zarr.storage.FsspecStore.from_url(f"zip://models/p::file://{where}", read_only=True)
    array = zarr.open_array(store, mode="r")
    assert evaluate("y_pred", array).sum == evaluate("y_pred", data("y_pred")).sum


@pytest.mark.parametrize("role", ROLES)
@pytest.mark.parametrize(
    ("make", "asked", "message"),
    [
        (zipped, "a.zarr.zip/p", r"has no array 'p'\. Did you mean 'models/p'\?"),
        (zipped, "a.zarr.zip", "is a Zarr group; name one of its arrays: models/p"),
        (zip_of_a_folder, "b.zip/models/p", r"has no array 'models/p'\. Did you mean 'a.zarr/models/p'\?"),
        (zip_of_a_folder, "b.zip", "Arrays: a.zarr/models/p"),
        (consolidated, "a.zarr/models/q", "Did you mean 'models/p'"),
        (consolidated_without_group, "a.zarr/models/q", "Did you mean 'models/p'"),
    ],
)
def test_the_arrays_that_are_there_are_named(make, asked, message, role, tmp_path):
    make(tmp_path, role, 2)
    with pytest.raises(SourceError, match=f"{role}: .*{message}"):
        open_source(tmp_path / asked, role, "error")


def test_zip_files_that_cannot_be_read_are_named(tmp_path):
    where = zipped(tmp_path, "y_true", 3)
    archive = tmp_path / "a.zarr.zip"
    archive.write_bytes(archive.read_bytes()[:-30])
    with pytest.raises(SourceError, match=r"y_true: .* the zip file cannot be read: .*copied in part"):
        open_source(where, "y_true", "error")
    with zipfile.ZipFile(tmp_path / "b.zip", "w") as other:
        other.writestr("readme.txt", "nothing")
    with pytest.raises(SourceError, match=r"y_true: .*b.zip' is a compressed file or an archive; .*Unpack it"):
        open_source(tmp_path / "b.zip/p", "y_true", "error")


def test_the_command_line_reads_them(tmp_path, capsys):
    (tmp_path / "y").mkdir()
    labels = zipped(tmp_path / "y", "y_true", 2)
    predictions = consolidated(tmp_path, "y_pred", 2)
    assert run(["evaluate", "--loss", "mse", "--y-true", labels, "--y-pred", predictions, "--json"]) == 0
    found = json.loads(capsys.readouterr().out)["losses"]["mean_squared_error"]["sum"]
    assert found == sl.evaluate("mse", data("y_true"), data("y_pred"))["mean_squared_error"].sum
