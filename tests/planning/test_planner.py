"""The plan covers every row once, keeps to whole chunks, and promises its memory before a byte is read."""

from __future__ import annotations

import itertools
import json
import math

import numpy as np
import pytest
import zarr
from hypothesis import given
from hypothesis import strategies as st
from zarr.storage import FsspecStore

import streamloss as sl
from small_blocks import small_blocks
from streamloss.errors import MemoryBudgetError, ShapeError, UsageError
from streamloss.planning import planner
from streamloss.planning.plan import COMPILER

MIB = 1 << 20
GIB = 1 << 30
WIDE = 1 << 16  # classes of float32: 256 KiB a row, so that few rows make many blocks


def stored(shape, chunks, dtype="f4", **options):
    """An array of which only the metadata exists: plans read no data."""
    return zarr.create_array(zarr.storage.MemoryStore(), shape=shape, chunks=chunks, dtype=dtype, **options)


def logits(rows=1_000_000, classes=100, chunk=10_000):
    return stored((rows, classes), (chunk, classes))


def labels(rows=1_000_000, chunk=10_000):
    return stored((rows,), (chunk,), "u1")


def sparse_plan(y_true, y_pred, **options):
    return sl.plan("sparse_categorical_crossentropy", y_true, y_pred, **options)


def start_multiples(plan, source):
    """Which axes' block boundaries are chunk boundaries of `source`."""
    pairs = list(zip(plan.block_shape, plan.shape, source.chunk_shape, strict=False))
    return [size == n or size % chunk_shape == 0 for size, n, chunk_shape in pairs]


@st.composite
def plans(draw):
    shape = tuple(draw(st.lists(st.integers(1, 12), min_size=1, max_size=3)))
    chunks = tuple(draw(st.integers(1, n + 3)) for n in shape)
    y_pred = stored((*shape, WIDE), (*chunks, draw(st.sampled_from([WIDE, 1000]))))
    label_chunks = tuple(draw(st.integers(1, n)) for n in shape)
    start = draw(st.integers(0, shape[0] - 1))
    rows = draw(st.sampled_from([None, slice(start, None)]))
    memory, workers = draw(st.integers(COMPILER + 64 * MIB, 3 * GIB)), draw(st.integers(1, 8))
    try:
        return sparse_plan(stored(shape, label_chunks, "u1"), y_pred, memory=memory, workers=workers, rows=rows)
    except MemoryBudgetError:
        return None


@given(plans())
def test_the_blocks_cover_every_row_exactly_once(plan):
    if plan is None:
        return
    covered = np.zeros(plan.shape, int)
    blocks = list(plan.blocks())
    for block in blocks:
        covered[block.slices] += 1
        assert block.rows == math.prod(block.shape) > 0
    assert (covered == 1).all()
    assert [block.index for block in blocks] == list(range(plan.num_blocks))
    assert sum(block.rows for block in blocks) == plan.rows


@given(plans())
def test_blocks_end_where_chunks_of_the_predictions_end(plan):
    if plan is not None:
        assert all(start_multiples(plan, plan.y_pred))


@given(plans())
def test_a_plan_never_promises_more_than_its_budget(plan):
    if plan is None:
        return
    assert plan.added_bytes == COMPILER + plan.workers * plan.block_bytes <= plan.memory_bytes
    assert plan.projected_bytes == plan.baseline_bytes + plan.added_bytes
    assert 1 <= plan.workers <= plan.num_blocks
    decoded = math.prod(plan.block_shape) * WIDE * 4
    assert plan.block_bytes >= decoded


def test_blocks_also_end_where_the_labels_chunks_end_if_they_are_of_similar_size():
    plan = sparse_plan(labels(chunk=15_000), logits(chunk=10_000), memory="2GiB", workers=2)
    assert all(start_multiples(plan, plan.y_true))
    assert all(start_multiples(plan, plan.y_pred))


def test_blocks_follow_shards_where_there_are_shards():
    y_pred = stored((400_000, 100), (1000, 100), shards=(8000, 100))
    plan = sparse_plan(labels(400_000), y_pred, workers=2)
    assert plan.y_pred.chunk_shape == (8000, 100)
    assert plan.block_shape[0] % 8000 == 0


