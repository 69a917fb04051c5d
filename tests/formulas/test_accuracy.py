"""Law 1: float32 losses within 1 ulp of the true value, float64 within 4, judged in arithmetic of 350 bits and more.

Where a loss adds up terms of either sign, an ulp is one of the row's largest term; see :class:`oracles.Truth`.
"""

import itertools

import numpy as np
import pytest
from mpmath import mp, mpf

import oracles
import streamloss as sl
from adversarial import one_hot, rows_for
from oracles import every_setting, losses_of_rows, worst_ulps
from streamloss.formulas._kinds import LabelSequence
from streamloss.formulas._registry import declarations

losses = sl.losses
both_dtypes = pytest.mark.parametrize("dtype", [np.float32, np.float64])
ALL = every_setting()


def bound(loss, dtype):
    """Ulps. The softmax of logits is rounded in each class; a power multiplies what that costs."""
    if dtype == np.float32:
        return 1.0
    parameters = loss.spec.parameters
    softmax = loss.spec.name == "categorical_focal_crossentropy" and parameters["from_logits"]
    return 8.0 if softmax and parameters["gamma"] > 2 else 4.0


def check(loss, y_true, y_pred, dtype):
    y_true, y_pred = np.asarray(y_true), np.asarray(y_pred, dtype)
    y_true = y_true.astype(dtype) if y_true.dtype.kind == "f" else y_true
    got = np.atleast_1d(loss(y_true, y_pred))
    if got.shape == (len(y_pred),):
        assert got.dtype == dtype
    assert worst_ulps(loss, y_true, y_pred, dtype, got) <= bound(loss, dtype)


@pytest.fixture
def rng():
    """Each test has its own, so that none depends on which ran before it."""
    return np.random.default_rng(7)


def test_every_declared_loss_has_an_oracle():
    names = {declaration.name for declaration in declarations()}
    written = oracles.ELEMENTS.keys() | oracles.ROWS.keys()
    missing, unknown = sorted(names - written), sorted(written - names)
    assert not missing, (
        f"tests/support/oracles.py has no formula for {', '.join(missing)}: write it with mpmath, from the docs, "
        "and add it to ELEMENTS (an element's term, of which rows are means) or ROWS; parameters that change it go to "
        "SETTINGS, and rows in which it loses digits to tests/formulas/test_accuracy.py."
    )
    assert not unknown, f"tests/support/oracles.py has formulas for {', '.join(unknown)}, which no loss is named"


@pytest.mark.parametrize(
    ("labels", "time", "classes"),
    [([], 2, 2), ([1], 1, 2), ([1], 4, 2), ([1, 1], 4, 3), ([1, 2], 4, 3), ([2, 1, 2], 4, 3), ([1, 1, 1], 5, 2)],
)
def test_the_oracle_of_ctc_adds_up_all_alignments(labels, time, classes, rng):
    scores = oracles.numbers(rng.normal(size=(time, classes)) * 3)
    total = mpf(0)
    for path in itertools.product(range(classes), repeat=time):
        collapsed = [label for label, _ in itertools.groupby(path) if label]
        # groupby merges repetitions; a blank between two equal labels keeps them apart
        if collapsed == labels:
            shares = (mp.exp(row[k]) / mp.fsum(map(mp.exp, row)) for row, k in zip(scores, path, strict=True))
            total += mp.fprod(shares)
    assert abs(oracles.ctc([*labels, 0], scores, None) + mp.log(total)) < mpf(2) ** -300


@both_dtypes
@pytest.mark.parametrize("name", ALL)
def test_rows_read_off_the_declaration(name, dtype, rng):
    """Everyday rows, tails, ties, wild magnitudes: for losses that this file has never heard of, too."""
    loss = ALL[name]
    for rows, classes in ((40, 1), (15, 3), (3, 30)):
        y, p = rows_for(loss, rng, rows, min(classes, 5) if classes_cost(loss) else classes, dtype)
        check(loss, y, p, dtype)


def classes_cost(loss):
    return isinstance(loss.spec.formula, LabelSequence)


# Cross-entropies over classes.


def adversarial_logits(classes, rng):
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


