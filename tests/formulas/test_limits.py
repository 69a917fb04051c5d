"""Losses at infinities and at 0 times log(0): the limits of the formulas, as mathematics has them."""

import math

import numpy as np
import pytest

import streamloss as sl
from streamloss.errors import ValueRangeError

INF, NAN = math.inf, math.nan
LOG2 = math.log(2)
of = sl.losses

LOGITS = {"from_logits": True}
OUTCOMES = [  # a label, a logit of infinity, and the cross-entropy of the two
    (0.0, -INF, 0.0),
    (1.0, INF, 0.0),
    (0.0, INF, INF),
    (1.0, -INF, INF),
    (0.25, INF, INF),
    (0.25, -INF, INF),
]
PAIRS = {
    "bce": (of.BinaryCrossentropy(**LOGITS), OUTCOMES),
    "smoothed bce": (of.BinaryCrossentropy(label_smoothing=0.1, **LOGITS), [(0.0, -INF, INF), (1.0, INF, INF)]),
    "bce from probabilities": (
        of.BinaryCrossentropy(epsilon=0),
        [(0.0, 0.0, 0.0), (1.0, 1.0, 0.0), (0.0, 1.0, INF), (1.0, 0.0, INF), (0.25, 0.0, INF), (0.25, 1.0, INF)],
    ),
    "weighted": (of.WeightedCrossEntropyWithLogits(pos_weight=3.0), OUTCOMES),
    "weighted by 0": (
        of.WeightedCrossEntropyWithLogits(pos_weight=0.0),
        [(1.0, INF, 0.0), (1.0, -INF, 0.0), (0.25, -INF, 0.0), (0.25, INF, INF)],
    ),
    "focal": (of.BinaryFocalCrossentropy(**LOGITS), OUTCOMES),
    "focal without discount": (of.BinaryFocalCrossentropy(gamma=0, **LOGITS), OUTCOMES),
    "balanced focal": (
        of.BinaryFocalCrossentropy(apply_class_balancing=True, alpha=0.0, **LOGITS),
        [(1.0, -INF, 0.0), (1.0, INF, 0.0), (0.0, -INF, 0.0), (0.0, INF, INF)],
    ),
    "focal from probabilities": (
        of.BinaryFocalCrossentropy(epsilon=0),
        [(0.0, 0.0, 0.0), (1.0, 1.0, 0.0), (0.0, 1.0, INF), (1.0, 0.0, INF), (0.25, 0.0, INF)],
    ),
    "mse": (of.MeanSquaredError(), [(1.0, INF, INF), (1.0, -INF, INF)]),
    "mae": (of.MeanAbsoluteError(), [(1.0, INF, INF), (1.0, -INF, INF)]),
    "mape": (of.MeanAbsolutePercentageError(epsilon=0), [(1.0, INF, INF), (0.0, 1.0, INF)]),
    "msle": (of.MeanSquaredLogarithmicError(), [(1.0, INF, INF), (1.0, -INF, LOG2**2)]),
    "huber": (of.Huber(), [(1.0, INF, INF), (1.0, -INF, INF)]),
    "log_cosh": (of.LogCosh(), [(1.0, INF, INF), (1.0, -INF, INF)]),
    "pinball": (of.Pinball(0.5), [(1.0, INF, INF), (1.0, -INF, INF)]),
    "pinball of the largest": (of.Pinball(1.0), [(1.0, INF, 0.0), (1.0, -INF, INF)]),
    "pinball of the smallest": (of.Pinball(0.0), [(1.0, INF, INF), (1.0, -INF, 0.0)]),
    "hinge": (of.Hinge(labels="pm1"), [(1.0, INF, 0.0), (-1.0, -INF, 0.0), (1.0, -INF, INF), (0.0, INF, 1.0)]),
    "hinge of 0 and 1": (of.Hinge(labels="01"), [(1.0, INF, 0.0), (0.0, -INF, 0.0), (0.0, INF, INF), (0.5, INF, 1.0)]),
    "squared_hinge": (of.SquaredHinge(labels="pm1"), [(1.0, INF, 0.0), (1.0, -INF, INF), (0.0, -INF, 1.0)]),
    "poisson": (of.Poisson(epsilon=0), [(0.0, 0.0, 0.0), (1.0, 0.0, INF), (0.0, INF, INF), (2.0, INF, INF)]),
    "poisson_nll": (of.PoissonNLL(), [(0.0, -INF, 0.0), (1.0, -INF, INF), (0.0, INF, INF), (2.0, INF, INF)]),
    "poisson_nll of rates": (
        of.PoissonNLL(log_input=False, epsilon=0),
        [(0.0, 0.0, 0.0), (1.0, 0.0, INF), (0.0, INF, INF), (2.0, INF, INF)],
    ),
    "log_poisson_loss": (of.LogPoissonLoss(), [(0.0, -INF, 0.0), (1.0, -INF, INF), (2.0, INF, INF)]),
    "poisson_deviance": (of.PoissonDeviance(), [(0.0, INF, INF), (2.0, INF, INF)]),
    "tweedie_deviance": (of.TweedieDeviance(power=1.5), [(0.0, INF, INF), (2.0, INF, INF)]),
    "tweedie_deviance of 3": (of.TweedieDeviance(power=3.0), [(2.0, INF, 0.5), (0.25, INF, 4.0)]),
    "gamma_deviance": (of.GammaDeviance(), [(2.0, INF, INF)]),
}
ROWS = {
    "kl": (
        of.KLDivergence(epsilon=0),
        [
            ([0.0, 1.0], [0.0, 1.0], 0.0),
            ([0.0, 1.0], [0.5, 0.5], LOG2),
            ([0.5, 0.5], [0.0, 1.0], INF),
            ([0.0, 0.0], [0.0, 0.0], 0.0),
        ],
    ),
    "sparse from logits": (
        of.SparseCategoricalCrossentropy(**LOGITS),
        [(1, [-INF, 0.0, 0.0], LOG2), (0, [-INF, 0.0, 0.0], INF), (1, [-INF, 0.0, -INF], 0.0)],
    ),
    "sparse": (
        of.SparseCategoricalCrossentropy(epsilon=0),
        [(1, [0.0, 1.0, 0.0], 0.0), (0, [0.0, 1.0, 0.0], INF), (0, [0.5, 0.5, 0.0], LOG2)],
    ),
    "dense from logits": (
        of.CategoricalCrossentropy(**LOGITS),
        [
            ([0.0, 1.0, 0.0], [-INF, 0.0, 0.0], LOG2),
            ([1.0, 0.0, 0.0], [-INF, 0.0, 0.0], INF),
            ([0.0, 1.0, 0.0], [-INF, 0.0, -INF], 0.0),
            ([0.5, 0.5, 0.0], [-INF, 0.0, 0.0], INF),
        ],
    ),
    "dense": (
        of.CategoricalCrossentropy(epsilon=0),
        [([0.0, 1.0], [0.0, 1.0], 0.0), ([1.0, 0.0], [0.0, 1.0], INF), ([0.5, 0.5], [0.0, 1.0], INF)],
    ),
    "focal": (
        of.CategoricalFocalCrossentropy(alpha=1.0, epsilon=0),
        [([0.0, 1.0], [0.0, 1.0], 0.0), ([1.0, 0.0], [0.0, 1.0], INF)],
    ),
    "focal of a class that weighs nothing": (
        of.CategoricalFocalCrossentropy(alpha=[0.0, 1.0], epsilon=0),
        [([1.0, 0.0], [0.0, 1.0], 0.0), ([0.0, 1.0], [1.0, 0.0], INF)],
    ),
    "focal from logits": (
        of.CategoricalFocalCrossentropy(alpha=1.0, gamma=0.0, epsilon=0, **LOGITS),
        [([0.0, 1.0, 0.0], [-INF, 0.0, 0.0], LOG2), ([1.0, 0.0], [-INF, 0.0], INF), ([0.0, 1.0], [-INF, 0.0], 0.0)],
    ),
    "categorical_hinge": (
        of.CategoricalHinge(),
        [
            ([0.0, 1.0], [0.0, INF], 0.0),
            ([0.0, 1.0], [INF, 0.0], INF),
            ([0.0, 1.0], [-INF, 2.0], 0.0),
            ([0.0, 1.0], [1.0, -INF], INF),
        ],
    ),
    "zero_one": (of.ZeroOneLoss(), [(0, [INF, 0.0], 0.0), (1, [INF, 0.0], 1.0), (1, [-INF, 0.0], 0.0)]),
    "gaussian_nll": (
        of.GaussianNLL(epsilon=0),
        [(1.0, [INF, 1.0], INF), (1.0, [0.0, INF], INF)],
    ),
}