def test_blocks_of_images_are_rectangles_of_whole_chunks():
    y_pred = stored((50, 19, 512, 1024), (1, 19, 256, 256))
    loss = sl.losses.SparseCategoricalCrossentropy(axis=1)
    plan = sl.plan(loss, stored((50, 512, 1024), (1, 512, 1024), "u1"), y_pred, memory="1GiB", workers=2)
    assert plan.shape == (50, 512, 1024)
    assert all(b % c == 0 for b, c in zip(plan.block_shape, (1, 256, 256), strict=True))
    assert plan.block_shape[0] == 1, "neighbouring chunks of an image come before the next image"
    assert plan.block_shape[2] == 1024
    assert sum(block.rows for block in plan.blocks()) == plan.rows == 50 * 512 * 1024


def test_memory_grows_with_the_workers_and_with_the_blocks():
    one, two, four = (sparse_plan(labels(), logits(), memory="8GiB", workers=n) for n in (1, 2, 4))
    assert one.added_bytes < two.added_bytes < four.added_bytes
    assert two.added_bytes - one.added_bytes == two.block_bytes
    small, large = (sparse_plan(labels(), logits(chunk=c), memory="8GiB", workers=1) for c in (10_000, 500_000))
    assert large.block_shape > small.block_shape
    assert large.block_bytes > small.block_bytes


def test_memory_does_not_grow_with_the_rows():
    few, many = (
        sparse_plan(labels(rows), logits(rows), memory="2GiB", workers=2) for rows in (1_000_000, 10_000_000_000)
    )
    assert many.added_bytes == few.added_bytes
    assert many.rows == 10_000_000_000


def test_weights_and_several_losses_are_in_the_promise():
    y_true, y_pred = logits(), logits()
    plain = sl.plan("mse", y_true, y_pred, memory="8GiB", workers=1)
    weight = stored((1_000_000,), (10_000,), "f8")
    weighted = sl.plan("mse", y_true, y_pred, weight, memory="8GiB", workers=1)
    several = sl.plan(["mse", "bce"], y_true, y_pred, memory="8GiB", workers=1)
    assert plain.block_shape == weighted.block_shape == several.block_shape
    assert weighted.block_bytes > plain.block_bytes
    assert several.block_bytes > plain.block_bytes


def test_arrays_in_memory_are_promised_the_copies_they_need():
    array = np.zeros((200_000, 64), np.float32)
    free = sl.plan("mse", array, array)
    assert free.block_bytes < array.nbytes / 10
    for y_pred in (np.asfortranarray(array), array[:, ::2], array.astype(np.float16), array.astype(">f4")):
        plan = sl.plan("mse", array[:, : y_pred.shape[1]].copy(), y_pred, memory="2GiB")
        copied = math.prod(plan.block_shape) * y_pred.shape[1] * 4
        assert plan.block_bytes >= free.block_bytes + copied


def test_fewer_workers_are_planned_where_more_would_not_fit():
    y_true, y_pred = labels(chunk=200_000), logits(chunk=200_000)
    all_fit = sparse_plan(y_true, y_pred, memory="8GiB", workers=4)
    assert (all_fit.workers, all_fit.notes) == (4, ())
    tight = COMPILER + 2 * all_fit.block_bytes + MIB
    plan = sparse_plan(y_true, y_pred, memory=tight, workers=4)
    assert plan.workers == 2
    assert "2 of 4 workers: more would not fit the memory allowed" in plan.notes
    assert plan.added_bytes <= tight


def test_no_more_workers_are_planned_than_there_are_blocks():
    plan = sparse_plan(np.zeros(9, np.int64), np.ones((9, 3), np.float32), workers=16)
    assert plan.num_blocks == plan.workers == 1


def test_what_does_not_fit_is_refused_with_its_numbers():
    with pytest.raises(MemoryBudgetError) as error:
        sparse_plan(labels(), logits(chunk=1_000_000), memory="600MiB", workers=2)
    message = str(error.value)
    assert "the smallest block, (1000000,) of (1000000,) rows" in message
    assert f"the compiler {COMPILER // MIB} MiB" in message
    assert "memory leaves 600 MiB" in message
    assert "y_pred has chunks of (1000000, 100) (381 MiB)" in message
    assert error.value.exit_code == 2


def test_less_memory_than_the_compiler_takes_is_refused():
    with pytest.raises(MemoryBudgetError, match=r"Allow at least \d+ MiB \(on the command line: --memory \d+MiB\)\.$"):
        sparse_plan(labels(), logits(), memory="64MiB")


def test_a_refused_plan_is_refused_before_a_byte_is_read(tmp_path):
    y_pred = stored((1_000_000, 100), (1_000_000, 100))  # of which no chunk exists: reading would say so
    with pytest.raises(MemoryBudgetError):
        sl.evaluate(
            "sparse_categorical_crossentropy", labels(), y_pred, memory="400MiB", out=str(tmp_path / "losses.zarr")
        )
    assert list(tmp_path.iterdir()) == []