def adversarial_probabilities(classes, rng):
    rows = list(rng.dirichlet(np.ones(classes), 20)) + list(rng.dirichlet(np.full(classes, 0.01), 20))
    for p in (0.0, 5e-324, 1e-320, 1e-300, 1e-44, 1e-38, 1e-12, 1e-8, 1e-7, 1.1e-7, 1e-4, 0.5):
        row = np.full(classes, p / max(1, classes - 1))
        row[0] = 1 - p
        rows += [row, row[::-1]]
    rows += [np.eye(classes)[0], np.ones(classes), np.full(classes, 1e-30)]
    return np.array([row if row.sum() > 0 else np.eye(classes)[0] for row in rows])


@both_dtypes
@pytest.mark.parametrize("classes", [1, 2, 3, 10, 300, 1000, 2100])
def test_sparse_categorical_crossentropy_from_logits(classes, dtype, rng):
    x = adversarial_logits(classes, rng)
    x = x[:: 1 if classes < 100 else 5]
    loss = losses.SparseCategoricalCrossentropy(from_logits=True, reduction=None)
    for label in {0, classes - 1}:
        usable = np.isfinite(x[:, label])
        check(loss, np.full(usable.sum(), label), x[usable], dtype)


@both_dtypes
@pytest.mark.parametrize("epsilon", [1e-7, 0.0])
@pytest.mark.parametrize("classes", [1, 2, 3, 1000])
def test_sparse_categorical_crossentropy_from_probabilities(classes, epsilon, dtype, rng):
    p = adversarial_probabilities(classes, rng)
    loss = losses.SparseCategoricalCrossentropy(epsilon=epsilon, reduction=None)
    for label in {0, classes - 1}:
        check(loss, np.full(len(p), label), p, dtype)


@pytest.mark.parametrize(
    ("logits", "true"),
    [
        ([10.0, 0, 0], 9.07957e-05),
        ([17.0, 0, 0], 8.27988e-08),
        ([20.0, 0, 0], 4.12231e-09),
        ([30.0, 0, 0], 1.87152e-13),
    ],
)
def test_sparse_categorical_crossentropy_where_float32_implementations_return_zero(logits, true):
    loss = losses.SparseCategoricalCrossentropy(from_logits=True, reduction=None)
    assert loss([0], np.array([logits], np.float32))[0] == pytest.approx(true, rel=1e-5)


def distributions_for(rows, classes, rng):
    """One-hot at either end, and spread."""
    first, last = np.zeros(rows, int), np.full(rows, classes - 1)
    return one_hot(first, classes), one_hot(last, classes), rng.dirichlet(np.ones(classes), rows)


@both_dtypes
@pytest.mark.parametrize("smoothing", [0.0, 0.1])
@pytest.mark.parametrize("classes", [1, 2, 3, 300])
def test_categorical_crossentropy_from_logits(classes, smoothing, dtype, rng):
    x = adversarial_logits(classes, rng)
    x = x[np.isfinite(x).all(axis=1)][:: 1 if classes < 100 else 9]
    loss = losses.CategoricalCrossentropy(from_logits=True, label_smoothing=smoothing, reduction=None)
    for y in distributions_for(len(x), classes, rng):
        check(loss, y, x, dtype)


@both_dtypes
@pytest.mark.parametrize(("smoothing", "epsilon"), [(0.0, 1e-7), (0.1, 1e-7), (0.0, 0.0)])
@pytest.mark.parametrize("classes", [1, 2, 3, 300])
def test_categorical_crossentropy_from_probabilities(classes, smoothing, epsilon, dtype, rng):
    p = adversarial_probabilities(classes, rng)[:: 1 if classes < 100 else 3]
    loss = losses.CategoricalCrossentropy(label_smoothing=smoothing, epsilon=epsilon, reduction=None)
    for y in distributions_for(len(p), classes, rng):
        check(loss, y, p, dtype)


@both_dtypes
@pytest.mark.parametrize("q", [1e-3, 0.5, 0.7, 0.999])
def test_categorical_generalized_cross_entropy(q, dtype):
    p = np.array([[1 - t, t] for t in (0.0, 5e-324, 1e-300, 1e-30, 1e-12, 1e-7, 1e-4, 0.01, 0.3, 0.5, 0.9, 1.0)])
    loss = losses.CategoricalGeneralizedCrossEntropy(q=q, reduction=None)
    for label in (0, 1):
        check(loss, np.full(len(p), label), p, dtype)


