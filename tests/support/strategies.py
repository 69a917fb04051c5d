"""Inputs for any declared loss, read off its declaration."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

import streamloss as sl
from streamloss.core.types import Interval
from streamloss.formulas._kinds import Elementwise, LabelSequence, OneHot, Overlap, Parametric, Rowwise, Sparse
from streamloss.formulas._registry import declarations

MODERATE = np.float32(1e18)  # squares of a row, and products with labels, stay far from the largest float32


class Case(NamedTuple):
    y_true: np.ndarray
    y_pred: np.ndarray
    weight: np.ndarray | float | None


def every_loss() -> dict[str, sl.losses.Loss]:
    """Return each formula of each declared loss, with its defaults; ratios over the whole data and of rows."""
    losses = {}
    for declaration in declarations():
        make = getattr(sl.losses, declaration.class_name)
        for variant in declaration.variants:
            label = ",".join(f"{k}={v}" for k, v in variant.items())
            losses[f"{declaration.name}:{label}" if label else declaration.name] = make(**variant)
        if isinstance(next(iter(declaration.formulas.values())), Overlap):
            losses[f"{declaration.name}:axis=-1"] = make(axis=-1)
            losses[f"{declaration.name}:axis=0"] = make(axis=0)
    return losses


def over_rows(loss: sl.losses.Loss) -> bool:
    """Return whether the loss is a ratio over the whole data."""
    return isinstance(loss.spec.formula, Overlap) and loss.spec.axis != -1


def numbers(interval: Interval, width: int) -> st.SearchStrategy[float]:
    """Draw floats inside an interval: everyday ones, its ends, and wild magnitudes."""
    limit = float(np.finfo(np.float32 if width == 32 else np.float64).max)
    tiniest = float(np.finfo(np.float32 if width == 32 else np.float64).smallest_subnormal)
    low = tiniest if interval.low == 0 and interval.low_open else max(interval.smallest, -limit)
    high = min(interval.largest, limit)
    ends = [v for v in (low, high, 0.0, 0.5, 1.0) if v in interval]
    everyday = st.floats(max(low, -50.0), min(high, 50.0), width=width)
    return st.one_of(everyday, st.sampled_from(ends), st.floats(low, high, width=width))


@st.composite
def cases(draw: st.DrawFn, loss: sl.losses.Loss, max_rows: int = 12, max_classes: int = 5) -> Case:
    """Draw aligned `y_true`, `y_pred` and perhaps weights that have a loss in every row."""
    formula = loss.spec.formula
    rows, classes = draw(st.integers(1, max_rows)), draw(st.integers(1, max_classes))
    dtype = draw(st.sampled_from([np.float32, np.float64]))
    width = 32 if dtype == np.float32 else 64
    shape = (rows, classes)
    if not isinstance(formula, Parametric | LabelSequence):
        y_pred = draw(hnp.arrays(dtype, shape, elements=numbers(formula.y_pred, width)))
    match formula:
        case Elementwise() | Overlap():
            y_true = draw(hnp.arrays(dtype, shape, elements=numbers(formula.y_true, width)))
            if (
                formula.y_true.low == 0 and not formula.y_true.high < np.inf
            ):  # counts, whose likelihoods have exponentials
                y_true, y_pred = np.minimum(y_true, MODERATE), np.clip(y_pred, -MODERATE, MODERATE)
            if isinstance(formula, Elementwise) and formula.cancels:  # terms of both signs: inf - inf is no loss
                largest = np.finfo(dtype).max / dtype(1e6)
                y_true, y_pred = np.clip(y_true, -largest, largest), np.clip(y_pred, -largest, largest)
            if loss.spec.both_conventions and draw(st.booleans(), label="binary labels"):
                y_true = (y_true > 0).astype(dtype)
        case Rowwise():
            y_true = draw(hnp.arrays(dtype, shape, elements=numbers(formula.y_true, width)))
            y_true, y_pred = (np.clip(array, -MODERATE, MODERATE) for array in (y_true, y_pred))
            if formula.share is not None and formula.peak is None:
                y_pred[:, 0] = np.maximum(y_pred[:, 0], dtype(0.25))  # a row of zeros is no distribution
        case Sparse() | OneHot():
            y_true = draw(hnp.arrays(np.int64, rows, elements=st.integers(0, classes - 1)))
            if formula.y_pred.bounded:
                y_pred[:, 0] = np.maximum(y_pred[:, 0], dtype(0.25))  # a row of zeros is no distribution
        case Parametric():
            y_true = draw(hnp.arrays(dtype, rows, elements=numbers(formula.y_true, width)))
            pair = [draw(hnp.arrays(dtype, rows, elements=numbers(interval, width))) for interval in formula.y_preds]
            y_pred = np.stack(pair, axis=1)
        case LabelSequence():
            length, time = draw(st.integers(1, 3)), draw(st.integers(5, 8))
            y_true = draw(hnp.arrays(np.int64, (rows, length), elements=st.integers(0, classes - 1)))
            y_true = np.sort(y_true, axis=1)[:, ::-1]  # zeros last
            y_pred = draw(hnp.arrays(dtype, (rows, time, classes), elements=numbers(formula.y_pred, width)))
            y_pred = np.clip(y_pred, -MODERATE, MODERATE)
    if over_rows(loss):
        return Case(y_true, y_pred, draw(st.none() | st.just(0.375)))
    positive = st.one_of(st.floats(0.0625, 8.0), st.floats(1e-30, 1e30))
    weight = draw(st.none() | hnp.arrays(np.float64, rows, elements=positive))
    return Case(y_true, y_pred, weight)
