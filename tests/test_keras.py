"""Differential tests: each loss against Keras, TensorFlow's formulas, PyTorch's and scikit-learn.

Where we differ on purpose (docs/semantics.md) the difference itself is asserted, so that neither side changes unseen.
"""

import inspect
import itertools

import ml_dtypes
import numpy as np
import pytest

import peers
import streamloss as sl
from streamloss.losses._registry import declarations

FLOAT32 = {"rtol": 2e-5, "atol": 4e-6}
"""Keras' own rounding in float32, not ours: some tens of units (2**-24 = 6e-8) of the row's largest term, which for
differences of logits and logarithms of 1 + tiny is larger than their result, hence the absolute part."""
FLOAT64 = {"rtol": 1e-9, "atol": 1e-12}
LOG_COSH = {"rtol": 1e-9, "atol": 2e-9}
"""Keras takes log(2) in float32: its losses are 1.9e-9 too low."""

DTYPES = [  # of predictions; asked of us; what Keras computes in
    ("float16", None, "float32"),
    ("bfloat16", None, "float32"),
    ("float32", None, "float32"),
    ("float64", None, "float64"),
    ("int32", None, "float32"),
    ("float32", "float64", "float64"),
    ("float64", "float32", "float32"),
    ("float32", "float16", "float32"),
    ("float32", "bfloat16", "float32"),
]
LABELS = ["bool", "uint8", "int16", "int64", "float16", "float32", "float64"]
REDUCTIONS = ["none", "sum", "sum_over_batch_size", "mean", "mean_with_sample_weight"]


def tolerance(name, dtype):
    if dtype == "float32":
        return FLOAT32
    return LOG_COSH if name == "log_cosh" else FLOAT64


def questions(name):
    """Each setting of a loss with each shape of rows that has its axes."""
    for parameters, rows in itertools.product(peers.SETTINGS[name], peers.ROWS):
        if peers.ours_fits(name, parameters, rows):
            yield parameters, rows


def make(name, parameters, **others):
    return sl.losses.get(peers.find(name).class_name).__class__(**parameters, **others)


def whole(name, y_pred, parameters):
    """Predictions that a dtype of integers can hold."""
    y_pred = np.rint(y_pred)
    if not parameters.get("from_logits") and ("categorical_cross" in name or "categorical_focal" in name):
        y_pred = np.maximum(y_pred, np.arange(y_pred.size).reshape(y_pred.shape) % 3 == 0)  # no row of zeros
    return y_pred


@pytest.mark.parametrize("name", peers.SETTINGS)
def test_losses_of_rows_are_those_of_keras(name):
    for parameters, rows in questions(name):
        for (dtype, asked, theirs), hard in itertools.product(DTYPES, [False, True]):
            y_true, y_pred = peers.data(name, parameters, rows, hard)
            if (dtype, asked) == ("float64", "float32"):
                y_true, y_pred = y_true.astype("float32"), y_pred.astype("float32")  # Keras would round them
            y_pred = (whole(name, y_pred, parameters) if dtype == "int32" else y_pred).astype(dtype)
            labels = dtype if dtype != "int32" and not hard else "float32"
            y_true = y_true.astype(labels)
            ours = make(name, parameters, reduction="none", dtype=asked)(y_true, y_pred)
            assert ours.dtype == theirs
            if asked in ("float16", "bfloat16"):  # Keras would compute in it; we round to it
                y_true, y_pred = y_true.astype(asked), y_pred.astype(asked)
            expected = peers.ask_keras(name, parameters, y_true, y_pred, dtype=theirs)
            said = f"{parameters} {rows} {dtype} {asked} hard={hard}"
            np.testing.assert_allclose(ours, expected, **tolerance(name, theirs), strict=False, err_msg=said)
            assert np.shape(ours) == expected.shape, said


@pytest.mark.parametrize("name", peers.SETTINGS)
def test_labels_of_any_dtype_mean_what_they_mean_in_keras(name):
    for parameters in peers.SETTINGS[name]:
        rows = peers.ROWS[0] if peers.ours_fits(name, parameters, peers.ROWS[0]) else peers.ROWS[1]
        y_true, y_pred = peers.data(name, parameters, rows, hard=True)
        y_pred = y_pred.astype("float32")
        expected = peers.ask_keras(name, parameters, y_true, y_pred)
        for dtype in LABELS:
            with np.errstate(invalid="ignore"):
                labels = y_true.astype(dtype)
            if (labels == y_true).all():
                ours = make(name, parameters, reduction="none")(labels, y_pred)
                np.testing.assert_allclose(ours, expected, **FLOAT32, err_msg=f"{parameters} {dtype}")