@both_dtypes
@pytest.mark.parametrize("gamma", [0.0, 0.5, 2.0, 5.0])
@pytest.mark.parametrize("from_logits", [False, True])
def test_categorical_focal_crossentropy(from_logits, gamma, dtype, rng):
    for classes, smoothing, epsilon in (
        (1, 0.0, 1e-7),
        (2, 0.0, 1e-7),
        (3, 0.1, 1e-7),
        (3, 0.0, 0.0),
        (300, 0.1, 1e-7),
    ):
        loss = losses.CategoricalFocalCrossentropy(
            alpha=np.linspace(0.1, 3.0, classes),
            gamma=gamma,
            from_logits=from_logits,
            label_smoothing=smoothing,
            epsilon=epsilon,
            reduction=None,
        )
        p = (adversarial_logits if from_logits else adversarial_probabilities)(classes, rng)
        p = p[np.isfinite(p).all(axis=1)][:: 2 if classes < 100 else 30]
        for y in distributions_for(len(p), classes, rng):
            check(loss, y, p, dtype)


# Cross-entropies of two outcomes.


ODD_PROBABILITIES = [0.0, 5e-324, 1e-310, 1e-300, 1e-45, 1e-30, 1e-8, 1e-7, 2e-7, 1e-3, 0.25, 0.5, 0.9, 1 - 2**-24, 1.0]
ODD_LOGITS = [0.0, 5e-324, 1e-30, 1e-9, 0.3, 1.0, 5.5, 16.7, 36.9, 88.0, 103.0, 700.0, 745.0, 1e4]


def labels_and(values, rng, logits):
    """Each value under each of a few labels, and everyday pairs; as rows of 1 and of 3."""
    values = [*values, *(-v for v in values)] if logits else [*values, *(1 - v for v in values)]
    y, p = (
        np.array(column) for column in zip(*itertools.product([0.0, 1.0, 0.25, 1e-9, 1 - 1e-9], values), strict=True)
    )
    y = np.concatenate([y, rng.integers(0, 2, 60)])
    p = np.concatenate([p, rng.normal(size=60) * 4 if logits else rng.random(60)])
    count = len(y) // 3 * 3
    yield y[:, None], p[:, None]
    yield rng.permutation(y)[:count].reshape(-1, 3), rng.permutation(p)[:count].reshape(-1, 3)


@both_dtypes
@pytest.mark.parametrize("smoothing", [0.0, 0.1, 1e-9])
@pytest.mark.parametrize("from_logits", [False, True])
def test_binary_crossentropy(from_logits, smoothing, dtype, rng):
    loss = losses.BinaryCrossentropy(from_logits=from_logits, label_smoothing=smoothing, reduction=None)
    for y, p in labels_and(ODD_LOGITS if from_logits else ODD_PROBABILITIES, rng, from_logits):
        check(loss, y, p, dtype)


@both_dtypes
@pytest.mark.parametrize("size", [5, 300, 1500])
def test_binary_crossentropy_of_many_outputs(size, dtype, rng):
    loss = losses.BinaryCrossentropy(from_logits=True, reduction=None)
    check(loss, rng.integers(0, 2, (4, size)), rng.normal(size=(4, size)) * 5, dtype)


@both_dtypes
@pytest.mark.parametrize("epsilon", [0.0, 1e-3])
def test_binary_crossentropy_clips_where_it_is_told(epsilon, dtype):
    p = np.array([0.0, 1.0, 1e-30, 1e-4, 0.5, 0.9999])
    loss = losses.BinaryCrossentropy(epsilon=epsilon, reduction=None)
    for label in (0.0, 1.0):
        check(loss, np.full((6, 1), label), p[:, None], dtype)


@both_dtypes
@pytest.mark.parametrize("gamma", [0.0, 0.5, 2.0, 5.0])
@pytest.mark.parametrize("from_logits", [False, True])
def test_binary_focal_crossentropy(from_logits, gamma, dtype, rng):
    for smoothing, balancing, epsilon in ((0.0, False, 1e-7), (0.1, True, 1e-7), (0.0, True, 0.0)):
        loss = losses.BinaryFocalCrossentropy(
            apply_class_balancing=balancing,
            alpha=0.3,
            gamma=gamma,
            from_logits=from_logits,
            label_smoothing=smoothing,
            epsilon=epsilon,
            reduction=None,
        )
        for y, p in labels_and(ODD_LOGITS if from_logits else ODD_PROBABILITIES, rng, from_logits):
            check(loss, y, p, dtype)


