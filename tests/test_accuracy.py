"""Law 1: float32 losses within 1 ulp of the true value, float64 within 4, judged in 1100-bit arithmetic."""

import itertools

import numpy as np
import pytest

import streamloss as sl
from oracles import losses_of_rows, ulps

BOUND = {np.float32: 1.0, np.float64: 4.0}
rng = np.random.default_rng(7)


def worst_ulps(loss, y_true, y_pred, dtype):
    y_pred = np.asarray(y_pred, dtype)
    true = losses_of_rows(loss, y_true, y_pred, np.dtype(dtype))
    got = loss(y_true, y_pred)
    assert got.dtype == dtype
    return max(ulps(value, t) for value, t in zip(got, true, strict=True))


def adversarial_logits(classes):
    """Confident right and wrong, ties, huge, tiny, and everyday rows."""
    rows = [np.zeros(classes), np.full(classes, 1e4), np.full(classes, -1e4)]
    for margin in (1e-8, 1e-3, 0.3, 5.0, 17.0, 36.7, 40.2, 84.0, 300.1, 700.3, 1e4):
        for at in {0, classes - 1}:
            row = np.zeros(classes)
            row[at] = margin
            rows += [row, -row, row + 1e4, row - 1e4, row + rng.normal(size=classes)]
    rows += list(rng.normal(size=(20, classes)) * 3) + list(rng.normal(size=(20, classes)) * 1000)
    rows += [np.where(np.arange(classes) == 0, 0.0, -np.inf)]
    return np.array(rows)


def adversarial_probabilities(classes):
    rows = list(rng.dirichlet(np.ones(classes), 20)) + list(rng.dirichlet(np.full(classes, 0.01), 20))
    for p in (0.0, 1e-300, 1e-38, 1e-12, 1e-8, 1e-7, 1.1e-7, 1e-4, 0.5):
        row = np.full(classes, p / max(1, classes - 1))
        row[0] = 1 - p
        rows += [row, row[::-1]]
    rows += [np.eye(classes)[0], np.ones(classes), np.full(classes, 1e-30)]
    return np.array([row if row.sum() > 0 else np.eye(classes)[0] for row in rows])


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("classes", [1, 2, 3, 10, 300, 1000, 2100])
def test_sparse_categorical_crossentropy_from_logits(classes, dtype):
    x = adversarial_logits(classes)
    x = x[:40] if classes > 100 else x
    loss = sl.losses.SparseCategoricalCrossentropy(from_logits=True, reduction=None)
    for label in {0, classes - 1}:
        labels = np.full(len(x), label)
        usable = np.isfinite(x[:, label])
        assert worst_ulps(loss, labels[usable], x[usable], dtype) <= BOUND[dtype]


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("epsilon", [1e-7, 0.0])
@pytest.mark.parametrize("classes", [1, 2, 3, 1000])
def test_sparse_categorical_crossentropy_from_probabilities(classes, epsilon, dtype):
    p = adversarial_probabilities(classes)
    loss = sl.losses.SparseCategoricalCrossentropy(epsilon=epsilon, reduction=None)
    for label in {0, classes - 1}:
        assert worst_ulps(loss, np.full(len(p), label), p, dtype) <= BOUND[dtype]


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("smoothing", [0.0, 0.1, 1e-9])
@pytest.mark.parametrize("from_logits", [False, True])
@pytest.mark.parametrize("size", [1, 7])
def test_binary_crossentropy(size, from_logits, smoothing, dtype):
    tail = [0.0, 1e-300, 1e-40, 1e-30, 1e-12, 9e-8, 1e-7, 1.1e-7, 1e-4, 0.3]
    p = [*tail, *(1 - t for t in tail), 0.5, *rng.random(10)]
    x = [s * v for s in (1, -1) for v in (0, 1e-300, 1e-9, 0.1, 1, 16, 20, 36.8, 40, 100.3, 700.1, 1e4)]
    values = list(itertools.product([0.0, 1.0, 0.5, 1e-9], x if from_logits else p))
    y, z = (np.array(column) for column in zip(*values, strict=True))
    count = len(y) // size * size
    y, z = y[:count].reshape(-1, size).astype(dtype), z[:count].reshape(-1, size)
    loss = sl.losses.BinaryCrossentropy(from_logits=from_logits, label_smoothing=smoothing, reduction=None)
    assert worst_ulps(loss, y, z, dtype) <= BOUND[dtype]


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("epsilon", [0.0, 1e-3])
def test_binary_crossentropy_clips_where_it_is_told(epsilon, dtype):
    p = np.array([0.0, 1.0, 1e-30, 1e-4, 0.5, 0.9999])
    loss = sl.losses.BinaryCrossentropy(epsilon=epsilon, reduction=None)
    for label in (0.0, 1.0):
        assert worst_ulps(loss, np.full((6, 1), label, dtype), p[:, None], dtype) <= BOUND[dtype]


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("size", [1, 2, 5, 300, 1500])
def test_mean_squared_error(size, dtype):
    y = (rng.normal(size=(30, size)) * np.exp(rng.uniform(-30, 30, (30, 1)))).astype(dtype)
    p = y * (1 + rng.choice([0, 1e-7, 1e-3, 1.0], (30, size)).astype(dtype)) + dtype(1e-20)
    assert worst_ulps(sl.losses.MeanSquaredError(reduction=None), y, p, dtype) <= BOUND[dtype]


