"""Losses by name, by configuration and from live Keras objects, and back: what Keras made, and what Keras takes."""

import json

import numpy as np
import pytest

import peers
import streamloss as sl
from streamloss.errors import StreamlossError, UnknownNameError, UsageError, ValueRangeError
from streamloss.formulas._registry import declarations, find

OF_KERAS = [d.name for d in declarations() if d.peer == "Keras"]


def keras_class(name):
    return getattr(peers.keras().losses, find(name).class_name)


def in_keras(name):
    """The settings of a loss that Keras' constructor takes as they are, the defaults among them."""
    known = peers.inspect.signature(keras_class(name)).parameters
    return [given for given in peers.SETTINGS[name] if given.keys() <= known.keys()]


def ours(loss, given, /, **others):
    return getattr(sl.losses, find(loss).class_name)(**given, **others)


def read_by_keras(config):
    """Its losses.deserialize (3.15.1) gives a mere name for a loss that its own list misses, the generalised one."""
    read = peers.keras().losses.deserialize(config)
    return peers.keras().saving.deserialize_keras_object(config) if isinstance(read, str) else read


def as_given(value):
    return tuple(value) if isinstance(value, list) else value


def settings_of(loss):
    """A loss of ours without its name, which Keras chooses otherwise for Huber."""
    return type(loss), dict(loss.spec.parameters), loss.reduction, loss.dtype


@pytest.mark.parametrize("name", OF_KERAS)
def test_live_losses_of_keras_become_ours_with_their_settings(name):
    """Also those that Keras 3.15.1's get_config leaves out: huber's delta, axis of cosine and sparse."""
    for given in in_keras(name):
        for reduction in ("sum_over_batch_size", "none", "sum", "mean", "mean_with_sample_weight"):
            theirs = keras_class(name)(**given, reduction=reduction, name="mine")
            found = sl.losses.get(theirs)
            assert settings_of(found) == settings_of(ours(name, given, reduction=reduction))
            assert found.name == "mine"


@pytest.mark.parametrize("dtype", ["float64", "float16", "bfloat16"])
def test_a_dtype_asked_of_keras_is_asked_of_us(dtype):
    """Keras' get_config leaves it out; the object has it. Without one both compute in float32."""
    for name in OF_KERAS:
        assert sl.losses.get(keras_class(name)(dtype=dtype)).dtype == dtype
        assert sl.losses.get(keras_class(name)()).dtype in (None, "float32")


@pytest.mark.parametrize("name", OF_KERAS)
def test_live_losses_of_keras_have_our_values(name):
    given = in_keras(name)[-1]
    rows = next(rows for rows in peers.ROWS if peers.ours_fits(name, given, rows))
    y_true, y_pred = (array.astype("float32") for array in peers.data(name, given, rows, hard=True))
    value = sl.losses.get(keras_class(name)(**given))(y_true, y_pred)
    assert value == ours(name, given)(y_true, y_pred)
    assert value == pytest.approx(float(peers.ask_keras(name, given, y_true, y_pred, reduction="mean")), rel=2e-5)


@pytest.mark.parametrize("name", OF_KERAS)
def test_functions_and_classes_of_keras_become_ours(name):
    function = getattr(peers.keras().losses, name)
    assert sl.losses.get(function) is getattr(sl.losses, name)
    assert settings_of(sl.losses.get(keras_class(name))) == settings_of(ours(name, {}))


def test_evaluate_takes_losses_of_keras():
    losses = peers.keras().losses
    y, p = np.array([0.0, 1.0]), np.array([0.5, 4.0])
    result = sl.evaluate([losses.Huber(delta=2.0), losses.mean_squared_error, losses.MeanAbsoluteError], y, p)
    assert {name: loss.mean for name, loss in result.items()} == {
        "huber_loss": (0.125 + 4.0) / 2,
        "mean_squared_error": 4.625,
        "mean_absolute_error": 1.75,
    }


@pytest.mark.parametrize("name", OF_KERAS)
def test_configurations_that_keras_wrote_are_understood(name):
    """As dicts, and as JSON; what 3.15.1 leaves out of them is at its default."""
    library = peers.keras().losses
    for given in in_keras(name):
        theirs = keras_class(name)(**given, reduction="sum", name="mine")
        written = library.serialize(theirs)
        said = {k: v for k, v in given.items() if k in written["config"]}
        for config in (written, json.loads(json.dumps(written))):
            read = sl.losses.deserialize(config)
            assert settings_of(read) == settings_of(ours(name, said, reduction="sum"))
            assert (read.name, sl.losses.get(config).get_config()) == ("mine", read.get_config())
    function = library.serialize(getattr(library, name))
    assert sl.losses.deserialize(function) is sl.losses.get(function) is getattr(sl.losses, name)