@both_dtypes
@pytest.mark.parametrize("pos_weight", [0.0, 0.3, 1.0, 1e6])
def test_weighted_cross_entropy_with_logits(pos_weight, dtype, rng):
    for y, p in labels_and(ODD_LOGITS[:-2], rng, logits=True):  # where exp(-|x|) is a normal number
        check(losses.WeightedCrossEntropyWithLogits(pos_weight=pos_weight, reduction=None), y, p, dtype)
        own = np.linspace(pos_weight, 2.0, y.shape[1])
        check(losses.WeightedCrossEntropyWithLogits(pos_weight=own, reduction=None), y, p, dtype)


# Margins.


@both_dtypes
@pytest.mark.parametrize("labels", ["auto", "01", "pm1"])
@pytest.mark.parametrize("name", ["hinge", "squared_hinge"])
def test_margins(name, labels, dtype, rng):
    loss = losses.get({"class_name": name, "config": {"labels": labels, "reduction": "none"}})
    gaps = np.array([0.0, 1e-16, 1e-15, 1e-7, 1e-3, 0.5, 1.0, 2.0, 1e9, 1e18])
    p = np.concatenate([1 + gaps, 1 - gaps, -1 + gaps, -1 - gaps, [5e-324, 1e-310, 1e-30], rng.normal(size=37)])
    zeros_and_ones, signs = rng.integers(0, 2, len(p)), rng.choice([-1.0, 1.0], len(p))
    soft = rng.random(len(p)) * 1e-3
    for y in [zeros_and_ones, soft, *([] if labels == "01" else [signs])]:
        at_the_margin = 1 / np.where(y == 0, 1, 2 * y - 1 if labels == "01" else y) * (1 + signs * 1e-9)
        for q in (p, at_the_margin):
            check(loss, y[:, None], q[:, None], dtype)
            check(loss, y[:-2].reshape(-1, 3)[:10], q[:-2].reshape(-1, 3)[:10], dtype)


@both_dtypes
@pytest.mark.parametrize("classes", [1, 2, 10, 300])
def test_categorical_hinge(classes, dtype, rng):
    p = rng.normal(size=(60, classes)) * np.exp(rng.uniform(-8, 8, (60, 1)))
    p[:10, 0] = p[:10].max(axis=1) + 1 - 1e-5  # almost no loss left
    y = one_hot(np.where(np.arange(60) < 30, 0, classes - 1), classes)
    check(losses.CategoricalHinge(reduction=None), y, p, dtype)


# Two numbers.


@both_dtypes
@pytest.mark.parametrize("size", [1, 2, 5, 300, 1500])
def test_mean_squared_error(size, dtype, rng):
    y = (rng.normal(size=(30, size)) * np.exp(rng.uniform(-30, 30, (30, 1)))).astype(dtype)
    p = y * (1 + rng.choice([0, 1e-7, 1e-3, 1.0], (30, size)).astype(dtype)) + dtype(1e-20)
    check(losses.MeanSquaredError(reduction=None), y, p, dtype)


def adversarial_errors(rng):
    """Labels and predictions that are equal, nearly equal, far apart, tiny, huge, of either sign."""
    values = [0.0, 5e-324, 1e-310, 1e-30, 1e-9, 9e-8, 1e-7, 1e-4, 0.3, 0.999999, 1.0, 3.7, 88.0, 1e4, 1e9, 1e18]
    pairs = list(itertools.product([*values, *(-v for v in values)], values))
    for y in (1e-6, 0.1, 1.0, 1e3, 1e6):
        pairs += [(y, y * (1 + d)) for d in (1e-15, 1e-12, 1e-7, 1e-4, 0.01, 0.3, 1.0)]
        pairs += [(y, y + d) for d in (1e-9, 2e-4, 0.01, 0.2, 0.5, 0.99, 1.0, 1.01, 3.0, 20.0, 400.0)]
    pairs += list(rng.normal(size=(100, 2)) ** 2 * 3)
    return (np.array(column) for column in zip(*pairs, strict=True))


