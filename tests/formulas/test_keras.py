"""Differential tests: each loss against Keras, TensorFlow's formulas, PyTorch's and scikit-learn.

Where we differ on purpose (docs/semantics.md) the difference itself is asserted, so that neither side changes unseen.
"""

import inspect
import itertools

import ml_dtypes
import numpy as np
import pytest
from mpmath import mp, mpf

import peers
import streamloss as sl
from streamloss.errors import ShapeError, StreamlossError, StreamlossWarning, UsageError
from streamloss.formulas._registry import declarations

FLOAT32 = {"rtol": 2e-5, "atol": 4e-6}
"""Keras' own rounding in float32, not ours: some tens of units (2**-24 = 6e-8) of the row's largest term, which for
differences of logits and logarithms of 1 + tiny is larger than their result, hence the absolute part."""
FLOAT64 = {"rtol": 1e-9, "atol": 1e-12}

DTYPES = [  # of predictions; asked of us; what Keras computes in
    ("float16", None, "float32"),
    ("bfloat16", None, "float32"),
    ("float32", None, "float32"),
    ("float64", None, "float64"),
    ("int32", None, "float32"),
]
ASKED = [
    ("float32", "float64", "float64"),
    ("float32", "float16", "float32"),
    ("float32", "bfloat16", "float32"),
]
LABELS = ["bool", "uint8", "int16", "int64", "float16", "float32", "float64"]
REDUCTIONS = ["none", "sum", "sum_over_batch_size", "mean", "mean_with_sample_weight"]


def tolerance(dtype):
    return FLOAT32 if dtype == "float32" else FLOAT64


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
        np.moveaxis(y_pred, parameters.get("axis", -1), -1)[..., 0] = 1  # no row of zeros
    return y_pred


@pytest.mark.filterwarnings("ignore:.*y_pred has dtype int32, but (logits|probabilities) are floats as a rule")
@pytest.mark.parametrize("name", peers.SETTINGS)
def test_losses_of_rows_are_those_of_keras(name):
    for parameters, rows in questions(name):
        # each pair of dtypes is a kernel to compile, here and in JAX
        dtypes = [d for d in DTYPES if d[0] in ("float32", "float64")] if parameters else DTYPES + ASKED
        for (dtype, asked, theirs), hard in itertools.product(dtypes, [False, True]):
            if hard and dtype != "float32":
                continue
            y_true, y_pred = peers.data(name, parameters, rows, hard)
            y_pred = (whole(name, y_pred, parameters) if dtype == "int32" else y_pred).astype(dtype)
            labels = dtype if dtype != "int32" and not hard else "float32"
            y_true = y_true.astype(labels)
            ours = make(name, parameters, reduction="none", dtype=asked)(y_true, y_pred)
            assert ours.dtype == (theirs if not peers.is_over_rows(name, parameters, y_pred.ndim) else "float64")
            if asked in ("float16", "bfloat16"):  # Keras would compute in it; we round to it
                y_true, y_pred = y_true.astype(asked), y_pred.astype(asked)
            expected = peers.ask_keras(name, parameters, y_true, y_pred, dtype=theirs)
            said = f"{parameters} {rows} {dtype} {asked} hard={hard}"
            np.testing.assert_allclose(ours, expected, **tolerance(theirs), err_msg=said)
            assert np.shape(ours) == expected.shape, said


@pytest.mark.parametrize("name", peers.SETTINGS)
def test_labels_of_any_dtype_mean_what_they_mean_in_keras(name):
    y_true, y_pred = peers.data(name, {}, peers.ROWS[0], hard=True)
    y_pred = y_pred.astype("float32")
    expected = peers.ask_keras(name, {}, y_true, y_pred)
    for dtype in LABELS:
        with np.errstate(invalid="ignore"):
            labels = y_true.astype(dtype)
        if (labels == y_true).all():
            ours = make(name, {}, reduction="none")(labels, y_pred)
            np.testing.assert_allclose(ours, expected, **FLOAT32, err_msg=dtype)


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
    # what is reduced does not change how, but what is left out and what is one ratio of all does
    settings = [(p, r) for p, r in questions(name) if not p or name == "dice" or set(p) == {"ignore_class"}]
    for parameters, rows in settings:
        dtype = "float64" if rows == peers.ROWS[0] else "float32"
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
            allowed = dict(tolerance(dtype))
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
        np.testing.assert_allclose(ours, expected, **FLOAT64, err_msg=f"{parameters} {rows}")


def test_every_loss_of_keras_and_each_of_its_parameters_is_compared():
    """A new loss, or a new parameter, is compared too. Keras' main branch has smooth sparse labels: until a release
    has them, they are compared with one-hot labels, in tests/api/test_losses.py.
    """
    ours = {d.name: d for d in declarations() if d.peer == "Keras"}
    library = peers.keras().losses
    coming = {"SparseCategoricalCrossentropy": {"label_smoothing"}}
    of_class_maps = {
        "class_axis",
        "ignore_class",
    }  # compared with one-hot labels in tests/aggregation/test_class_maps.py
    assert peers.SETTINGS.keys() == ours.keys()
    for name, declaration in ours.items():
        varied = {
            k
            for setting in peers.SETTINGS[name]
            for k, value in setting.items()
            if value != declaration.parameters[k].default
        }
        class_name = declaration.class_name
        not_yet = coming.get(class_name, set()) - set(inspect.signature(getattr(library, class_name)).parameters)
        not_theirs = of_class_maps if name in ("dice", "tversky") else set()
        assert varied == declaration.parameters.keys() - not_yet - not_theirs, name
    theirs = {n: c for n, c in vars(library).items() if isinstance(c, type) and c is not library.Loss}
    assert set(theirs) - {"Circle"} == {d.class_name for d in ours.values()}
    for declaration in ours.values():
        taken = set(inspect.signature(theirs[declaration.class_name]).parameters) - {"reduction", "name", "dtype"}
        assert taken <= declaration.parameters.keys(), declaration.name