@pytest.mark.parametrize("name", OF_KERAS)
def test_keras_reads_what_we_write(name):
    """With default and other settings, dtypes and reductions; and gives them back."""
    for given in in_keras(name):
        for others in ({}, {"reduction": "none", "name": "mine"}, {"reduction": "mean_with_sample_weight"}):
            loss = ours(name, given, **others)
            written = sl.losses.serialize(loss)
            theirs = read_by_keras(json.loads(json.dumps(written)))
            assert type(theirs) is keras_class(name)
            assert (theirs.reduction, theirs.name) == (str(loss.reduction), loss.name)
            held = {k: as_given(v) for k, v in theirs._fn_kwargs.items()}
            assert held == {k: as_given(loss.spec.parameters[k]) for k in held}
            assert {k for k, v in loss.spec.parameters.items() if v != find(name).parameters[k].default} <= held.keys()
            assert settings_of(sl.losses.get(theirs)) == settings_of(loss)
            assert sl.losses.deserialize(written).get_config() == loss.get_config()


@pytest.mark.parametrize("name", OF_KERAS)
def test_keras_reads_our_dtypes_and_old_reductions(name):
    theirs = read_by_keras(sl.losses.serialize(ours(name, {}, dtype="float64", reduction="auto")))
    assert (theirs.dtype, theirs.reduction) == ("float64", "sum_over_batch_size")


def test_what_keras_does_not_have_is_written_as_ours():
    """Keras refuses it, rather than computing something else; a loss that it does not know it gives back as a name."""
    losses = (
        sl.losses.BinaryCrossentropy(epsilon=0),
        sl.losses.MeanSquaredError(axis=None),
        sl.losses.Hinge(labels="pm1"),
        sl.losses.MeanSquaredError(reduction="sum_by_nonzero_weights"),
        sl.losses.Pinball(quantile=0.25),
    )
    for loss in losses:
        written = sl.losses.serialize(loss)
        assert written["module"] == "streamloss.losses"
        assert sl.losses.deserialize(json.loads(json.dumps(written))).get_config() == loss.get_config()
        if loss is losses[-1]:
            assert peers.keras().losses.deserialize(written) == "Pinball"
            continue
        with pytest.raises(TypeError, match="could not be deserialized"):
            peers.keras().losses.deserialize(written)


def test_alpha_of_a_keras_tversky_is_what_its_documentation_says():
    """Up to 3.15.1 Keras has it exchanged with beta, so its own value is another one than that of our loss."""
    theirs = peers.keras().losses.Tversky(alpha=0.75, beta=0.25)
    y_true, y_pred = np.array([[1.0, 0.0]]), np.array([[1.0, 1.0]])
    found = sl.losses.get(theirs)
    assert (found.spec.parameters["alpha"], found.spec.parameters["beta"]) == (0.75, 0.25)
    assert found(y_true, y_pred) == pytest.approx(1 - 1 / 1.75, rel=1e-6)
    alike = float(peers.answer_of(theirs, y_true, y_pred)) == pytest.approx(found(y_true, y_pred), rel=1e-6)
    assert alike == peers.keras_is_fixed()


def test_names_of_keras_are_known():
    """All that Keras' own get takes, to our function or class of that name."""
    library = peers.keras().losses
    names = [find(name).class_name for name in OF_KERAS] + OF_KERAS
    for name in (*names, "bce", "BCE", "kld", "KLD", "mae", "MAE", "mse", "MSE", "mape", "MAPE", "msle", "MSLE"):
        found = sl.losses.get(name)
        if "generalized" in name.lower():
            continue  # which Keras' own get does not know
        theirs = library.get(name)
        assert isinstance(found, sl.losses.Loss) == isinstance(theirs, library.Loss)
        expected = type(theirs).__name__ if isinstance(theirs, library.Loss) else theirs.__name__
        assert expected in (type(found).__name__, getattr(found, "__name__", None))


OLD_NAMES = {
    "huber_loss": "huber",
    "logcosh": "log_cosh",
    "cosine_proximity": "cosine_similarity",
    "cosine": "cosine_similarity",
    "kullback_leibler_divergence": "kl_divergence",
}


@pytest.mark.parametrize("name", OLD_NAMES)
def test_old_names_mean_the_losses_of_today(name):
    """Names of Keras 1 and 2 that Keras 3 has dropped."""
    assert sl.losses.get(name) is getattr(sl.losses, OLD_NAMES[name])
    y, p = np.array([[0.25, 0.75]]), np.array([[0.5, 0.5]])
    assert list(sl.evaluate(name, y, p)) == [OLD_NAMES[name]]
    with pytest.raises(ValueError, match="Could not interpret"):
        peers.keras().losses.get(name)


