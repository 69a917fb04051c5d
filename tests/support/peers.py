"""Losses of Keras to compare with: inputs and settings for each of them, in Keras' terms.

Keras runs on its JAX backend, on the processor, and in float64 where asked. The NumPy backend caps what comes from
logits, and PyTorch's reduces in float32. Parameters that Keras expresses by another argument or another axis are
translated here; those that it cannot express are tested as differences.
"""

from __future__ import annotations

import contextlib
import importlib
import inspect
import os
import warnings
from collections.abc import Iterator, Mapping
from functools import cache
from typing import Any

import ml_dtypes  # noqa: F401 - makes NumPy know "bfloat16"
import numpy as np
import pytest

from streamloss.formulas._registry import find

CLASSES = 4
STEPS = 6
"""Time steps of a CTC row; enough for three labels that are all alike."""
ROWS = ((16,), (6, 3))
"""Shapes of the losses; few, for JAX compiles each operation for each shape and dtype."""

Array = np.ndarray[Any, Any]

SETTINGS: dict[str, list[dict[str, Any]]] = {
    "mean_squared_error": [{}, {"axis": 0}, {"axis": 1}, {"axis": None}],
    "mean_absolute_error": [{}, {"axis": 0}, {"axis": 1}, {"axis": None}],
    "mean_absolute_percentage_error": [{}, {"axis": 1}, {"axis": None}, {"epsilon": 0.5}],
    "mean_squared_logarithmic_error": [{}, {"axis": 1}, {"axis": None}, {"epsilon": 0.5}],
    "log_cosh": [{}, {"axis": 1}, {"axis": None}],
    "huber": [{}, {"delta": 0.5}, {"delta": 3.0, "axis": 1}, {"delta": 1.5, "axis": None}],
    "poisson": [{}, {"axis": 1}, {"axis": None}, {"epsilon": 0.125}],
    "kl_divergence": [{}, {"axis": 0}, {"axis": 1}, {"epsilon": 0.125}],
    "cosine_similarity": [{}, {"axis": 0}, {"axis": 1}, {"axis": -2}],
    "hinge": [{}, {"axis": 1}, {"axis": None}, {"labels": "01"}, {"labels": "pm1"}],
    "squared_hinge": [{}, {"axis": 1}, {"axis": None}, {"labels": "01"}, {"labels": "pm1"}],
    "categorical_hinge": [{}, {"axis": 0}, {"axis": 1}],
    "binary_crossentropy": [
        {},
        {"from_logits": True},
        {"label_smoothing": 0.25},
        {"from_logits": True, "label_smoothing": 1.0},
        {"axis": 0},
        {"from_logits": True, "axis": 1, "label_smoothing": 0.125},
        {"axis": None},
        {"epsilon": 0.125},
    ],
    "binary_focal_crossentropy": [
        {},
        {"from_logits": True},
        {"gamma": 0.0, "apply_class_balancing": True},
        {"gamma": 0.5, "alpha": 0.75, "apply_class_balancing": True, "from_logits": True},
        {"alpha": 0.75, "gamma": 3.0},
        {"label_smoothing": 0.25, "axis": 1},
        {"label_smoothing": 0.5, "from_logits": True, "axis": None},
        {"epsilon": 0.125, "axis": 0},
    ],
    "categorical_crossentropy": [
        {},
        {"from_logits": True},
        {"label_smoothing": 0.25},
        {"from_logits": True, "label_smoothing": 0.125, "axis": 1},
        {"axis": 0},
        {"from_logits": True, "axis": 1},
        {"label_smoothing": 1.0, "axis": -2},
        {"epsilon": 0.125},
    ],
    "categorical_focal_crossentropy": [
        {},
        {"from_logits": True},
        {"gamma": 0.0, "alpha": 1.0},
        {"gamma": 0.5, "from_logits": True},
        {"alpha": [0.25, 0.5, 0.125, 2.0]},
        {"alpha": [0.25, 0.5, 0.125, 2.0], "from_logits": True, "axis": 1},
        {"label_smoothing": 0.25, "gamma": 3.0},
        {"axis": 0},
        {"axis": 1, "from_logits": True, "epsilon": 0.125},
    ],
    "sparse_categorical_crossentropy": [
        {},
        {"from_logits": True},
        {"ignore_class": 2},
        {"ignore_class": -1, "from_logits": True},
        {"ignore_class": 255},
        {"axis": 0},
        {"axis": 1, "from_logits": True, "ignore_class": 0},
        {"epsilon": 0.125},
    ],
    "categorical_generalized_cross_entropy": [{}, {"q": 0.0625}, {"q": 0.9375}, {"axis": 0}, {"q": 0.25, "axis": 1}],
    "dice": [{}, {"axis": -1}, {"axis": 0}, {"axis": 1}, {"axis": [1, -1]}, {"axis": [0, 1]}, {"epsilon": 0.5}],
    "tversky": [
        {},
        {"alpha": 0.25, "beta": 0.75, "axis": -1},
        {"alpha": 1.0, "axis": 0},
        {"beta": 0.125, "axis": [1, -1]},
        {"alpha": 2.0, "beta": 0.0, "axis": [0, 1], "epsilon": 0.5},
    ],
    "ctc": [{}],
}
"""Settings of each loss; its class' parameters, ours and Keras'. Numbers are float32s, which Keras makes of lists."""