ELEMENTWISE = [
    losses.MeanAbsoluteError(reduction=None, name="mean_absolute_error"),
    losses.MeanAbsolutePercentageError(reduction=None),
    losses.MeanSquaredLogarithmicError(reduction=None),
    losses.Huber(reduction=None),
    losses.Huber(delta=1e-3, reduction=None),
    losses.LogCosh(reduction=None),
    losses.Poisson(reduction=None),
    losses.Poisson(epsilon=0, reduction=None),
    losses.Pinball(quantile=0.9, reduction=None),
]


@both_dtypes
@pytest.mark.parametrize("loss", ELEMENTWISE, ids=lambda loss: f"{loss.name}-{loss!r}")
def test_regression_losses(loss, dtype, rng):
    y, p = adversarial_errors(rng)
    if loss.spec.parameters.get("epsilon") == 0:
        y, p = y[p > 0], p[p > 0]  # infinite losses of either sign have no mean
    check(loss, y[:, None], p[:, None], dtype)
    count = len(y) // 7 * 7
    check(loss, y[:count].reshape(-1, 7), p[:count].reshape(-1, 7), dtype)


# Likelihoods and deviances.


def counts_and_rates(rng):
    counts = [0.0, 5e-324, 1e-9, 0.5, 1.0, 1.0 + 2**-52, 2.0, 7.0, 1e3, 1e9, 1e18]
    rates = [5e-324, 1e-310, 1e-30, 1e-9, 1e-3, 0.5, 1.0, 2.0, 7.0, 1e3, 1e9, 1e18]
    pairs = list(itertools.product(counts, rates))
    pairs += [(y, y * (1 + d)) for y in (1e-6, 1.0, 3.0, 1e5) for d in (0.0, 1e-15, -1e-12, 1e-7, -1e-4, 0.01, -0.3)]
    pairs += list(zip(rng.poisson(3.0, 60), rng.gamma(3.0, 1.0, 60), strict=True))
    return (np.array(column) for column in zip(*pairs, strict=True))


@both_dtypes
@pytest.mark.parametrize("full", [False, True])
@pytest.mark.parametrize("log_input", [False, True])
def test_poisson_nll(log_input, full, dtype, rng):
    y, p = counts_and_rates(rng)
    p = np.log(p) if log_input else p
    loss = losses.PoissonNLL(log_input=log_input, full=full, reduction=None)
    check(loss, y[:, None], p[:, None], dtype)
    check(loss, y[:217].reshape(-1, 7), p[:217].reshape(-1, 7), dtype)


@both_dtypes
@pytest.mark.parametrize("full", [False, True])
def test_log_poisson_loss(full, dtype, rng):
    y, p = counts_and_rates(rng)
    x = np.concatenate([np.log(p), [-np.inf, -1e4, -1e-30, 88.0, 88.9, 709.0, 710.0]])
    y = np.concatenate([y, [0.0, 0.0, 1.0, 1e30, 1e38, 3.0, 0.0]])
    check(losses.LogPoissonLoss(compute_full_loss=full, reduction=None), y[:, None], x[:, None], dtype)


@both_dtypes
@pytest.mark.parametrize("full", [False, True])
def test_gaussian_nll(full, dtype, rng):
    errors = [0.0, 5e-324, 1e-20, 1e-8, 1e-3, 1.0, 3.0, 1e5, 1e18]
    variances = [0.0, 5e-324, 1e-9, 1e-6, 1e-3, 1 - 1e-7, 1.0, 1 + 1e-7, 2.0, 1e4, 1e30]
    rows = [(0.0, e, v) for e in errors for v in variances]
    rows += [(y, y + e, v) for y in (-1e3, 7.0) for e in (1e-12, -1e-3, 0.5) for v in (1e-4, 0.25, 9.0)]
    rows += [(0.0, 1e200, 1e300), (0.0, 1e-200, 1e-300)] if dtype == np.float64 else []
    rows += [(y, m, np.exp(v)) for y, m, v in rng.normal(size=(100, 3))]
    rows = np.array(rows)
    check(losses.GaussianNLL(full=full, reduction=None), rows[:, 0], rows[:, 1:], dtype)


