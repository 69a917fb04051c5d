"""How the axes of `y_true`, `y_pred` and `sample_weight` meet: which axes are rows, which holds the classes.

The losses' shape is the shape of `y_pred` without its class axis. A *view* says, for each axis of an array,
which axis of the losses it follows; a block of losses then selects a rectangle of each array.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from typing import Any

import numpy as np

from .errors import ShapeError
from .losses._registry import LossSpec, Rowwise, Sparse
from .types import Block

CLASS = -1  # an axis read whole: the classes, or the features of one sample
ONE = -2  # an axis of length 1 that the losses do not have
SPREAD = -3  # an axis of length 1 that holds for the losses' whole axis

_ONE_ROW = (
    "y_pred has shape {}; expected at least two axes, (rows, classes). For a single row of classes pass "
    "y_pred.reshape(1, -1)."
)

Shape = tuple[int, ...]
Array = np.ndarray[Any, Any]


@dataclass(frozen=True, slots=True)
class View:
    """How an array of one shape is seen from the losses."""

    shape: Shape
    axes: tuple[int, ...]
    """For each axis: the axis of the losses it follows, or CLASS, ONE or SPREAD."""

    def select(self, block: Block, start: int) -> tuple[slice, ...]:
        """The rectangle under a block, in the array's own indices; `start` is its row where the losses begin."""
        offset = {0: start}
        return tuple(
            slice(block.start[axis] + offset.get(axis, 0), block.stop[axis] + offset.get(axis, 0))
            if axis >= 0
            else slice(0, size)
            for axis, size in zip(self.axes, self.shape, strict=True)
        )

    def selected_shape(self, block_shape: Shape) -> Shape:
        return tuple(block_shape[axis] if axis >= 0 else size for axis, size in zip(self.axes, self.shape, strict=True))

    def to_rows(self, data: Array, block_shape: Shape) -> Array:
        """The rectangle as (rows,), or (rows, classes) where the view has a class axis."""
        classes = tuple(i for i, axis in enumerate(self.axes) if axis == CLASS)
        ones = tuple(i for i, axis in enumerate(self.axes) if axis == ONE)
        data = np.moveaxis(data, classes, range(-len(classes), 0)) if classes else data
        data = np.squeeze(data, tuple(i - sum(c < i for c in classes) for i in ones))
        tail = data.shape[len(block_shape) :]
        data = np.broadcast_to(data, (*block_shape, *tail))
        return data.reshape(-1, *tail)


@dataclass(frozen=True, slots=True)
class Layout:
    """One loss on arrays of certain shapes."""

    rows: Shape
    """The losses' shape."""
    y_true: View
    y_pred: View


def align(spec: LossSpec, y_true: Shape, y_pred: Shape) -> Layout:
    """Raises ShapeError, naming both shapes and what would fit."""
    if not y_pred:
        raise ShapeError(f"{spec.name}: y_pred has shape (); expected at least one axis, (rows,). Pass [y_pred].")
    if not isinstance(spec.formula, Sparse):
        return _align_dense(spec, y_true, y_pred)
    return _align_sparse(spec, y_true, y_pred)


def _align_dense(spec: LossSpec, y_true: Shape, y_pred: Shape) -> Layout:
    shape = y_true if y_pred == (*y_true, 1) and y_true else y_pred  # a trailing 1 that only one has is no axis
    if y_true not in (shape, (*shape, 1)) or not shape:
        raise ShapeError(
            f"{spec.name}: y_true has shape {y_true} but y_pred has {y_pred}; expected equal shapes"
            " (a trailing axis of length 1 may be missing in one of them). " + _advice(y_true, y_pred)
        )
    class_axis = None
    if spec.axis is not None:
        class_axis = _axis(spec, spec.axis, len(shape))
        if len(shape) == 1 and isinstance(spec.formula, Rowwise):
            raise ShapeError(f"{spec.name}: {_ONE_ROW.format(y_pred)}")
        if len(shape) == 1:
            class_axis = None  # N samples with one output, not one sample with N features
    if class_axis is not None and shape[class_axis] == 0:
        raise ShapeError(f"{spec.name}: y_pred has shape {y_pred}, whose axis {class_axis} is empty; expected a class.")
    axes = [CLASS if i == class_axis else i - (class_axis is not None and i > class_axis) for i in range(len(shape))]
    rows = tuple(n for i, n in enumerate(shape) if i != class_axis)
    return Layout(rows, _view(y_true, axes), _view(y_pred, axes))


