"""Rows for any declared loss, read off its declaration: everyday ones, and those in which formulas lose digits."""

from __future__ import annotations

import numpy as np

import streamloss as sl
from streamloss.core.types import REAL, UNIT, Interval
from streamloss.formulas._kinds import Elementwise, LabelSequence, OneHot, Overlap, Parametric, Rowwise, Sparse


def powers(rng, n, low, high):
    """Return n numbers of every magnitude between ``10**low`` and ``10**high``."""
    return 10.0 ** rng.uniform(low, high, n)


def mixed(rng, n, *draws):
    """Return n numbers, each taken from one of the draws at random."""
    which = rng.integers(0, len(draws), n)
    return np.choose(which, [np.broadcast_to(draw, n) for draw in draws])


def unit_numbers(rng, n):
    """Return probabilities: everyday ones, almost 0, almost 1, and the ends."""
    everyday, tiny, almost = rng.random(n), powers(rng, n, -12, 0), 1 - powers(rng, n, -16, 0)
    return mixed(rng, n, everyday, tiny, almost, powers(rng, n, -300, 0), rng.integers(0, 2, n))


def logits(rng, n):
    return mixed(rng, n, rng.normal(size=n) * 3, rng.uniform(-80, 80, n), signs(rng, n) * powers(rng, n, -9, 3))


def signs(rng, n):
    return rng.choice([-1.0, 1.0], n)


def numbers_in(interval: Interval, rng, n):
    if interval == UNIT:
        return mixed(rng, n, unit_numbers(rng, n), rng.integers(0, 2, n))
    if interval.high == 1:  # -1 to 1
        return signs(rng, n) * numbers_in(UNIT, rng, n)
    sizes = mixed(
        rng, n, abs(rng.normal(size=n)), powers(rng, n, -9, 9), powers(rng, n, -30, 18), rng.integers(0, 9, n)
    )
    return signs(rng, n) * sizes if interval.low < 0 else sizes


def inside(interval: Interval, values, dtype):
    """Return values in the dtype, those outside the interval moved to the nearest number inside."""
    values = np.clip(values, interval.low, interval.high).astype(dtype)
    return np.maximum(values, np.nextafter(dtype(interval.low), dtype(np.inf))) if interval.low_open else values


def nearby(rng, values):
    """Return the numbers changed in a digit between the first and the last; some a little more, some not at all."""
    n = values.size
    by_part = values * (1 + signs(rng, n) * powers(rng, n, -16.5, -0.3))
    return mixed(rng, n, by_part, by_part, values + signs(rng, n) * powers(rng, n, -16.5, 1), values)


def distributions(rng, n, classes):
    """Return rows of probabilities: even, peaked, and with one class that has almost all, or almost nothing."""
    even, peaked = rng.dirichlet(np.ones(classes), n), rng.dirichlet(np.full(classes, 0.05), n)
    most = even * powers(rng, n, -300, 0)[:, None] * (rng.random((n, 1)) < 0.5)
    most[:, 0] = 1 - most[:, 0]
    some = even * powers(rng, n, -17, 0)[:, None]
    some[:, -1] = 1 - some[:, :-1].sum(axis=1)
    rows = np.stack([even, peaked, most, some])[rng.integers(0, 4, n), np.arange(n)]
    rows[~(rows.sum(axis=1) > 0)] = 1 / classes
    return np.clip(rows, 0, 1)


def logit_rows(rng, n, classes):
    """Return rows of logits: everyday ones, ties, and with one class ahead by any margin; some far from 0."""
    rows = rng.normal(size=(n, classes)) * mixed(rng, n, 1.0, 3.0, 0.0, powers(rng, n, -9, 3))[:, None]
    rows[:, 0] += mixed(rng, n, 0.0, powers(rng, n, -1, 3), rng.uniform(0, 50, n))
    return rows + mixed(rng, n, 0.0, 0.0, 1e4)[:, None]


def one_hot(labels, classes):
    return np.eye(classes)[labels]


def rows_for(loss: sl.losses.Loss, rng, n: int, classes: int, dtype) -> tuple[np.ndarray, np.ndarray]:
    """Return `y_true` and `y_pred` of n rows, all of which have a loss."""
    formula = loss.spec.formula
    labels = mixed(rng, n, 0, rng.integers(0, classes, n)).astype(int)
    match formula:
        case Elementwise():
            y = inside(formula.y_true, numbers_in(formula.y_true, rng, n * classes), dtype).astype(float)
            if loss.spec.parameters.get("power", 0.0) >= 2.0:
                y = np.maximum(y, float(np.finfo(dtype).smallest_subnormal))
            if formula.y_pred == REAL and formula.y_true != REAL:
                p = logits(rng, n * classes)
            else:
                p = mixed(rng, y.size, numbers_in(formula.y_pred, rng, y.size), nearby(rng, y))
            y, p = y.reshape(n, classes), inside(formula.y_pred, p, dtype).reshape(n, classes)
        case Overlap():
            p = numbers_in(UNIT, rng, n * classes).reshape(n, classes)
            y = np.where(rng.random((n, 1)) < 0.7, p.round(), numbers_in(UNIT, rng, p.size).reshape(p.shape))
        case Sparse() | OneHot():
            y, p = labels, (distributions if formula.y_pred == UNIT else logit_rows)(rng, n, classes)
        case Rowwise() if formula.y_true == REAL:
            p = rng.normal(size=(n, classes)) * powers(rng, n, -15, 15)[:, None]
            near = p * (1 + rng.normal(size=p.shape) * powers(rng, n, -16, 0)[:, None])
            y = np.where(rng.random((n, 1)) < 0.5, near, rng.normal(size=p.shape))
            y = one_hot(labels, classes) if formula.peak is not None else y
        case Rowwise():
            p = (distributions if formula.y_pred == UNIT else logit_rows)(rng, n, classes)
            near = np.clip(p * (1 + rng.normal(size=p.shape) * powers(rng, n, -16, 0)[:, None]), 0, 1)
            soft = near if formula.y_pred == UNIT else distributions(rng, n, classes)
            y = np.where(rng.random((n, 1)) < 0.5, one_hot(labels, classes), soft)
        case Parametric():
            y = inside(formula.y_true, numbers_in(formula.y_true, rng, n), dtype).astype(float)
            mean = mixed(rng, n, nearby(rng, y), numbers_in(formula.y_preds[0], rng, n))
            p = np.stack([mean, inside(formula.y_preds[1], numbers_in(formula.y_preds[1], rng, n), dtype)], axis=1)
        case LabelSequence():
            time, length = classes + 3, min(3, classes)
            y = rng.integers(0, classes + 1, (n, length))
            y = np.where(np.cumsum(y == 0, axis=1) > 0, 0, y)
            p = logit_rows(rng, n * time, classes + 1).reshape(n, time, classes + 1)
    return (y if y.dtype.kind == "i" else y.astype(dtype)), p.astype(dtype)
