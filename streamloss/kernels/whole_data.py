"""Sums over all rows for a ratio over the whole data: exact, so that the one division at the end is."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np

from ..aggregation.accumulator import add
from ..core.jit import serial
from ..core.primitives import fma
from ..formulas._kinds import Overlap
from .accumulate import COUNT, IGNORED_ROWS, OMIT, OMITTED, RAISE
from .base import TILE

BOTH, PREDICTED, TRUE = 0, 1, 2  # what is summed, for each cell: y p, p and y
NUM_SUMS = 3


@dataclass(frozen=True, slots=True, eq=False)
class Whole:
    """An overlap whose sums go over the rows: one ratio for each cell, the entries of a row."""

    overlap: Overlap


@cache
def whole(overlap: Overlap) -> Whole:
    """One object for each overlap, so that its kernel is found again."""
    return Whole(overlap)


@cache
def sums_over_rows(overlap: Overlap) -> Callable[..., int]:
    """The loop of :func:`streamloss.kernels.cpu.serial`, with ``limbs`` (NUM_SUMS * cells, SIZE); it writes no losses.

    A product of two float64 is the sum of two: its rounded value, and what the rounding lost, which fma tells.
    """
    lowest, highest = overlap.y_true.smallest, overlap.y_true.largest
    lowest_pred, highest_pred = overlap.y_pred.smallest, overlap.y_pred.largest

    @serial
    def loop_whole(
        y_true: Any,
        y_pred: Any,
        weight: Any,
        mask: Any,
        ignore: tuple[int, int],
        arguments: Any,
        each: Any,
        nan_policy: int,
        keep: bool,
        out: Any,
        limbs: Any,
        counts: Any,
    ) -> int:
        n, cells = y_pred.shape
        buffer = np.empty((4, TILE))
        for cell in range(cells):
            for a in range(0, n, TILE):
                m = 0
                for r in range(a, min(a + TILE, n)):
                    if mask.size > 0 and not mask[r]:
                        counts[IGNORED_ROWS] += 1
                        continue
                    y, p = np.float64(y_true[r, cell]), np.float64(y_pred[r, cell])
                    if y < lowest or y > highest or p < lowest_pred or p > highest_pred:
                        return r
                    if y != y or p != p:
                        if nan_policy == RAISE:
                            return r
                        if nan_policy == OMIT:
                            counts[OMITTED] += 1
                            continue
                    product = y * p
                    buffer[0, m], buffer[1, m], buffer[2, m] = product, p, y
                    buffer[3, m] = fma(y, p, -product)
                    m += 1
                counts[COUNT] += m
                add(limbs[NUM_SUMS * cell + BOTH], buffer[0, :m])
                add(limbs[NUM_SUMS * cell + BOTH], buffer[3, :m])
                add(limbs[NUM_SUMS * cell + PREDICTED], buffer[1, :m])
                add(limbs[NUM_SUMS * cell + TRUE], buffer[2, :m])
        return -1

    return loop_whole