def weights(losses):
    """None, a number, a weight for each loss, and the shapes that are broadcast; in numbers that float32 holds."""
    yield from (None, 0.375)
    if losses == ():
        return
    some = np.random.default_rng(7).integers(0, 16, losses) / 8
    some.flat[0] = 0.0
    yield some
    if len(losses) == 2:
        yield from (some[:, :1], some[:1], some[..., None], some.astype("float32"))


@pytest.mark.parametrize("name", peers.SETTINGS)
def test_reductions_and_weights_are_those_of_keras(name):
    settings = [(p, r) for p, r in questions(name) if name != "ctc" or r == peers.ROWS[0]]
    for (parameters, rows), dtype in itertools.product(settings, ["float32", "float64"]):
        y_true, y_pred = (array.astype(dtype) for array in peers.data(name, parameters, rows, hard=False))
        losses = make(name, parameters, reduction="none")(y_true, y_pred).shape
        over_rows = peers.is_over_rows(name, parameters, y_pred.ndim)
        for weight, reduction in itertools.product(weights(losses), REDUCTIONS):
            if over_rows and np.ndim(weight):
                continue  # one ratio over the whole data has no rows to weight
            theirs = weight
            if reduction == "mean_with_sample_weight" and weight is not None:
                if losses == ():
                    continue  # Keras does not reduce one value; see the differences
                # Keras divides by the sum of the weights before they are broadcast; see the differences
                theirs = np.broadcast_to(weight[..., 0] if np.ndim(weight) > len(losses) else weight, losses)
            ours = make(name, parameters, reduction=reduction)(y_true, y_pred, weight)
            expected = peers.ask_keras(name, parameters, y_true, y_pred, theirs, reduction=reduction, dtype=dtype)
            if reduction != "none":
                assert type(ours) is np.float64
            allowed = dict(tolerance(name, dtype))
            if reduction == "sum":
                allowed["atol"] *= max(1, np.size(expected), int(np.prod(losses)))
            said = f"{parameters} {rows} {dtype} {reduction} weight={np.shape(weight)}"
            np.testing.assert_allclose(ours, expected, **allowed, err_msg=said)
            assert np.shape(ours) == expected.shape, said


@pytest.mark.parametrize("name", peers.SETTINGS)
def test_functions_are_those_of_keras(name):
    """Called by position, as Keras' are."""
    known = list(inspect.signature(getattr(peers.keras().losses, name)).parameters)[2:]
    for parameters, rows in questions(name):
        given, y_true, y_pred = peers.in_keras_terms(name, parameters, *peers.data(name, parameters, rows, hard=True))
        given = {k: v for k, v in parameters.items() if k in given}
        values = [given.get(k, peers.find(name).parameters[k].default) for k in known]
        if "axis" in known:
            values[known.index("axis")] = given.get("axis", peers.find(name).parameters["axis"].default)
        ours = getattr(sl.losses, name)(y_true, y_pred, *values)
        if name == "tversky" and not peers.keras_is_fixed():
            values[:2] = values[1::-1]
        values = [tuple(v) if isinstance(v, list) and k == "axis" else v for k, v in zip(known, values, strict=True)]
        expected = peers.answer_of(getattr(peers.keras().losses, name), y_true, y_pred, *values)
        np.testing.assert_allclose(ours, expected, **tolerance(name, "float64"), err_msg=f"{parameters} {rows}")


def test_every_loss_of_keras_and_each_of_its_parameters_is_compared():
    """A new loss, or a new parameter, must be compared too."""
    ours = {d.name: d for d in declarations() if d.peer == "Keras"}
    assert peers.SETTINGS.keys() == ours.keys()
    for name, declaration in ours.items():
        varied = {
            k
            for setting in peers.SETTINGS[name]
            for k, value in setting.items()
            if value != declaration.parameters[k].default
        }
        assert varied == declaration.parameters.keys(), name
    library = peers.keras().losses
    theirs = {n: c for n, c in vars(library).items() if isinstance(c, type) and c is not library.Loss}
    assert set(theirs) - {"Circle"} == {d.class_name for d in ours.values()}
    for declaration in ours.values():
        taken = set(inspect.signature(theirs[declaration.class_name]).parameters) - {"reduction", "name", "dtype"}
        assert taken <= declaration.parameters.keys(), declaration.name
