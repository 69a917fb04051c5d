"""A saved state knows its arrays by their places and bytes; times of files prove nothing."""

import json
import os
import shutil
from pathlib import Path

import numpy as np
import pytest
import zarr

import streamloss as sl
from streamloss import cli
from streamloss.errors import StateError, StreamlossWarning
from streamloss.storage.sources import open_source

MAE = "mean_absolute_error"
ROWS = 40
ROLES = {"y_true": "t", "y_pred": "p", "sample_weight": "w", "mask": "m"}

pytestmark = pytest.mark.usefixtures("small_blocks")


@pytest.fixture(autouse=True)
def place(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


def write(name, value, kind, dtype=np.float32):
    """Write an array whose files all carry one time, and return its URI."""
    data = np.full(ROWS, value, dtype)
    if dtype is bool and not value:
        data[::2] = True  # chunks that are all fill value are not stored
    if kind == "npy":
        np.save(f"{name}.npy", data)
    else:
        options = {"shards": (8,)} if kind == "sharded" else {"zarr_format": 2 if kind == "zarr2" else 3}
        made = zarr.create_array(
            f"{name}.zarr", shape=ROWS, chunks=(4,), dtype=dtype, compressors=None, overwrite=True, **options
        )
        made[:] = data
    same_times()
    return f"{name}.npy" if kind == "npy" else f"{name}.zarr"


def same_times():
    for path in [Path(), *Path().rglob("*")]:
        os.utime(path, ns=(10**18, 10**18))


def inputs(kind, **changed):
    """Write the four arrays; those in `changed` under another name, with another value."""
    made = {}
    for role, name in ROLES.items():
        dtype = bool if role == "mask" else np.float32
        made[role] = write(changed.get(role, name), role == "mask" or 0.5, kind, dtype)
        if role in changed:
            made[role] = write(changed[role], 0 if role == "mask" else 0.25, kind, dtype)
    return made


@pytest.mark.parametrize("kind", ["npy", "zarr2", "zarr3", "sharded"])
@pytest.mark.parametrize("role", ROLES)
@pytest.mark.parametrize("name", ["other", None], ids=["another place", "the same place"])
@pytest.mark.parametrize("copies", [False, True])
def test_other_numbers_are_refused_whatever_the_times(kind, role, name, copies):
    sl.evaluate("mae", **inputs(kind), checkpoint="ck")
    first = sl.evaluate("mae", **inputs(kind), shard=(0, 2), copies=copies)
    changed = inputs(kind, **{role: name or ROLES[role]})
    with pytest.raises(StateError, match=rf"another evaluation: {role} .* has changed: .*bytes of its files"):
        sl.evaluate("mae", **changed, checkpoint="ck", copies=copies)
    second = sl.evaluate("mae", **changed, shard=(1, 2), copies=copies)
    with pytest.raises(StateError, match=rf"not of one evaluation: {role} .* has changed: .*bytes of its files"):
        sl.merge([first, second], copies=copies)


@pytest.mark.parametrize("kind", ["npy", "zarr3"])
def test_copies_go_on_where_it_is_said_that_they_are(kind, place):
    given = inputs(kind)
    whole = sl.evaluate("mae", **given)
    seen = []

    def stop(now):
        seen.append(now.rows)
        if len(seen) == 3:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        sl.evaluate("mae", **given, checkpoint="ck", out="out.zarr", executor="inline", progress=stop)
    (place / "moved").mkdir()
    for uri in given.values():
        shutil.move(uri, "moved")
    os.utime("moved/p.npy" if kind == "npy" else "moved/p.zarr/c/0", ns=(0, 0))
    moved = {role: f"moved/{uri}" for role, uri in given.items()}
    with pytest.raises(
        StateError, match=r"y_pred .* has changed: .*its place.*if it is a copy .* copies=True, or --co"
    ):
        sl.evaluate("mae", **moved, checkpoint="ck", out="out.zarr")
    result = sl.evaluate("mae", **moved, checkpoint="ck", out="out.zarr", copies=True)
    assert result[MAE].state.to_bytes() == whole[MAE].state.to_bytes()
    assert not np.isnan(zarr.open_array(f"out.zarr/{MAE}", mode="r")[:]).any()


def test_shards_of_copies_merge_and_share_a_target_where_it_is_said(place, capsys):
    given = inputs("npy")
    (place / "moved").mkdir()
    for uri in given.values():
        shutil.copy(uri, "moved")
    moved = {role: f"moved/{uri}" for role, uri in given.items()}
    options = {"out": "out.zarr", "copies": True}
    sl.evaluate("mae", **given, shard=(0, 2), **options).save("0.state")
    sl.evaluate("mae", **moved, shard=(1, 2), **options).save("1.state")
    assert not np.isnan(zarr.open_array(f"out.zarr/{MAE}", mode="r")[:]).any()
    with pytest.raises(StateError, match="if it is a copy"):
        sl.merge(["0.state", "1.state"])
    assert sl.merge(["0.state", "1.state"], copies=True).rows == ROWS
    assert cli.run(["merge", "0.state", "1.state"]) == 3
    assert cli.run(["merge", "0.state", "1.state", "--copies"]) == 0
    assert json.loads(capsys.readouterr().out)["rows"] == ROWS


def test_arrays_in_stores_without_times_are_told_by_their_bytes():
    made = []
    for value in (0.25, 0.75):
        made.append(zarr.create_array(zarr.storage.MemoryStore(), shape=ROWS, chunks=(4,), dtype="f4"))
        made[-1][:] = value
    sl.evaluate("mae", np.zeros(ROWS, np.float32), made[0], checkpoint="ck")
    assert sl.evaluate("mae", np.zeros(ROWS, np.float32), made[0], checkpoint="ck")[MAE].mean == 0.25
    with pytest.raises(StateError, match=r"y_pred .* has changed: bytes of its files"):
        sl.evaluate("mae", np.zeros(ROWS, np.float32), made[1], checkpoint="ck")


def test_zipped_arrays_are_told_by_their_bytes():
    prints = []
    for value in (0.25, 0.75):
        store = zarr.storage.ZipStore(f"{value}.zip", mode="w")
        zarr.create_array(store, shape=ROWS, chunks=(4,), dtype="f4")[:] = value
        store.close()
        opened = zarr.open_array(zarr.storage.ZipStore(f"{value}.zip", mode="r"), mode="r")
        prints.append(open_source(opened, "y_pred", "error").fingerprint()["sample"])
    assert prints[0] != prints[1]


def as_earlier_versions_wrote(path):
    content = json.loads(Path(path).read_text())
    del content["digest"]
    content.pop("run", None)
    for of in content["evaluation"]["inputs"].values():
        of["stamp"] = {key: value for key, value in of["stamp"].items() if key not in ("place", "sample")}
    Path(path).write_text(json.dumps(content))


def test_states_of_earlier_versions_are_read_with_a_warning():
    given = inputs("npy")
    for i in range(3):
        sl.evaluate("mae", **given, shard=(i, 3)).save(f"{i}.state")
    as_earlier_versions_wrote("0.state")
    with pytest.warns(
        StreamlossWarning, match=r"0\.state is of an earlier version and holds no evidence .* y_pred \(p"
    ):
        result = sl.merge(["0.state", "1.state", "2.state"])
    assert result[MAE].count == ROWS
    assert "no evidence" in result.warnings[0]
    other = inputs("npy", y_pred="p")
    sl.evaluate("mae", **other, shard=(2, 3)).save("2.state")
    with pytest.raises(StateError, match="y_pred"):  # one without evidence between two does not make them one
        sl.merge(["0.state", "1.state", "2.state"])


def test_checkpoints_of_earlier_versions_are_gone_on_with_a_warning():
    given = inputs("npy")
    first = sl.evaluate("mae", **given, checkpoint="ck")
    as_earlier_versions_wrote("ck/all.state")
    with pytest.warns(StreamlossWarning, match="the progress in 'ck' is of an earlier version"):
        again = sl.evaluate("mae", **given, checkpoint="ck")
    assert again[MAE].state.to_bytes() == first[MAE].state.to_bytes()