def one_hot(labels, classes):
    return np.eye(classes)[labels]


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("smoothing", [0.0, 0.1])
@pytest.mark.parametrize("classes", [1, 2, 3, 300])
def test_categorical_crossentropy_from_logits(classes, smoothing, dtype):
    x = adversarial_logits(classes)
    x = x[np.isfinite(x).all(axis=1)][:: 1 if classes < 100 else 9]
    loss = sl.losses.CategoricalCrossentropy(from_logits=True, label_smoothing=smoothing, reduction=None)
    spread = rng.dirichlet(np.ones(classes), len(x))
    for y in (one_hot(np.zeros(len(x), int), classes), one_hot(np.full(len(x), classes - 1), classes), spread):
        assert worst_ulps(loss, y.astype(dtype), x, dtype) <= BOUND[dtype]


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize(("smoothing", "epsilon"), [(0.0, 1e-7), (0.1, 1e-7), (0.0, 0.0)])
@pytest.mark.parametrize("classes", [1, 2, 3, 300])
def test_categorical_crossentropy_from_probabilities(classes, smoothing, epsilon, dtype):
    p = adversarial_probabilities(classes)
    loss = sl.losses.CategoricalCrossentropy(label_smoothing=smoothing, epsilon=epsilon, reduction=None)
    spread = rng.dirichlet(np.ones(classes), len(p))
    for y in (one_hot(np.zeros(len(p), int), classes), one_hot(np.full(len(p), classes - 1), classes), spread):
        assert worst_ulps(loss, y.astype(dtype), p, dtype) <= BOUND[dtype]


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("classes", [1, 2, 10, 300])
def test_kl_divergence(classes, dtype):
    p = adversarial_probabilities(classes)
    near = np.clip(p * (1 + rng.normal(size=p.shape) * 1e-3), 0, 1)
    for y in (p[rng.permutation(len(p))], near, rng.dirichlet(np.ones(classes), len(p))):
        got = worst_ulps(sl.losses.KLDivergence(reduction=None), y.astype(dtype), p, dtype)
        assert got <= BOUND[dtype]


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("size", [1, 2, 7, 300])
def test_cosine_similarity(size, dtype):
    y = (rng.normal(size=(40, size)) * np.exp(rng.uniform(-15, 15, (40, 1)))).astype(dtype)
    p = np.concatenate([y[:10] * dtype(1.0001), -y[10:20], rng.normal(size=(15, size)), np.zeros((5, size))])
    if size > 1:
        p[20:25, 0] = -(p[20:25, 1:] * y[20:25, 1:]).sum(axis=1) / y[20:25, 0]  # almost at a right angle
    assert worst_ulps(sl.losses.CosineSimilarity(reduction=None), y, p, dtype) <= BOUND[dtype]


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("q", [1e-3, 0.5, 0.7, 0.999])
def test_categorical_generalized_cross_entropy(q, dtype):
    p = np.array([[1 - t, t] for t in (0.0, 1e-300, 1e-30, 1e-12, 1e-7, 1e-4, 0.01, 0.3, 0.5, 0.9, 1.0)])
    loss = sl.losses.CategoricalGeneralizedCrossEntropy(q=q, reduction=None)
    for label in (0, 1):
        assert worst_ulps(loss, np.full(len(p), label), p, dtype) <= BOUND[dtype]


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("classes", [1, 2, 10, 300])
def test_categorical_hinge(classes, dtype):
    p = rng.normal(size=(60, classes)) * np.exp(rng.uniform(-8, 8, (60, 1)))
    p[:10, 0] = p[:10].max(axis=1) + 1 - 1e-5  # almost no loss left
    y = one_hot(np.where(np.arange(60) < 30, 0, classes - 1), classes).astype(dtype)
    assert worst_ulps(sl.losses.CategoricalHinge(reduction=None), y, p, dtype) <= BOUND[dtype]


