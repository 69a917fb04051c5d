"""Mix-ups of sparse, dense and binary losses, of axes and of arguments: each error names the loss or array meant."""

import itertools

import dask.array as da
import numpy as np
import pytest

import streamloss as sl
from streamloss import cli
from streamloss.errors import ShapeError, StreamlossWarning, ValueRangeError
from streamloss.formulas._registry import LossSpec, declarations
from streamloss.planning.alignment import align

SPARSE = "sparse_categorical_crossentropy"
L = sl.losses
N, C = 8, 3
RNG = np.random.default_rng(10)
LABELS = np.arange(N) % C
ONE_HOT = L.to_categorical(LABELS, C)
SCORES = RNG.dirichlet(np.ones(C), N)
TWO = RNG.dirichlet(np.ones(2), N)
COLUMN, BINARY = TWO[:, 1], np.arange(N) % 2
IMAGES = RNG.dirichlet(np.ones(C), (4, 5, 6))

# loss, y_true, y_pred, what the message must hold, and the same by the advice
SHAPES = {
    "a sparse loss on one column": (
        SPARSE, BINARY, COLUMN, ["For one column of probabilities of class 1 use BinaryCrossentropy."],
        lambda: L.BinaryCrossentropy()(BINARY, COLUMN),
    ),
    "a sparse loss on one column of logits": (
        L.SparseCategoricalCrossentropy(from_logits=True), BINARY, COLUMN,
        ["For one column of logits of class 1 use BinaryCrossentropy(from_logits=True)."],
        lambda: L.BinaryCrossentropy(from_logits=True)(BINARY, COLUMN),
    ),
    "errors of one column": (
        "zero_one_loss", BINARY, COLUMN, ["pass np.stack([1 - p, p], axis=-1)"],
        lambda: L.ZeroOneLoss()(BINARY, np.stack([1 - COLUMN, COLUMN], axis=-1)),
    ),
    "integers in a dense loss": (
        "categorical_crossentropy", LABELS, SCORES,
        ["For integer labels use SparseCategoricalCrossentropy, or pass streamloss.losses.to_categorical(y_true, 3)."],
        lambda: (L.SparseCategoricalCrossentropy()(LABELS, SCORES), L.CategoricalCrossentropy()(ONE_HOT, SCORES)),
    ),
    "integers [N, 1] in a dense loss from logits": (
        L.CategoricalCrossentropy(from_logits=True), LABELS[:, None], SCORES,
        ["use SparseCategoricalCrossentropy(from_logits=True)"],
        lambda: L.SparseCategoricalCrossentropy(from_logits=True)(LABELS[:, None], SCORES),
    ),
    "integers in another dense loss": (
        "kld", LABELS, SCORES, ["For integer labels pass streamloss.losses.to_categorical(y_true, 3)."],
        lambda: L.KLDivergence()(ONE_HOT, SCORES),
    ),
    "one-hot in a sparse loss": (
        SPARSE, ONE_HOT, SCORES, ["For one-hot labels use CategoricalCrossentropy, or pass y_true.argmax(-1)."],
        lambda: (L.CategoricalCrossentropy()(ONE_HOT, SCORES), L.get(SPARSE)(ONE_HOT.argmax(-1), SCORES)),
    ),
    "one-hot in another sparse loss": (
        "brier_score", ONE_HOT, SCORES, ["For one-hot labels pass y_true.argmax(-1)."],
        lambda: L.BrierScore()(ONE_HOT.argmax(-1), SCORES),
    ),
    "two columns in a binary loss": (
        "bce", BINARY, TWO, ["use SparseCategoricalCrossentropy", "for class 1 alone, pass y_pred[..., 1]"],
        lambda: (L.SparseCategoricalCrossentropy()(BINARY, TWO), L.BinaryCrossentropy()(BINARY, TWO[..., 1])),
    ),
    "classes in a binary loss": (
        L.BinaryCrossentropy(from_logits=True), LABELS, SCORES,
        ["use SparseCategoricalCrossentropy(from_logits=True)", "to_categorical(y_true, 3) for a yes or no of each"],
        lambda: L.BinaryCrossentropy(from_logits=True)(ONE_HOT, SCORES),
    ),
    "classes in hinge": (
        "hinge", LABELS, SCORES, ["use CategoricalHinge with streamloss.losses.to_categorical(y_true, 3)"],
        lambda: L.CategoricalHinge()(ONE_HOT, SCORES),
    ),
    "several outputs in a regression": (
        "mse", COLUMN, SCORES, ["y_pred has 3 values for each label", "y_pred[..., 0]", "'brier_score'"],
        lambda: L.MeanSquaredError()(COLUMN, SCORES[..., 0]),
    ),
    "the argmax as predictions": (
        "categorical_crossentropy", ONE_HOT, SCORES.argmax(-1),
        ["pass class scores for each of them, not the predicted class", "If the two are exchanged: y_true comes first"],
        lambda: L.CategoricalCrossentropy()(ONE_HOT, SCORES),
    ),
    "exchanged": (
        SPARSE, SCORES, LABELS, ["If the two are exchanged: y_true comes first."],
        lambda: L.SparseCategoricalCrossentropy()(LABELS, SCORES),
    ),
    "transposed": (
        "mse", SCORES.T, SCORES, ["the same lengths in another order: pass y_true.T"],
        lambda: L.MeanSquaredError()(SCORES, SCORES),
    ),
    "three axes in another order": (
        "mse", IMAGES.transpose(1, 2, 3, 0), IMAGES, ["pass y_true.transpose(3, 0, 1, 2)"],
        lambda: L.MeanSquaredError()(IMAGES.transpose(1, 2, 3, 0).transpose(3, 0, 1, 2), IMAGES),
    ),
    "labels of pixels in another order": (
        SPARSE, IMAGES.argmax(-1).transpose(1, 2, 0), IMAGES, ["pass y_true.transpose(2, 0, 1)"],
        lambda: L.SparseCategoricalCrossentropy()(IMAGES.argmax(-1).transpose(1, 2, 0).transpose(2, 0, 1), IMAGES),
    ),
    "classes behind the rows": (
        SPARSE, IMAGES.argmax(-1), np.moveaxis(IMAGES, -1, 1), ["If axis 1 of y_pred holds the classes, pass axis=1."],
        lambda: L.SparseCategoricalCrossentropy(axis=1)(IMAGES.argmax(-1), np.moveaxis(IMAGES, -1, 1)),
    ),
    "classes first": (
        SPARSE, LABELS, SCORES.T, ["If axis 0 of y_pred holds the classes, pass axis=0."],
        lambda: L.SparseCategoricalCrossentropy(axis=0)(LABELS, SCORES.T),
    ),
    "axes of length 1": (
        "mse", COLUMN[None], COLUMN, ["pass y_true.reshape(8)"],
        lambda: L.MeanSquaredError()(COLUMN[None].reshape(8), COLUMN),
    ),
    "other features": (
        "mse", SCORES[:, :2], SCORES, ["Axis 1 has 2 entries in y_true and 3 in y_pred"],
        lambda: L.MeanSquaredError()(SCORES[:, :2], SCORES[:, :2]),
    ),
    "a distribution's parameters in rows": (
        "gaussian_nll", COLUMN, np.stack([COLUMN, COLUMN]), ["Stack them: np.stack([mean, variance], axis=-1)"],
        lambda: L.GaussianNLL()(COLUMN, np.stack([COLUMN, COLUMN], axis=-1)),
    ),
    "a distribution without its variance": (
        "gaussian_nll", COLUMN, COLUMN, ["(rows, parameters)", "np.stack([mean, variance], axis=-1)"],
        lambda: L.GaussianNLL()(COLUMN, np.stack([COLUMN, COLUMN], axis=-1)),
    ),
    "time first in CTC": (
        "ctc", np.ones((4, 2), int), np.zeros((9, 4, 5)), ["np.moveaxis(y_pred, 1, 0)"],
        lambda: L.CTC()(np.array([[1, 2]] * 4), np.moveaxis(np.zeros((9, 4, 5)), 1, 0)),
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", SHAPES)
def test_shapes_that_do_not_fit_are_told_what_would(case):
    loss, y_true, y_pred, parts, by_advice = SHAPES[case]
    with pytest.raises(ShapeError) as error:
        sl.evaluate(loss, y_true, y_pred)
    message = str(error.value)
    assert all(part in message for part in parts), message
    assert message.endswith(".")
    by_advice()  # does what it says


def test_the_command_line_says_the_same(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    for case in ("a sparse loss on one column", "two columns in a binary loss"):
        loss, y_true, y_pred, parts, _ = SHAPES[case]
        np.save("t.npy", y_true)
        np.save("p.npy", y_pred)
        assert cli.run(["evaluate", "--loss", loss, "--y-true", "t.npy", "--y-pred", "p.npy"]) == 3
        said = capsys.readouterr().err
        assert all(part in said for part in parts)


@pytest.mark.parametrize("declaration", declarations(), ids=lambda d: d.name)
def test_every_pair_of_shapes_is_aligned_or_told_something_to_do(declaration):
    shapes = [(), (1,), (8,), (8, 1), (1, 8), (8, 2), (8, 3), (3, 8), (7,), (7, 3), (4, 8, 3), (4, 3, 8), (4, 8)]
    spec = LossSpec.of(declaration.name, {})
    refused = []
    for y_true, y_pred in itertools.product(shapes, shapes):
        try:
            align(spec, y_true, y_pred)
        except ShapeError as error:
            refused.append(str(error))
    assert refused
    for message in refused:
        advice = message.rstrip(".").rpartition(". ")[2].lower()
        assert any(word in advice for word in ("pass", "use", "stack", "exchanged", "array")), message
        assert "Reshape one of them" not in message


# labels that name no class


def labels_error(loss, y_true, y_pred):
    with pytest.raises(ValueRangeError) as error:
        sl.evaluate(loss, y_true, y_pred)
    return str(error.value)


@pytest.mark.parametrize("loss", [SPARSE, "brier_score", "zero_one_loss", "categorical_generalized_cross_entropy"])
def test_labels_from_1_on_are_told_to_subtract_1(loss):
    message = labels_error(loss, LABELS + 1, SCORES)
    assert message.endswith("y_true[2] is 3, but y_pred has 3 classes; expected an integer label from 0 to 2. "
                            "If labels run from 1 to 3, pass y_true - 1.")  # fmt: skip
    assert "ignore_class" not in message


def test_labels_from_1_on_beside_an_ignored_one():
    y_true = np.where(LABELS == 0, -1, LABELS + 1)
    message = labels_error(L.SparseCategoricalCrossentropy(ignore_class=-1), y_true, SCORES)
    assert "pass y_true - 1" in message


@pytest.mark.parametrize("marker", [-100, -1, 255, 3, 7])
def test_markers_of_rows_without_a_label_are_told_ignore_class(marker):
    y_true = LABELS.copy()
    y_true[5] = marker
    assert labels_error(SPARSE, y_true, SCORES).endswith(
        f"If {marker} marks rows without a label, pass ignore_class={marker}."
    )
    message = labels_error("categorical_generalized_cross_entropy", y_true, SCORES)
    assert message.endswith("leave them out by mask."), "it has no ignore_class"


def test_a_sparse_loss_on_a_column_with_its_axis():
    """Were rows of class 1 left out, as once advised, the value would be 1e-7."""
    for loss, use in (
        (SPARSE, "use BinaryCrossentropy."),
        (L.SparseCategoricalCrossentropy(from_logits=True), "use BinaryCrossentropy(from_logits=True)."),
        ("brier_score", "use MeanSquaredError."),
    ):
        message = labels_error(loss, BINARY, COLUMN[:, None])
        assert "but y_pred has 1 class;" in message
        assert message.endswith(use)
        assert "ignore_class" not in message


def test_labels_of_binary_losses():
    assert labels_error("bce", 2 * BINARY - 1, COLUMN).endswith("If labels are -1 and 1, pass (y_true + 1) / 2.")
    for loss in ("bce", "hinge"):
        assert "If labels are 1 and 2, pass y_true - 1" in labels_error(loss, BINARY + 1, COLUMN)
    assert "use CategoricalCrossentropy" in labels_error(SPARSE, COLUMN, SCORES)


# integers as scores, and two arrays as one


@pytest.mark.parametrize(
    "loss",
    [
        L.BinaryCrossentropy(),
        L.BinaryCrossentropy(from_logits=True),
        L.CategoricalCrossentropy(from_logits=True),
    ],
    ids=str,
)
@pytest.mark.parametrize("dtype", [np.int64, bool])
def test_integers_as_scores_are_warned_of(loss, dtype):
    predicted = ONE_HOT.astype(dtype)
    said = f"y_pred has dtype {predicted.dtype}, but .* are floats as a rule; if they are labels, or the argmax"
    with pytest.warns(StreamlossWarning, match=said):
        value = loss(ONE_HOT.astype(int), predicted)
    with pytest.warns(StreamlossWarning, match=said):
        result = sl.evaluate(loss, ONE_HOT.astype(int), predicted)
    assert result[loss.name].mean == value, "a warning, no refusal"
    assert len(result.warnings) == 1


def test_float_labels_and_integer_predictions_may_be_exchanged():
    with pytest.warns(StreamlossWarning, match="y_true has float64: if the two are exchanged, y_true comes first"):
        sl.evaluate("bce", COLUMN, BINARY)


def test_scores_that_may_be_integers_are_not_warned_of():
    sl.evaluate("zero_one_loss", LABELS, (SCORES * 100).astype(int))
    sl.evaluate("mse", BINARY, BINARY)
    sl.evaluate("dice", BINARY, BINARY)


@pytest.mark.parametrize("rows", [2, 3])
@pytest.mark.parametrize("of", [tuple, list])
def test_mean_and_variance_as_two_arrays_are_refused(rows, of):
    mean, variance = np.arange(rows, dtype=float), np.full(rows, 4.0)
    for call in (L.GaussianNLL(), lambda y, p: sl.evaluate("gaussian_nll", y, p)):
        with pytest.raises(ShapeError, match=r"two arrays.*np\.stack\(\[mean, variance\], axis=-1\)"):
            call(np.zeros(rows), of([mean, variance]))
        with pytest.raises(ShapeError, match=r"two arrays.*np\.stack"):
            call(da.zeros(rows), of([mean, variance]))
    L.GaussianNLL()(np.zeros(rows), np.stack([mean, variance], axis=-1))
    L.GaussianNLL()([0.0, 1.0], [[0.0, 1.0], [0.0, 4.0]])  # nested lists are rows
