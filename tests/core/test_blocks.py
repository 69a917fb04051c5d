"""Ranges are sets of whole numbers; a grid's blocks are the same by number and in order."""

import itertools

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from streamloss.core.blocks import Grid, Ranges

pieces = st.lists(st.tuples(st.integers(0, 30), st.integers(0, 30)), max_size=6)


def numbers(given_pieces):
    return {n for a, b in given_pieces for n in range(a, b)}


@given(pieces, pieces)
def test_ranges_are_sets(one, other):
    a, b = Ranges.of(one), Ranges.of(other)
    assert list(a) == sorted(numbers(one))
    assert len(a) == len(numbers(one))
    assert list(a | b) == sorted(numbers(one) | numbers(other))
    assert list(a - b) == sorted(numbers(one) - numbers(other))
    assert list(a & b) == sorted(numbers(one) & numbers(other))
    for result in (a, a | b, a - b, a & b):
        assert all(x < y for x, y in itertools.pairwise(sum(result.pieces, ()))), "apart, in order"


@given(pieces, st.integers(0, 30), st.integers(1, 9))
def test_adding_a_range_is_the_union_with_it(one, first, size):
    assert Ranges.of(one).add(first, first + size) == Ranges.of([*one, (first, first + size)])


@given(st.lists(st.tuples(st.integers(0, 7), st.integers(1, 4)), min_size=1, max_size=3), pieces)
def test_blocks_by_number_are_the_blocks_in_order(axes, some):
    grid = Grid(tuple(n for n, _ in axes), tuple(b for _, b in axes))
    blocks = list(grid.blocks())
    assert [grid.block(i) for i in range(grid.num_blocks)] == blocks
    seen = np.zeros(grid.shape, int)
    for block in blocks:
        seen[block.slices] += 1
    assert (seen == 1).all()
    some = Ranges.of(some) & Ranges.of([(0, grid.num_blocks)])
    assert grid.rows(some) == sum(blocks[i].rows for i in some)


def test_ranges_of_blocks_are_named_by_their_rows():
    assert Grid((10, 4), (3, 4)).describe(Ranges.of([(0, 1), (2, 4)]), 100) == "rows 100 to 102, 106 to 109"
    assert Grid((4, 4), (2, 2)).describe(Ranges.of([(1, 2)]), 10) == "block 1 (rows [10:12, 2:4])"
    assert Grid((4, 4), (2, 2)).describe(Ranges.of([(1, 3)])) == "blocks 1 to 2 from [0:2, 2:4]"
    assert "and 3 ranges more" in Grid((99,), (1,)).describe(Ranges.of([(2 * i, 2 * i + 1) for i in range(8)]))
