"""Aligning the axes of `y_true`, `y_pred` and `sample_weight`: which axes are rows, which holds the classes.

The losses' shape is the shape of `y_pred` without its class axis. A *view* says, for each axis of an array,
which axis of the losses it follows; a block of losses then selects a rectangle of each array.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from ..core.blocks import Block
from ..errors import ShapeError
from ..formulas._kinds import LabelLayout
from ..formulas._registry import LossSpec
from .advice import advice_on_one_column, advice_on_shapes
from .class_maps import class_axis_of_map, refuse_ignored_number

CLASS_AXIS = -1  # an axis read whole: the classes, or the features of one sample
UNIT_AXIS = -2  # an axis of length 1 that the losses do not have
BROADCAST_AXIS = -3  # an axis of length 1 that holds for the losses' whole axis

MAX_RATIOS = 4096
"""The most ratios over the whole data that one evaluation holds: a state stays within some megabytes."""

Shape = tuple[int, ...]
Array = np.ndarray[Any, Any]


@dataclass(frozen=True, slots=True)
class View:
    """The axes of the losses that the axes of an array follow."""

    shape: Shape
    axes: tuple[int, ...]
    """For each axis, the axis of the losses that it follows, or CLASS_AXIS, UNIT_AXIS or BROADCAST_AXIS."""

    def select(self, block: Block, start: int) -> tuple[slice, ...]:
        """Return the rectangle under a block, in the array's indices; `start` is the array's row where losses begin."""
        offset = {0: start}
        return tuple(
            slice(block.start[axis] + offset.get(axis, 0), block.stop[axis] + offset.get(axis, 0))
            if axis >= 0
            else slice(0, size)
            for axis, size in zip(self.axes, self.shape, strict=True)
        )

    def selected_shape(self, block_shape: Shape) -> Shape:
        """Return the shape of the rectangle under a block."""
        return tuple(block_shape[axis] if axis >= 0 else size for axis, size in zip(self.axes, self.shape, strict=True))

    def in_order(self, rank: int) -> bool:
        """Return whether rows lie one after the other, with their classes together; `rank` is that of the losses."""
        follows = [axis for axis in self.axes if axis != UNIT_AXIS]
        return follows == [*range(rank), *[CLASS_AXIS] * (len(follows) - rank)]

    def to_rows(self, data: Array, block_shape: Shape) -> Array:
        """Return the rectangle under a block as (rows,), with the axes of classes behind."""
        rank = len(block_shape)
        if self.axes == (*range(rank), *[CLASS_AXIS] * (len(self.axes) - rank)) and data.shape[:rank] == block_shape:
            return data.reshape(-1, *data.shape[rank:])
        classes = tuple(i for i, axis in enumerate(self.axes) if axis == CLASS_AXIS)
        ones = tuple(i for i, axis in enumerate(self.axes) if axis == UNIT_AXIS)
        data = np.moveaxis(data, classes, range(-len(classes), 0)) if classes else data
        data = np.squeeze(data, tuple(i - sum(c < i for c in classes) for i in ones))
        tail = data.shape[len(block_shape) :]
        data = np.broadcast_to(data, (*block_shape, *tail))
        return data.reshape(-1, *tail)


@dataclass(frozen=True, slots=True)
class Alignment:
    """The axes of labels and predictions in one loss."""

    rows: Shape
    """The losses' shape; for ratios over the whole data, the shape of what is summed over."""
    y_true: View
    y_pred: View
    ratio_shape: Shape | None = None
    """For ratios over the whole data, the shape of the ratios; else None."""
    class_axis: int | None = None
    """For labels that are a map of classes, which stands for one-hot labels of the shape of `y_pred`: the axis of
    `y_pred` that they lack, or have one entry of; else None."""


def align(spec: LossSpec, y_true: Shape, y_pred: Shape) -> Alignment:
    """Return how labels and predictions of these shapes meet in a loss.

    Raises ShapeError, which names both shapes and what would fit.
    """
    if not y_pred:
        raise ShapeError(f"{spec.name}: y_pred has shape (); expected at least one axis, (rows,). Pass [y_pred].")
    match spec.formula.label_layout:
        case LabelLayout.PER_ROW:
            return _align_one_number(spec, y_true, y_pred)
        case LabelLayout.SEQUENCE:
            return _align_sequences(spec, y_true, y_pred)
        case LabelLayout.PER_ELEMENT:
            return _align_equal(spec, y_true, y_pred)


