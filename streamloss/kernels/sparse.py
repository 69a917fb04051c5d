"""Loops over rows with an integer label: classes side by side where there are many, rows where there are few.

Both add in the canonical order, so their losses have the same bits.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from .._jit import scalar, serial
from ..losses._kinds import Sparse
from .layout import BAD, IGNORED, KEPT, Pair, Rows, count_outside_of
from .order import SEGMENT, SLOTS, add_tree, row_maximum, two_sum

FEW = 48  # classes up to which rows stand side by side
ABREAST = 64  # rows side by side: their terms for FEW classes stay in L1


def sparse(formula: Sparse) -> Rows:
    one_by_one, side_by_side = _one_by_one(formula), _side_by_side(formula)
    finish = scalar(formula.finish)

    @serial
    def rows(
        y_true: Any, y_pred: Any, ignore: Pair, arguments: Any, each: Any, values: Any, status: Any, work: Any
    ) -> None:
        own, pivots, sums = work[1], work[2], work[3]
        n, classes = y_pred.shape
        if classes <= FEW:
            side_by_side(y_true, y_pred, ignore, own, pivots, sums, status)
        else:
            one_by_one(y_true, y_pred, ignore, own, pivots, sums, status, work[0], work[4])
        for r in range(n):
            values[r] = finish(own[r], pivots[r], sums[r], *arguments)

    return rows


def _side_by_side(formula: Sparse) -> Rows:
    """ABREAST rows at once: every inner loop runs over them. Each class is the one term of its slot."""
    term = scalar(formula.term)
    low, high, bounded = formula.y_pred.smallest, formula.y_pred.largest, formula.y_pred.bounded
    by_maximum, by_label = formula.pivot == "maximum", formula.pivot == "label"

    @serial
    def side_by_side(y_true: Any, y_pred: Any, ignore: Pair, own: Any, pivots: Any, sums: Any, status: Any) -> None:
        n, classes = y_pred.shape
        labels = np.empty(ABREAST, np.int64)
        terms = np.empty((FEW, ABREAST))
        lost = np.empty((FEW, ABREAST))
        for start in range(0, n, ABREAST):
            m = min(ABREAST, n - start)
            mine, pivot, kept = own[start : start + m], pivots[start : start + m], status[start : start + m]
            for j in range(classes):
                column = terms[j]
                for r in range(m):
                    column[r] = y_pred[start + r, j]
            for r in range(m):
                label = y_true[start + r]
                usable = (label >= 0) & (label < classes)
                labels[r] = label if usable else 0
                kept[r] = KEPT if usable else BAD
            if bounded:
                for j in range(classes):
                    column = terms[j]
                    for r in range(m):
                        kept[r] = BAD if (column[r] < low) | (column[r] > high) else kept[r]
            if ignore[0]:
                for r in range(m):
                    kept[r] = IGNORED if y_true[start + r] == ignore[1] else kept[r]
            for r in range(m):
                mine[r] = terms[labels[r], r]
                pivot[r] = mine[r] if by_label else np.nan
            if by_maximum:
                for r in range(m):
                    pivot[r] = terms[0, r]
                for j in range(1, classes):
                    column = terms[j]
                    for r in range(m):
                        pivot[r] = column[r] if column[r] > pivot[r] else pivot[r]
            for j in range(classes):
                column, rest = terms[j], lost[j]
                for r in range(m):
                    value = 0.0 + term(column[r], pivot[r], 1.0 if j < labels[r] else 0.0)
                    column[r] = 0.0 if j == labels[r] else value
                    rest[r] = 0.0
            width = classes
            while width > 1:
                half = width // 2
                for k in range(half):
                    left, right, left_lost, right_lost = terms[2 * k], terms[2 * k + 1], lost[2 * k], lost[2 * k + 1]
                    total, total_lost = terms[k], lost[k]
                    for r in range(m):
                        s, e = two_sum(left[r], right[r])
                        total_lost[r] = (left_lost[r] + right_lost[r]) + e
                        total[r] = s
                if width % 2:
                    terms[half, :m] = terms[width - 1, :m]
                    lost[half, :m] = lost[width - 1, :m]
                    half += 1
                width = half
            for r in range(m):
                sums[start + r] = terms[0, r] + lost[0, r]
            for r in range(m):  # any number does for a row without a loss
                mine[r] = mine[r] if kept[r] == KEPT else 0.5
                pivot[r] = pivot[r] if kept[r] == KEPT else 0.5
                sums[start + r] = sums[start + r] if kept[r] == KEPT else 0.5

    return side_by_side


def _one_by_one(formula: Sparse) -> Rows:
    """A row at a time: slots run over the classes."""
    term = scalar(formula.term)
    outside_pred = count_outside_of(formula.y_pred)
    by_maximum, by_label = formula.pivot == "maximum", formula.pivot == "label"

    @serial
    def one_by_one(
        y_true: Any,
        y_pred: Any,
        ignore: Pair,
        own: Any,
        pivots: Any,
        sums: Any,
        status: Any,
        slots: Any,
        rest: Any,
    ) -> None:
        classes = y_pred.shape[1]
        lanes = np.empty(64, y_pred.dtype)
        n = y_pred.shape[0]
        for r in range(n):
            label = y_true[r]
            row = y_pred[r]
            status[r] = KEPT
            own[r], pivots[r], sums[r] = 0.5, 0.5, 0.5  # any number does for a row without a loss
            if ignore[0] and label == ignore[1]:
                status[r] = IGNORED
                continue
            if label < 0 or label >= classes or outside_pred(row) > 0:
                status[r] = BAD
                continue
            pivot = row_maximum(row, lanes) if by_maximum else np.nan
            pivot = np.float64(row[label]) if by_label else pivot
            others, lost = 0.0, 0.0
            for segment in range(0, classes, SEGMENT):
                end = min(segment + SEGMENT, classes)
                for start in range(segment, end, SLOTS):
                    width = min(SLOTS, end - start)
                    part = row[start : start + width]
                    if start == segment:
                        for k in range(width):
                            slots[k] = 0.0
                    for k in range(width):
                        slots[k] += term(np.float64(part[k]), pivot, 1.0 if start + k < label else 0.0)
                if segment <= label < end:  # the label's slot again, without the label
                    slot = (label - segment) % SLOTS
                    without = 0.0
                    for j in range(segment + slot, end, SLOTS):
                        if j != label:
                            without += term(np.float64(row[j]), pivot, 1.0 if j < label else 0.0)
                    slots[slot] = without
                others, lost = add_tree(others, lost, slots, rest, min(SLOTS, end - segment))
            own[r], pivots[r], sums[r] = row[label], pivot, others + lost

    return one_by_one
