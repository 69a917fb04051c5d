"""Measure losses of arrays in memory: streamloss, with its exact sum, beside torch, Keras, NumPy and scikit-learn.

Every candidate computes the mean of one loss over the same arrays, with all threads of the machine. Peers that are not
installed are left out.
"""

from __future__ import annotations

import contextlib
import os
import warnings
from collections.abc import Callable
from typing import Any

import numba
import numpy as np

import streamloss as sl
from streamloss.aggregation.accumulator import SIZE, add, add_within
from timing import OURS, measure

CLASSES = (2, 10, 100, 1000, 32_000)
IN_DOUBLE = (10, 1000, "binary cross-entropy", "mean squared error")
"""Cases whose result is a float64 too."""
GB = 1e9
Candidates = dict[str, Callable[[], Any]]


def run(elements: int, rounds: int, classes: tuple[int, ...] = CLASSES) -> list[dict]:
    rng = np.random.default_rng(16)
    rows = [read_limit(elements, rounds), exact_sum(elements, rounds)]
    for number in classes:
        rows += softmax(rng, number, max(8, elements // number), rounds)
    rows += elementwise(rng, elements // 2, rounds)
    rows += log_loss(rng, max(1000, elements // 40), rounds)
    return rows


def softmax(rng: np.random.Generator, classes: int, n: int, rounds: int) -> list[dict]:
    """Measure cross-entropy from logits: of integer labels, weighted, and of one-hot labels."""
    logits = (3 * rng.standard_normal((n, classes))).astype(np.float32)
    labels = rng.integers(0, classes, n)
    weight = rng.random(n, np.float32)
    one_hot = np.zeros((n, classes), np.float32)
    one_hot[np.arange(n), labels] = 1
    sparse = sl.losses.SparseCategoricalCrossentropy(from_logits=True)
    dense = sl.losses.CategoricalCrossentropy(from_logits=True)
    of_labels: Candidates = {OURS: lambda: sparse(labels, logits)}
    of_one_hot: Candidates = {OURS: lambda: dense(one_hot, logits)}
    if torch := torch_module():
        x, y, z = torch.from_numpy(logits), torch.from_numpy(labels), torch.from_numpy(one_hot)
        of_labels["torch"] = lambda: torch.nn.functional.cross_entropy(x, y).item()
        of_one_hot["torch"] = lambda: torch.nn.functional.cross_entropy(x, z).item()
    if ops := keras_ops():
        u, v, w = ops.convert_to_tensor(logits), ops.convert_to_tensor(labels), ops.convert_to_tensor(one_hot)
        of_labels["Keras (JAX)"] = lambda: float(ops.mean(ops.sparse_categorical_crossentropy(v, u, from_logits=True)))
        of_one_hot["Keras (JAX)"] = lambda: float(ops.mean(ops.categorical_crossentropy(w, u, from_logits=True)))
    of_labels["NumPy"] = lambda: numpy_cross_entropy(labels, logits)
    weighted = {OURS: lambda: sparse(labels, logits, weight), "unweighted": of_labels[OURS]}
    size = logits.nbytes / GB
    name = f"cross-entropy from logits, {classes:,} classes"
    rows = [
        measure(f"sparse {name}", "GB/s of logits", size, of_labels, rounds),
        measure(f"sparse {name}, weighted", "GB/s of logits", size, weighted, rounds),
    ]
    if classes in IN_DOUBLE:
        candidates = in_double(sparse, labels, logits)
        rows.append(measure(f"sparse {name}, float64 result", "GB/s of logits", size, candidates, rounds))
    return [*rows, measure(f"dense {name}", "GB/s of logits", size, of_one_hot, rounds)]


def in_double(loss: sl.losses.Loss, y: np.ndarray, p: np.ndarray) -> Candidates:
    """Measure the loss in all digits of a float64, of the same float32 predictions, beside the loss in float32."""
    double = type(loss).from_config({**loss.get_config(), "dtype": "float64"})
    return {OURS: lambda: double(y, p), "float32 result": lambda: loss(y, p)}


def numpy_cross_entropy(labels: np.ndarray, logits: np.ndarray) -> float:
    top = logits.max(axis=1, keepdims=True)
    sums = np.exp(logits - top).sum(axis=1)
    return float((np.log(sums) + top[:, 0] - logits[np.arange(len(labels)), labels]).mean(dtype=np.float64))


def elementwise(rng: np.random.Generator, n: int, rounds: int) -> list[dict]:
    probabilities, logits = rng.random(n, np.float32), (3 * rng.standard_normal(n)).astype(np.float32)
    labels = (rng.random(n) < probabilities).astype(np.float32)
    targets = logits + rng.standard_normal(n).astype(np.float32)
    weight = rng.random(n, np.float32)
    losses = sl.losses
    cases = [
        ("binary cross-entropy", losses.BinaryCrossentropy(), labels, probabilities, "binary_cross_entropy"),
        (
            "binary cross-entropy from logits",
            losses.BinaryCrossentropy(from_logits=True),
            labels,
            logits,
            "binary_cross_entropy_with_logits",
        ),
        ("mean squared error", losses.MeanSquaredError(), targets, logits, "mse_loss"),
        ("mean absolute error", losses.MeanAbsoluteError(), targets, logits, "l1_loss"),
        ("Huber", losses.Huber(), targets, logits, "huber_loss"),
        ("log-cosh", losses.LogCosh(), targets, logits, None),
        ("Poisson NLL", losses.PoissonNLL(), labels, logits, "poisson_nll_loss"),
    ]
    rows = []
    for name, loss, y, p, peer in cases:
        candidates: Candidates = {OURS: lambda loss=loss, y=y, p=p: loss(y, p)}
        if (torch := torch_module()) and peer:
            function = getattr(torch.nn.functional, peer)
            a, b = torch.from_numpy(p), torch.from_numpy(y)
            candidates["torch"] = lambda function=function, a=a, b=b: function(a, b).item()
        if name == "binary cross-entropy":
            candidates["NumPy"] = lambda y=y, p=p: numpy_log_loss(y, p)
        rows.append(measure(name, "million rows/s", n / 1e6, candidates, rounds))
        weighted = {OURS: lambda loss=loss, y=y, p=p: loss(y, p, weight), "unweighted": candidates[OURS]}
        rows.append(measure(f"{name}, weighted", "million rows/s", n / 1e6, weighted, rounds))
        if name in IN_DOUBLE:
            rows.append(measure(f"{name}, float64 result", "million rows/s", n / 1e6, in_double(loss, y, p), rounds))
    return rows


def numpy_log_loss(y: np.ndarray, p: np.ndarray) -> float:
    q = np.clip(p, 1e-7, 1 - 1e-7)
    return float(-(y * np.log(q) + (1 - y) * np.log1p(-q)).mean(dtype=np.float64))


def log_loss(rng: np.random.Generator, n: int, rounds: int) -> list[dict]:
    """Measure the cases that scikit-learn offers: probabilities of ten classes, and of two outcomes."""
    shares = rng.random((n, 10))
    shares = (shares / shares.sum(axis=1, keepdims=True)).astype(np.float32)
    labels = rng.integers(0, 10, n)
    outcomes, chances = rng.integers(0, 2, n), rng.random(n, np.float32)
    sparse, binary = sl.losses.SparseCategoricalCrossentropy(), sl.losses.BinaryCrossentropy()
    of_classes: Candidates = {OURS: lambda: sparse(labels, shares)}
    of_outcomes: Candidates = {OURS: lambda: binary(outcomes, chances)}
    with contextlib.suppress(ImportError):
        from sklearn.metrics import log_loss as sklearn_log_loss

        of_classes["scikit-learn"] = lambda: quiet(sklearn_log_loss, labels, shares, labels=np.arange(10))
        of_outcomes["scikit-learn"] = lambda: quiet(sklearn_log_loss, outcomes, chances)
    return [
        measure("log loss, probabilities of 10 classes", "million rows/s", n / 1e6, of_classes, rounds),
        measure("log loss, probabilities of two outcomes", "million rows/s", n / 1e6, of_outcomes, rounds),
    ]


def quiet(function: Callable[..., Any], *args: Any, **given: Any) -> Any:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # float32 shares do not sum to 1 exactly
        return function(*args, **given)


def read_limit(elements: int, rounds: int) -> dict:
    """Measure the speed at which all threads read memory, which limits every case."""
    data = np.ones(elements, np.float32)
    return measure("limit: reading memory", "GB/s", data.nbytes / GB, {"all threads": lambda: read(data)}, rounds)


@numba.njit(parallel=True)
def read(data: np.ndarray) -> float:
    pieces = 64
    size = data.size // pieces
    sums = np.zeros(pieces, np.float32)
    for piece in numba.prange(pieces):
        part, lanes = data[piece * size : (piece + 1) * size], np.zeros(64, np.float32)
        for j in range(size // 64):
            for k in range(64):
                lanes[k] += part[64 * j + k]
        sums[piece] = lanes.sum()
    return sums.sum()


def exact_sum(elements: int, rounds: int) -> dict:
    """Measure the exact sum alone, on one thread, of values that are in the cache, as losses are."""
    values = np.random.default_rng(16).exponential(size=512).astype(np.float32)
    limbs = np.zeros(SIZE, np.int64)
    times = max(1, elements // 512)
    candidates = {OURS: lambda: add_often(limbs, values, times)}
    return measure("exact sum of float32 values, one thread", "billion values/s", 512 * times / 1e9, candidates, rounds)


@numba.njit(nogil=True)
def add_often(limbs: np.ndarray, values: np.ndarray, times: int) -> None:
    for _ in range(times):
        if not add_within(limbs, values):
            add(limbs, values)


def torch_module() -> Any:
    try:
        import torch
    except ImportError:
        return None
    torch.set_num_threads(len(os.sched_getaffinity(0)))
    return torch


def keras_ops() -> Any:
    os.environ.setdefault("KERAS_BACKEND", "jax")
    os.environ.setdefault("JAX_PLATFORMS", "cpu")
    try:
        import keras
    except ImportError:
        return None
    return keras.ops if keras.backend.backend() == "jax" else None