def row_axes(spec: LossSpec, y_pred: Shape) -> Shape:
    """Return the axes of `y_pred` that the losses have. Raises ShapeError as :func:`align` does."""
    match spec.formula.label_layout:
        case LabelLayout.PER_ROW:
            inner = _axes(spec, len(y_pred))
            return tuple(axis for axis in range(len(y_pred)) if axis not in inner)
        case LabelLayout.SEQUENCE:
            return (0,)
        case LabelLayout.PER_ELEMENT:
            axes = align(spec, y_pred, y_pred).y_pred.axes
            return tuple(axis for axis, follows in enumerate(axes) if follows >= 0)


def _align_equal(spec: LossSpec, y_true: Shape, y_pred: Shape) -> Alignment:
    """Align labels of which there is one for each element."""
    shape = y_true if y_pred == (*y_true, 1) and y_true else y_pred  # a trailing 1 that only one has is no axis
    if spec.formula.is_ratio and (class_axis := class_axis_of_map(spec, y_true, y_pred)) is not None:
        return _align_map(spec, y_true, y_pred, class_axis)
    if y_true not in (shape, (*shape, 1)) or not shape:
        raise ShapeError(
            f"{spec.name}: y_true has shape {y_true} but y_pred has {y_pred}; expected equal shapes"
            " (a trailing axis of length 1 may be missing in one of them). " + advice_on_shapes(spec, y_true, y_pred)
        )
    if spec.formula.is_ratio:
        refuse_ignored_number(spec, y_true, y_pred)
        return _align_ratio(spec, shape, y_true, y_pred)
    inner = _axes(spec, len(shape))
    if len(shape) == 1 and inner:
        if spec.formula.needs_class_axis:
            raise _without_classes(spec, y_true, y_pred)
        inner = ()  # N samples with one output, not one sample with N features
    axes = _positions(spec, shape, inner)
    rows = tuple(n for n, axis in zip(shape, axes, strict=True) if axis >= 0)
    if not rows:
        raise ShapeError(
            f"{spec.name}: axis={spec.axis} are all axes of y_pred with shape {y_pred}, which leaves no axis of rows; "
            "expected fewer. The mean over all elements is the value of the default axis=-1, too."
        )
    return Alignment(rows, _view(y_true, axes), _view(y_pred, axes))


def _align_ratio(spec: LossSpec, shape: Shape, y_true: Shape, y_pred: Shape) -> Alignment:
    """Align a ratio of sums inside each row, or over the rows: then axes that stay are read whole, and axes that are
    summed over are cut into blocks.
    """
    summed = _axes(spec, len(shape)) if spec.axis is not None else tuple(range(len(shape)))
    over_rows = 0 in summed
    kept = tuple(i for i in range(len(shape)) if i not in summed)
    axes = _positions(spec, shape, kept if over_rows else summed)
    cut = tuple(n for n, axis in zip(shape, axes, strict=True) if axis >= 0)
    ratio_shape = tuple(shape[i] for i in kept) if over_rows else None
    if ratio_shape is not None and math.prod(ratio_shape) > MAX_RATIOS:
        raise ShapeError(
            f"{spec.name}: axis={spec.axis} of y_pred with shape {y_pred} leaves {math.prod(ratio_shape):,} ratios "
            f"over the whole data; expected at most {MAX_RATIOS:,}. Sum over more axes, or leave the first axis out."
        )
    return Alignment(cut, _view(y_true, axes), _view(y_pred, axes), ratio_shape)


def _align_map(spec: LossSpec, y_true: Shape, y_pred: Shape, class_axis: int) -> Alignment:
    """Align integer labels with predictions that have an axis of classes more."""
    as_one_hot = _align_ratio(spec, y_pred, y_pred, y_pred)
    axes = list(as_one_hot.y_pred.axes)
    if len(y_true) < len(y_pred):
        del axes[class_axis]
    else:
        axes[class_axis] = UNIT_AXIS
    return replace(as_one_hot, y_true=View(y_true, tuple(axes)), class_axis=class_axis)


