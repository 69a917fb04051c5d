"""TensorFlow's losses by their names in ``tf.nn``, with its arguments and shapes: unreduced, without a graph.

Values are computed as everywhere here, in float64, and rounded once to float32, or float64 for float64 logits.
Labels outside [0, 1], negative ones and NaN are errors that name the row; nothing is broadcast.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from .api.loss import loss_class
from .errors import ShapeError, UsageError

__all__ = [
    "log_poisson_loss",
    "sigmoid_cross_entropy_with_logits",
    "softmax_cross_entropy_with_logits",
    "sparse_softmax_cross_entropy_with_logits",
    "weighted_cross_entropy_with_logits",
]


def sigmoid_cross_entropy_with_logits(labels: Any = None, logits: Any = None, name: str | None = None) -> Any:
    """Return ``max(x, 0) - x z + log(1 + exp(-|x|))`` for each element, of the logits' shape.

    Source: TensorFlow, ``tf.nn.sigmoid_cross_entropy_with_logits``.

    >>> import streamloss as sl
    >>> sl.nn.sigmoid_cross_entropy_with_logits(labels=[[1.0, 0.0]], logits=[[0.0, 2.0]]).round(6)
    array([[0.693147, 2.126928]])
    """
    y_true, y_pred = _both(labels, logits)
    _same_shape("labels", y_true, "logits", y_pred)
    return _elements("binary_crossentropy", y_true, y_pred, name, from_logits=True)


def softmax_cross_entropy_with_logits(
    labels: Any, logits: Any, axis: int = -1, name: str | None = None, *, dim: int | None = None
) -> Any:
    """Return ``-sum(labels * log_softmax(logits), axis)``, of the logits' shape without `axis`.

    `labels` are distributions of the logits' shape, which need not sum to 1. `dim` is TensorFlow 1's name of `axis`.

    Source: TensorFlow, ``tf.nn.softmax_cross_entropy_with_logits``.

    >>> import streamloss as sl
    >>> sl.nn.softmax_cross_entropy_with_logits(labels=[[0.0, 1.0]], logits=[[0.0, 2.0]]).round(6)
    array([0.126928])
    """
    y_true, y_pred = _both(labels, logits)
    _same_shape("labels", y_true, "logits", y_pred)
    make = loss_class("categorical_crossentropy")
    loss = make(from_logits=True, axis=axis if dim is None else dim, reduction="none", name=name)
    if y_pred.ndim != 1:
        return loss(y_true, y_pred)
    return loss(y_true[None], y_pred[None])[0]


def sparse_softmax_cross_entropy_with_logits(labels: Any, logits: Any, name: str | None = None) -> Any:
    """Return ``log(sum(exp(x))) - x[label]`` over the last axis, of the labels' shape.

    `labels` are integers of one rank less than the logits.

    Source: TensorFlow, ``tf.nn.sparse_softmax_cross_entropy_with_logits``.

    >>> import streamloss as sl
    >>> sl.nn.sparse_softmax_cross_entropy_with_logits(labels=[1], logits=[[0.0, 2.0]]).round(6)
    array([0.126928])
    """
    y_true, y_pred = _both(labels, logits)
    if y_true.dtype.kind not in "iu":
        raise UsageError(f"labels have dtype {y_true.dtype}; expected integers.")
    if y_true.ndim != y_pred.ndim - 1:
        raise ShapeError(
            f"labels have shape {y_true.shape} and logits {y_pred.shape}; expected the labels' rank to be the logits' "
            "rank minus one."
        )
    loss = loss_class("sparse_categorical_crossentropy")(from_logits=True, reduction="none", name=name)
    if y_pred.ndim != 1:
        return loss(y_true, y_pred)
    return loss(y_true[None], y_pred[None])[0]


def weighted_cross_entropy_with_logits(
    labels: Any = None, logits: Any = None, pos_weight: Any = None, name: str | None = None
) -> Any:
    """Return ``pos_weight z -log(sigmoid(x)) + (1 - z) -log(1 - sigmoid(x))`` for each element, of the logits' shape.

    `pos_weight` is a number, or one for each entry of the last axis.

    Source: TensorFlow, ``tf.nn.weighted_cross_entropy_with_logits``.

    >>> import streamloss as sl
    >>> sl.nn.weighted_cross_entropy_with_logits(labels=[1.0, 0.0], logits=[0.0, 2.0], pos_weight=3.0).round(6)
    array([2.079442, 2.126928])
    """
    y_true, y_pred = _both(labels, logits)
    _same_shape("labels", y_true, "logits", y_pred)
    if pos_weight is None:
        raise UsageError("pos_weight is required: a number, or one for each entry of the last axis.")
    weights = np.asarray(pos_weight, np.float64)
    if weights.size == 1:
        return _elements("weighted_cross_entropy_with_logits", y_true, y_pred, name, pos_weight=weights.item())
    if weights.size != y_pred.shape[-1] or weights.shape[-1] != weights.size:
        raise ShapeError(
            f"pos_weight has shape {weights.shape} and logits {y_pred.shape}; expected a number, or one for each entry "
            "of the last axis."
        )
    columns = [
        _elements("weighted_cross_entropy_with_logits", y_true[..., j], y_pred[..., j], name, pos_weight=weight)
        for j, weight in enumerate(weights.ravel().tolist())
    ]
    return np.stack(columns, axis=-1)


def log_poisson_loss(targets: Any, log_input: Any, compute_full_loss: bool = False, name: str | None = None) -> Any:
    """Return ``exp(c) - z c`` for each element.

    `compute_full_loss` adds Stirling's approximation of ``log(z!)`` for z > 1.

    Source: TensorFlow, ``tf.nn.log_poisson_loss``.

    >>> import streamloss as sl
    >>> sl.nn.log_poisson_loss(targets=[0.0, 3.0], log_input=[0.0, 1.0]).round(6)
    array([ 1.      , -0.281718])
    """
    y_true, y_pred = _both(targets, log_input)
    _same_shape("targets", y_true, "log_input", y_pred)
    return _elements("log_poisson_loss", y_true, y_pred, name, compute_full_loss=compute_full_loss)


def _both(labels: Any, logits: Any) -> tuple[Any, Any]:
    if labels is None or logits is None:
        raise UsageError("both labels and logits are required: pass labels=..., logits=...")
    y_true, y_pred = np.asarray(labels), np.asarray(logits)
    if y_pred.ndim == 0:
        raise ShapeError("logits have shape (); expected at least one axis: logits cannot be one number.")
    return y_true, y_pred


def _same_shape(one: str, first: Any, other: str, second: Any) -> None:
    if first.shape != second.shape:
        raise ShapeError(f"{one} and {other} must have the same shape; received {first.shape} and {second.shape}.")


def _elements(loss: str, y_true: Any, y_pred: Any, name: str | None, **parameters: Any) -> Any:
    return loss_class(loss)(axis=None, reduction="none", name=name, **parameters)(y_true, y_pred)
