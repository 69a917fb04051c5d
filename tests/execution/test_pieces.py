"""Pieces of a block: what a thread reads and evaluates while it is in the caches. No number depends on them."""

from __future__ import annotations

import os

import numpy as np
import pytest
import zarr

import streamloss as sl
from streamloss.errors import CorruptChunkError, MissingChunkError, StreamlossWarning, ValueRangeError
from streamloss.execution import pieces
from streamloss.execution.pieces import pieces_of

ROWS, CLASSES = 1000, 6
RNG = np.random.default_rng(77)
LABELS = RNG.integers(0, CLASSES, ROWS).astype(np.int32)
LOGITS = RNG.normal(size=(ROWS, CLASSES)).astype(np.float32)
WEIGHTS = RNG.random(ROWS).astype(np.float32)
MASK = RNG.random(ROWS) < 0.8
SPARSE = sl.losses.SparseCategoricalCrossentropy(from_logits=True)


@pytest.fixture
def of_bytes(monkeypatch):
    """Return a function that sets the bytes of a piece."""
    return lambda size: monkeypatch.setattr(pieces, "PIECE", size)


def stored(path, data, chunks, **options):
    options = {"compressors": None, "config": {"write_empty_chunks": True}} | options
    zarr.create_array(path, data=data, chunks=chunks, **options)
    return str(path)


@pytest.fixture
def arrays(tmp_path):
    """Labels and logits whose chunks do not meet, uncompressed."""
    return stored(tmp_path / "y.zarr", LABELS, (300,)), stored(tmp_path / "p.zarr", LOGITS, (400, 4))


def pieces_of_plan(*arguments, **options):
    """Return the pieces of each block, whose rows must be the block's, one after the other."""
    plan = sl.plan(*arguments, **options)
    found = []
    for block in plan.blocks():
        found.append(pieces_of(plan, block))
        rows = np.arange(plan.rows).reshape(plan.shape)
        joined = np.concatenate([rows[piece.slices].ravel() for piece in found[-1]])
        np.testing.assert_array_equal(joined, rows[block.slices].ravel())
        assert {piece.index for piece in found[-1]} == {block.index}
    return found


def test_a_block_is_cut_into_pieces_of_so_many_bytes(arrays, of_bytes):
    of_bytes(100 * 4 * (1 + CLASSES))
    (of_block,) = pieces_of_plan(SPARSE, *arrays)
    assert [piece.rows for piece in of_block] == [100] * 10


def test_rows_of_several_axes_are_cut_along_the_first(tmp_path, of_bytes):
    data = LOGITS.reshape(10, 100, CLASSES)
    path = stored(tmp_path / "p.zarr", data, (4, 50, CLASSES))
    of_bytes(1000)
    (of_block,) = pieces_of_plan("mse", data, path)
    assert [piece.shape for piece in of_block] == [(1, 100)] * 10


@pytest.mark.parametrize("shards", [None, (400, CLASSES)], ids=["chunks", "shards"])
def test_pieces_begin_where_the_rows_asked_for_do(tmp_path, of_bytes, shards):
    path = stored(tmp_path / "p.zarr", LOGITS, (100, CLASSES), shards=shards)
    of_bytes(150 * 4 * CLASSES)
    (of_block,) = pieces_of_plan(SPARSE, LABELS, path, rows=slice(37, 900))
    assert [piece.rows for piece in of_block] == [150] * 5 + [113]


def test_no_chunk_is_cut_that_is_read_as_a_whole(tmp_path, of_bytes):
    """Classes before rows: a piece of a chunk's rows would lie all over its file."""
    path = stored(tmp_path / "p.zarr", LOGITS.T.copy(), (CLASSES, 150))
    of_bytes(1)
    loss = sl.losses.SparseCategoricalCrossentropy(from_logits=True, axis=0)
    (of_block,) = pieces_of_plan(loss, LABELS, path, rows=slice(37, 900))
    assert [piece.start[0] for piece in of_block] == [0, *range(150 - 37, 900 - 37, 150)]


@pytest.mark.parametrize("store", ["compressed", "in memory", "mapped", "read by zarr"])
def test_what_pieces_would_not_speed_up_is_not_cut(tmp_path, of_bytes, store):
    of_bytes(1)
    path = tmp_path / "p.zarr"
    if store == "compressed":
        predictions = stored(path, LOGITS, (10, CLASSES), compressors=zarr.codecs.BloscCodec())
    elif store == "read by zarr":
        predictions = stored(path, LOGITS, (10, CLASSES), serializer=zarr.codecs.BytesCodec(endian="big"))
    elif store == "mapped":
        np.save(path, LOGITS)
        predictions = f"{path}.npy"
    else:
        predictions = LOGITS
    assert [len(of_block) for of_block in pieces_of_plan(SPARSE, LABELS, predictions)] == [1]


def test_an_array_that_all_rows_share_is_not_read_for_each_piece(tmp_path, of_bytes):
    data = LOGITS.reshape(10, 100, CLASSES)
    shared = stored(tmp_path / "w.zarr", WEIGHTS[None, :100], (1, 100))
    path = stored(tmp_path / "p.zarr", data, (4, 50, CLASSES))
    of_bytes(1000)
    assert [len(of_block) for of_block in pieces_of_plan("mse", data, path, shared)] == [1]