@pytest.mark.parametrize("reduction", REDUCTIONS)
@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("name", ["mean_squared_error", "sparse_categorical_crossentropy"])
def test_masks_are_those_that_keras_carries_on_predictions(name, weighted, reduction):
    """Together with ``ignore_class``, and with weights."""
    parameters = peers.SETTINGS["sparse_categorical_crossentropy"][2] if name.startswith("sparse") else {}
    y_true, y_pred = (a.astype("float32") for a in peers.data(name, parameters, (6, 3), hard=False))
    mask = np.random.default_rng(1).random((6, 3)) < 0.6
    weight = np.random.default_rng(2).integers(0, 9, (6, 3)) / 8 if weighted else None
    loss = getattr(peers.keras().losses, peers.find(name).class_name)(reduction=reduction, **parameters)
    expected = peers.answer_of(loss, y_true, peers.with_mask(y_pred, mask), weight)
    ours = make(name, parameters, reduction=reduction)(y_true, y_pred, weight, mask=mask)
    np.testing.assert_allclose(ours, expected, **FLOAT32)


# Where we differ on purpose: both sides are asserted.


def both(name, y_true, y_pred, weight=None, dtype="float32", reduction="none", **parameters):
    """Ours, and Keras' without any translation."""
    y_true, y_pred = np.asarray(y_true), np.asarray(y_pred, dtype)
    ours = make(name, parameters, reduction=reduction)(y_true, y_pred, weight)
    theirs = getattr(peers.keras().losses, peers.find(name).class_name)(reduction=reduction, dtype=dtype, **parameters)
    return ours, peers.answer_of(theirs, y_true, y_pred, weight)


def refused(match, name, *arrays, **parameters):
    """What Keras says to arrays that we refuse."""
    with pytest.raises(StreamlossError, match=match):
        make(name, {k: v for k, v in parameters.items() if k != "dtype"}, reduction="none")(*arrays)
    loss = getattr(peers.keras().losses, peers.find(name).class_name)(reduction="none", **parameters)
    return peers.answer_of(loss, *map(np.asarray, arrays)).tolist()


def test_predictions_of_one_axis_are_samples_not_one_sample_mean_squared_error():
    """A billion predictions are not one sample with a billion features."""
    ours, theirs = both("mean_squared_error", [0.0, 0.0, 0.0], [1.0, 2.0, 3.0])
    assert ours.tolist() == [1, 4, 9]
    assert theirs == pytest.approx(14 / 3)
    ours, theirs = both("mean_squared_error", [0.0, 0.0, 0.0], [1.0, 2.0, 3.0], reduction="sum")
    assert (ours, theirs) == (14, pytest.approx(14 / 3))  # Keras does not reduce one loss
    ours, theirs = both("mean_squared_error", [0.0, 0.0, 0.0], [[1.0], [2.0], [3.0]])
    assert ours.tolist() == theirs.tolist() == [1, 4, 9]


def test_weighted_means_of_ones_are_1_however_weights_are_broadcast_mean_squared_error():
    """Keras' divisor is the sum of the weights as given, so it is T times too large for [B, 1] on [B, T]."""
    y_true, y_pred = np.zeros((2, 3, 4)), np.ones((2, 3, 4))
    for weight, too_large in ((np.array([[1.0], [2.0]]), 3), (np.array([[1.0, 2.0, 0.5]]), 2), (0.5, 6)):
        ours, theirs = both("mean_squared_error", y_true, y_pred, weight, reduction="mean_with_sample_weight")
        assert (ours, theirs) == (1, too_large)


def test_one_value_is_a_mean_too_dice():
    """Keras leaves a single value unreduced: a weight scales even its weighted mean."""
    y_true, y_pred = np.array([[0.0, 1.0]]), np.array([[0.5, 0.5]])
    ours, theirs = both("dice", y_true, y_pred, 0.5, "float64", "mean_with_sample_weight")
    unweighted, _ = both("dice", y_true, y_pred, None, "float64")
    assert ours == unweighted
    assert theirs == pytest.approx(0.5 * unweighted, rel=1e-9)


def test_weights_of_ratios_over_the_data_are_refused_dice():
    """Keras weights each column's ratio; we have no rows of it to weight."""
    y, p, weight = np.eye(3), np.full((3, 3), 0.5), np.arange(3.0)
    assert refused("expected no weights", "dice", y, p, weight, axis=0)[0] == 0


def test_weights_of_a_lower_rank_are_refused_mean_squared_error():
    """Keras takes [B] on [B, B] for a weight of each time step; we ask."""
    y, p, w = np.zeros((3, 3, 2)), np.ones((3, 3, 2)), np.array([1.0, 2.0, 0.0])
    assert refused(r"Reshape it to \(3, 1\) or \(1, 3\)", "mean_squared_error", y, p, w) == [[1, 2, 0]] * 3


def test_weights_with_a_trailing_1_add_no_axis_mean_squared_error():
    ours, theirs = both("mean_squared_error", np.zeros((3, 2)), np.ones((3, 2)), np.array([[1.0], [2.0], [0.0]]))
    assert ours.tolist() == [1, 2, 0]
    assert theirs.tolist() == [[1], [2], [0]]


def test_weights_below_0_are_refused_mean_squared_error():
    one = np.ones((1, 1))
    assert refused("expected a finite weight of at least 0", "mean_squared_error", 0 * one, one, [-2.0]) == [-2]


def test_no_rows_are_0_mean_squared_error():
    """As in Keras where the losses have two axes; with one axis Keras returns an empty array."""
    for shape, theirs in (((0, 2, 3), 0.0), ((0, 3), [])):
        with pytest.warns(StreamlossWarning, match="no row was left"):
            ours, keras = both("mean_squared_error", np.zeros(shape), np.zeros(shape), reduction="mean")
        assert (ours, keras.tolist()) == (0, theirs)


def test_a_nan_is_refused_mean_squared_error():
    assert np.isnan(refused("NaN", "mean_squared_error", [[0.0]], [[np.nan]])).all()


def test_shapes_are_never_broadcast_mean_squared_error():
    assert refused("expected equal shapes", "mean_squared_error", np.zeros((3, 1)), np.ones((3, 4))) == [1, 1, 1]