@cache
def keras() -> Any:
    """Return Keras on JAX with float64; imported where it is needed, for it takes seconds and hundreds of megabytes."""
    os.environ |= {"KERAS_BACKEND": "jax", "JAX_ENABLE_X64": "1", "JAX_PLATFORMS": "cpu"}
    pytest.importorskip("jax").config.update("jax_enable_x64", True)
    library = pytest.importorskip("keras")
    assert library.backend.backend() == "jax", "another test imported Keras before"
    # Off TensorFlow, Keras takes means and promotes in float32 even where JAX has float64; as on TensorFlow, then.
    importlib.import_module("keras.src.backend.common.dtypes").BIT64_TO_BIT32_DTYPE["float64"] = "float64"
    library.config.set_floatx("float32")  # whatever this machine's keras.json says
    library.config.set_epsilon(1e-7)
    return library


def keras_is_fixed() -> bool:
    """Return whether what its main branch corrected after 3.15.1 is in (Tversky, label smoothing, get_config)."""
    return tuple(int(part) for part in keras().__version__.split(".")[:3] if part.isdigit()) > (3, 15, 1)


def ask_keras(
    name: str,
    parameters: Mapping[str, Any],
    y_true: Any,
    y_pred: Any,
    sample_weight: Any = None,
    *,
    reduction: str | None = "none",
    dtype: str = "float32",
) -> Array:
    """Return Keras' losses for our parameters, as float64 whatever dtype it computes in."""
    make = getattr(keras().losses, find(name).class_name)
    given, y_true, y_pred = in_keras_terms(name, parameters, np.asarray(y_true), np.asarray(y_pred))
    with epsilon(parameters.get("epsilon", 1e-7)):
        if name not in BRANCHING:
            return answer_of(make(reduction=reduction, dtype=dtype, **given), y_true, y_pred, sample_weight)
        key = (name, str(given), dtype, *(f"{a.dtype} {a.shape} {a.tobytes().hex()}" for a in (y_true, y_pred)))
        if key not in _asked:
            _asked[key] = answer_of(make(reduction="none", dtype=dtype, **given), y_true, y_pred)
        return answer_of(as_they_are()(reduction=reduction, dtype=dtype), _asked[key], _asked[key], sample_weight)


BRANCHING = ("hinge", "squared_hinge", "ctc")
"""Losses with a branch or a loop inside, which JAX compiles at each call, and keeps: asked once for the same data."""
_asked: dict[tuple[str, ...], Array] = {}