def test_slow_storage_is_noted():
    split = sparse_plan(labels(), stored((1_000_000, 100), (10_000, 7)), memory="4GiB", workers=1)
    assert "y_pred is chunked along its classes (7 of 100): rows are assembled in memory" in split.notes
    huge = sparse_plan(labels(chunk=1_000_000), logits(), memory="4GiB", workers=1)
    assert any(n.startswith("y_true has chunks of 1,000,000 rows, more than a block's") for n in huge.notes)
    assert sparse_plan(labels(), logits(), memory="4GiB", workers=1).notes == ()


def test_arrays_over_a_network_are_read_by_more_threads(monkeypatch):
    """Most of which wait: a processor each would leave the processors idle."""
    monkeypatch.setattr(planner, "available_cpus", lambda: 2)
    y = np.random.default_rng(9).random((300, 5)).astype(np.float32)
    there = zarr.create_array(FsspecStore.from_url("memory://there"), data=y, chunks=(10, 5))
    here = zarr.create_array(zarr.storage.MemoryStore(), data=y, chunks=(10, 5))
    with small_blocks():  # many of little data
        far, near = sl.plan("mse", y / 2, there), sl.plan("mse", y / 2, here)
        assert (far.workers, near.workers) == (2 * planner.WAITING, 2)
        assert far.y_pred.remote
        assert sl.plan("mse", there, y / 2).workers == far.workers, "one such array is enough"
        assert sl.plan("mse", y / 2, there, workers=3).workers == 3
        states = [sl.evaluate("mse", y / 2, array)["mean_squared_error"].state for array in (there, here)]
    assert states[0].to_bytes() == states[1].to_bytes()


# rows=


@pytest.mark.parametrize(
    ("rows", "first", "number"),
    [
        (slice(None), 0, 1000),
        (slice(0, 1000), 0, 1000),
        (slice(10, 250), 10, 240),
        (slice(990, None), 990, 10),
        (slice(None, 5), 0, 5),
        (slice(np.int64(3), np.int64(4)), 3, 1),
    ],
)
def test_rows_are_a_slice_of_the_first_axis(rows, first, number):
    y, p = np.random.default_rng(3).random((2, 1000, 4)).astype(np.float32)
    plan = sl.plan("mse", y, p, rows=rows)
    assert (plan.start, plan.rows) == (first, number)
    chunked = zarr.create_array(zarr.storage.MemoryStore(), data=p, chunks=(70, 4))
    expected = sl.evaluate("mse", y[rows], p[rows])["mean_squared_error"].sum
    assert sl.evaluate("mse", y, chunked, rows=rows)["mean_squared_error"].sum == expected
    assert sl.evaluate("mse", y.tolist(), p, rows=rows)["mean_squared_error"].sum == expected


@pytest.mark.parametrize("weight_shape", [(1000,), (1,), (1000, 1), (1, 1)])
def test_rows_select_the_weights_of_those_rows(weight_shape):
    y, p = np.random.default_rng(4).random((2, 1000, 4)).astype(np.float32)
    weight = np.random.default_rng(5).random(weight_shape)
    rows = slice(200, 207)
    expected = sl.evaluate("mse", y[rows], p[rows], weight[rows] if len(weight) > 1 else weight)
    received = sl.evaluate("mse", y, p, weight, rows=rows)
    assert received["mean_squared_error"].sum == expected["mean_squared_error"].sum


@pytest.mark.parametrize("weight_shape", [(1,), (1, 1)])
def test_a_weight_for_all_rows_holds_for_a_single_row_too(weight_shape):
    y, p = np.random.default_rng(4).random((2, 1000, 4)).astype(np.float32)
    weight = np.full(weight_shape, 0.5)
    expected = sl.evaluate("mse", y[200:201], p[200:201], weight)["mean_squared_error"].sum
    assert sl.evaluate("mse", y, p, weight, rows=slice(200, 201))["mean_squared_error"].sum == expected


@pytest.mark.parametrize("rows", [slice(2, 4), slice(20, 40)])
def test_rows_are_rows_where_the_classes_are_on_the_first_axis(rows):
    y, p = np.random.default_rng(4).random((2, 4, 100)).astype(np.float32)
    loss = sl.losses.MeanSquaredError(axis=0)
    try:
        received = sl.evaluate(loss, y, p, rows=rows)
    except UsageError as error:
        assert "axis" in str(error)  # noqa: PT017 - refusing to guess is as good
        return
    expected = sl.evaluate(loss, y[:, rows], p[:, rows])
    assert received["mean_squared_error"].sum == expected["mean_squared_error"].sum