def test_reductions_of_keras_2_are_understood_mean_squared_error():
    """They stand in old configurations; Keras 3 refuses them."""
    for old, new in (("auto", "sum_over_batch_size"), ("SUM", "sum"), ("NONE", "none")):
        with pytest.raises(ValueError, match="Invalid value for argument"):
            peers.keras().losses.MeanSquaredError(reduction=old)
        y_true, y_pred = np.zeros((2, 2)), np.full((2, 2), 3.0)
        ours, theirs = sl.losses.MeanSquaredError(reduction=old), sl.losses.MeanSquaredError(reduction=new)
        assert np.array_equal(ours(y_true, y_pred), theirs(y_true, y_pred))


@pytest.mark.parametrize("from_logits", [False, True])
def test_labels_out_of_range_are_refused_sparse_categorical_crossentropy(from_logits):
    """On JAX they cost nothing, on others they are an error or NaN."""
    for label in (-1, 3):
        arrays = [label], np.array([[0.25, 0.25, 0.5]])
        said = f"y_true.0. is {label}, but y_pred has 3 classes"
        assert refused(said, "sparse_categorical_crossentropy", *arrays, from_logits=from_logits) == [0]


def test_labels_are_never_rounded_sparse_categorical_crossentropy():
    """Keras casts them to the loss' dtype: in bfloat16, 257 is 256; in any, 1.5 is 1."""
    probabilities = np.full((1, 300), 2.0**-10, "float32")
    probabilities[0, 256], probabilities[0, 257] = 0.5, 0.125
    loss = peers.keras().losses.SparseCategoricalCrossentropy(reduction="none", dtype="bfloat16")
    keras = [float(peers.answer_of(loss, np.array([label]), probabilities)[0]) for label in (256, 257)]
    assert keras[0] == keras[1]
    ours = [
        sl.losses.SparseCategoricalCrossentropy(reduction="none", dtype="bfloat16")([label], probabilities)[0]
        for label in (256, 257)
    ]
    assert ours[1] - ours[0] == pytest.approx(np.log(4), rel=1e-6)
    name, p = "sparse_categorical_crossentropy", np.array([[0.25, 0.75]])
    assert refused("1.5; expected an integer label", name, [1.5], p) == pytest.approx([-np.log(0.75)])


def test_a_row_of_zeros_is_no_distribution_sparse_categorical_crossentropy():
    assert np.isnan(refused("is NaN", "sparse_categorical_crossentropy", [0], np.zeros((1, 3)))).all()


def test_numbers_outside_of_0_and_1_are_no_probabilities_binary_crossentropy():
    """They are usually logits; Keras clips them."""
    cap = -np.log(2.0**-23)
    assert refused("If these are logits", "binary_crossentropy", [[0.0]], [[7.0]]) == pytest.approx([cap])
    assert np.isfinite(refused("y_true.* is 3; expected", "binary_crossentropy", [[3.0]], [[0.5]])).all()


def test_losses_from_logits_have_no_cap_binary_focal_crossentropy():
    """Keras takes the cross-entropy of a rounded, clipped logistic, but on TensorFlow, which keeps the logits."""
    ours, theirs = both(
        "binary_focal_crossentropy", [[0.0], [1.0]], [[40.0], [-40.0]], from_logits=True, gamma=0.0, label_smoothing=0.0
    )
    assert ours.tolist() == [40, 40]
    assert theirs == pytest.approx([-np.log(2.0**-23), -np.log(1e-7)])


@pytest.mark.parametrize("name", ["categorical_crossentropy", "categorical_focal_crossentropy"])
@pytest.mark.parametrize("from_logits", [False, True])
def test_label_smoothing_counts_the_classes_of_its_axis(name, from_logits):
    """Up to 3.15.1 Keras spreads the labels' mass over as many classes as the last axis has entries."""
    parameters = {"label_smoothing": 0.5, "axis": 1, "from_logits": from_logits}
    y_true, y_pred = peers.data(name, parameters, (6, 3), hard=True)
    ours, theirs = both(name, y_true, y_pred, dtype="float64", **parameters)
    if not peers.keras_is_fixed():
        assert abs(ours - theirs).max() > 0.01
        theirs = peers.ask_keras(name, parameters, y_true, y_pred, dtype="float64")  # with the classes last
    np.testing.assert_allclose(ours, theirs, **FLOAT64)


def test_alphas_follow_the_classes_categorical_focal_crossentropy():
    """Keras multiplies a list of alphas into the last axis, whichever holds the classes."""
    parameters = {"alpha": [0.25, 0.5, 1.0], "axis": 0}
    y_true, y_pred = np.eye(3), np.full((3, 3), 0.25)
    ours, theirs = both("categorical_focal_crossentropy", y_true, y_pred.T, dtype="float64", **parameters)
    moved, _ = both("categorical_focal_crossentropy", y_true.T, y_pred, dtype="float64", alpha=[0.25, 0.5, 1.0])
    np.testing.assert_allclose(ours, moved, rtol=1e-14)
    np.testing.assert_allclose(theirs, moved, rtol=1e-9)  # labels on the diagonal: alike
    y_true = np.roll(y_true, 1, axis=0)
    ours, theirs = both("categorical_focal_crossentropy", y_true, y_pred.T, dtype="float64", **parameters)
    np.testing.assert_allclose(ours, np.roll(moved, -1), rtol=1e-14)
    np.testing.assert_allclose(theirs, moved, rtol=1e-9)


def test_alpha_weighs_false_positives_tversky():
    """Up to 3.15.1 Keras has alpha and beta exchanged, against its documentation and the paper."""
    y_true, y_pred = np.array([[1.0, 0.0, 0.0]]), np.array([[1.0, 1.0, 1.0]])  # no false negative
    costs = [both("tversky", y_true, y_pred, None, "float64", alpha=a, beta=b) for a, b in ((0.75, 0.0), (0.0, 0.75))]
    assert costs[0][0] == pytest.approx(1 - 1 / (1 + 0.75 * 2), rel=1e-6)
    assert costs[1][0] == pytest.approx(0, abs=1e-6)
    theirs = [keras for _, keras in (costs if peers.keras_is_fixed() else costs[::-1])]
    np.testing.assert_allclose([ours for ours, _ in costs], theirs, **FLOAT64)