@cache
def as_they_are() -> Any:
    """Return a Keras loss whose losses of rows are its predictions, which leaves Keras' reduction."""

    class AsTheyAre(keras().losses.Loss):
        def call(self, y_true: Any, y_pred: Any) -> Any:
            return y_pred

    return AsTheyAre


def answer_of(loss: Any, *arguments: Any) -> Array:
    """Call a Keras loss, without warnings about how JAX was called."""
    with warnings.catch_warnings():
        # a class axis of length 1, which Keras takes for a mistake
        warnings.filterwarnings("ignore", "In loss categorical", SyntaxWarning)
        return np.asarray(loss(*arguments), np.float64)


@contextlib.contextmanager
def epsilon(value: float) -> Iterator[None]:
    """Set our parameter `epsilon`, which is a global of Keras."""
    before = keras().config.epsilon()
    keras().config.set_epsilon(value)
    try:
        yield
    finally:
        keras().config.set_epsilon(before)


def in_keras_terms(
    name: str, parameters: Mapping[str, Any], y_true: Array, y_pred: Array
) -> tuple[dict[str, Any], Array, Array]:
    """Return Keras' arguments, and arrays for which they mean the same."""
    known = inspect.signature(getattr(keras().losses, find(name).class_name)).parameters
    given = {k: v for k, v in parameters.items() if k in known}
    if parameters.get("labels") == "01":
        y_true = 2 * y_true.astype(np.float64) - 1
    if name == "tversky" and not keras_is_fixed():
        given |= {"alpha": parameters.get("beta", 0.5), "beta": parameters.get("alpha", 0.5)}
    if name in ("dice", "tversky"):
        axis = parameters.get("axis")
        return given | {"axis": tuple(axis) if isinstance(axis, list) else axis}, y_true, y_pred
    axis = parameters.get("axis", -1)
    if axis is None:  # every element is a row of one
        given.pop("axis", None)
        return given, y_true[..., None], y_pred[..., None]
    # JAX' sparse cross-entropy knows the last axis only; up to 3.15.1 label smoothing counts the last axis' classes;
    # a list of alphas always follows the last axis
    on_last = name == "sparse_categorical_crossentropy" or "label_smoothing" in given or "alpha" in given
    if axis != -1 and ("axis" not in known or on_last):
        given.pop("axis", None)
        has_labels = y_true.ndim < y_pred.ndim
        return given, y_true if has_labels else np.moveaxis(y_true, axis, -1), np.moveaxis(y_pred, axis, -1)
    return given, y_true, y_pred


def data(name: str, parameters: Mapping[str, Any], rows: tuple[int, ...], hard: bool) -> tuple[Array, Array]:
    """Return labels and predictions in float64, with the edges of their ranges among them.

    `hard` labels are whole numbers: one-hot, 0 and 1, or of either sign. Sparse labels always are.
    """
    rng = np.random.default_rng([len(rows), hard, *name.encode()])
    axis = parameters.get("axis", -1)
    at = axis if isinstance(axis, int) else -1
    at %= len(rows) + 1
    shape = (*rows[:at], CLASSES, *rows[at:])
    logits = parameters.get("from_logits", False)
    match name:
        case "ctc":
            y_true = rng.integers(1, CLASSES, (*rows, 3)) * (np.arange(3) < rng.integers(0, 4, (*rows, 1)))
            return y_true.astype(np.float64), rng.normal(0, 3, (*rows, STEPS, CLASSES))
        case "sparse_categorical_crossentropy" | "categorical_generalized_cross_entropy":
            y_true = rng.integers(0, CLASSES, rows).astype(np.float64)
            if (ignored := parameters.get("ignore_class")) is not None:
                y_true.flat[::5] = ignored
            return y_true, scores(rng, shape) if logits else shares(rng, shape, at)
        case "categorical_crossentropy" | "categorical_focal_crossentropy":
            y_true = one_hot(rng, shape, at) if hard else rng.random(shape)
            return y_true, scores(rng, shape) if logits else shares(rng, shape, at)
        case "binary_crossentropy" | "dice" | "tversky" | "kl_divergence":
            y_true, y_pred = unit(rng, shape), scores(rng, shape) if logits else unit(rng, shape)
            return np.rint(y_true) if hard else y_true, y_pred
        case "binary_focal_crossentropy":
            # Keras takes the cross-entropy of a rounded logistic: beyond 5, a float32 of it has lost three digits
            y_true, y_pred = unit(rng, shape), rng.uniform(-5, 5, shape) if logits else unit(rng, shape)
            return np.rint(y_true) if hard else y_true, y_pred
        case "hinge" | "squared_hinge":
            y_true = rng.uniform(-1, 1, shape)
            if hard:
                y_true = np.where(y_true > 0, 1.0, -1.0 if parameters.get("labels") == "pm1" else 0.0)
            return abs(y_true) if parameters.get("labels") == "01" else y_true, rng.normal(0, 2, shape)
        case "categorical_hinge":
            return one_hot(rng, shape, at) if hard else rng.random(shape), rng.normal(0, 2, shape)
        case "poisson":
            y_true, y_pred = rng.gamma(1, 3, shape), rng.gamma(1, 3, shape)
            y_true.flat[:3], y_pred.flat[:3] = (0, 2, 0), (0, 0, 1)
        case _:
            y_true, y_pred = rng.normal(0, 3, shape), rng.normal(0, 3, shape)
            y_true.flat[:6], y_pred.flat[:6] = (0, 0, 1, 2, 0, 0), (0, 1, 1, 3, -2.5, 0)  # huber's delta, a 0 vector
    return np.rint(y_true) if hard else y_true, y_pred