def test_ratios_over_the_whole_data_are_not_cut(tmp_path, of_bytes):
    path = stored(tmp_path / "p.zarr", abs(LOGITS) % 1, (100, CLASSES))
    of_bytes(1000)
    plan_pieces = pieces_of_plan(sl.losses.Dice(axis=None), abs(LOGITS) % 1, path)
    assert [len(of_block) for of_block in plan_pieces] == [1]


@pytest.mark.parametrize("executor", ["inline", "threads"])
@pytest.mark.parametrize("kind", ["zarr", "shards", "npy", "npy in Fortran's order"])
def test_results_have_the_bits_of_whole_blocks(tmp_path, of_bytes, kind, executor):
    path, out = tmp_path / "p", tmp_path / "out.zarr"
    if kind == "zarr":
        predictions = stored(path, LOGITS, (400, 4))
    elif kind == "shards":
        predictions = stored(path, LOGITS, (40, 3), shards=(400, 6))
    else:
        np.save(path, LOGITS if kind == "npy" else np.asfortranarray(LOGITS))
        predictions = f"{path}.npy"
    labels = stored(tmp_path / "y.zarr", LABELS, (300,))
    weights, mask = stored(tmp_path / "w.zarr", WEIGHTS, (128,)), stored(tmp_path / "m.zarr", MASK, (1000,))
    losses = {"double": sl.losses.SparseCategoricalCrossentropy(from_logits=True, dtype="float64"), "single": SPARSE}

    def evaluated():
        result = sl.evaluate(
            losses,
            labels,
            predictions,
            weights,
            mask=mask,
            class_weight={0: 2.0, 3: 0.5},
            rows=slice(15, 985),
            executor=executor,
            out={"single": str(out)},
            overwrite=True,
        )
        return [result[name].state.to_bytes() for name in losses], zarr.open_array(out)[:]

    of_bytes(1 << 30)
    states, rows = evaluated()
    for size in (1, 3000):
        of_bytes(size)
        cut, rows_cut = evaluated()
        assert cut == states
        np.testing.assert_array_equal(rows_cut, rows)


def test_the_convention_of_labels_is_that_of_all_pieces(tmp_path, of_bytes):
    """The first pieces have labels of 0 and 1 only."""
    labels = (LABELS % 2).astype(np.float32)
    labels[-5:] = -1
    y, p = stored(tmp_path / "y.zarr", labels, (400,)), stored(tmp_path / "p.zarr", LOGITS[:, 0].copy(), (400,))
    found = []
    for size in (1 << 30, 1000):
        of_bytes(size)
        result = sl.evaluate("hinge", y, p, out={"hinge": str(tmp_path / "out.zarr")}, overwrite=True)
        found.append((result["hinge"].state, zarr.open_array(tmp_path / "out.zarr")[:].tobytes()))
    assert found[0] == found[1]


def test_a_row_without_a_loss_is_named_by_its_place_in_the_array(arrays, of_bytes):
    zarr.open_array(arrays[0])[733] = 99
    of_bytes(1000)
    with pytest.raises(ValueRangeError, match=r"\b733\b") as cut:
        sl.evaluate(SPARSE, *arrays)
    of_bytes(1 << 30)
    with pytest.raises(ValueRangeError) as whole:
        sl.evaluate(SPARSE, *arrays)
    assert str(cut.value) == str(whole.value)


def test_only_the_rows_of_a_piece_are_read(arrays, monkeypatch, of_bytes):
    from streamloss.storage.sources import zarr_local

    read, fill = [], zarr_local._fill
    monkeypatch.setattr(zarr_local, "_fill", lambda file, buffer: (read.append(buffer.size), fill(file, buffer)))
    of_bytes(1000)
    sl.evaluate(SPARSE, *arrays)
    assert sum(read) == 4 * (ROWS + ROWS * 8), "two chunks of 4 classes hold the 6: no row is read twice"


@pytest.mark.parametrize("change", [-1, 4], ids=["truncated", "too long"])
@pytest.mark.parametrize("role", [0, 1])
def test_a_chunk_of_another_length_is_corrupt_whichever_of_its_rows_are_read(arrays, of_bytes, change, role):
    folder = arrays[role]
    key = "c/1" if role == 0 else "c/1/0"
    path = f"{folder}/{key}"
    os.truncate(path, os.path.getsize(path) + change)
    of_bytes(1000)
    with pytest.raises(CorruptChunkError, match=f"chunk {key} of {folder} cannot be decoded"):
        sl.evaluate(SPARSE, *arrays, rows=slice(405, 415))


def test_a_missing_chunk_is_missing_in_each_of_its_pieces(arrays, of_bytes):
    os.unlink(f"{arrays[1]}/c/1/0")
    of_bytes(1000)
    with pytest.raises(MissingChunkError, match="chunk c/1/0"):
        sl.evaluate(SPARSE, *arrays)
    with pytest.warns(StreamlossWarning, match="y_pred: 1 chunk of "):
        sl.evaluate(SPARSE, *arrays, missing_chunks="warn")


def test_all_cores_share_whole_blocks(arrays, of_bytes):
    from streamloss.execution.backends import CpuBackend

    assert CpuBackend().takes_pieces
    assert not CpuBackend(parallel=True).takes_pieces
