"""Labels of ratios: integers as 0 and 1 for each class, and the elements that ``ignore_class`` leaves out.

A map of classes has one integer where predictions have a number for each class. Only the labels of the block at hand
become one-hot, in a byte each: kernels see the same numbers as of one-hot arrays, so losses have the same bits.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from ..core.blocks import Block
from ..planning.alignment import CLASS_AXIS, Alignment
from . import convert

Array = np.ndarray[Any, Any]

NO_CLASS = 2
"""A number that is neither 0 nor 1, for labels that name no class: kernels refuse it."""


class Elements(NamedTuple):
    """The labels of a block's elements."""

    labels: Array
    """(rows, elements): as they are stored, or of a map 0 and 1 for each class, and 0 for what is ignored."""
    ignored_rows: Array | None = None
    """The rows of which nothing is left: bool (rows,); None where nothing is ignored."""
    ignored: Array | None = None
    """The elements that are left out of all sums: bool (rows, elements); None where they are whole rows."""

    def without_ignored(self, values: Array) -> Array:
        """Return labels or predictions (rows, elements) with 0 where elements are ignored in a row that counts: it adds
        nothing to any sum.
        """
        return values if self.ignored is None else np.where(self.ignored, np.zeros((), values.dtype), values)


def elements_of_numbers(stored: Array, ignore_class: int | None) -> Elements:
    """Return labels (rows, elements) that are numbers, with those ignored that equal `ignore_class`."""
    if ignore_class is None or not (ignored := stored == ignore_class).any():
        return Elements(stored)
    whole = np.asarray(ignored.all(axis=1))
    return Elements(stored, whole, ignored if _in_part(ignored, whole) else None)


def _in_part(ignored: Array, whole: Array) -> bool:
    """Return whether some but not all elements of a row are ignored."""
    return bool((ignored.any(axis=1) & ~whole).any())


def elements_of_map(
    stored: Array,
    alignment: Alignment,
    block: Block,
    start: int,
    ignore_class: int | None,
    allocate: Callable[[tuple[int, ...], np.dtype[Any]], Array],
) -> Elements:
    """Return a map's labels under a block as 0 and 1 for each class: uint8 (rows, elements).

    `stored` is the rectangle under the block, `start` the arrays' row where losses begin. Labels that name no class are
    `NO_CLASS` in all classes.
    """
    axis, shape = alignment.class_axis, alignment.y_pred.shape
    assert axis is not None
    of_classes = alignment.y_pred.select(block, start)[axis]
    labels = convert.labels(stored.squeeze(axis) if stored.ndim == len(shape) else stored)
    flat = labels.reshape(-1)
    ignored = None if ignore_class is None else flat == ignore_class
    one_hot = allocate((flat.size, of_classes.stop - of_classes.start), np.dtype(np.uint8))
    one_hot.fill(0)
    held = (flat >= of_classes.start) & (flat < of_classes.stop)
    at = np.flatnonzero(held if ignored is None else held & ~ignored)
    one_hot[at, flat[at].astype(np.int64) - of_classes.start] = 1
    if not held.all():
        outside = (flat < 0) | (flat >= shape[axis])
        one_hot[outside if ignored is None else outside & ~ignored] = NO_CLASS
    of_elements = np.moveaxis(one_hot.reshape(*labels.shape, -1), -1, axis)
    rows = convert.contiguous(alignment.y_pred.to_rows(of_elements, block.shape).reshape(block.rows, -1))
    if ignored is None or not ignored.any():
        return Elements(rows)
    repeated = np.broadcast_to(np.expand_dims(ignored.reshape(labels.shape), axis), of_elements.shape)
    if alignment.y_pred.axes[axis] == CLASS_AXIS:  # the same for all classes of a row
        once = alignment.y_true.to_rows(ignored.reshape(stored.shape), block.shape).reshape(block.rows, -1)
    else:
        once = alignment.y_pred.to_rows(repeated, block.shape).reshape(block.rows, -1)
    if once.shape[1] == 1:
        return Elements(rows, once[:, 0])
    whole = np.asarray(once.all(axis=1))
    if not _in_part(once, whole):
        return Elements(rows, whole)
    return Elements(rows, whole, alignment.y_pred.to_rows(repeated, block.shape).reshape(block.rows, -1))
