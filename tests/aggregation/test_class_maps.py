"""Dice and Tversky of maps of classes: the values of one-hot labels to the last bit, without such arrays."""

import itertools
import tracemalloc

import dask.array as da
import numpy as np
import pytest
import xarray as xr
import zarr

import streamloss as sl
from streamloss.errors import ShapeError, UsageError, ValueRangeError
from support.small_blocks import small_blocks

RNG = np.random.default_rng(17)
CLASSES, VOID = 4, 255
LABELS = RNG.integers(0, CLASSES, (9, 6, 5)).astype(np.uint8)
P = RNG.dirichlet(np.ones(CLASSES), LABELS.shape).astype(np.float32)
ONE_HOT = np.eye(CLASSES, dtype=np.float32)[LABELS]
WITH_VOID = np.where(RNG.random(LABELS.shape) < 0.2, VOID, LABELS)
WITH_VOID[3] = VOID  # an image without any label

AXES = [None, (0, 1, 2), (1, 2), (1, 2, 3), -1, 0, (0, 3), (1, 3)]
LOSSES = [sl.losses.Dice, lambda **given: sl.losses.Tversky(alpha=0.3, beta=0.7, **given)]


def bits(losses):
    return np.asarray(losses).tobytes()


@pytest.mark.parametrize(("loss", "axis"), list(itertools.product(LOSSES, AXES)))
@pytest.mark.parametrize("classes", [3, 1, 0])
def test_a_map_has_the_bits_of_one_hot_labels(loss, axis, classes):
    p, one_hot = np.moveaxis(P, 3, classes), np.moveaxis(ONE_HOT, 3, classes)
    expected = bits(loss(axis=axis, reduction=None)(one_hot, p))
    made = loss(axis=axis, reduction=None, class_axis=classes)
    for dtype in ("u1", "i4", "i8", "u8", "f4"):
        assert bits(made(LABELS.astype(dtype), p)) == expected
    assert bits(made(np.expand_dims(LABELS, classes), p)) == expected


@pytest.mark.parametrize(("loss", "axis"), list(itertools.product(LOSSES, AXES)))
@pytest.mark.parametrize("ignored", [VOID, 2])
def test_ignored_elements_add_nothing_whatever_they_hold(loss, axis, ignored):
    labels = np.where(WITH_VOID == VOID, ignored, LABELS)
    out = (labels == ignored)[..., np.newaxis]
    expected = loss(axis=axis, reduction=None)(np.where(out, 0, ONE_HOT), np.where(out, 0, P))
    wild = np.where(out, np.nan, P)
    losses = loss(axis=axis, reduction=None, ignore_class=ignored)(labels, wild)
    empty = np.broadcast_to(out, P.shape).all(axis=axis) if axis not in (None, 0) and 0 not in axis_of(axis) else False
    assert bits(losses) == bits(np.where(empty, np.float32(0), expected))  # a row without a label has no loss


def axis_of(axis):
    return axis if isinstance(axis, tuple) else (axis,)


def test_a_row_of_which_nothing_is_left_is_not_counted():
    result = sl.evaluate(sl.losses.Dice(axis=(1, 2), ignore_class=VOID), WITH_VOID, P)["dice"]
    assert (result.count, result.ignored) == (8 * CLASSES, CLASSES)
    kept = np.delete(np.arange(9), 3)
    assert result.sum == sl.evaluate(sl.losses.Dice(axis=(1, 2), ignore_class=VOID), WITH_VOID[kept], P[kept]).value * (
        8 * CLASSES
    )


def test_elements_that_are_numbers_are_ignored_too():
    y = (RNG.random((6, 5, 5)) < 0.5).astype(np.float32)
    p = RNG.random((6, 5, 5), np.float32)
    marked = y.copy()
    marked[:, 2] = VOID
    expected = sl.losses.Dice()(np.delete(y, 2, 1), np.delete(p, 2, 1))
    assert sl.losses.Dice(ignore_class=VOID)(marked, p) == expected
    assert sl.losses.Dice(ignore_class=VOID)(marked.astype(np.uint8)[..., np.newaxis], p) == expected


