"""Slow, obvious references: formulas in arbitrary precision, sums in exact arithmetic."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
from mpmath import mp, mpf

import streamloss as sl

mp.prec = 400


def clip(q, epsilon, dtype):
    """Keras' clip, whose bounds are numbers of the result dtype."""
    if epsilon == 0:
        return q
    low = dtype.type(epsilon)
    return min(max(q, mpf(float(low))), mpf(float(dtype.type(1) - low)))


def negative_log(q):
    return mp.inf if q == 0 else -mp.log(q)


def squared_error(y, p, dtype):
    return (mpf(float(p)) - mpf(float(y))) ** 2


def binary_crossentropy(y, p, dtype, from_logits=False, label_smoothing=0.0, epsilon=1e-7):
    y, p, smoothing = mpf(float(y)), mpf(float(p)), mpf(label_smoothing)
    z = y * (1 - smoothing) + smoothing / 2
    if from_logits:
        return max(p, 0) - p * z + mp.log1p(mp.exp(-abs(p)))
    q = clip(p, epsilon, dtype)
    return (z * negative_log(q) if z else 0) + ((1 - z) * negative_log(1 - q) if z != 1 else 0)


def sparse_categorical_crossentropy(label, row, dtype, from_logits=False, epsilon=1e-7):
    row = [mpf(float(x)) for x in row]
    if from_logits:
        # log(sum(exp)) - x, with the label's own 1 apart: 400 bits do not hold 1 + exp(-700)
        odds = [mp.exp(x - row[label]) for j, x in enumerate(row) if j != label]
        return mp.log1p(mp.fsum(odds))
    others = mp.fsum(x for j, x in enumerate(row) if j != label)
    if epsilon == 0:
        return mp.inf if row[label] == 0 else mp.log1p(others / row[label])
    return -mp.log(clip(row[label] / (row[label] + others), epsilon, dtype))


def floor(epsilon, dtype):
    return mpf(float(dtype.type(epsilon)))


def absolute_error(y, p, dtype):
    return abs(mpf(float(p)) - mpf(float(y)))


def absolute_percentage_error(y, p, dtype, epsilon):
    return 100 * absolute_error(y, p, dtype) / max(abs(mpf(float(y))), floor(epsilon, dtype))


def squared_logarithmic_error(y, p, dtype, epsilon):
    y, p = (max(mpf(float(v)), floor(epsilon, dtype)) for v in (y, p))
    return (mp.log1p(p) - mp.log1p(y)) ** 2


def huber(y, p, dtype, delta):
    error, delta = absolute_error(y, p, dtype), mpf(delta)
    return error**2 / 2 if error <= delta else delta * error - delta**2 / 2


def log_cosh(y, p, dtype):
    error = absolute_error(y, p, dtype)
    return error + mp.log1p(mp.exp(-2 * error)) - mp.log(2)


def poisson(y, p, dtype, epsilon):
    y, p = mpf(float(y)), mpf(float(p))
    shifted = p + floor(epsilon, dtype)
    return p - (y * mp.log(shifted) if y else 0)


def pinball(y, p, dtype, quantile):
    error = mpf(float(y)) - mpf(float(p))
    return quantile * error if error >= 0 else (mpf(quantile) - 1) * error


ROW = {
    "mean_squared_error": squared_error,
    "mean_absolute_error": absolute_error,
    "mean_absolute_percentage_error": absolute_percentage_error,
    "mean_squared_logarithmic_error": squared_logarithmic_error,
    "huber": huber,
    "log_cosh": log_cosh,
    "poisson": poisson,
    "pinball": pinball,
    "binary_crossentropy": binary_crossentropy,
    "sparse_categorical_crossentropy": sparse_categorical_crossentropy,
}


def losses_of_rows(loss: sl.losses.Loss, y_true: np.ndarray, y_pred: np.ndarray, dtype: np.dtype) -> list:
    """The true values of NONE, unweighted; rows labelled ``ignore_class`` are 0."""
    parameters = {k: v for k, v in loss.spec.parameters.items() if k not in ("axis", "ignore_class")}
    row = ROW[loss.spec.name]
    if loss.spec.name == "sparse_categorical_crossentropy":
        ignored = loss.spec.parameters["ignore_class"]
        return [
            mpf(0) if y == ignored else row(int(y), p, dtype, **parameters) for y, p in zip(y_true, y_pred, strict=True)
        ]
    size = y_pred.shape[1]
    return [
        mp.fsum(row(a, b, dtype, **parameters) for a, b in zip(y, p, strict=True)) / size
        for y, p in zip(y_true, y_pred, strict=True)
    ]


def ulps(value, true) -> float:
    """How far a float lies from the true value, in units in its last place."""
    value = np.asarray(value)
    if mp.isinf(true):
        return 0.0 if float(value) == float(true) else np.inf
    limit = mpf(float(np.finfo(value.dtype).max))
    if abs(true) > limit:
        return 0.0 if np.isinf(value) else np.inf
    spacing = np.spacing(np.abs(value.dtype.type(float(true))))
    return float(abs(mpf(float(value)) - true) / mpf(float(spacing)))


def exact_sum(values) -> Fraction:
    return sum((Fraction(float(v)) for v in values), Fraction(0))


def rounded(value: Fraction) -> float:
    """The nearest float64; infinity beyond the largest."""
    try:
        return value.numerator / value.denominator
    except OverflowError:
        return np.inf if value > 0 else -np.inf
