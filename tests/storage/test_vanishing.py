"""Arrays whose folder is removed, at once or file by file, while they are read: an error in every role."""

import shutil

import numpy as np
import pytest
import zarr

import streamloss as sl
from streamloss.errors import CorruptChunkError, MissingChunkError
from streamloss.execution.dask import worker
from streamloss.storage.sources import open_source
from streamloss.storage.sources.zarr_presence import WITNESSES, Witnesses

pytestmark = pytest.mark.usefixtures("small_blocks")

ROLES = ("y_true", "y_pred", "sample_weight", "mask")
ROWS, CHUNK = 20, 4
METADATA = {2: ".zarray", 3: "zarr.json"}


def key(chunk, zarr_format=3):
    return f"c/{chunk}" if zarr_format == 3 else str(chunk)


@pytest.fixture
def paths(tmp_path):
    arrays = {
        "y_true": np.linspace(0, 1, ROWS, dtype="f4"),
        "y_pred": np.linspace(1, 3, ROWS, dtype="f4"),
        "sample_weight": np.ones(ROWS, "f4"),
        "mask": np.ones(ROWS, "i1"),
    }
    for role, data in arrays.items():
        for zarr_format in METADATA:
            zarr.create_array(
                tmp_path / f"{role}{zarr_format}.zarr", data=data, chunks=(CHUNK,), zarr_format=zarr_format
            )
    return {(role, f): tmp_path / f"{role}{f}.zarr" for role in arrays for f in METADATA}


def evaluate(paths, zarr_format=3, **options):
    y_true, y_pred, sample_weight, mask = (paths[role, zarr_format] for role in ROLES)
    return sl.evaluate("mse", y_true, y_pred, sample_weight, mask=mask, **{"executor": "inline"} | options)


def at_row(actions):
    """Return a callback of progress that acts when so many rows are done."""
    return lambda now: actions.get(now.rows, lambda: None)()


@pytest.mark.parametrize("policy", ["fill", "warn", "error"])
@pytest.mark.parametrize("role", ROLES)
@pytest.mark.parametrize("zarr_format", METADATA)
@pytest.mark.parametrize("what", ["folder", "chunks", "a chunk that was read"])
def test_what_vanishes_between_blocks_is_an_error(paths, role, policy, zarr_format, what):
    folder = paths[role, zarr_format]

    def remove():
        if what == "folder":
            shutil.rmtree(folder)
        else:
            for chunk in range(ROWS // CHUNK) if what == "chunks" else (0, 4):
                (folder / key(chunk, zarr_format)).unlink()

    with pytest.raises(MissingChunkError, match=f"{role}: .*(has vanished|does not exist)") as caught:
        evaluate(paths, zarr_format, missing_chunks=policy, progress=at_row({2 * CHUNK: remove}))
    assert policy == "error" or "has vanished" in str(caught.value)


@pytest.mark.parametrize("policy", ["fill", "warn"])
@pytest.mark.parametrize("role", ROLES)
@pytest.mark.parametrize("last", [METADATA[3], key(0)])
def test_a_removal_that_goes_on_when_the_last_block_is_read_is_an_error(paths, role, policy, last):
    folder = paths[role, 3]
    actions = {ROWS - CHUNK: (folder / key(4)).unlink, ROWS: (folder / last).unlink}
    with pytest.raises(MissingChunkError, match=f"{role}: .* has vanished since it was opened: {last} is gone"):
        evaluate(paths, missing_chunks=policy, progress=at_row(actions))


@pytest.mark.parametrize("policy", ["fill", "warn"])
def test_the_chunks_may_go_before_the_first_of_them_is_read(paths, policy):
    folder = paths["y_true", 3]
    source = open_source(folder, "y_true", policy)
    for chunk in range(4):
        (folder / key(chunk)).unlink()
    source.read((slice(0, CHUNK),))
    (folder / key(4)).unlink()
    with pytest.raises(MissingChunkError, match=r"y_true: .*(has vanished|no chunk at all)"):
        source.confirm()


@pytest.mark.parametrize("policy", ["fill", "warn"])
@pytest.mark.parametrize("role", ROLES)
def test_workers_look_again_before_they_hand_over_a_batch(paths, role, policy, monkeypatch):
    folder, evaluated = paths[role, 3], []

    def run_block(run, block, backend):
        evaluated.append(block.index)
        last = len(evaluated) == ROWS // CHUNK
        if last:
            (folder / key(block.index)).unlink()
        states = original(run, block, backend)
        if last:
            (folder / key(evaluated[0])).unlink()
        return states

    original = worker.run_block
    monkeypatch.setattr(worker, "run_block", run_block)
    with pytest.raises(MissingChunkError, match=f"{role}: .* has vanished"):
        evaluate(paths, missing_chunks=policy, executor="dask", scheduler="synchronous")
    assert len(evaluated) == ROWS // CHUNK


def test_no_block_of_an_array_that_vanishes_is_saved(paths, tmp_path):
    expected = evaluate(paths)["mean_squared_error"].sum
    folder, kept = paths["y_true", 3], tmp_path / "kept.zarr"
    shutil.copytree(folder, kept)
    actions = {ROWS - CHUNK: (folder / key(4)).unlink, ROWS: (folder / key(0)).unlink}
    options = {"missing_chunks": "fill", "checkpoint": tmp_path / "ck"}
    with pytest.raises(MissingChunkError, match=r"y_true: .* has vanished"):
        evaluate(paths, progress=at_row(actions), **options)
    shutil.copytree(kept, folder, dirs_exist_ok=True)
    assert evaluate(paths, **options)["mean_squared_error"].sum == expected


def test_chunks_that_were_never_written_are_no_obstacle(paths):
    for role in ROLES:
        (paths[role, 3] / key(0)).unlink()
        (paths[role, 3] / key(3)).unlink()
    assert evaluate(paths, missing_chunks="fill")["mean_squared_error"].count == ROWS - 2 * CHUNK


class Unmounted(zarr.storage.MemoryStore):
    """A store from which one chunk cannot be read just now."""

    async def get(self, key, *arguments, **named):
        if key == "c/1":
            raise OSError(107, "Transport endpoint is not connected")
        return await super().get(key, *arguments, **named)


@pytest.mark.parametrize("role", ROLES)
def test_a_chunk_that_cannot_be_read_is_not_to_be_written_again(role):
    source = open_source(zarr.create_array(Unmounted(), data=np.ones(ROWS), chunks=(CHUNK,)), role, "fill")
    with pytest.raises(CorruptChunkError, match=f"{role}: chunk c/1 of .* cannot be read: OSError.* Make it readable"):
        source.read((slice(0, ROWS),))


def test_witnesses_are_few_and_evenly_spread():
    witnesses = Witnesses()
    for read in range(1000):
        witnesses.add(str(read))
    kept = [int(name) for name in witnesses.keys]
    assert kept[0] == 0
    assert len(kept) <= WITNESSES
    assert len(set(np.diff(kept))) == 1
    assert 1000 - kept[-1] <= 2 * (kept[1] - kept[0])