def losses_of(loss, y, p, dtype):
    config = {**loss.get_config(), "reduction": "none", "dtype": dtype}
    return type(loss)(**config)(np.array(y), np.array(p, np.float64))


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("name", PAIRS)
def test_limits_of_elements(name, dtype):
    loss, cases = PAIRS[name]
    y, p, expected = (np.array(column) for column in zip(*cases, strict=True))
    np.testing.assert_allclose(losses_of(loss, y, p, dtype), expected, rtol=1e-6, atol=1e-30)
    for columns in (3, 40):  # as rows of several elements, whose mean is of one kind of element
        rows = losses_of(loss, *(np.repeat(a[:, None], columns, axis=1) for a in (y, p)), dtype)
        np.testing.assert_allclose(rows, expected, rtol=1e-6, atol=1e-30)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("name", ROWS)
def test_limits_of_rows(name, dtype):
    loss, cases = ROWS[name]
    for y, p, expected in cases:
        np.testing.assert_allclose(losses_of(loss, [y], [p], dtype), [expected], rtol=1e-6, atol=1e-30)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("name", [*PAIRS, *ROWS])
def test_a_nan_is_hidden_by_no_limit(name, dtype):
    loss, cases = {**PAIRS, **ROWS}[name]
    for y, p, _ in cases:
        row = np.atleast_1d(np.array(p))
        for j in range(row.size):
            spoiled = row.copy()
            spoiled[j] = NAN
            with pytest.raises(ValueRangeError, match="is NaN"):
                losses_of(loss, [y], [spoiled] if name in ROWS else spoiled, dtype)
        labels = np.atleast_1d(np.array(y, np.float64))
        if not np.issubdtype(type(y), np.integer):
            for j in range(labels.size):
                spoiled = labels.copy()
                spoiled[j] = NAN
                with pytest.raises(ValueRangeError, match="is NaN"):
                    losses_of(loss, [spoiled] if labels.size > 1 else spoiled, [p], dtype)