@pytest.mark.parametrize("rows", [slice(0, 10, 2), slice(-5, None), slice(None, -1)])
def test_rows_that_are_no_plain_slice_are_refused(rows):
    with pytest.raises(UsageError, match="non-negative rows with step 1"):
        sl.plan("mse", np.zeros((10, 2)), np.zeros((10, 2)), rows=rows)


@pytest.mark.parametrize("rows", [(0, 10), 10, slice(0.0, 3.0), slice("0", "3")])
def test_rows_that_are_no_slice_of_integers_are_refused(rows):
    with pytest.raises(UsageError, match=r"rows must be a slice of integers, such as slice\(0, 1000\); received"):
        sl.plan("mse", np.zeros((10, 2)), np.zeros((10, 2)), rows=rows)


@pytest.mark.parametrize("rows", [slice(0, 11), slice(11, 12)])
def test_rows_beyond_an_array_are_refused_with_its_name(rows):
    with pytest.raises(UsageError, match=r"rows=.* reaches past y_true, which has 10 rows"):
        sl.plan("mse", np.zeros((10, 2)), np.zeros((20, 2)), rows=rows)


def test_rows_reconcile_arrays_of_different_length():
    y, p = np.zeros((10, 2), np.float32), np.zeros((20, 2), np.float32)
    with pytest.raises(ShapeError, match=r"pass rows=slice\(0, 10\)"):
        sl.plan("mse", y, p)
    assert sl.plan("mse", y, p, rows=slice(0, 10)).rows == 10


EMPTY = {
    "in memory": lambda: np.zeros((0, 3), np.float32),
    "zarr": lambda: stored((0, 3), (4, 3)),
    "rows": lambda: np.zeros((7, 3), np.float32),
}


@pytest.mark.parametrize("kind", EMPTY)
def test_no_rows_are_no_blocks(kind):
    array = EMPTY[kind]()
    plan = sl.plan("mse", array, array, rows=slice(5, 5) if kind == "rows" else None)
    assert (plan.rows, plan.num_blocks, list(plan.blocks())) == (0, 0, [])


# What a person sees


def test_a_plan_says_what_it_decided(tmp_path):
    zarr.create_array(tmp_path / "p.zarr", name="model", shape=(1_000_000, 100), chunks=(10_000, 100), dtype="f4")
    plan = sparse_plan(labels(), tmp_path / "p.zarr/model", memory="1GiB", workers=2, rows=slice(20_000, 1_000_000))
    text = str(plan)
    for said in ("sparse_categorical_crossentropy (float32)", "p.zarr/model: (1000000, 100) float32", "(10000, 100)"):
        assert said in text
    assert f"rows      980,000 of shape {plan.shape}, from row 20,000" in text
    assert f"{plan.num_blocks:,} of {plan.block_shape}, 2 at a time" in text
    facts = json.loads(json.dumps(plan.to_dict()))
    assert facts["rows"] == 980_000
    assert facts["projected_bytes"] == plan.projected_bytes
    assert facts["arrays"]["y_pred"]["chunks"] == [10_000, 100]
    assert math.prod(facts["block_shape"]) * facts["blocks"] >= facts["rows"]


@pytest.mark.parametrize("workers", [0, -1, 2.5, "2"])
def test_workers_are_at_least_one(workers):
    with pytest.raises(UsageError, match=f"workers must be an integer of at least 1; received {workers!r}"):
        sl.plan("mse", np.zeros((10, 2)), np.zeros((10, 2)), workers=workers)


def test_losses_of_one_pass_have_one_shape():
    losses = {"a": sl.losses.MeanSquaredError(), "b": sl.losses.MeanSquaredError(axis=None)}
    with pytest.raises(ShapeError, match=r"b has losses of shape \(10, 2\), but a of \(10,\)"):
        sl.plan(losses, np.zeros((10, 2)), np.zeros((10, 2)))


def test_every_partition_into_rows_gives_the_rows_of_the_whole():
    y, p = np.random.default_rng(6).random((2, 500, 4)).astype(np.float32)
    whole = sl.evaluate("mse", y, p)["mean_squared_error"].state
    for cuts in ([250], [1, 2, 499], [100, 100, 300]):
        ends = [0, *cuts, 500]
        parts = [
            sl.evaluate("mse", y, p, rows=slice(a, b))["mean_squared_error"].state
            for a, b in itertools.pairwise(ends)
            if a < b
        ]
        merged = parts[0]
        for part in parts[1:]:
            merged = merged.merge(part)
        assert merged == whole
