"""How the axes of `y_true`, `y_pred` and `sample_weight` meet: which axes are rows, which holds the classes.

The losses' shape is the shape of `y_pred` without its class axis. A *view* says, for each axis of an array,
which axis of the losses it follows; a block of losses then selects a rectangle of each array.
"""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..core.blocks import Block
from ..errors import ShapeError
from ..formulas._kinds import Elementwise, LabelSequence, Overlap, Parametric, Sparse
from ..formulas._registry import LossSpec

CLASS_AXIS = -1  # an axis read whole: the classes, or the features of one sample
UNIT_AXIS = -2  # an axis of length 1 that the losses do not have
BROADCAST_AXIS = -3  # an axis of length 1 that holds for the losses' whole axis

MAX_CELLS = 4096
"""Ratios over the whole data that one evaluation holds: a state stays within some megabytes."""

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
    """For each axis: the axis of the losses it follows, or CLASS_AXIS, UNIT_AXIS or BROADCAST_AXIS."""

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

    def in_order(self, rank: int) -> bool:
        """Whether rows lie one after the other, with their classes together; `rank` is that of the losses."""
        follows = [axis for axis in self.axes if axis != UNIT_AXIS]
        return follows == [*range(rank), *[CLASS_AXIS] * (len(follows) - rank)]

    def to_rows(self, data: Array, block_shape: Shape) -> Array:
        """The rectangle as (rows,), with the axes of classes behind."""
        classes = tuple(i for i, axis in enumerate(self.axes) if axis == CLASS_AXIS)
        ones = tuple(i for i, axis in enumerate(self.axes) if axis == UNIT_AXIS)
        data = np.moveaxis(data, classes, range(-len(classes), 0)) if classes else data
        data = np.squeeze(data, tuple(i - sum(c < i for c in classes) for i in ones))
        tail = data.shape[len(block_shape) :]
        data = np.broadcast_to(data, (*block_shape, *tail))
        return data.reshape(-1, *tail)


@dataclass(frozen=True, slots=True)
class Alignment:
    """One loss on arrays of certain shapes."""

    rows: Shape
    """The losses' shape; for sums over the whole data, the shape of what is summed over."""
    y_true: View
    y_pred: View
    ratio_shape: Shape | None = None
    """For sums over the whole data: the shape of the losses that there are in the end."""


def align(spec: LossSpec, y_true: Shape, y_pred: Shape) -> Alignment:
    """Raises ShapeError, naming both shapes and what would fit."""
    if not y_pred:
        raise ShapeError(f"{spec.name}: y_pred has shape (); expected at least one axis, (rows,). Pass [y_pred].")
    match spec.formula:
        case Sparse() | Parametric():
            return _align_one_number(spec, y_true, y_pred)
        case LabelSequence():
            return _align_sequences(spec, y_true, y_pred)
        case _:
            return _align_equal(spec, y_true, y_pred)


def _align_equal(spec: LossSpec, y_true: Shape, y_pred: Shape) -> Alignment:
    """A label for each element."""
    shape = y_true if y_pred == (*y_true, 1) and y_true else y_pred  # a trailing 1 that only one has is no axis
    if y_true not in (shape, (*shape, 1)) or not shape:
        raise ShapeError(
            f"{spec.name}: y_true has shape {y_true} but y_pred has {y_pred}; expected equal shapes"
            " (a trailing axis of length 1 may be missing in one of them). " + _advice(y_true, y_pred)
        )
    if isinstance(spec.formula, Overlap):
        return _layout_of_overlap(spec, shape, y_true, y_pred)
    inner = _axes(spec, len(shape))
    if len(shape) == 1 and inner:
        if not isinstance(spec.formula, Elementwise):
            raise ShapeError(f"{spec.name}: {_ONE_ROW.format(y_pred)}")
        inner = ()  # N samples with one output, not one sample with N features
    axes = _positions(spec, shape, inner)
    rows = tuple(n for n, axis in zip(shape, axes, strict=True) if axis >= 0)
    return Alignment(rows, _view(y_true, axes), _view(y_pred, axes))


def _layout_of_overlap(spec: LossSpec, shape: Shape, y_true: Shape, y_pred: Shape) -> Alignment:
    """Sums inside each row, or over the rows: then what stays is a cell, read whole, and what is summed is cut."""
    summed = _axes(spec, len(shape)) if spec.axis is not None else tuple(range(len(shape)))
    over_rows = 0 in summed
    kept = tuple(i for i in range(len(shape)) if i not in summed)
    axes = _positions(spec, shape, kept if over_rows else summed)
    cut = tuple(n for n, axis in zip(shape, axes, strict=True) if axis >= 0)
    ratio_shape = tuple(shape[i] for i in kept) if over_rows else None
    if ratio_shape is not None and math.prod(ratio_shape) > MAX_CELLS:
        raise ShapeError(
            f"{spec.name}: axis={spec.axis} of y_pred with shape {y_pred} leaves {math.prod(ratio_shape):,} ratios "
            f"over the whole data; expected at most {MAX_CELLS:,}. Sum over more axes, or leave the first axis out."
        )
    return Alignment(cut, _view(y_true, axes), _view(y_pred, axes), ratio_shape)


