"""Which axes are rows, which hold the classes, and which shapes are refused because they would be a guess."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

import streamloss as sl
from streamloss.core.blocks import Block
from streamloss.errors import ShapeError
from streamloss.formulas._registry import LossSpec
from streamloss.planning.alignment import align
from streamloss.planning.weights import align_weight

RNG = np.random.default_rng(7)


def elementwise(axis=-1):
    return LossSpec.of("mean_squared_error", {"axis": axis})


def sparse(axis=-1):
    return LossSpec.of("sparse_categorical_crossentropy", {"axis": axis})


def rows_of(view, array):
    """All rows of an array, read as one block."""
    shape = tuple(n for n, axis in zip(view.shape, view.axes, strict=True) if axis >= 0)
    block = Block(0, (0,) * len(shape), shape)
    return view.to_rows(array[view.select(block, 0)], shape)


@pytest.mark.parametrize(
    ("spec", "y_true", "y_pred", "rows"),
    [
        (elementwise(), (8,), (8,), (8,)),
        (elementwise(), (8,), (8, 1), (8,)),
        (elementwise(), (8, 1), (8,), (8,)),
        (elementwise(), (8, 1), (8, 1), (8,)),
        (elementwise(), (8, 3), (8, 3), (8,)),
        (elementwise(), (8, 3), (8, 3, 1), (8,)),
        (elementwise(), (8, 3, 1), (8, 3), (8,)),
        (elementwise(), (8, 3, 1), (8, 3, 1), (8, 3)),
        (elementwise(), (4, 8, 3), (4, 8, 3), (4, 8)),
        (elementwise(1), (4, 8, 3), (4, 8, 3), (4, 3)),
        (elementwise(-2), (4, 8, 3), (4, 8, 3), (4, 3)),
        (elementwise(0), (4, 8), (4, 8), (8,)),
        (elementwise(0), (8,), (8,), (8,)),
        (elementwise(None), (8,), (8,), (8,)),
        (elementwise(None), (8,), (8, 1), (8,)),
        (elementwise(None), (4, 8, 3), (4, 8, 3), (4, 8, 3)),
        (sparse(), (8,), (8, 3), (8,)),
        (sparse(), (8, 1), (8, 3), (8,)),
        (sparse(), (4, 8), (4, 8, 3), (4, 8)),
        (sparse(), (4, 8, 1), (4, 8, 3), (4, 8)),
        (sparse(1), (4, 8, 6), (4, 3, 8, 6), (4, 8, 6)),
        (sparse(1), (4, 1, 8, 6), (4, 3, 8, 6), (4, 8, 6)),
        (sparse(0), (8,), (3, 8), (8,)),
        (sparse(-2), (8,), (3, 8), (8,)),
        (sparse(), (0,), (0, 3), (0,)),
    ],
)
def test_shapes_that_align(spec, y_true, y_pred, rows):
    layout = align(spec, y_true, y_pred)
    assert layout.rows == rows
    labels, predictions = np.empty(y_true), np.empty(y_pred)
    assert rows_of(layout.y_true, labels).shape[0] == rows_of(layout.y_pred, predictions).shape[0] == math.prod(rows)
    assert rows_of(layout.y_pred, predictions).size == predictions.size


@pytest.mark.parametrize(
    ("spec", "y_true", "y_pred", "said"),
    [
        (elementwise(), (8,), (8, 3), "expected equal shapes"),
        (elementwise(), (8, 3), (8,), "expected equal shapes"),
        (elementwise(), (8, 1), (8, 3), "expected equal shapes"),
        (elementwise(), (8, 3), (8, 1), "expected equal shapes"),
        (elementwise(), (1, 8), (8,), "expected equal shapes"),
        (elementwise(), (8, 1, 1), (8,), "expected equal shapes"),
        (elementwise(), (), (), "expected at least one axis"),
        (elementwise(), (7, 3), (8, 3), r"They have 7 and 8 rows: pass rows=slice\(0, 7\)"),
        (elementwise(2), (8, 3), (8, 3), "axis=2 is out of bounds for y_pred of rank 2; expected -2 to 1"),
        (elementwise(-3), (8, 3), (8, 3), "axis=-3 is out of bounds"),
        (sparse(), (8, 3), (8, 3), r"expected one integer label for each row: shape \(8,\) or \(8, 1\)"),
        (sparse(1), (4, 8), (4, 3, 8, 6), r"shape \(4, 8, 6\) or \(4, 1, 8, 6\)"),
        (sparse(), (1_000_001,), (1_000_000, 3), "They have 1,000,001 and 1,000,000 rows"),
        (sparse(), (3,), (3,), r"expected at least two axes, \(rows, classes\)"),
        (sparse(3), (8,), (8, 3), "axis=3 is out of bounds"),
    ],
)
def test_shapes_that_do_not_align_are_refused_by_name(spec, y_true, y_pred, said):
    with pytest.raises(ShapeError, match=said) as error:
        align(spec, y_true, y_pred)
    assert str(error.value).startswith(spec.name)
    assert "out of bounds" in said or str(y_pred) in str(error.value)


@pytest.mark.parametrize(
    ("weight", "rows"),
    [
        ((8,), (8,)),
        ((8, 1), (8,)),
        ((1,), (8,)),
        ((1, 1), (8,)),
        ((4, 8), (4, 8)),
        ((4, 1), (4, 8)),
        ((1, 8), (4, 8)),
        ((1, 1), (4, 8)),
        ((4, 8, 1), (4, 8)),
        ((4, 1, 1), (4, 8)),
        ((1, 8, 1), (4, 8)),
        ((4, 1, 6), (4, 8, 6)),
        ((4, 4), (4, 4)),
    ],
)
def test_weights_of_the_losses_rank_spread_along_their_ones(weight, rows):
    values = RNG.random(weight)
    view = align_weight(weight, rows)
    block = Block(0, (0,) * len(rows), rows)
    of_rank = values[..., 0] if len(weight) > len(rows) else values
    expected = np.broadcast_to(of_rank, rows).ravel()
    np.testing.assert_array_equal(view.to_rows(values[view.select(block, 0)], rows), expected)


@pytest.mark.parametrize(
    ("weight", "rows", "options"),
    [
        ((4,), (4, 4), "(4, 1) or (1, 4)."),
        ((4,), (4, 8), "(4, 1)."),
        ((8,), (4, 8), "(1, 8)."),
        ((8,), (4, 8, 8), "(1, 8, 1) or (1, 1, 8)."),
        ((8,), (8, 8, 8), "(8, 1, 1) or (1, 8, 1) or (1, 1, 8)."),
        ((4, 8), (4, 8, 6), "(4, 8, 1)."),
        ((4, 6), (4, 8, 6), "(4, 1, 6)."),
    ],
)
def test_weights_of_a_lower_rank_are_refused_with_the_reshapes_they_could_mean(weight, rows, options):
    with pytest.raises(ShapeError, match="which axis it follows is ambiguous") as error:
        align_weight(weight, rows)
    assert str(error.value).endswith(f"Reshape it to {options}")


@pytest.mark.parametrize(
    ("weight", "rows"),
    [((7,), (8,)), ((8, 2), (8,)), ((8, 4), (4, 8)), ((4, 8, 2), (4, 8)), ((4, 8, 1, 1), (4, 8)), ((5,), (4, 8))],
)
def test_other_weights_are_refused_with_both_shapes(weight, rows):
    with pytest.raises(ShapeError, match="expected a scalar, the losses' shape") as error:
        align_weight(weight, rows)
    assert f"shape {weight} but the losses have shape {rows}" in str(error.value)


# Blocks


def cut(draw, shape):
    """All blocks of a grid over the rows."""
    size = tuple(draw(st.integers(1, n)) for n in shape)
    for index, position in enumerate(itertools.product(*(range(-(-n // b)) for n, b in zip(shape, size, strict=True)))):
        start = tuple(i * b for i, b in zip(position, size, strict=True))
        yield Block(index, start, tuple(min(a + b, n) for a, b, n in zip(start, size, shape, strict=True)))


@given(st.data())
def test_the_rows_of_all_blocks_are_the_rows_of_the_whole(data):
    shape = data.draw(hnp.array_shapes(min_dims=1, max_dims=3, max_side=5))
    classes = data.draw(st.integers(1, 4))
    kind = data.draw(st.sampled_from(["sparse", "elementwise", "unreduced"]))
    start = data.draw(st.integers(0, 3))
    axis = data.draw(st.integers(1, len(shape)))  # rows= follows the first axis, so classes are on a later one
    if kind == "unreduced":
        spec, of_predictions, axis = elementwise(None), shape, None
    else:
        of_predictions = (*shape[:axis], classes, *shape[axis:])
        spec = (sparse if kind == "sparse" else elementwise)(axis - data.draw(st.sampled_from([0, len(shape) + 1])))
    of_labels = of_predictions
    if kind == "sparse":
        of_labels = data.draw(st.sampled_from([shape, (*shape[:axis], 1, *shape[axis:])]))
    elif data.draw(st.booleans()):
        of_labels = (*of_predictions, 1)
    layout = align(spec, of_labels, of_predictions)
    assert layout.rows == shape
    y_pred, y_true = longer(of_predictions, start), longer(of_labels, start)
    whole_pred = y_pred[start:] if axis is None else np.moveaxis(y_pred[start:], axis, -1)
    if kind == "sparse":
        whole_true = y_true[start:].reshape(shape)
    else:
        whole_true = y_true[start:].reshape(of_predictions)
        whole_true = whole_true if axis is None else np.moveaxis(whole_true, axis, -1)
    for block in cut(data.draw, shape):
        for view, array, whole in ((layout.y_pred, y_pred, whole_pred), (layout.y_true, y_true, whole_true)):
            part = array[view.select(block, start)]
            assert part.shape == view.selected_shape(block.shape)
            expected = whole[block.slices]
            expected = expected.reshape(block.rows, *expected.shape[len(shape) :])
            np.testing.assert_array_equal(view.to_rows(part, block.shape), expected)


def longer(shape, start):
    """Distinct numbers, with `start` more rows in front."""
    shape = (shape[0] + start, *shape[1:])
    return np.arange(math.prod(shape)).reshape(shape)


@given(st.data())
def test_the_weights_of_all_blocks_are_the_weights_broadcast(data):
    shape = data.draw(hnp.array_shapes(min_dims=1, max_dims=3, max_side=5))
    of_weight = tuple(n if data.draw(st.booleans()) else 1 for n in shape)
    trailing = data.draw(st.booleans())
    values = RNG.random(of_weight)
    stored = values[..., None] if trailing else values
    view = align_weight(stored.shape, shape)
    for block in cut(data.draw, shape):
        expected = np.broadcast_to(values, shape)[block.slices].ravel()
        np.testing.assert_array_equal(view.to_rows(stored[view.select(block, 0)], block.shape), expected)


# The same through the losses


def test_segmentation_maps_have_a_loss_for_each_pixel_wherever_the_classes_are():
    probabilities = RNG.uniform(0.01, 1, (3, 4, 5, 6)).astype(np.float32)
    labels = RNG.integers(0, 6, (3, 4, 5))
    p = np.take_along_axis(probabilities, labels[..., None], -1)[..., 0] / probabilities.sum(-1, dtype=np.float64)
    make = sl.losses.SparseCategoricalCrossentropy
    last = make(reduction="none")(labels, probabilities)
    np.testing.assert_allclose(last, -np.log(p), rtol=1e-6)
    for axis, layout in ((1, (0, 3, 1, 2)), (-2, (0, 1, 3, 2)), (0, (3, 0, 1, 2))):
        moved = np.transpose(probabilities, layout)
        np.testing.assert_array_equal(make(reduction="none", axis=axis)(labels, moved), last)
        with_one = np.expand_dims(labels, axis)
        np.testing.assert_array_equal(make(reduction="none", axis=axis)(with_one, moved), last)


def test_the_mean_is_taken_over_the_axis_asked_for():
    y, p = RNG.random((2, 4, 5, 6)).astype(np.float32)
    squares = (p.astype(np.float64) - y) ** 2
    for axis in (-1, 1, 0):
        values = sl.losses.MeanSquaredError(reduction="none", axis=axis)(y, p)
        np.testing.assert_allclose(values, squares.mean(axis), rtol=1e-6)
    np.testing.assert_allclose(sl.losses.MeanSquaredError(reduction="none", axis=None)(y, p), squares, rtol=1e-6)


def test_one_output_with_or_without_its_axis_is_never_broadcast_to_a_square():
    y, p = RNG.random((2, 9)).astype(np.float32)
    expected = sl.losses.MeanSquaredError(reduction="none")(y, p)
    assert expected.shape == (9,)
    for labels, predictions in ((y[:, None], p), (y, p[:, None]), (y[:, None], p[:, None])):
        values = sl.losses.MeanSquaredError(reduction="none")(labels, predictions)
        np.testing.assert_array_equal(values, expected)


def test_weights_multiply_the_losses_they_stand_for():
    y, p = RNG.random((2, 4, 5, 3)).astype(np.float32)
    loss = sl.losses.MeanSquaredError(reduction="none")
    losses = loss(y, p)
    for shape in ((4, 1), (1, 5), (4, 5), (4, 5, 1), (1, 1)):
        weight = RNG.choice([0.0, 0.5, 1.0, 2.0, 4.0], shape)
        of_rank = weight.reshape(shape[:2])
        np.testing.assert_array_equal(loss(y, p, weight), losses * np.broadcast_to(of_rank, losses.shape))
    np.testing.assert_array_equal(loss(y, p, 2), losses * 2)
    with pytest.raises(ShapeError, match=r"Reshape it to \(4, 1\)"):
        loss(y, p, np.ones(4))


@pytest.mark.parametrize("loss", [sl.losses.MeanSquaredError, sl.losses.BinaryCrossentropy, sl.losses.Hinge])
def test_several_axes_are_averaged_as_one_that_holds_their_elements(loss):
    y, p = RNG.integers(0, 2, (7, 5, 6)), RNG.random((7, 5, 6))
    expected = loss(reduction=None)(y.reshape(7, 30), p.reshape(7, 30))
    assert loss(axis=(1, 2), reduction=None)(y, p).tobytes() == expected.tobytes()
    assert loss(axis=[-1, 1], reduction=None)(y, p).tobytes() == expected.tobytes()
    moved = [np.moveaxis(array, 0, 1) for array in (y, p)]
    assert loss(axis=(0, 2), reduction=None)(*moved).tobytes() == expected.tobytes()


def test_classes_on_several_averaged_axes_are_not_cut_to_common_rows():
    y = RNG.random((4, 9, 3))
    with pytest.raises(ShapeError, match="y_true has shape"):  # not the first 3 of the averaged axis
        sl.evaluate(sl.losses.MeanSquaredError(axis=(0, 2)), y, y[:3], rows=slice(0, 2))


def test_axes_that_leave_no_rows_are_refused():
    y = np.ones((4, 3))
    with pytest.raises(ShapeError, match=r"axis=\(0, 1\) are all axes of y_pred with shape \(4, 3\).*default axis=-1"):
        sl.losses.mse(y, y, axis=(0, 1))