def adversarial_errors():
    """Labels and predictions that are equal, nearly equal, far apart, tiny, huge, of either sign."""
    values = [0.0, 1e-30, 1e-9, 9e-8, 1e-7, 1e-4, 0.3, 0.999999, 1.0, 3.7, 88.0, 1e4, 1e9, 1e18]
    pairs = list(itertools.product([*values, *(-v for v in values)], values))
    for y in (1e-6, 0.1, 1.0, 1e3, 1e6):
        pairs += [(y, y * (1 + d)) for d in (1e-15, 1e-12, 1e-7, 1e-4, 0.01, 0.3, 1.0)]
        pairs += [(y, y + d) for d in (1e-9, 2e-4, 0.01, 0.2, 0.5, 0.99, 1.0, 1.01, 3.0, 20.0, 400.0)]
    pairs += list(rng.normal(size=(100, 2)) ** 2 * 3)
    return (np.array(column) for column in zip(*pairs, strict=True))


ELEMENTWISE = [
    sl.losses.MeanAbsoluteError(reduction=None),
    sl.losses.MeanAbsolutePercentageError(reduction=None),
    sl.losses.MeanSquaredLogarithmicError(reduction=None),
    sl.losses.Huber(reduction=None),
    sl.losses.Huber(delta=1e-3, reduction=None),
    sl.losses.LogCosh(reduction=None),
    sl.losses.Poisson(reduction=None),
    sl.losses.Poisson(epsilon=0, reduction=None),
    sl.losses.Pinball(quantile=0.9, reduction=None),
]


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("loss", ELEMENTWISE, ids=repr)
def test_regression_losses(loss, dtype):
    y, p = (column.astype(dtype) for column in adversarial_errors())
    if loss.spec.name == "poisson" and loss.spec.parameters["epsilon"] == 0:
        y, p = y[p > 0], p[p > 0]
    assert worst_ulps(loss, y[:, None], p[:, None], dtype) <= BOUND[dtype]
    if loss.spec.name != "poisson":  # whose terms have either sign, and may cancel in a mean
        count = len(y) // 7 * 7
        assert worst_ulps(loss, y[:count].reshape(-1, 7), p[:count].reshape(-1, 7), dtype) <= BOUND[dtype]


@pytest.mark.parametrize(
    ("logits", "true"),
    [
        ([10.0, 0, 0], 9.07957e-05),
        ([17.0, 0, 0], 8.27988e-08),
        ([20.0, 0, 0], 4.12231e-09),
        ([30.0, 0, 0], 1.87152e-13),
    ],
)
def test_tails_where_float32_implementations_return_zero(logits, true):
    loss = sl.losses.SparseCategoricalCrossentropy(from_logits=True, reduction=None)
    assert loss([0], np.array([logits], np.float32))[0] == pytest.approx(true, rel=1e-5)