def _align_one_number(spec: LossSpec, y_true: Shape, y_pred: Shape) -> Alignment:
    """A label, or a number, for each row."""
    if len(y_pred) < 2:
        raise ShapeError(f"{spec.name}: {_ONE_ROW.format(y_pred)}")
    (axis,) = _axes(spec, len(y_pred))
    axes = _positions(spec, y_pred, (axis,))
    rows = y_pred[:axis] + y_pred[axis + 1 :]
    with_one = (*y_pred[:axis], 1, *y_pred[axis + 1 :])
    formula = spec.formula
    if isinstance(formula, Parametric) and y_pred[axis] != len(formula.meanings):
        raise ShapeError(
            f"{spec.name}: y_pred has shape {y_pred}, whose axis {axis} has {y_pred[axis]} entries; expected "
            f"{len(formula.meanings)}: {' and '.join(formula.meanings)}."
        )
    if y_true not in (rows, with_one):
        what = "one integer label" if isinstance(formula, Sparse) else "one number"
        holds = "the classes" if isinstance(formula, Sparse) else "the distribution's parameters"
        raise ShapeError(
            f"{spec.name}: y_true has shape {y_true} but y_pred has {y_pred}, whose axis {axis} holds {holds}; "
            f"expected {what} for each row: shape {rows} or {with_one}. " + _advice(y_true, y_pred)
        )
    labels = list(range(len(rows))) if y_true == rows else [UNIT_AXIS if a == CLASS_AXIS else a for a in axes]
    return Alignment(rows, _view(y_true, labels), _view(y_pred, axes))


def _align_sequences(spec: LossSpec, y_true: Shape, y_pred: Shape) -> Alignment:
    if len(y_true) != 2 or len(y_pred) != 3 or y_true[0] != y_pred[0] or 0 in y_pred[1:]:
        raise ShapeError(
            f"{spec.name}: y_true has shape {y_true} and y_pred {y_pred}; expected (rows, length) and "
            "(rows, time, classes), with as many rows. " + _advice(y_true, y_pred)
        )
    return Alignment(y_pred[:1], View(y_true, (0, CLASS_AXIS)), View(y_pred, (0, CLASS_AXIS, CLASS_AXIS)))


def align_weight(weight: Shape, rows: Shape, role: str = "sample_weight") -> View:
    """A weight (or mask) for each loss: the losses' shape, or their rank with 1s, or with one more trailing 1.

    Raises ShapeError for anything else; a lower rank would be a guess which axes are meant.
    """
    squeezed = weight[:-1] if len(weight) == len(rows) + 1 and weight[-1] == 1 else weight
    if len(squeezed) == len(rows) and all(w in (1, n) for w, n in zip(squeezed, rows, strict=True)):
        return _view(
            weight, [i if w == n else BROADCAST_AXIS for i, (w, n) in enumerate(zip(squeezed, rows, strict=True))]
        )
    if options := _reshapes(weight, rows):
        raise ShapeError(
            f"{role} has shape {weight} but the losses have shape {rows}: which axis it follows is ambiguous. "
            f"Reshape it to {' or '.join(map(str, options))}."
        )
    raise ShapeError(
        f"{role} has shape {weight} but the losses have shape {rows}; expected "
        f"{'a scalar, ' if role == 'sample_weight' else ''}the losses' shape, or their rank with 1s where one "
        "entry holds for the whole axis."
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
    return View(shape, tuple([*axes, UNIT_AXIS] if len(shape) > len(axes) else axes))


def _axes(spec: LossSpec, rank: int) -> tuple[int, ...]:
    """The loss' axes, counted from the front; none for ``axis=None``."""
    given = spec.axis if isinstance(spec.axis, tuple) else () if spec.axis is None else (spec.axis,)
    for axis in given:
        if not -rank <= axis < rank:
            raise ShapeError(
                f"{spec.name}: axis={axis} is out of bounds for y_pred of rank {rank}; expected {-rank} to {rank - 1}."
            )
    axes = tuple(sorted({axis % rank for axis in given}))
    if len(axes) < len(given):
        raise ShapeError(f"{spec.name}: axis={spec.axis} names an axis of y_pred of rank {rank} twice.")
    return axes


def _positions(spec: LossSpec, shape: Shape, inner: tuple[int, ...]) -> list[int]:
    """For each axis its place among the losses' axes, or CLASS for the inner ones."""
    for axis in inner:
        if shape[axis] == 0:
            raise ShapeError(f"{spec.name}: y_pred has shape {shape}, whose axis {axis} is empty; expected a class.")
    return [CLASS_AXIS if i in inner else i - sum(c < i for c in inner) for i in range(len(shape))]


def _advice(y_true: Shape, y_pred: Shape) -> str:
    if y_true and y_pred and y_true[0] != y_pred[0]:
        return (
            f"They have {y_true[0]:,} and {y_pred[0]:,} rows: pass rows=slice(0, {min(y_true[0], y_pred[0])}) "
            f"(--rows 0:{min(y_true[0], y_pred[0])}) to evaluate the rows both have, if they do belong together."
        )
    return "Reshape one of them."