DEVIANCES = [
    losses.PoissonDeviance(reduction=None),
    losses.GammaDeviance(reduction=None),
    *(losses.TweedieDeviance(power=p, reduction=None) for p in (1.0, 1 + 2**-52, 1.01, 1.3, 1.5, 1.7, 1.99)),
    *(losses.TweedieDeviance(power=p, reduction=None) for p in (2 - 2**-52, 2.0, 2 + 2**-51, 2.4, 2.5, 2.6, 5.0, 10.0)),
]


@both_dtypes
@pytest.mark.parametrize("loss", DEVIANCES, ids=lambda loss: f"{loss.name}-{loss!r}")
def test_deviances(loss, dtype, rng):
    values = np.array([1e-30, 1e-9, 0.3, 1.0, 7.0, 1e9, 1e18], dtype)
    pairs = list(itertools.product(values, values))
    parts = [
        0.0,
        1e-16,
        2e-16,
        1e-15,
        1e-9,
        1e-4,
        0.01,
        0.04,
        0.06,
        0.1,
        0.3,
        0.38,
        0.4,
        0.45,
        0.6,
        0.65,
        0.7,
        1.0,
        3.0,
    ]
    pairs += [(y * (1 + d), y) for y in (1e-3, 1.0, 30.0) for d in parts]
    pairs += [(y, y * (1 + d)) for y in (1e-3, 1.0, 30.0) for d in parts]
    pairs += list(zip(rng.gamma(2.0, 2.0, 60), rng.gamma(2.0, 2.0, 60), strict=True))
    if dtype == np.float64 and loss.spec.parameters.get("power", 0.0) < 3:
        pairs += [(1e-300, 1.0), (1.0, 1e-300), (1e300, 1e-5), (5e-324, 5e-324), (1e-310, 1e-309), (3.0, 5e-324)]
    if loss.name == "poisson_deviance" or loss.spec.parameters.get("power", 2.0) < 2:
        pairs += [(0.0, 1e-9), (0.0, 1.0), (0.0, 1e9)]
    y, mu = np.array(pairs).T
    check(loss, y[:, None], mu[:, None], dtype)
    check(loss, y[:105].reshape(-1, 5), mu[:105].reshape(-1, 5), dtype)


# Directions and divergences.


@both_dtypes
@pytest.mark.parametrize("classes", [1, 2, 10, 300])
def test_kl_divergence(classes, dtype, rng):
    p = adversarial_probabilities(classes, rng)[:: 1 if classes < 100 else 3]
    near = np.clip(p * (1 + rng.normal(size=p.shape) * 1e-3), 0, 1)
    for y in (p[rng.permutation(len(p))], near, rng.dirichlet(np.ones(classes), len(p))):
        check(losses.KLDivergence(reduction=None), y, p, dtype)


@both_dtypes
@pytest.mark.parametrize("size", [1, 2, 7, 300])
def test_cosine_similarity(size, dtype, rng):
    y = (rng.normal(size=(40, size)) * np.exp(rng.uniform(-15, 15, (40, 1)))).astype(dtype)
    p = np.concatenate([y[:10] * dtype(1.0001), -y[10:20], rng.normal(size=(15, size)), np.zeros((5, size))])
    if size > 1:  # almost at a right angle: of the largest product little is left, and it is what ulps are measured by
        p[20:25, 0] = -(p[20:25, 1:] * y[20:25, 1:]).sum(axis=1) / y[20:25, 0]
    check(losses.CosineSimilarity(reduction=None), y, p, dtype)


# Overlaps.


def masks(rng, size):
    """Equal, disjoint, empty, off by one, soft, and faint."""
    y = (rng.random((12, size)) < 0.4).astype(float)
    p = y.copy()
    p[1] = 1 - y[1]
    y[2], p[2:4] = 0.0, 0.0
    p[4, 0] = 1 - y[4, 0]
    p[5] = np.clip(y[5] + rng.normal(size=size) * 1e-9, 0, 1)
    p[6:10] = rng.random((4, size))
    y[8:10] = rng.random((2, size))
    y[10], p[10], p[11] = 1e-30, 1e-310, 5e-324
    return y, p