def _align_one_number(spec: LossSpec, y_true: Shape, y_pred: Shape) -> Alignment:
    """Align labels of which there is one for each row: an integer label, or a number."""
    if len(y_pred) < 2:
        raise _without_classes(spec, y_true, y_pred)
    (axis,) = _axes(spec, len(y_pred))
    axes = _positions(spec, y_pred, (axis,))
    rows = y_pred[:axis] + y_pred[axis + 1 :]
    with_one = (*y_pred[:axis], 1, *y_pred[axis + 1 :])
    formula = spec.formula
    if formula.meanings and y_pred[axis] != len(formula.meanings):
        raise ShapeError(
            f"{spec.name}: y_pred has shape {y_pred}, whose axis {axis} has {y_pred[axis]} entries; expected "
            f"{len(formula.meanings)}: {' and '.join(formula.meanings)}. {advice_on_one_column(spec, y_true, y_pred)}"
        )
    if y_true not in (rows, with_one):
        what = "one integer label" if formula.integer_labels else "one number"
        holds = "the distribution's parameters" if formula.meanings else "the classes"
        raise ShapeError(
            f"{spec.name}: y_true has shape {y_true} but y_pred has {y_pred}, whose axis {axis} holds {holds}; "
            f"expected {what} for each row: shape {rows} or {with_one}. " + advice_on_shapes(spec, y_true, y_pred)
        )
    labels = list(range(len(rows))) if y_true == rows else [UNIT_AXIS if a == CLASS_AXIS else a for a in axes]
    return Alignment(rows, _view(y_true, labels), _view(y_pred, axes))


def _without_classes(spec: LossSpec, y_true: Shape, y_pred: Shape) -> ShapeError:
    holds = "parameters" if spec.formula.meanings else "classes"
    return ShapeError(
        f"{spec.name}: y_pred has shape {y_pred}; expected at least two axes, (rows, {holds}). "
        + advice_on_one_column(spec, y_true, y_pred)
    )


def _align_sequences(spec: LossSpec, y_true: Shape, y_pred: Shape) -> Alignment:
    if len(y_true) != 2 or len(y_pred) != 3 or y_true[0] != y_pred[0] or 0 in y_pred[1:]:
        raise ShapeError(
            f"{spec.name}: y_true has shape {y_true} and y_pred {y_pred}; expected (rows, length) and "
            "(rows, time, classes), with as many rows. " + advice_on_shapes(spec, y_true, y_pred)
        )
    return Alignment(y_pred[:1], View(y_true, (0, CLASS_AXIS)), View(y_pred, (0, CLASS_AXIS, CLASS_AXIS)))


def _view(shape: Shape, axes: list[int]) -> View:
    return View(shape, tuple([*axes, UNIT_AXIS] if len(shape) > len(axes) else axes))


def _axes(spec: LossSpec, rank: int) -> tuple[int, ...]:
    """Return the loss' axes, counted from the front; none for ``axis=None``. Raises ShapeError."""
    asked = spec.axis if isinstance(spec.axis, tuple) else () if spec.axis is None else (spec.axis,)
    for axis in asked:
        if not -rank <= axis < rank:
            raise ShapeError(
                f"{spec.name}: axis={axis} is out of bounds for y_pred of rank {rank}; expected {-rank} to {rank - 1}."
            )
    axes = tuple(sorted({axis % rank for axis in asked}))
    if len(axes) < len(asked):
        raise ShapeError(f"{spec.name}: axis={spec.axis} names an axis of y_pred of rank {rank} twice.")
    return axes


def _positions(spec: LossSpec, shape: Shape, inner: tuple[int, ...]) -> list[int]:
    """Return for each axis the axis of the losses that it is, or CLASS_AXIS for the `inner` ones."""
    for axis in inner:
        if shape[axis] == 0:
            raise ShapeError(f"{spec.name}: y_pred has shape {shape}, whose axis {axis} is empty; expected a class.")
    return [CLASS_AXIS if i in inner else i - sum(c < i for c in inner) for i in range(len(shape))]