def _align_sparse(spec: LossSpec, y_true: Shape, y_pred: Shape) -> Layout:
    if len(y_pred) < 2:
        raise ShapeError(f"{spec.name}: {_ONE_ROW.format(y_pred)}")
    assert spec.axis is not None
    axis = _axis(spec, spec.axis, len(y_pred))
    if y_pred[axis] == 0:
        raise ShapeError(f"{spec.name}: y_pred has shape {y_pred}, whose axis {axis} is empty; expected a class.")
    rows = y_pred[:axis] + y_pred[axis + 1 :]
    with_one = (*y_pred[:axis], 1, *y_pred[axis + 1 :])
    if y_true not in (rows, with_one):
        raise ShapeError(
            f"{spec.name}: y_true has shape {y_true} but y_pred has {y_pred}, whose axis {axis} holds the classes; "
            f"expected one integer label for each row: shape {rows} or {with_one}. " + _advice(y_true, y_pred)
        )
    axes = [CLASS if i == axis else i - (i > axis) for i in range(len(y_pred))]
    labels = list(range(len(rows))) if y_true == rows else [ONE if a == CLASS else a for a in axes]
    return Layout(rows, _view(y_true, labels), _view(y_pred, axes))


def align_weight(weight: Shape, rows: Shape) -> View:
    """A weight for each loss: the losses' shape, or their rank with 1s, or with one more trailing 1.

    Raises ShapeError for anything else; a lower rank would be a guess which axes are meant.
    """
    squeezed = weight[:-1] if len(weight) == len(rows) + 1 and weight[-1] == 1 else weight
    if len(squeezed) == len(rows) and all(w in (1, n) for w, n in zip(squeezed, rows, strict=True)):
        return _view(weight, [i if w == n else SPREAD for i, (w, n) in enumerate(zip(squeezed, rows, strict=True))])
    if options := _reshapes(weight, rows):
        raise ShapeError(
            f"sample_weight has shape {weight} but the losses have shape {rows}: which axis it follows is ambiguous. "
            f"Reshape it to {' or '.join(map(str, options))}."
        )
    raise ShapeError(
        f"sample_weight has shape {weight} but the losses have shape {rows}; expected a scalar, the losses' shape, or "
        "their rank with 1s where a weight holds for the whole axis."
    )


def _reshapes(weight: Shape, rows: Shape) -> list[Shape]:
    """The shapes of the losses' rank that a weight of lower rank could have."""
    placed = (
        tuple(n if i in axes else 1 for i, n in enumerate(rows))
        for axes in itertools.combinations(range(len(rows)), len(weight))
        if tuple(rows[i] for i in axes) == weight
    )
    return [] if len(weight) >= len(rows) else list(dict.fromkeys(placed))


def _view(shape: Shape, axes: list[int]) -> View:
    return View(shape, tuple([*axes, ONE] if len(shape) > len(axes) else axes))


def _axis(spec: LossSpec, axis: int, rank: int) -> int:
    if not -rank <= axis < rank:
        raise ShapeError(
            f"{spec.name}: axis={axis} is out of bounds for y_pred of rank {rank}; expected {-rank} to {rank - 1}."
        )
    return axis % rank


def _advice(y_true: Shape, y_pred: Shape) -> str:
    if y_true and y_pred and y_true[0] != y_pred[0]:
        return (
            f"They have {y_true[0]:,} and {y_pred[0]:,} rows: pass rows=slice(0, {min(y_true[0], y_pred[0])}) "
            f"(--rows 0:{min(y_true[0], y_pred[0])}) to evaluate the rows both have, if they do belong together."
        )
    return "Reshape one of them."