@both_dtypes
@pytest.mark.parametrize("axis", [-1, 0, None])
@pytest.mark.parametrize(
    ("name", "given"),
    [
        ("dice", {}),
        ("dice", {"epsilon": 1.0}),
        ("tversky", {}),
        ("tversky", {"alpha": 0.25, "beta": 3.0}),
        ("tversky", {"alpha": 0.0, "beta": 1e-9}),
    ],
)
def test_overlaps(name, given, axis, dtype, rng):
    loss = losses.get({"class_name": name, "config": {**given, "axis": axis, "reduction": "none"}})
    for size in (1, 5, 1000):
        check(loss, *masks(rng, size), dtype)


# Scores.


@both_dtypes
@pytest.mark.parametrize("half", [False, True])
def test_brier_score(half, dtype, rng):
    loss = losses.BrierScore(scale_by_half=half, reduction=None)
    for classes in (1, 2, 3, 300):
        p = adversarial_probabilities(classes, rng)
        for label in {0, classes - 1}:
            check(loss, np.full(len(p), label), p, dtype)


@both_dtypes
@pytest.mark.parametrize("name", ["zero_one_loss", "top_k_error"])
def test_errors_rank_ties_by_their_order(name, dtype, rng):
    for k in (1, 2, 5):
        given = {"k": k} if name == "top_k_error" else {}
        loss = losses.get({"class_name": name, "config": {**given, "reduction": "none"}})
        for classes in (1, 2, 5, 300, 1100):
            scores = rng.integers(0, 4, (12, classes)) * 0.25
            labels = rng.integers(0, classes, 12)
            check(loss, labels, scores, dtype)


# Sequences.


def confident(paths, classes, margin, rng):
    """Scores of one path each, ahead of everything else by a margin."""
    scores = rng.normal(size=(len(paths), len(paths[0]), classes)) * min(1.0, margin / 10)
    for row, path in zip(scores, paths, strict=True):
        row[np.arange(len(path)), path] += margin
    return scores


@both_dtypes
@pytest.mark.parametrize("margin", [0.0, 1.0, 8.0, 30.0, 90.0, 300.0])
def test_ctc(margin, dtype, rng):
    loss = losses.CTC(reduction=None)
    y = np.array([[1, 2, 3], [1, 1, 2], [3, 3, 3], [2, 0, 0], [0, 0, 0], [2, 1, 2]])
    right = [
        [1, 1, 2, 0, 3, 0],
        [0, 1, 0, 1, 0, 2],
        [3, 0, 3, 3, 0, 3],
        [2, 2, 2, 2, 2, 2],
        [0] * 6,
        [2, 1, 0, 0, 2, 2],
    ]
    check(loss, y, confident(right, 4, margin, rng), dtype)
    check(loss, y, confident(right[::-1], 4, margin, rng), dtype)  # and wrong
    check(loss, y, confident(right, 4, margin, rng) * np.arange(1, 7)[:, None] / 3 - 1e3, dtype)
    # two classes in two steps: only twice the wrong one has no label, and its odds are squared
    check(loss, np.array([[1], [1]]), confident([[1, 1], [0, 0]], 2, margin, rng), dtype)
    check(loss, np.array([[1], [0]]), confident([[1], [1]], 2, margin, rng), dtype)


@both_dtypes
@pytest.mark.parametrize("margin", [0.0, 4.0, 6.0, 12.0])
def test_ctc_over_many_steps(margin, dtype, rng):
    labels = rng.integers(1, 6, (2, 12))
    paths = [np.where(np.arange(120) % 10 < 4, np.repeat(row, 10), 0) for row in labels]
    check(losses.CTC(reduction=None), labels, confident(paths, 6, margin, rng), dtype)


def test_terms_of_either_sign_are_judged_by_the_largest():
    """0.1 is left of 1000 - 999.9: an ulp of what is left would ask for more digits than the terms have."""
    truth = losses_of_rows(losses.Poisson(reduction=None), np.ones((1, 1)), np.ones((1, 1)), np.dtype(float))[0]
    assert truth.scale == 1
    large = losses_of_rows(losses.Poisson(reduction=None), np.array([[144.72]]), np.array([[1e3]]), np.dtype(float))[0]
    assert abs(large.value) < 1
    assert large.scale == 1000