@pytest.fixture
def stored(tmp_path):
    paths = []
    for name, array, chunks in (("y", WITH_VOID, (2, 6, 3)), ("p", P, (4, 3, 5, 2))):
        made = zarr.create_array(tmp_path / f"{name}.zarr", shape=array.shape, chunks=chunks, dtype=array.dtype)
        made[...] = array
        paths.append(str(tmp_path / f"{name}.zarr"))
    return paths


@pytest.mark.parametrize("axis", [None, (0, 1, 2), (1, 2), -1])
def test_blocks_shards_batches_and_dask_have_the_same_bits(stored, axis):
    loss = [sl.losses.Dice(axis=axis, ignore_class=VOID), sl.losses.Tversky(axis=axis, ignore_class=VOID)]
    whole = sl.evaluate(loss, WITH_VOID, P)
    expected = [of.state.to_bytes() for of in whole.values()]

    def states(result):
        return [of.state.to_bytes() for of in result.values()]

    with small_blocks():
        assert sl.plan(loss, *stored).num_blocks >= 3
        assert states(sl.evaluate(loss, *stored)) == expected
        assert states(sl.evaluate(loss, *stored, executor="threads", workers=3)) == expected
        assert states(sl.merge([sl.evaluate(loss, *stored, shard=(i, 2)) for i in range(2)])) == expected
    lazy = da.from_array(WITH_VOID, chunks=(5, 3, 5)), da.from_array(P, chunks=(4, 6, 5, 3))
    assert states(sl.evaluate(loss, *lazy, scheduler="synchronous")) == expected
    batches = sl.Evaluator(loss)
    for a in range(0, 9, 4):
        batches.update(WITH_VOID[a : a + 4], P[a : a + 4])
    assert states(batches.result()) == expected


def test_rows_and_names_of_dimensions():
    loss = sl.losses.Dice(axis=("time", "y", "x"), class_axis="class")
    y = xr.DataArray(LABELS, dims=("time", "y", "x")).transpose("x", "time", "y")
    p = xr.DataArray(P, dims=("time", "y", "x", "class")).transpose("time", "class", "y", "x")
    assert sl.evaluate(loss, y, p).value == sl.losses.Dice(axis=(0, 1, 2))(ONE_HOT, P)
    once = sl.evaluate(loss, y.isel(time=0), p).value
    assert once == sl.losses.Dice(axis=(0, 1, 2))(np.broadcast_to(ONE_HOT[:1], P.shape), P), "repeated along the time"
    with pytest.raises(
        ValueRangeError, match="if they name classes, name the axis of y_pred that holds these: class_axis"
    ):
        sl.evaluate(sl.losses.Dice(), y, p)  # whose last axis is x
    one = p.isel({"class": [0]})
    binary = (y == 0).astype("u1")
    assert sl.evaluate(loss, binary, one).value == sl.losses.Dice()(LABELS == 0, P[..., 0]), (
        "one column holds no classes"
    )
    part = sl.evaluate(sl.losses.Dice(), LABELS, P, rows=slice(2, 7)).value
    assert part == sl.losses.Dice()(ONE_HOT[2:7], P[2:7])


def test_classes_on_the_first_axis_are_not_cut_to_the_rows_of_labels():
    p = np.moveaxis(P, 3, 0)
    loss = sl.losses.Dice(axis=(1, 2, 3), class_axis=0)
    expected = sl.evaluate(loss, np.moveaxis(ONE_HOT, 3, 0), p).value
    assert sl.evaluate(loss, LABELS, p, rows=slice(0, 4)).value == expected


def test_predictions_beyond_1_are_taken_as_1_where_that_is_asked_for():
    p = P.copy()
    p[0, 0, 0] = [1.5, 0, 0, 0]
    result = sl.evaluate("dice", LABELS.astype(np.float32), p, clip_probabilities=True)
    assert result.value == sl.losses.Dice()(ONE_HOT, np.minimum(p, 1))


