"""Arrays whose axes are brought into another order, with axes that they do not have."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from .base import Allocate, Selection, Source, nbytes, selection_shape
from .labels import Labels
from .wrapped import Wrapped


class Rearranged(Wrapped):
    """An array of which another source has the elements, with its axes in another order."""

    def __init__(self, inner: Source, axes: Sequence[int | None], shape: Sequence[int]) -> None:
        """`axes` are those of `inner`, None for one that it has not: its elements are repeated along it, `shape` says
        how often.
        """
        super().__init__(inner, inner.dtype)
        self._axes = tuple(axes)
        self._given = tuple(shape)
        self.shape = self._of_inner(inner.shape, self._given)
        ones = (1,) * len(self._axes)
        self.chunk_shape = self._of_inner(inner.chunk_shape, ones)
        self.piece_shape = ones if inner.in_memory else None
        if inner.dimensions:
            self.dimensions = tuple(None if axis is None else inner.dimensions[axis] for axis in self._axes)

    def __reduce__(self) -> Any:
        return Rearranged, (self._inner, self._axes, self._given)

    def _of_inner(self, values: Sequence[int], others: Sequence[int]) -> tuple[int, ...]:
        pairs = zip(self._axes, others, strict=True)
        return tuple(other if axis is None else values[axis] for axis, other in pairs)

    def _to_inner(self, values: Sequence[Any]) -> tuple[Any, ...]:
        by_axis = {axis: value for axis, value in zip(self._axes, values, strict=True) if axis is not None}
        return tuple(by_axis[axis] for axis in range(len(by_axis)))

    def read(self, selection: Selection, allocate: Allocate = np.empty) -> np.ndarray[Any, Any]:
        shape = selection_shape(selection)
        inner = self._inner.read(self._to_inner(selection))
        there = [axis for axis in self._axes if axis is not None]
        index = tuple(np.newaxis if axis is None else slice(None) for axis in self._axes)
        view = inner.transpose(there)[index]
        if view.shape == shape:
            return view
        out = allocate(shape, self.dtype)
        out[...] = view
        return out

    def read_bytes(self, selection_shape: tuple[int, ...]) -> int:
        return nbytes(selection_shape, self.dtype) + self._inner.read_bytes(self._to_inner(selection_shape))

    def locate(self, index: tuple[int, ...]) -> str:
        return self._inner.locate(self._to_inner(index))

    def labels(self) -> Mapping[int, Labels]:
        found = self._inner.labels()
        return {i: found[axis] for i, axis in enumerate(self._axes) if axis is not None and axis in found}
