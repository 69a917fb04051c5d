"""The blocks of an evaluation: the rows of each, their numbers, and sets of them."""

from __future__ import annotations

import bisect
import itertools
import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

Shape = tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Block:
    """A rectangle of the losses' shape, whose rows are evaluated together."""

    index: int
    """The position in the plan's row-major order of blocks."""
    start: tuple[int, ...]
    """The first row of the rectangle, for each axis of the losses."""
    stop: tuple[int, ...]
    """One past the last row, for each axis."""

    @property
    def shape(self) -> tuple[int, ...]:
        return tuple(b - a for a, b in zip(self.start, self.stop, strict=True))

    @property
    def rows(self) -> int:
        return math.prod(self.shape)

    @property
    def slices(self) -> tuple[slice, ...]:
        return tuple(slice(a, b) for a, b in zip(self.start, self.stop, strict=True))


@dataclass(frozen=True, slots=True)
class Grid:
    """A rectangle of rows, cut into blocks of one shape; those at the ends may be smaller."""

    shape: Shape
    block_shape: Shape

    @property
    def grid_shape(self) -> Shape:
        """Return the number of blocks along each axis."""
        return tuple(-(-n // b) for n, b in zip(self.shape, self.block_shape, strict=True))

    @property
    def num_blocks(self) -> int:
        return math.prod(self.grid_shape)

    def block(self, index: int) -> Block:
        """Return a block by its number in row-major order."""
        position, rest = [], index
        for count in reversed(self.grid_shape):
            rest, at = divmod(rest, count)
            position.append(at)
        return self._block(index, tuple(reversed(position)))

    def blocks(self) -> Iterator[Block]:
        """Return all blocks, in row-major order."""
        for index, position in enumerate(itertools.product(*map(range, self.grid_shape))):
            yield self._block(index, position)

    def rows(self, blocks: Ranges) -> int:
        """Return the number of rows in a set of blocks."""
        if self.cut_along_first_axis:
            size, whole = math.prod(self.shape[1:]), self.block_shape[0]
            return sum((min(b * whole, self.shape[0]) - a * whole) * size for a, b in blocks.pieces)
        return sum(self.block(index).rows for index in blocks)

    @property
    def cut_along_first_axis(self) -> bool:
        """Return whether only the first axis is cut, so that a range of blocks is a range of rows."""
        return self.block_shape[1:] == self.shape[1:]

    def describe(self, blocks: Ranges, start: int = 0) -> str:
        """Return the rows of a set of blocks for a message: ``rows 0 to 4,095, 8,192 to 9,999``.

        `start` is the row of the arrays at which the grid begins.
        """
        few = blocks.pieces[:5]
        more = f", and {len(blocks.pieces) - len(few):,} ranges more" if len(blocks.pieces) > len(few) else ""
        if self.cut_along_first_axis:
            ends = [(self.block(a).start[0] + start, self.block(b - 1).stop[0] + start) for a, b in few]
            return "rows " + ", ".join(f"{a:,} to {b - 1:,}" for a, b in ends) + more
        return ", ".join(self._describe_blocks(a, b, start) for a, b in few) + more

    def _describe_blocks(self, first: int, stop: int, start: int) -> str:
        at = self.block(first)
        rows = ", ".join(
            f"{a + start if axis == 0 else a}:{b + start if axis == 0 else b}"
            for axis, (a, b) in enumerate(zip(at.start, at.stop, strict=True))
        )
        return f"block {first} (rows [{rows}])" if stop == first + 1 else f"blocks {first} to {stop - 1} from [{rows}]"

    def _block(self, index: int, position: Shape) -> Block:
        start = tuple(i * b for i, b in zip(position, self.block_shape, strict=True))
        stop = tuple(min(a + b, n) for a, b, n in zip(start, self.block_shape, self.shape, strict=True))
        return Block(index, start, stop)


@dataclass(frozen=True, slots=True)
class Ranges:
    """A set of whole numbers as ranges, in order, which neither touch nor overlap.

    >>> Ranges.of([(4, 6), (0, 2)]) | Ranges.of([(2, 3)])
    Ranges(pieces=((0, 3), (4, 6)))
    >>> Ranges.of([(0, 10)]) - Ranges.of([(3, 5)])
    Ranges(pieces=((0, 3), (5, 10)))
    """

    pieces: tuple[tuple[int, int], ...] = ()
    """The ranges as (first, one past the last)."""

    @classmethod
    def of(cls, pieces: Iterable[tuple[int, int]]) -> Ranges:
        """Return the union of ranges in any order."""
        merged: list[tuple[int, int]] = []
        for first, stop in sorted((a, b) for a, b in pieces if a < b):
            if merged and first <= merged[-1][1]:
                merged[-1] = (merged[-1][0], max(stop, merged[-1][1]))
            else:
                merged.append((first, stop))
        return cls(tuple(merged))

    def add(self, first: int, stop: int) -> Ranges:
        """Return the union with one range; cheap also for many pieces."""
        low = bisect.bisect_left(self.pieces, first, key=lambda piece: piece[1])
        high = bisect.bisect_right(self.pieces, stop, key=lambda piece: piece[0])
        touched = Ranges.of([*self.pieces[low:high], (first, stop)]).pieces
        return Ranges(self.pieces[:low] + touched + self.pieces[high:])

    @classmethod
    def of_shard(cls, index: int, count: int, number: int) -> Ranges:
        """Return the blocks, of `number` in all, that the shard `index` of `count` evaluates."""
        return cls.of([(index * number // count, (index + 1) * number // count)])

    def __or__(self, other: Ranges) -> Ranges:
        return self.add(*other.pieces[0]) if len(other.pieces) == 1 else Ranges.of(self.pieces + other.pieces)

    def __sub__(self, other: Ranges) -> Ranges:
        left = []
        for first, stop in self.pieces:
            at = first
            for a, b in other.pieces[bisect.bisect_right(other.pieces, first, key=lambda piece: piece[1]) :]:
                if a >= stop:
                    break
                left.append((at, a))
                at = b
            left.append((at, stop))
        return Ranges.of(left)

    def __and__(self, other: Ranges) -> Ranges:
        return self - (self - other)

    def __len__(self) -> int:
        return sum(b - a for a, b in self.pieces)

    def __iter__(self) -> Iterator[int]:
        for first, stop in self.pieces:
            yield from range(first, stop)