def test_the_loss_of_each_class_is_shown():
    loss = sl.losses.Dice(axis=(0, 1, 2), ignore_class=VOID)
    result = sl.evaluate(loss, WITH_VOID, P)["dice"]
    table = result.ratios
    assert table.columns == ("class", "loss", "both", "y_true", "y_pred")
    expected = sl.losses.Dice(axis=(0, 1, 2), ignore_class=VOID, reduction=None)(WITH_VOID, P)
    assert table.column("loss") == expected.tolist()
    assert table.column("y_true") == [np.count_nonzero(WITH_VOID == k) for k in range(CLASSES)]
    assert result.to_dict()["ratios"] == table.to_dict()
    assert result.ignored == np.count_nonzero(WITH_VOID == VOID)
    by_row = sl.evaluate(sl.losses.Dice(axis=(0, 2)), LABELS, P)["dice"].ratios
    assert by_row.columns[:2] == ("axis_1", "class")
    with pytest.raises(UsageError, match="has a loss for each row; only Dice and Tversky"):
        _ = sl.evaluate("mse", [0.0], [1.0])["mse"].ratios


@pytest.mark.parametrize("axis", [None, (0, 1, 2), (1, 2), -1])
def test_a_label_without_a_class_is_named(axis):
    wrong = LABELS.astype(np.int64)
    wrong[2, 3, 1] = 7
    with pytest.raises(ValueRangeError, match=r"y_true\[2, 3, 1\] is 7, but y_pred has 4 classes; .* ignore_class=7"):
        sl.losses.Dice(axis=axis)(wrong, P)
    wrong[2, 3, 1] = -3
    with pytest.raises(ValueRangeError, match=r"y_true\[2, 3, 1, 0\] is -3, but"):
        sl.losses.Dice(axis=axis)(wrong[..., np.newaxis], P)
    halves = LABELS.astype(np.float64)
    halves[0, 0, 1] = 1.5
    with pytest.raises(ValueRangeError, match=r"y_true\[0, 0, 1\] is 1.5; expected an integer label from 0 to 3"):
        sl.losses.Dice(axis=axis)(halves, P)


def test_more_classes_than_a_byte_holds():
    p = RNG.dirichlet(np.ones(300), 7).astype(np.float32)
    labels = np.array([0, 44, 255, 3, 4, 5, 6], np.uint8)  # 44 is 300 modulo 256
    expected = sl.losses.Dice(axis=0, reduction=None)(np.eye(300, dtype=np.float32)[labels], p)
    assert bits(sl.losses.Dice(axis=0, reduction=None)(labels, p)) == bits(expected)
    by_class = sl.losses.Dice(axis=1, class_axis=0)
    whole = sl.evaluate(by_class, labels, p.T)["dice"].state
    with small_blocks():
        assert sl.plan(by_class, labels, p.T).num_blocks == 300
        assert sl.evaluate(by_class, labels, p.T)["dice"].state == whole


def test_what_is_meant_by_shapes_that_do_not_fit():
    with pytest.raises(ShapeError, match="If axis 1 of y_pred holds the classes, pass class_axis=1"):
        sl.losses.Dice()(LABELS, np.moveaxis(P, 3, 1))
    with pytest.raises(ShapeError, match="class_axis=7 is out of bounds for y_pred of rank 4; expected -4 to 3"):
        sl.losses.Dice(class_axis=7)(LABELS, P)
    with pytest.raises(UsageError, match=r"ignore_class=0 names a class, but .* Pass y_true.argmax\(-1\)"):
        sl.losses.Dice(ignore_class=0)(ONE_HOT, P)
    with pytest.raises(UsageError, match="expected no weights, or one number"):
        sl.losses.Dice()(LABELS, P, np.ones((9, 1, 1, 1)))


def test_one_hot_labels_are_in_memory_for_a_block_only():
    labels = np.zeros((20, 128, 128), np.uint8)
    p = np.full((*labels.shape, 32), 1 / 32, np.float32)
    loss = sl.losses.Dice(axis=(0, 1, 2))
    sl.evaluate(loss, labels[:1], p[:1])
    tracemalloc.start()
    try:
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr("streamloss.planning.blocks.TARGET_IN_MEMORY", 8 << 20)
            plan = sl.plan(loss, labels, p, workers=1)
            sl.evaluate(loss, labels, p, workers=1)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    elements = np.prod(plan.block_shape) * 32
    assert peak < labels.size * 32 / 2  # half the bytes of one-hot labels of one byte each
    assert plan.block_bytes >= elements  # predictions are in memory as they are
