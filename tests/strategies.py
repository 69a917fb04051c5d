"""Inputs for any declared loss, read off its declaration."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

import streamloss as sl
from streamloss.losses._registry import Elementwise, Rowwise, declarations
from streamloss.types import Interval

MODERATE = np.float32(1e18)  # squares of a row, and products with labels, stay far from the largest float32


class Case(NamedTuple):
    y_true: np.ndarray
    y_pred: np.ndarray
    weight: np.ndarray | None


def every_loss() -> dict[str, sl.losses.Loss]:
    """Each formula of each declared loss, with its defaults."""
    losses = {}
    for declaration in declarations():
        make = getattr(sl.losses, declaration.class_name)
        losses[declaration.name] = make()
        if declaration.logits is not None:
            losses[f"{declaration.name}:from_logits"] = make(from_logits=True)
    return losses


def numbers(interval: Interval, width: int) -> st.SearchStrategy[float]:
    """Floats inside an interval: everyday ones, its ends, and wild magnitudes."""
    limit = float(np.finfo(np.float32 if width == 32 else np.float64).max)
    low, high = max(interval.smallest, -limit), min(interval.largest, limit)
    ends = [v for v in (low, high, 0.0, 0.5, 1.0) if v in interval]
    everyday = st.floats(max(low, -50.0), min(high, 50.0), width=width)
    return st.one_of(everyday, st.sampled_from(ends), st.floats(low, high, width=width))


@st.composite
def cases(draw: st.DrawFn, loss: sl.losses.Loss, max_rows: int = 12, max_classes: int = 5) -> Case:
    """Aligned `y_true`, `y_pred` and perhaps weights that have a loss in every row."""
    formula = loss.spec.formula
    rows, classes = draw(st.integers(1, max_rows)), draw(st.integers(1, max_classes))
    dtype = draw(st.sampled_from([np.float32, np.float64]))
    width = 32 if dtype == np.float32 else 64
    shape = (rows, classes)
    y_pred = draw(hnp.arrays(dtype, shape, elements=numbers(formula.y_pred, width)))
    if isinstance(formula, Elementwise):
        y_true = draw(hnp.arrays(dtype, shape, elements=numbers(formula.y_true, width)))
    elif isinstance(formula, Rowwise):
        y_true = draw(hnp.arrays(dtype, shape, elements=numbers(formula.y_true, width)))
        y_true, y_pred = (np.clip(array, -MODERATE, MODERATE) for array in (y_true, y_pred))
        if formula.share is not None:
            y_pred[:, 0] = np.maximum(y_pred[:, 0], dtype(0.25))  # a row of zeros is no distribution
    else:
        y_true = draw(hnp.arrays(np.int64, rows, elements=st.integers(0, classes - 1)))
        if formula.y_pred.bounded:
            y_pred[:, 0] = np.maximum(y_pred[:, 0], dtype(0.25))  # a row of zeros is no distribution
    positive = st.one_of(st.floats(0.0625, 8.0), st.floats(1e-30, 1e30))
    weight = draw(st.none() | hnp.arrays(np.float64, rows, elements=positive))
    return Case(y_true, y_pred, weight)
