"""Labels of ratios: integers as 0 and 1 for each class, and the elements that ``ignore_class`` leaves out.

A map of classes has one integer where predictions have a number for each class. Only the labels of the block at hand
become one-hot, in a byte each: kernels see the same numbers as of one-hot arrays, so losses have the same bits.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from ..core.blocks import Block
from ..planning.alignment import Alignment
from . import convert

Array = np.ndarray[Any, Any]

NO_CLASS = 2
"""A number that is neither 0 nor 1, for labels that name no class: kernels refuse it."""


class Elements(NamedTuple):
    """The labels of a block's elements."""

    labels: Array
    """(rows, elements), or as they are stored where they are no map; of what is ignored 0 in a map."""
    ignored: Array | None
    """bool (rows, elements): what is left out of all sums; None: nothing is."""

    @property
    def ignored_rows(self) -> Array | None:
        """The rows of which nothing is left: bool (rows,); None where nothing is ignored."""
        return None if self.ignored is None else np.asarray(self.ignored.all(axis=1))

    def without_ignored(self, values: Array) -> Array:
        """Return labels or predictions (rows, elements) with 0 where elements are ignored in a row that counts: it adds
        nothing to any sum.
        """
        if self.ignored is None or not (self.ignored.any(axis=1) & ~self.ignored.all(axis=1)).any():
            return values
        return np.where(self.ignored, np.zeros((), values.dtype), values)


def elements_of_numbers(stored: Array, ignore_class: int | None) -> Elements:
    """Return labels (rows, elements) that are numbers, with those ignored that equal `ignore_class`."""
    ignored = None if ignore_class is None else stored == ignore_class
    return Elements(stored, ignored if ignored is not None and ignored.any() else None)


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
    axis = alignment.class_axis
    assert axis is not None
    of_classes = alignment.y_pred.select(block, start)[axis]
    classes = np.arange(of_classes.start, of_classes.stop)
    labels = convert.labels(stored)
    after = axis + (labels.ndim == len(alignment.y_pred.axes))  # behind an axis of length 1 for the classes, if any
    labels = labels.reshape(*labels.shape[:axis], 1, *labels.shape[after:])
    if classes.size == 0 or classes[-1] <= np.iinfo(labels.dtype).max:
        classes = classes.astype(labels.dtype)  # equal dtypes are compared several times as fast
    along = [1] * labels.ndim
    along[axis] = classes.size
    shape = tuple(np.broadcast_shapes(labels.shape, along))
    one_hot = allocate(shape, np.dtype(np.uint8))
    np.equal(labels, classes.reshape(along), out=one_hot.view(np.bool_))
    ignored = labels == ignore_class if ignore_class is not None else np.zeros((), np.bool_)
    if ignore_class is not None and 0 <= ignore_class < alignment.y_pred.shape[axis]:
        one_hot[np.broadcast_to(ignored, shape)] = 0
    outside = (labels < 0) | (labels >= alignment.y_pred.shape[axis])
    if outside.any() and (outside := outside & ~ignored).any():
        one_hot[np.broadcast_to(outside, shape)] = NO_CLASS
    rows = convert.contiguous(alignment.y_pred.to_rows(one_hot, block.shape).reshape(block.rows, -1))
    if not ignored.any():
        return Elements(rows, None)
    of_rows = alignment.y_pred.to_rows(np.broadcast_to(ignored, shape), block.shape)
    return Elements(rows, of_rows.reshape(block.rows, -1))