@pytest.mark.parametrize("name", ["hinge", "squared_hinge"])
def test_all_labels_of_the_data_decide_what_they_are(name):
    """Keras decides anew for each batch: one label of -1 in the last batch, and its batches disagree."""
    y_true, y_pred = peers.data(name, {}, (16,), hard=True)
    y_true[-1, -1] = -1.0
    ours, theirs = both(name, y_true, y_pred, dtype="float64")
    np.testing.assert_allclose(ours, theirs, **FLOAT64)
    batches = [both(name, y_true[rows], y_pred[rows], dtype="float64")[1] for rows in (slice(0, 8), slice(8, 16))]
    assert abs(np.concatenate(batches) - theirs)[:8].max() > 0.1
    np.testing.assert_allclose(np.concatenate(batches)[8:], theirs[8:])
    result = sl.evaluate(make(name, {}), y_true, y_pred)[name]
    assert result.mean == pytest.approx(theirs.mean(), rel=1e-12)


def test_labels_that_take_no_side_are_refused_hinge():
    assert refused(r"is 3; expected a value in \[-1, 1\]", "hinge", [[3.0]], [[0.5]]) == [0]


def test_an_alignment_that_cannot_be_is_infinite_ctc():
    """In Keras on JAX it costs 1e5, a finite number that enters the mean."""
    y_true, y_pred = np.array([[1, 1, 1]]), np.zeros((1, 3, 3), "float32")
    assert refused("its 3 labels need 5 time steps", "ctc", y_true, y_pred)[0] > 9e4
    result = sl.evaluate("ctc", y_true, y_pred, nan_policy="propagate")["ctc"]
    assert result.mean == np.inf


def test_rates_below_0_are_refused_poisson():
    assert np.isnan(refused(r"is -1; expected a value in \[0, inf\)", "poisson", [[1.0]], [[-1.0]])).all()


def test_long_vectors_have_a_direction_cosine_similarity():
    """Keras' squares overflow: its cosine is 0 from 2e19 on in float32."""
    ours, theirs = both("cosine_similarity", [[1e20, 1e20]], [[1e20, 1e20]])
    assert (ours.tolist(), abs(theirs).tolist()) == ([-1], [0])
    far = np.full((1, 2), 1e200)
    assert refused("is NaN", "cosine_similarity", far, far, dtype="float64") == [0]


def test_delta_must_be_positive_huber():
    assert peers.answer_of(peers.keras().losses.Huber(delta=-1.0), np.zeros((1, 1)), np.ones((1, 1))) < 0
    with pytest.raises(UsageError, match=r"delta must lie in \(0, inf\)"):
        sl.losses.Huber(delta=-1.0)


def test_small_errors_are_not_lost_log_cosh():
    """Keras' float32 gives 0 for errors of 1e-4."""
    ours, theirs = both("log_cosh", [[0.0]], [[1e-4]])
    assert theirs == [0]
    assert ours == pytest.approx([5e-9], rel=1e-6)


def test_confident_right_rows_keep_their_cost_sparse_categorical_crossentropy():
    """Keras' float32 loses what is below 6e-8: a billion such rows would cost nothing."""
    ours, theirs = both("sparse_categorical_crossentropy", [0], [[20.0, 0.0, 0.0]], from_logits=True)
    assert theirs == [0]
    assert ours == pytest.approx(2 * np.exp(-20), rel=1e-6)


# TensorFlow's operations, whose formulas mpmath evaluates.


mp.prec = 1100  # enough to hold 1 + 1e-300, as in oracles.py


def softplus(x):
    """``log(1 + exp(x))``; no precision holds 1 + exp(-1e4)."""
    return max(x, mpf(0)) + mp.log1p(mp.exp(-abs(x)))


def cost_of_share(row, k):
    """``logsumexp(row) - row[k]``"""
    return mp.log1p(mp.fsum(mp.exp(x - row[k]) for j, x in enumerate(row) if j != k))


def assert_last_digit(got, terms, dtype):
    """float32 within 1 unit in the last place, float64 within 4, of the row's largest term (docs/semantics.md)."""
    assert got.dtype == dtype
    assert len(terms) == got.size
    for value, parts in zip(got.ravel(), terms, strict=True):
        true = mp.fsum(parts)
        largest = max(abs(true), *(abs(part) for part in parts))
        unit = np.spacing(np.dtype(dtype).type(max(float(largest), float(np.finfo(dtype).tiny))))
        allowed = 1 if dtype == "float32" else 4
        assert abs(mpf(float(value)) - true) <= allowed * mpf(float(unit)), (value, true)


LOGITS = [0.0, -0.0, 1e-30, -1e-9, 0.5, 1.0, -1.0, 16.6, -16.7, 36.8, -40.0, 88.0, -103.0, 700.0, -745.0, 1e4, -1e8]