def unit(rng: np.random.Generator, shape: tuple[int, ...]) -> Array:
    """Return numbers in [0, 1], the ends and numbers that are clipped to them among them."""
    values = rng.random(shape)
    values.flat[:6] = rng.permutation([0.0, 1.0, 1e-9, 1 - 1e-9, 1e-5, 1 - 1e-5])
    return values


def scores(rng: np.random.Generator, shape: tuple[int, ...]) -> Array:
    values = rng.normal(0, 4, shape)
    values.flat[:4] = rng.permutation([0.0, 80.0, -80.0, 80.0])
    return values


def shares(rng: np.random.Generator, shape: tuple[int, ...], axis: int) -> Array:
    """Return probabilities that need not sum to 1; the first row has one class, the second and third almost."""
    values = np.moveaxis(rng.random(shape), axis, -1)
    first, second, third = (np.unravel_index(i, values.shape[:-1]) for i in range(3))
    values[first], values[second], values[third] = (0, 1, 0, 0), (0, 1e-9, 1, 0), (1e-5, 0, 1e-4, 0.9999)
    return np.moveaxis(values, -1, axis)


def one_hot(rng: np.random.Generator, shape: tuple[int, ...], axis: int) -> Array:
    values = rng.random(shape)
    return (values == values.max(axis, keepdims=True)).astype(np.float64)


def ours_fits(name: str, parameters: Mapping[str, Any], rows: tuple[int, ...]) -> bool:
    """Return whether arrays of that many axes have the axes that are named."""
    if name == "ctc":
        return len(rows) == 1
    axis = parameters.get("axis", -1)
    named = axis if isinstance(axis, list) else [] if axis is None else [axis]
    places = {a % (len(rows) + 1) for a in named}
    return len(places) == len(named)


def is_over_rows(name: str, parameters: Mapping[str, Any], rank: int) -> bool:
    """Return whether the loss is one ratio, or a few, over the whole data."""
    axis = parameters.get("axis")
    named = range(rank) if axis is None else axis if isinstance(axis, list) else [axis]
    return name in ("dice", "tversky") and 0 in {a % rank for a in named}


def with_mask(y_pred: Array, mask: Array) -> Any:
    """Return predictions that carry a mask, as those of a Keras layer may."""
    tensor = keras().ops.convert_to_tensor(y_pred)
    importlib.import_module("keras.src.backend").set_keras_mask(tensor, mask)
    return tensor
