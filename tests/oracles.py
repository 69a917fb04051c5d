"""Slow, obvious references: formulas in arbitrary precision, sums in exact arithmetic."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
from mpmath import mp, mpf

import streamloss as sl

mp.prec = 1100  # enough to hold 1 + 1e-300


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
        # log(sum(exp)) - x, with the label's own 1 apart: no precision holds 1 + exp(-1e4)
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


def floats(row):
    return [mpf(float(v)) for v in row]


def categorical_crossentropy(y, p, dtype, from_logits=False, label_smoothing=0.0, epsilon=1e-7):
    y, p, smoothing = floats(y), floats(p), mpf(label_smoothing)
    mass = [v * (1 - smoothing) + smoothing / len(y) for v in y]
    if from_logits:
        top = max(range(len(p)), key=p.__getitem__)
        tail = mp.log1p(mp.fsum(mp.exp(v - p[top]) for j, v in enumerate(p) if j != top))
        return mp.fsum(m * (p[top] - v + tail) for m, v in zip(mass, p, strict=True) if m)
    total = mp.fsum(p)
    if epsilon == 0:
        costs = (mp.inf if v == 0 else mp.log1p((total - v) / v) for v in p)
    else:
        costs = (-mp.log(clip(v / total, epsilon, dtype)) for v in p)
    return mp.fsum(m * cost for m, cost in zip(mass, costs, strict=True) if m)


def kl_divergence(y, p, dtype, epsilon):
    low = floor(epsilon, dtype)
    pairs = [(min(max(a, low), mpf(1)), min(max(b, low), mpf(1))) for a, b in zip(floats(y), floats(p), strict=True)]
    return mp.fsum(a * mp.log(a / b) for a, b in pairs)


def cosine_similarity(y, p, dtype):
    y, p = floats(y), floats(p)
    norms = [max(mp.sqrt(mp.fsum(v * v for v in row)), mpf(1e-7)) for row in (y, p)]
    return -mp.fsum(a * b for a, b in zip(y, p, strict=True)) / norms[0] / norms[1]


def categorical_hinge(y, p, dtype):
    y, p = floats(y), floats(p)
    wrong = max((1 - a) * b for a, b in zip(y, p, strict=True))
    return max(wrong - mp.fsum(a * b for a, b in zip(y, p, strict=True)) + 1, mpf(0))


def categorical_generalized_cross_entropy(label, row, dtype, q):
    return (1 - mpf(float(row[label])) ** mpf(q)) / mpf(q)


SPARSE = {
    "sparse_categorical_crossentropy": sparse_categorical_crossentropy,
    "categorical_generalized_cross_entropy": categorical_generalized_cross_entropy,
}

WHOLE_ROW = {
    "categorical_hinge": categorical_hinge,
    "categorical_crossentropy": categorical_crossentropy,
    "kl_divergence": kl_divergence,
    "cosine_similarity": cosine_similarity,
}

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
}


def losses_of_rows(loss: sl.losses.Loss, y_true: np.ndarray, y_pred: np.ndarray, dtype: np.dtype) -> list:
    """The true values of NONE, unweighted; rows labelled ``ignore_class`` are 0."""
    parameters = {k: v for k, v in loss.spec.parameters.items() if k not in ("axis", "ignore_class")}
    if (whole := WHOLE_ROW.get(loss.spec.name)) is not None:
        return [whole(y, p, dtype, **parameters) for y, p in zip(y_true, y_pred, strict=True)]
    if (sparse := SPARSE.get(loss.spec.name)) is not None:
        ignored = loss.spec.parameters.get("ignore_class")
        return [
            mpf(0) if y == ignored else sparse(int(y), p, dtype, **parameters)
            for y, p in zip(y_true, y_pred, strict=True)
        ]
    row = ROW[loss.spec.name]
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
