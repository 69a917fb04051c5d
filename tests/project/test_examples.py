"""Real data: the losses of the demo's flights agree with scikit-learn."""

import numpy as np
import pytest
from sklearn.datasets import load_digits
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import log_loss

import streamloss as sl


@pytest.fixture(scope="module")
def digits():
    """A model's probabilities for real images it was not trained on: labels, (n, 10) float32."""
    x, y = load_digits(return_X_y=True)
    model = LogisticRegression(max_iter=200).fit(x[::2] / 16, y[::2])
    return y[1::2], model.predict_proba(x[1::2] / 16).astype(np.float32)


@pytest.mark.parametrize("weighted", [False, True])
def test_log_loss_agrees_with_sklearn(digits, weighted):
    y, p = digits
    weight = np.random.default_rng(0).random(len(y)) if weighted else None
    exact = p.astype(np.float64)
    expected = log_loss(y, exact / exact.sum(axis=1, keepdims=True), sample_weight=weight)
    result = sl.evaluate("sparse_categorical_crossentropy", y, p, weight)["sparse_categorical_crossentropy"]
    assert result.weighted_mean == pytest.approx(expected, rel=1e-7)


def test_binary_log_loss_agrees_with_sklearn(digits):
    y, p = digits
    is_three, p_three = (y == 3).astype(np.uint8), p[:, 3]
    expected = log_loss(is_three, p_three.astype(np.float64))
    assert sl.losses.BinaryCrossentropy(epsilon=0.0)(is_three, p_three) == pytest.approx(expected, rel=1e-7)