def elements(dtype, labels=(0.0, 1.0, 0.25, 1e-12, 1 - 1e-7)):
    """Every label with every logit, and random ones."""
    rng = np.random.default_rng(5)
    pairs = np.array([*itertools.product(labels, LOGITS), *zip(rng.random(99), rng.normal(0, 9, 99), strict=True)])
    pairs = pairs[: len(pairs) // 4 * 4]
    return pairs[:, 0].reshape(-1, 4).astype(dtype), pairs[:, 1].reshape(-1, 4).astype(dtype)


def exactly(*arrays):
    return zip(*([mpf(float(v)) for v in array.ravel()] for array in arrays), strict=True)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_sigmoid_cross_entropy_with_logits_is_binary_crossentropy(dtype):
    z, x = elements(dtype)
    got = sl.nn.sigmoid_cross_entropy_with_logits(labels=z, logits=x)
    assert got.shape == x.shape
    # max(x, 0) - x z + log(1 + exp(-|x|)), without its cancellation: no term is below 0
    assert_last_digit(got, [[(1 - a) * softplus(b) + a * softplus(-b)] for a, b in exactly(z, x)], dtype)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("pos_weight", [3.0, 0.0, [0.25, 1.0, 8.0, 1e5]])
def test_weighted_cross_entropy_with_logits(dtype, pos_weight):
    z, x = elements(dtype)
    got = sl.nn.weighted_cross_entropy_with_logits(z, x, pos_weight)
    assert got.shape == x.shape
    weights = np.broadcast_to(pos_weight, x.shape)
    terms = [[(1 - a) * softplus(b), q * a * softplus(-b)] for a, b, q in exactly(z, x, weights)]
    assert_last_digit(got, terms, dtype)
    one = sl.nn.weighted_cross_entropy_with_logits(labels=z, logits=x, pos_weight=1.0)
    np.testing.assert_allclose(one, sl.nn.sigmoid_cross_entropy_with_logits(z, x), rtol=4 * np.finfo(dtype).eps)


def rows_of_logits(dtype):
    rng = np.random.default_rng(6)
    wild = [[0, 0, 0], [1e4, 1e4 - 0.25, -1e4], [88, -88, 0], [700, 0, 700], [1e-30, 0, -1e-30], [-1e8, -1e8, -1e8 + 8]]
    return np.concatenate([wild, rng.normal(0, 8, (42, 3))]).astype(dtype).reshape(4, 12, 3)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("axis", [-1, 0, 1])
def test_softmax_cross_entropy_with_logits_is_categorical_crossentropy(dtype, axis):
    """Labels that are one-hot, soft, or do not sum to 1."""
    x = rows_of_logits(dtype)
    z = np.random.default_rng(7).random(x.shape).astype(dtype)
    z[0] = np.eye(3, dtype=dtype)[np.arange(12) % 3]
    z[1] = 0
    got = sl.nn.softmax_cross_entropy_with_logits(np.moveaxis(z, -1, axis), np.moveaxis(x, -1, axis), axis)
    assert got.shape == (4, 12)
    rows = zip(*([[mpf(float(v)) for v in row] for row in array.reshape(-1, 3)] for array in (z, x)), strict=True)
    terms = [[a[k] * cost_of_share(b, k) for k in range(3)] for a, b in rows]
    assert_last_digit(got, terms, dtype)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("labels", ["int32", "int64", "uint8"])
def test_sparse_softmax_cross_entropy_with_logits_is_sparse_categorical_crossentropy(dtype, labels):
    x = rows_of_logits(dtype)
    k = np.random.default_rng(8).integers(0, 3, (4, 12)).astype(labels)
    got = sl.nn.sparse_softmax_cross_entropy_with_logits(labels=k, logits=x)
    assert got.shape == (4, 12)
    rows = [[mpf(float(v)) for v in row] for row in x.reshape(-1, 3)]
    assert_last_digit(got, [[cost_of_share(row, i)] for row, i in zip(rows, k.ravel(), strict=True)], dtype)
    for i in range(2):  # one row alone, as TensorFlow takes it
        assert sl.nn.sparse_softmax_cross_entropy_with_logits(k[0, i], x[0, i]) == got[0, i]


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("full", [False, True])
def test_log_poisson_loss(dtype, full):
    z, c = elements(dtype, labels=(0.0, 1.0, 0.5, 1.0000001, 2.0, 170.5, 1e15))
    c = np.minimum(c, np.dtype(dtype).type(80))  # exp(c) is finite
    got = sl.nn.log_poisson_loss(targets=z, log_input=c, compute_full_loss=full)
    assert got.shape == c.shape
    terms = []
    for a, b in exactly(z, c):
        whole = [a * mp.log(a), -a, mp.log(2 * mp.pi * a) / 2] if full and a > 1 else []
        terms.append([mp.exp(b), -a * b, *whole])
    assert_last_digit(got, terms, dtype)


@pytest.mark.filterwarnings("ignore:.*y_pred has dtype int32, but logits are floats as a rule")
@pytest.mark.parametrize("dtype", ["float16", ml_dtypes.bfloat16, "int32"])
def test_logits_of_any_dtype_give_float32_binary_crossentropy(dtype):
    z, x = elements("float32")
    x = np.clip(x, -100, 100).astype(dtype)
    got = sl.nn.sigmoid_cross_entropy_with_logits(z, x)
    assert got.dtype == np.float32
    assert got.tobytes() == sl.nn.sigmoid_cross_entropy_with_logits(z, x.astype("float32")).tobytes()


@pytest.mark.parametrize(
    "name",
    [
        "sigmoid_cross_entropy_with_logits",
        "softmax_cross_entropy_with_logits",
        "sparse_softmax_cross_entropy_with_logits",
        "weighted_cross_entropy_with_logits",
        "log_poisson_loss",
    ],
)
def test_arguments_of_tensorflow_come_first_and_in_its_order(name):
    """Signatures of TensorFlow 2.21's ``tf.nn``."""
    theirs = {
        "sigmoid_cross_entropy_with_logits": "labels logits name",
        "softmax_cross_entropy_with_logits": "labels logits axis name",
        "sparse_softmax_cross_entropy_with_logits": "labels logits name",
        "weighted_cross_entropy_with_logits": "labels logits pos_weight name",
        "log_poisson_loss": "targets log_input compute_full_loss name",
    }[name].split()
    parameters = inspect.signature(getattr(sl.nn, name)).parameters.values()
    assert [p.name for p in parameters if p.kind is p.POSITIONAL_OR_KEYWORD] == theirs


def test_shapes_are_those_of_tensorflow_and_nothing_is_broadcast():
    two, three = np.zeros((2, 3)), np.zeros((3, 3))
    for name, first, second in (
        ("sigmoid_cross_entropy_with_logits", two, three),
        ("sigmoid_cross_entropy_with_logits", np.zeros(3), np.zeros((3, 1))),
        ("softmax_cross_entropy_with_logits", np.zeros((1, 3)), three),
        ("sparse_softmax_cross_entropy_with_logits", np.zeros((3, 1), int), three),
        ("sparse_softmax_cross_entropy_with_logits", np.zeros(2, int), three),
        ("log_poisson_loss", two, three),
    ):
        with pytest.raises(ShapeError):
            getattr(sl.nn, name)(first, second)
    with pytest.raises(ShapeError, match="pos_weight has shape"):
        sl.nn.weighted_cross_entropy_with_logits(two, two, np.ones((2, 1)))
    with pytest.raises(UsageError, match="expected integers"):
        sl.nn.sparse_softmax_cross_entropy_with_logits(np.zeros(2), two)


# PyTorch's functions, whose formulas stand here in NumPy, so that they are tested where PyTorch is missing too.

RNG = np.random.default_rng(21)
N, C, T = 12, 4, 5
IMAGE = RNG.normal(0, 3, (N, C, T))  # classes on axis 1, as PyTorch has them
PIXELS = RNG.integers(0, C, (N, T))
PIXELS[:, 1] = -100
WEIGHT = np.array([0.5, 2.0, 0.0, 1.25])
BY_CLASS = dict(enumerate(WEIGHT.tolist()))
KEPT = PIXELS != -100
X, Y, UNIT, COUNTS = RNG.normal(0, 3, (N, C)), RNG.normal(0, 3, (N, C)), RNG.random((N, C)), RNG.poisson(3.0, (N, C))
VARIANCE = RNG.gamma(1, 1, N) + 1e-9
VARIANCE[0] = 0.0


def log_softmax(x, axis):
    top = x.max(axis, keepdims=True)
    return x - top - np.log(np.exp(x - top).sum(axis, keepdims=True))


LOG_P = log_softmax(IMAGE, 1)
OF_LABEL = np.take_along_axis(LOG_P, np.where(KEPT, PIXELS, 0)[:, None], 1)[:, 0]


def evaluated(loss, *arrays, **options):
    return next(iter(sl.evaluate(loss, *arrays, **options).values())).value


def np_huber(error, delta):
    return np.where(abs(error) <= delta, error**2 / 2, delta * (abs(error) - delta / 2)).mean()


def np_stirling(y):
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.where(y > 1, y * np.log(y) - y + np.log(2 * np.pi * y) / 2, 0)


def np_gaussian(full, eps=1e-6):
    v = np.maximum(VARIANCE, eps)
    return ((np.log(v) + (X[:, 0] - Y[:, 0]) ** 2 / v) / 2).mean() + full * np.log(2 * np.pi) / 2


SPARSE = {"from_logits": True, "axis": 1, "ignore_class": -100}
WEIGHTED = {"class_weight": BY_CLASS, "reduction": "mean_with_sample_weight"}

PYTORCH = {
    "cross_entropy: sparse_categorical_crossentropy": (
        lambda: sl.losses.SparseCategoricalCrossentropy(**SPARSE)(PIXELS, IMAGE),
        lambda: -OF_LABEL[KEPT].mean(),
        lambda f, t: f.cross_entropy(t(IMAGE), t(PIXELS)),
    ),
    "cross_entropy, sum: sparse_categorical_crossentropy": (
        lambda: sl.losses.SparseCategoricalCrossentropy(**SPARSE, reduction="sum")(PIXELS, IMAGE),
        lambda: -OF_LABEL[KEPT].sum(),
        lambda f, t: f.cross_entropy(t(IMAGE), t(PIXELS), reduction="sum"),
    ),
    "cross_entropy, weight: sparse_categorical_crossentropy": (
        lambda: evaluated(sl.losses.SparseCategoricalCrossentropy(**SPARSE), PIXELS, IMAGE, **WEIGHTED),
        lambda: -(WEIGHT[PIXELS[KEPT]] * OF_LABEL[KEPT]).sum() / WEIGHT[PIXELS[KEPT]].sum(),
        lambda f, t: f.cross_entropy(t(IMAGE), t(PIXELS), weight=t(WEIGHT)),
    ),
    "cross_entropy, weight, sum: sparse_categorical_crossentropy": (
        lambda: evaluated(
            sl.losses.SparseCategoricalCrossentropy(**SPARSE), PIXELS, IMAGE, class_weight=BY_CLASS, reduction="sum"
        ),
        lambda: -(WEIGHT[PIXELS[KEPT]] * OF_LABEL[KEPT]).sum(),
        lambda f, t: f.cross_entropy(t(IMAGE), t(PIXELS), weight=t(WEIGHT), reduction="sum"),
    ),
    "cross_entropy, weight, ignore_index=1: sparse_categorical_crossentropy": (
        lambda: evaluated(
            sl.losses.SparseCategoricalCrossentropy(from_logits=True, ignore_class=1),
            PIXELS[:, 0],
            IMAGE[:, :, 0],
            **WEIGHTED,
        ),
        lambda: (
            -(WEIGHT[PIXELS[:, 0]] * OF_LABEL[:, 0])[PIXELS[:, 0] != 1].sum()
            / WEIGHT[PIXELS[:, 0]][PIXELS[:, 0] != 1].sum()
        ),
        lambda f, t: f.cross_entropy(t(IMAGE[:, :, 0]), t(PIXELS[:, 0]), weight=t(WEIGHT), ignore_index=1),
    ),
    "cross_entropy, label_smoothing: categorical_crossentropy": (
        lambda: sl.losses.CategoricalCrossentropy(from_logits=True, label_smoothing=0.25, axis=1)(
            np.moveaxis(sl.losses.to_categorical(np.where(KEPT, PIXELS, 0), C), -1, 1), IMAGE, mask=KEPT
        ),
        lambda: -(0.75 * OF_LABEL + 0.25 * LOG_P.mean(1))[KEPT].mean(),
        lambda f, t: f.cross_entropy(t(IMAGE), t(PIXELS), label_smoothing=0.25),
    ),
    "cross_entropy of probabilities: categorical_crossentropy": (
        lambda: sl.losses.CategoricalCrossentropy(from_logits=True, label_smoothing=0.125)(UNIT, X),
        lambda: -((UNIT * 0.875 + 0.125 / C) * log_softmax(X, 1)).sum(1).mean(),
        lambda f, t: f.cross_entropy(t(X), t(UNIT), label_smoothing=0.125),
    ),
    "binary_cross_entropy: binary_crossentropy": (
        lambda: sl.losses.BinaryCrossentropy(epsilon=0)(UNIT, UNIT.T.reshape(N, C)),
        lambda: -(UNIT * np.log(UNIT.T.reshape(N, C)) + (1 - UNIT) * np.log1p(-UNIT.T.reshape(N, C))).mean(),
        lambda f, t: f.binary_cross_entropy(t(UNIT.T.reshape(N, C)), t(UNIT)),
    ),
    "binary_cross_entropy_with_logits: binary_crossentropy": (
        lambda: sl.losses.BinaryCrossentropy(from_logits=True)(UNIT, X),
        lambda: (np.maximum(X, 0) - X * UNIT + np.log1p(np.exp(-abs(X)))).mean(),
        lambda f, t: f.binary_cross_entropy_with_logits(t(X), t(UNIT)),
    ),
    "binary_cross_entropy_with_logits, pos_weight: weighted_cross_entropy_with_logits": (
        lambda: sl.losses.WeightedCrossEntropyWithLogits(pos_weight=WEIGHT)(UNIT, X),
        lambda: ((1 - UNIT) * X + (1 + (WEIGHT - 1) * UNIT) * (np.log1p(np.exp(-abs(X))) + np.maximum(-X, 0))).mean(),
        lambda f, t: f.binary_cross_entropy_with_logits(t(X), t(UNIT), pos_weight=t(WEIGHT)),
    ),
    "soft_margin_loss: binary_crossentropy": (
        lambda: sl.losses.BinaryCrossentropy(from_logits=True)(Y > 0, X),
        lambda: np.log1p(np.exp(-np.sign(Y) * X)).mean(),
        lambda f, t: f.soft_margin_loss(t(X), t(np.sign(Y))),
    ),
    "kl_div, batchmean: kl_divergence": (
        lambda: sl.losses.KLDivergence(epsilon=0)(UNIT, np.exp(log_softmax(X, 1))),
        lambda: (UNIT * (np.log(UNIT) - log_softmax(X, 1))).sum() / N,
        lambda f, t: f.kl_div(t(log_softmax(X, 1)), t(UNIT), reduction="batchmean"),
    ),
    "gaussian_nll_loss: gaussian_nll": (
        lambda: sl.losses.GaussianNLL()(Y[:, 0], np.stack([X[:, 0], VARIANCE], 1)),
        lambda: np_gaussian(full=False),
        lambda f, t: f.gaussian_nll_loss(t(X[:, 0]), t(Y[:, 0]), t(VARIANCE)),
    ),
    "gaussian_nll_loss, full, eps: gaussian_nll": (
        lambda: sl.losses.GaussianNLL(full=True, epsilon=0.5)(Y[:, 0], np.stack([X[:, 0], VARIANCE], 1)),
        lambda: np_gaussian(full=True, eps=0.5),
        lambda f, t: f.gaussian_nll_loss(t(X[:, 0]), t(Y[:, 0]), t(VARIANCE), full=True, eps=0.5),
    ),
    "poisson_nll_loss: poisson_nll": (
        lambda: sl.losses.PoissonNLL()(COUNTS, X),
        lambda: (np.exp(X) - COUNTS * X).mean(),
        lambda f, t: f.poisson_nll_loss(t(X), t(COUNTS * 1.0)),
    ),
    "poisson_nll_loss, full: poisson_nll": (
        lambda: sl.losses.PoissonNLL(full=True)(COUNTS, X),
        lambda: (np.exp(X) - COUNTS * X + np_stirling(COUNTS)).mean(),
        lambda f, t: f.poisson_nll_loss(t(X), t(COUNTS * 1.0), full=True),
    ),
    "poisson_nll_loss, rates, eps: poisson_nll": (
        lambda: sl.losses.PoissonNLL(log_input=False, full=True, epsilon=0.25)(COUNTS, UNIT),
        lambda: (UNIT - COUNTS * np.log(UNIT + 0.25) + np_stirling(COUNTS)).mean(),
        lambda f, t: f.poisson_nll_loss(t(UNIT), t(COUNTS * 1.0), log_input=False, full=True, eps=0.25),
    ),
    "huber_loss: huber": (
        lambda: sl.losses.Huber(delta=2.0)(Y, X),
        lambda: np_huber(X - Y, 2.0),
        lambda f, t: f.huber_loss(t(X), t(Y), delta=2.0),
    ),
    "smooth_l1_loss: huber over delta": (
        lambda: sl.losses.Huber(delta=0.5)(Y, X) / 0.5,
        lambda: np_huber(X - Y, 0.5) / 0.5,
        lambda f, t: f.smooth_l1_loss(t(X), t(Y), beta=0.5),
    ),
    "mse_loss: mean_squared_error": (
        lambda: sl.losses.MeanSquaredError()(Y, X),
        lambda: ((X - Y) ** 2).mean(),
        lambda f, t: f.mse_loss(t(X), t(Y)),
    ),
    "l1_loss: mean_absolute_error": (
        lambda: sl.losses.MeanAbsoluteError()(Y, X),
        lambda: abs(X - Y).mean(),
        lambda f, t: f.l1_loss(t(X), t(Y)),
    ),
    "ctc_loss: ctc": (
        lambda: sl.losses.CTC(reduction="sum")(CTC_LABELS, IMAGE.transpose(0, 2, 1)),
        lambda: -sum(np.log(np_ctc(row, image.T)) for row, image in zip(CTC_LABELS, IMAGE, strict=True)),
        lambda f, t: f.ctc_loss(
            t(LOG_P.transpose(2, 0, 1)),
            t(CTC_LABELS),
            t(np.full(N, T)),
            t((CTC_LABELS != 0).sum(1)),
            reduction="sum",
        ),
    ),
}
"""Ours; the formula in float64; PyTorch's function on tensors. All on the same arrays."""

CTC_LABELS = np.array([[1, 2], [3, 3], [2, 0], [0, 0]] * 3)


def np_ctc(labels, scores):
    """The probability of all paths that collapse to the labels, one by one."""
    p = np.exp(log_softmax(scores, 1))
    wanted = [k for k in labels if k]
    paths = itertools.product(range(C), repeat=T)
    return sum(np.prod(p[range(T), path]) for path in paths if [k for k, _ in itertools.groupby(path) if k] == wanted)


@pytest.mark.parametrize("case", PYTORCH)
def test_formulas_of_pytorch(case):
    ours, formula, _ = PYTORCH[case]
    assert float(ours()) == pytest.approx(float(formula()), rel=1e-12)


@pytest.mark.parametrize("case", PYTORCH)
def test_functions_of_pytorch(case):
    torch = pytest.importorskip("torch")
    ours, _, theirs = PYTORCH[case]
    assert float(ours()) == pytest.approx(theirs(torch.nn.functional, torch.tensor).item(), rel=1e-12)


# scikit-learn's metrics, in float64. It divides by the sum of the weights.

LABELS_3, SHARES_3 = RNG.integers(0, 3, 40), RNG.dirichlet(np.ones(3), 40)
BINARY, PROBABILITY = RNG.integers(0, 2, 40), RNG.random(40)
POSITIVE, RATE = RNG.gamma(1, 2, 40) + 1e-3, RNG.gamma(1, 2, 40) + 1e-3
EVENTS = RNG.poisson(1.0, 40)
REAL, PREDICTED = RNG.normal(0, 2, (2, 40))
OF_ROWS = RNG.random(40) * (RNG.random(40) < 0.8)

SKLEARN = {
    "log_loss: sparse_categorical_crossentropy": (
        sl.losses.SparseCategoricalCrossentropy(epsilon=0),
        (LABELS_3, SHARES_3),
        lambda m, **w: m.log_loss(LABELS_3, SHARES_3, **w),
    ),
    "log_loss of one column: binary_crossentropy": (
        sl.losses.BinaryCrossentropy(epsilon=0),
        (BINARY, PROBABILITY),
        lambda m, **w: m.log_loss(BINARY, PROBABILITY, **w),
    ),
    **{
        f"mean_tweedie_deviance, {power}: tweedie_deviance": (
            sl.losses.TweedieDeviance(power=power),
            (EVENTS if power < 2 else POSITIVE, RATE),
            lambda m, power=power, **w: m.mean_tweedie_deviance(
                EVENTS if power < 2 else POSITIVE, RATE, power=power, **w
            ),
        )
        for power in (1, 1.5, 1.9, 2, 2.5, 3)
    },
    "mean_tweedie_deviance, 0: mean_squared_error": (
        sl.losses.MeanSquaredError(),
        (REAL, PREDICTED),
        lambda m, **w: m.mean_tweedie_deviance(REAL, PREDICTED, power=0, **w),
    ),
    "mean_poisson_deviance: poisson_deviance": (
        sl.losses.PoissonDeviance(),
        (EVENTS, RATE),
        lambda m, **w: m.mean_poisson_deviance(EVENTS, RATE, **w),
    ),
    "mean_gamma_deviance: gamma_deviance": (
        sl.losses.GammaDeviance(),
        (POSITIVE, RATE),
        lambda m, **w: m.mean_gamma_deviance(POSITIVE, RATE, **w),
    ),
    **{
        f"mean_pinball_loss, {alpha}: pinball": (
            sl.losses.Pinball(quantile=alpha),
            (REAL, PREDICTED),
            lambda m, alpha=alpha, **w: m.mean_pinball_loss(REAL, PREDICTED, alpha=alpha, **w),
        )
        for alpha in (0.0, 0.1, 0.5, 1.0)
    },
    "brier_score_loss: brier_score": (
        sl.losses.BrierScore(),
        (LABELS_3, SHARES_3),
        lambda m, **w: m.brier_score_loss(LABELS_3, SHARES_3, **w),
    ),
    "brier_score_loss, scale_by_half: brier_score": (
        sl.losses.BrierScore(scale_by_half=True),
        (LABELS_3, SHARES_3),
        lambda m, **w: m.brier_score_loss(LABELS_3, SHARES_3, scale_by_half=True, **w),
    ),
    "brier_score_loss of one column: mean_squared_error": (
        sl.losses.MeanSquaredError(),
        (BINARY, PROBABILITY),
        lambda m, **w: m.brier_score_loss(BINARY, PROBABILITY, **w),
    ),
    "zero_one_loss": (
        sl.losses.ZeroOneLoss(),
        (LABELS_3, SHARES_3),
        lambda m, **w: m.zero_one_loss(LABELS_3, SHARES_3.argmax(1), **w),
    ),
    **{
        f"top_k_accuracy_score, {k}: top_k_error": (
            sl.losses.TopKError(k=k),
            (LABELS_3, SHARES_3),
            lambda m, k=k, **w: 1 - m.top_k_accuracy_score(LABELS_3, SHARES_3, k=k, **w),
        )
        for k in (1, 2)
    },
    "mean_absolute_error": (
        sl.losses.MeanAbsoluteError(),
        (REAL, PREDICTED),
        lambda m, **w: m.mean_absolute_error(REAL, PREDICTED, **w),
    ),
    "mean_absolute_percentage_error": (
        sl.losses.MeanAbsolutePercentageError(),
        (POSITIVE, RATE),
        lambda m, **w: 100 * m.mean_absolute_percentage_error(POSITIVE, RATE, **w),
    ),
    "mean_squared_log_error: mean_squared_logarithmic_error": (
        sl.losses.MeanSquaredLogarithmicError(epsilon=0),
        (EVENTS, RATE),
        lambda m, **w: m.mean_squared_log_error(EVENTS, RATE, **w),
    ),
    "hinge_loss: hinge": (
        sl.losses.Hinge(),
        (BINARY, PREDICTED),
        lambda m, **w: m.hinge_loss(BINARY, PREDICTED, **w),
    ),
}


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("case", SKLEARN)
def test_metrics_of_scikit_learn(case, weighted):
    metrics = pytest.importorskip("sklearn.metrics")
    loss, arrays, theirs = SKLEARN[case]
    weight = OF_ROWS if weighted else None
    result = next(iter(sl.evaluate(loss, *arrays, weight).values()))
    expected = theirs(metrics, sample_weight=weight)
    assert result.weighted_mean == pytest.approx(expected, rel=1e-12, abs=1e-14)


@pytest.mark.parametrize("name", ["log_loss", "log_loss of one column"])
def test_certainty_is_clipped_at_another_bound_by_scikit_learn(name):
    """Its bound is the dtype's epsilon, ours 1e-7 as Keras': a wrong certainty costs 36 there, 16 here."""
    metrics = pytest.importorskip("sklearn.metrics")
    columns = name == "log_loss"
    wrong = np.array([[1.0, 0.0], [0.0, 1.0]]) if columns else np.array([0.0, 1.0])
    loss = sl.losses.SparseCategoricalCrossentropy() if columns else sl.losses.BinaryCrossentropy()
    assert loss([1, 0], wrong) == pytest.approx(-np.log(1e-7), rel=1e-8)
    assert metrics.log_loss([1, 0], wrong) == pytest.approx(-np.log(np.finfo(float).eps), rel=1e-8)
    eps = float(np.finfo(float).eps)
    ours = type(loss)(epsilon=eps)([1, 0], wrong)
    assert ours == pytest.approx(metrics.log_loss([1, 0], wrong), rel=1e-12)