def test_circle_is_refused_with_the_reason():
    """In every form; it would be another loss for each way to cut the data."""
    library = peers.keras().losses
    config = library.serialize(library.Circle())
    for form in ("circle", "Circle", library.Circle(), library.Circle, library.circle, config):
        with pytest.raises(UsageError, match="Circle pairs every sample of a batch with every other"):
            sl.losses.get(form)
        with pytest.raises(UsageError, match="Circle pairs"):
            sl.evaluate(form, [0], [[1.0]])


def test_what_is_no_loss_is_refused():
    library = peers.keras().losses
    for wrong in ({"config": {}}, {"class_name": "NoLoss", "config": {}}, 3, "mean_square_error"):
        with pytest.raises(UsageError):
            sl.losses.get(wrong)
    with pytest.raises(UnknownNameError, match="Did you mean 'delta'"):
        sl.losses.deserialize({"class_name": "Huber", "config": {"dleta": 2.0}})
    assert issubclass(UsageError, StreamlossError)

    class Mine(library.Loss):
        def call(self, y_true, y_pred):
            return y_pred

    mine = Mine()
    assert sl.losses.get(mine) is mine, "a person's own loss is not ours to translate"
    with pytest.raises(UsageError, match="expected a loss"):
        sl.evaluate(mine, [0.0], [1.0])


def test_is_categorical_crossentropy_in_every_form():
    library = peers.keras().losses
    is_one = sl.losses.is_categorical_crossentropy
    for loss in (
        "categorical_crossentropy",
        "CategoricalCrossentropy",
        sl.losses.categorical_crossentropy,
        sl.losses.CategoricalCrossentropy,
        sl.losses.CategoricalCrossentropy(from_logits=True),
        library.categorical_crossentropy,
        library.CategoricalCrossentropy,
        library.CategoricalCrossentropy(label_smoothing=0.1),
        library.serialize(library.CategoricalCrossentropy()),
        sl.losses.serialize(sl.losses.CategoricalCrossentropy(axis=1)),
    ):
        assert is_one(loss) is True
    for other in (
        "sparse_categorical_crossentropy",
        "categorical_focal_crossentropy",
        sl.losses.SparseCategoricalCrossentropy(),
        library.binary_crossentropy,
        library.CategoricalFocalCrossentropy(),
        library.Circle(),
        "no_such_loss",
        len,
        None,
        3,
    ):
        assert is_one(other) is False


@pytest.mark.parametrize(
    "x",
    [
        [0, 2, 1],
        [[0, 2], [1, 1]],
        [[0], [2]],
        [[[0], [3]], [[1], [2]]],
        [[[1]], [[0]]],
        [0],
        [[0]],
        np.array([0, 3], np.uint8),
        np.array([1.0, 0.0], np.float32),
        np.array(2),
        3,
    ],
)
@pytest.mark.parametrize("num_classes", [None, 5])
def test_to_categorical_is_that_of_keras(x, num_classes):
    expected = peers.keras().utils.to_categorical(np.asarray(x), num_classes)
    found = sl.losses.to_categorical(x, num_classes)
    assert found.dtype == np.float32, "as in Keras 2; Keras 3 makes float64"
    assert found.shape == expected.shape
    assert np.array_equal(found, expected)


def test_to_categorical_refuses_what_is_no_label():
    """Keras counts -1 from behind, and cuts 1.5 to 1."""
    keras = peers.keras().utils.to_categorical
    assert keras(np.array([-1]), 3).tolist() == [[0, 0, 1]]
    assert keras(np.array([1.5]), 3).tolist() == [[0, 1, 0]]
    for wrong, said in (([-1], "-1"), ([1.5], "1.5"), ([0, 3], "3")):
        with pytest.raises(ValueRangeError, match=f"is {said}; expected an integer label from 0 to 2"):
            sl.losses.to_categorical(wrong, 3)
    with pytest.raises(ValueRangeError):
        sl.losses.to_categorical([np.nan], 3)


def test_to_categorical_and_back_through_a_loss_sparse_categorical_crossentropy():
    y, p = np.array([0, 2, 1]), np.random.default_rng(0).dirichlet(np.ones(3), 3)
    sparse, dense = sl.losses.SparseCategoricalCrossentropy(), sl.losses.CategoricalCrossentropy()
    assert dense(sl.losses.to_categorical(y), p) == pytest.approx(sparse(y, p), rel=1e-14)
