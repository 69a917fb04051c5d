"""tf.nn's names: shapes and refusals as TensorFlow's; values are those of the losses they stand for."""

import numpy as np
import pytest

import streamloss as sl
from streamloss.errors import ShapeError, UsageError

RNG = np.random.default_rng(15)
X = RNG.normal(size=(4, 3)).astype(np.float32)
Z = RNG.random((4, 3)).astype(np.float32)


def test_shapes_and_dtypes_are_tensorflows():
    assert sl.nn.sigmoid_cross_entropy_with_logits(labels=Z, logits=X).shape == (4, 3)
    assert sl.nn.softmax_cross_entropy_with_logits(labels=Z, logits=X).shape == (4,)
    assert sl.nn.softmax_cross_entropy_with_logits(Z, X, axis=0).shape == (3,)
    assert sl.nn.sparse_softmax_cross_entropy_with_logits(labels=[0, 1, 2, 0], logits=X).dtype == np.float32
    assert sl.nn.log_poisson_loss(Z, X.astype(np.float64)).dtype == np.float64
    assert sl.nn.softmax_cross_entropy_with_logits(Z[0], X[0]) == sl.nn.softmax_cross_entropy_with_logits(Z, X)[0]
    assert (
        sl.nn.sparse_softmax_cross_entropy_with_logits(2, X[0])
        == (sl.nn.sparse_softmax_cross_entropy_with_logits([2], X[:1])[0])
    )


def test_dim_is_axis():
    by_axis = sl.nn.softmax_cross_entropy_with_logits(Z, X, axis=0)
    assert sl.nn.softmax_cross_entropy_with_logits(Z, X, dim=0).tobytes() == by_axis.tobytes()


def test_positive_weights_for_each_class():
    weights = [0.5, 1.0, 4.0]
    whole = sl.nn.weighted_cross_entropy_with_logits(labels=Z, logits=X, pos_weight=weights)
    for j, weight in enumerate(weights):
        column = sl.nn.weighted_cross_entropy_with_logits(labels=Z[:, j], logits=X[:, j], pos_weight=weight)
        assert whole[:, j].tobytes() == column.tobytes()
    one = sl.nn.weighted_cross_entropy_with_logits(labels=Z, logits=X, pos_weight=1.0)
    np.testing.assert_allclose(one, sl.nn.sigmoid_cross_entropy_with_logits(Z, X), rtol=3e-7)


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: sl.nn.sigmoid_cross_entropy_with_logits(Z, X[:2]), ShapeError, "must have the same shape; received"),
        (lambda: sl.nn.sigmoid_cross_entropy_with_logits(logits=X), UsageError, "both labels and logits are required"),
        (lambda: sl.nn.softmax_cross_entropy_with_logits(Z[:, :1], X), ShapeError, "must have the same shape"),
        (lambda: sl.nn.softmax_cross_entropy_with_logits(Z, X, axis=2), ShapeError, "axis=2 is out of bounds"),
        (lambda: sl.nn.sparse_softmax_cross_entropy_with_logits(Z, X), UsageError, "labels have dtype float32"),
        (lambda: sl.nn.sparse_softmax_cross_entropy_with_logits([[0], [1]], X), ShapeError, "logits' rank minus one"),
        (lambda: sl.nn.sparse_softmax_cross_entropy_with_logits(0, 1.0), ShapeError, "cannot be one number"),
        (lambda: sl.nn.sparse_softmax_cross_entropy_with_logits([3, 0, 0, 0], X), sl.errors.DataError, "is 3, but"),
        (lambda: sl.nn.weighted_cross_entropy_with_logits(Z, X), UsageError, "pos_weight is required"),
        (lambda: sl.nn.weighted_cross_entropy_with_logits(Z, X, [1.0, 2.0]), ShapeError, "pos_weight has shape"),
        (lambda: sl.nn.weighted_cross_entropy_with_logits(Z, X, -1.0), UsageError, r"pos_weight must lie in \[0, inf"),
    ],
)
def test_refusals(call, error, message):
    with pytest.raises(error, match=message):
        call()