@pytest.mark.parametrize(
    ("loss", "y", "p"),
    [
        (of.MeanSquaredError(), [INF], [INF]),
        (of.LogCosh(), [INF], [INF]),
        (of.SparseCategoricalCrossentropy(**LOGITS), [0], [[-INF, -INF]]),
        (of.SparseCategoricalCrossentropy(**LOGITS), [0], [[INF, INF]]),
        (of.CategoricalCrossentropy(**LOGITS), [[1.0, 0.0]], [[INF, INF]]),
        (of.CategoricalHinge(), [[0.0, 1.0]], [[INF, INF]]),
        (of.GaussianNLL(), [0.0], [[INF, INF]]),
        (of.GaussianNLL(epsilon=0), [1.0], [[0.0, 0.0]]),
    ],
)
def test_infinities_against_each_other_have_no_value(loss, y, p):
    with pytest.raises(ValueRangeError, match="is NaN: "):
        loss(y, p)


@pytest.mark.parametrize("classes", [3, 100, 200, 1100], ids=lambda n: f"{n} classes")
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_classes_that_a_mask_sets_to_minus_infinity_cost_nothing(classes, dtype):
    """In each layout of the loops: rows side by side, along classes, whole segments."""
    rng = np.random.default_rng(classes)
    logits = rng.normal(size=(20, classes)) * 5
    labels = rng.integers(0, classes, 20)
    masked = rng.random(logits.shape) < 0.6
    masked[0], masked[1:3, 0], masked[3:5, -1] = True, True, True  # a row with the labelled class alone
    masked[np.arange(20), labels] = False
    kept = np.where(masked, -INF, logits)
    expected = np.log(np.exp(kept).sum(axis=1)) - logits[np.arange(20), labels]
    one_hot = np.eye(classes)[labels]
    close = {"rtol": 1e-6, "atol": 1e-6}
    sparse, dense = of.SparseCategoricalCrossentropy(**LOGITS), of.CategoricalCrossentropy(**LOGITS)
    for loss, y in ((sparse, labels), (dense, one_hot)):
        found = losses_of(loss, y, kept, dtype)
        np.testing.assert_allclose(found, expected, **close)
        assert found[0] == 0.0
    focal = of.CategoricalFocalCrossentropy(alpha=1.0, gamma=0.0, epsilon=0, **LOGITS)
    np.testing.assert_allclose(losses_of(focal, one_hot, kept, dtype), expected, **close)
    np.testing.assert_allclose(sl.nn.softmax_cross_entropy_with_logits(one_hot, kept), expected, **close)
    np.testing.assert_allclose(sl.nn.sparse_softmax_cross_entropy_with_logits(labels, kept), expected, **close)
    wrong = of.ZeroOneLoss(reduction="none")(labels, kept)
    np.testing.assert_array_equal(wrong, kept.argmax(axis=1) != labels)
    smoothed = of.SparseCategoricalCrossentropy(label_smoothing=0.1, **LOGITS)  # each class has a part of the label
    np.testing.assert_array_equal(np.isinf(losses_of(smoothed, labels, kept, dtype)), masked.any(axis=1))


def test_labels_of_ctc_that_no_mask_hides_have_a_loss():
    logits = np.array([[[0.0, 0.0, -INF], [0.0, 0.0, -INF], [0.0, 0.0, -INF]]])
    without = logits[:, :, :2]
    assert of.CTC()([[1, 0]], logits) == of.CTC()([[1, 0]], without)
    with pytest.raises(ValueRangeError, match="cannot be aligned"):
        of.CTC()([[2, 0]], logits)


def test_names_of_tensorflow_have_the_same_limits():
    y, x, expected = (np.array(column) for column in zip(*OUTCOMES, strict=True))
    np.testing.assert_array_equal(sl.nn.sigmoid_cross_entropy_with_logits(y, x), expected)
    np.testing.assert_array_equal(sl.nn.weighted_cross_entropy_with_logits(y, x, 2.0), expected)
    assert sl.nn.softmax_cross_entropy_with_logits([0.0, 1.0], [-INF, 0.0]) == 0.0
    assert sl.nn.log_poisson_loss([0.0, 2.0], [-INF, INF]).tolist() == [0.0, INF]
