"""The Keras-shaped surface: known values, reductions, weights, dtypes, names and configs."""

import inspect
import math
import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import ml_dtypes
import numpy as np
import pytest

import streamloss as sl
from strategies import every_loss
from streamloss.errors import ShapeError, StreamlossWarning, UnknownNameError, UsageError, ValueRangeError
from streamloss.formulas._kinds import LabelLayout

Sparse = sl.losses.SparseCategoricalCrossentropy
Binary = sl.losses.BinaryCrossentropy
MSE = sl.losses.MeanSquaredError

LABELS = [1, 2]
PROBABILITIES = [[0.05, 0.95, 0], [0.1, 0.8, 0.1]]


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_values_of_keras_documentation(dtype):
    p = np.array(PROBABILITIES, dtype)
    assert Sparse()(LABELS, p) == pytest.approx(1.177, abs=5e-4)
    assert Sparse()(LABELS, p, sample_weight=[0.3, 0.7]) == pytest.approx(0.814, abs=5e-4)
    assert Sparse(reduction="sum")(LABELS, p) == pytest.approx(2.354, abs=5e-4)
    np.testing.assert_allclose(Sparse(reduction=None)(LABELS, p), [0.0513, 2.303], atol=5e-4)
    assert Sparse()([0, 1, 1], np.array([[0.9, 0.1], [0.2, 0.8], [0.3, 0.7]], dtype)) == pytest.approx(
        0.228393004, abs=1e-8 if dtype == np.float32 else 1e-9
    )
    logits = np.array([-18.6, 0.51, 2.94, -12.8], dtype)
    assert Binary(from_logits=True)([0, 1, 0, 0], logits) == pytest.approx(0.865458, abs=1e-6)
    y, p = [[0, 1], [0, 0]], np.array([[0.6, 0.4], [0.4, 0.6]], dtype)
    np.testing.assert_allclose(sl.losses.binary_crossentropy(y, p), [0.9162905, 0.71355796], rtol=1e-6)
    assert MSE()([[0.0, 1.0], [0.0, 0.0]], np.array([[1.0, 1.0], [1.0, 0.0]], dtype)) == 0.5


def test_caps_are_keras_clip_bounds_in_the_result_dtype():
    for dtype, upper in ((np.float32, 1 - 2.0**-23), (np.float64, 1 - 1e-7)):
        lower = float(dtype(1e-7))
        wrong = Sparse(reduction=None)([1], np.array([[1.0, 0.0]], dtype))[0]
        right = Sparse(reduction=None)([0], np.array([[1.0, 0.0]], dtype))[0]
        assert wrong == dtype(-math.log(lower))
        assert right == pytest.approx(-math.log(upper), rel=1e-6)


@pytest.mark.parametrize(
    ("reduction", "expected"),
    [
        ("sum", 0.5 * 1 + 2 * 4 + 0 * 9),
        ("SUM", 8.5),
        ("sum_over_batch_size", 8.5 / 3),
        ("mean", 8.5 / 3),
        ("auto", 8.5 / 3),
        ("Mean_With_Sample_Weight", 8.5 / 2.5),
        ("sum_by_nonzero_weights", 8.5 / 2),
        (sl.Reduction.SUM, 8.5),
    ],
)
def test_reductions_divide_by_what_keras_divides_by(reduction, expected):
    got = MSE(reduction=reduction)([0.0, 0.0, 0.0], [1.0, 2.0, 3.0], sample_weight=[0.5, 2.0, 0.0])
    assert got == expected
    assert type(got) is np.float64


def test_none_is_weighted_losses_in_the_losses_shape():
    y, p = np.zeros((2, 3, 4), np.float32), np.ones((2, 3, 4), np.float32)
    losses = MSE(reduction="none")(y, p, sample_weight=np.array([[1.0], [3.0]]))
    assert losses.dtype == np.float32
    assert losses.tolist() == [[1.0] * 3, [3.0] * 3]
    assert MSE(axis=None, reduction="none")(y, p).shape == (2, 3, 4)


def test_weights_of_ones_change_nothing():
    rng = np.random.default_rng(3)
    y, p = rng.integers(0, 3, 50), rng.dirichlet(np.ones(3), 50).astype(np.float32)
    plain, ones = Sparse(reduction=None)(y, p), Sparse(reduction=None)(y, p, np.ones(50))
    assert plain.tobytes() == ones.tobytes()
    assert Sparse()(y, p) == Sparse(reduction="mean_with_sample_weight")(y, p, 1.0)


def test_ignored_rows_are_zero_and_not_counted_even_if_nan():
    p = np.array([[0.5, 0.5], [np.nan, np.nan], [0.25, 0.75]], np.float32)
    loss = Sparse(ignore_class=-1, reduction=None)
    assert loss([0, -1, 1], p)[1] == 0.0
    result = sl.evaluate(Sparse(ignore_class=-1, name="ce"), np.array([0, -1, 1]), p)["ce"]
    assert (result.count, result.ignored) == (2, 1)
    assert result.mean == pytest.approx(-(math.log(0.5) + math.log(0.75)) / 2)
    assert Sparse(ignore_class=255)(np.array([0, 255, 1], np.uint8), p) == result.mean


def test_nothing_left_to_average_is_zero_with_a_warning():
    with pytest.warns(StreamlossWarning, match="no row was left"):
        assert Sparse(ignore_class=0)([0, 0], PROBABILITIES) == 0.0
    with pytest.warns(StreamlossWarning, match="no row was left"):
        assert MSE()(np.empty((0, 3)), np.empty((0, 3))) == 0.0
    assert MSE(reduction=None)(np.empty((0, 3)), np.empty((0, 3))).shape == (0,)


def test_one_dimensional_predictions_are_samples():
    y, p = np.array([0.0, 1.0, 3.0]), np.array([0.0, 2.0, 5.0])
    assert MSE(reduction=None)(y, p).tolist() == [0.0, 1.0, 4.0]
    assert MSE(reduction=None)(y, p[:, None]).tolist() == [0.0, 1.0, 4.0]
    assert MSE(reduction=None)(y[:, None], p).tolist() == [0.0, 1.0, 4.0]


def test_axis_may_be_any():
    rng = np.random.default_rng(4)
    p = rng.dirichlet(np.ones(5), (2, 3)).astype(np.float32)  # (2, 3, 5)
    y = rng.integers(0, 5, (2, 3))
    last = Sparse(reduction=None)(y, p)
    assert last.shape == (2, 3)
    for axis, moved in ((0, np.moveaxis(p, -1, 0)), (1, np.moveaxis(p, -1, 1)), (-2, np.moveaxis(p, -1, 1))):
        assert Sparse(axis=axis, reduction=None)(y, moved).tobytes() == last.tobytes()
    with_one = Sparse(axis=1, reduction=None)(y[:, None], np.moveaxis(p, -1, 1))
    assert with_one.tobytes() == last.tobytes()
    square = Binary(axis=0, reduction=None)(np.zeros((4, 2)), np.full((4, 2), 0.5))
    assert square.shape == (2,)


@pytest.mark.filterwarnings("ignore:y_pred has dtype uint16, as has bfloat16")
@pytest.mark.parametrize("dtype", ["float16", ">f4", "<f8", "int8", "uint16", "bool"])
def test_predictions_of_any_dtype(dtype):
    values = np.array([0, 1, 1, 0])
    p = values.astype(dtype)
    got = MSE(reduction=None)(np.array([1, 1, 0, 0]), p)
    assert got.dtype == (np.float64 if p.dtype == np.float64 else np.float32)
    assert got.tolist() == [1.0, 0.0, 1.0, 0.0]


def test_bfloat16_predictions():
    x = np.random.default_rng(5).normal(size=(20, 4)).astype(ml_dtypes.bfloat16)
    y = np.arange(20) % 4
    loss = Sparse(from_logits=True, reduction=None)
    assert loss(y, x).tobytes() == loss(y, x.astype(np.float32)).tobytes()


@pytest.mark.parametrize("dtype", ["bool", "int8", "uint8", "int16", "int32", "uint64", "float16", "float64"])
def test_labels_of_any_dtype(dtype):
    y = np.array([1, 0]).astype(dtype)
    assert Sparse()(y, PROBABILITIES) == Sparse()([1, 0], PROBABILITIES)


def test_labels_beyond_float32_stay_exact():
    classes = 2**24 + 2
    p = np.zeros((1, classes), np.float32)
    p[0, -1], p[0, -2] = 0.75, 0.25
    assert Sparse(reduction=None)([classes - 1], p)[0] == np.float32(-math.log(0.75))


def test_dtype_float64_asks_for_float64_losses():
    p = np.array(PROBABILITIES, np.float32)
    losses = Sparse(reduction=None, dtype="float64")(LABELS, p)
    assert losses.dtype == np.float64
    share = float(p[0, 1]) / (float(p[0, 0]) + float(p[0, 1]))
    assert losses[0] == pytest.approx(-math.log(share), rel=1e-14)


def test_large_arrays_use_all_cores_and_give_the_same_bits():
    rng = np.random.default_rng(6)
    p = rng.random(400_000, np.float32)
    y = (rng.random(400_000) < p).astype(np.float32)
    result = {name: sl.evaluate("mse", y, p, executor=name)["mean_squared_error"].state for name in ("auto", "inline")}
    assert result["auto"].to_bytes() == result["inline"].to_bytes()


@pytest.mark.parametrize("name", every_loss())
def test_a_nan_anywhere_is_refused_by_every_loss(name):
    """Wherever it stands, in labels or predictions, in the labelled class or in another one."""
    loss = every_loss()[name]
    formula = loss.spec.formula
    p = np.array([[0.2, 0.5, 0.3]], np.float32)
    match formula.label_layout:
        case LabelLayout.PER_ROW if formula.integer_labels:
            y = np.array([1])
        case LabelLayout.SEQUENCE:
            y, p = np.array([[1]]), p[:, None]
        case LabelLayout.PER_ROW:
            y, p = np.array([0.5], np.float32), p[:, :2]
        case LabelLayout.PER_ELEMENT:
            y = np.array([[0.0, 1.0, 0.0] if formula.y_true.smallest <= 0 else [0.5, 1.0, 2.0]], np.float32)
    assert np.isfinite(loss(y, p)).all()
    spoiled = [(y, np.where(np.arange(p.size) == j, np.nan, p).astype(np.float32)) for j in range(p.size)]
    if not formula.integer_labels:
        spoiled += [(np.where(np.arange(y.size) == j, np.nan, y).astype(np.float32), p) for j in range(y.size)]
    for labels, predictions in spoiled:
        with pytest.raises(ValueRangeError, match="NaN"):
            loss(labels, predictions)


@pytest.mark.parametrize("from_logits", [False, True])
@pytest.mark.parametrize("classes", [3, 50, 1100])
def test_smooth_sparse_labels_have_the_bits_of_smooth_one_hot_labels(classes, from_logits):
    rng = np.random.default_rng(classes)
    y, x = rng.integers(0, classes, 40), rng.normal(size=(40, classes)) * 5
    p = (x if from_logits else np.exp(x) / np.exp(x).sum(axis=1, keepdims=True)).astype(np.float32)
    one_hot = sl.losses.to_categorical(y, classes)
    for smoothing in (1e-9, 0.1, 1.0):
        given = {"from_logits": from_logits, "label_smoothing": smoothing, "reduction": None}
        smooth = Sparse(**given)(y, p)
        assert smooth.tobytes() == sl.losses.CategoricalCrossentropy(**given)(one_hot, p).tobytes()
        function = sl.losses.sparse_categorical_crossentropy(y, p, from_logits, label_smoothing=smoothing)
        assert function.tobytes() == smooth.tobytes()
    left_out = Sparse(from_logits=from_logits, label_smoothing=0.1, ignore_class=int(y[0]), reduction=None)(y, p)
    assert (left_out == 0).tolist() == (y == y[0]).tolist()


def test_labels_that_are_not_smooth_have_the_loss_and_the_states_of_before():
    """`label_smoothing` came after files were written that do not name it."""
    plain, named = (sl.evaluate(loss, [1, 0], PROBABILITIES) for loss in (Sparse(), Sparse(label_smoothing=0.0)))
    (a,), (b,) = plain.values(), named.values()
    assert a.state.to_bytes() == b.state.to_bytes()
    assert "label_smoothing" not in a.state.identity.parameters
    assert "label_smoothing" not in a.config["config"]
    smooth = sl.evaluate(Sparse(label_smoothing=0.1), [1, 0], PROBABILITIES)["sparse_categorical_crossentropy"]
    assert smooth.state.identity.parameters["label_smoothing"] == 0.1
    assert sl.losses.deserialize(smooth.config).spec == Sparse(label_smoothing=0.1).spec


def test_configs_carry_the_smoothing_of_sparse_labels():
    loss = Sparse(from_logits=True, label_smoothing=0.1)
    as_keras = {"class_name": "SparseCategoricalCrossentropy", "config": loss.get_config()}
    for config in (sl.losses.serialize(loss), as_keras):
        assert sl.losses.deserialize(config).spec == loss.spec
    assert sl.losses.serialize(loss)["module"] == "streamloss.losses", "released versions of Keras do not read it"
    assert sl.losses.serialize(Sparse())["module"] == "keras.losses"
    assert repr(loss) == "SparseCategoricalCrossentropy(from_logits=True, label_smoothing=0.1)"
    with pytest.raises(UsageError, match=r"label_smoothing must lie in \[0, 1\]; received 1.5"):
        Sparse(label_smoothing=1.5)


def test_integers_that_no_float_holds_are_refused():
    with pytest.raises(ValueRangeError, match=r"holds the integer 4611686018427387904.* up to 2\*\*53"):
        MSE()(np.array([2**62]), np.array([0.5]))
    assert MSE()(np.array([2**53]), np.array([2**53 - 1])) == 1.0


def test_byte_order_does_not_change_the_result_dtype():
    assert MSE(reduction=None)([0.1], np.array([0.3], ">f8")).dtype == np.float64


def test_weights_of_zero_have_no_mean_and_say_so():
    with pytest.warns(StreamlossWarning, match="all weights are 0"):
        assert MSE(reduction="mean_with_sample_weight")([0.0], [1.0], [0.0]) == 0.0


def test_functions_that_keras_serialised_are_understood():
    config = {"module": "builtins", "class_name": "function", "config": "huber", "registered_name": "function"}
    assert sl.losses.deserialize(config) is sl.losses.huber


def test_get_takes_every_spelling():
    assert sl.losses.get(None) is None
    assert sl.losses.get("mse") is sl.losses.mean_squared_error is sl.losses.get("mean_squared_error")
    assert isinstance(sl.losses.get("MeanSquaredError"), MSE)
    assert sl.losses.get(len) is len
    config = {"class_name": "BinaryCrossentropy", "config": {"from_logits": True, "name": "b", "reduction": "sum"}}
    assert repr(sl.losses.get(config)) == "BinaryCrossentropy(from_logits=True, reduction='sum')"
    with pytest.raises(UnknownNameError, match="Did you mean 'mean_squared_error'"):
        sl.losses.get("mean_square_error")
    with pytest.raises(UsageError, match="received 3"):
        sl.losses.get(3)


@pytest.mark.parametrize(
    "loss",
    [
        Sparse(from_logits=True, ignore_class=0, reduction="none"),
        Binary(label_smoothing=0.25, name="b"),
        MSE(axis=None),
    ],
)
def test_serialize_round_trips(loss):
    again = sl.losses.deserialize(sl.losses.serialize(loss))
    assert type(again) is type(loss)
    assert again.get_config() == loss.get_config()
    assert type(loss).from_config(loss.get_config()).get_config() == loss.get_config()


def test_a_keras_config_with_a_dtype_policy_is_understood():
    policy = {"module": "keras", "class_name": "DTypePolicy", "config": {"name": "float64"}}
    config = {"class_name": "MeanSquaredError", "config": {"name": "m", "reduction": "sum", "dtype": policy}}
    assert sl.losses.deserialize(config).dtype == "float64"


def test_parameters_are_checked_at_construction():
    with pytest.raises(UsageError, match=r"label_smoothing must lie in \[0, 1\]; received 1.5"):
        Binary(label_smoothing=1.5)
    with pytest.raises(UsageError, match=r"epsilon must lie in \[0, 0.5\)"):
        Binary(epsilon=0.5)
    with pytest.raises(UsageError, match="from_logits must be bool; received 1"):
        Binary(from_logits=1)
    with pytest.raises(UsageError, match=r"received \(1, 2\). It is one, not several: the axis of `y_pred` that holds"):
        sl.losses.SparseCategoricalCrossentropy(axis=(1, 2))
    with pytest.raises(UsageError, match="axis must be int or str; received None"):
        Sparse(axis=None)
    with pytest.raises(UsageError, match="axis must be int or str; received True"):
        Sparse(axis=True)
    with pytest.raises(UnknownNameError, match="Did you mean 'from_logits'"):
        Binary(from_logit=True)
    with pytest.raises(UnknownNameError, match="Did you mean 'sum'"):
        MSE(reduction="summ")
    with pytest.raises(UnknownNameError, match="dtype"):
        MSE(dtype="float8")
    with pytest.raises(ShapeError, match="axis=5 is out of bounds for y_pred of rank 2"):
        Sparse(axis=5)([0], [[1.0]])


def test_parameters_by_position_as_in_keras():
    assert Binary(True, 0.1).get_config()["label_smoothing"] == 0.1
    with pytest.raises(UsageError, match="received from_logits twice"):
        Binary(True, from_logits=False)
    by_position = sl.losses.sparse_categorical_crossentropy([1], [[1.0, 2.0]], True)
    assert by_position == Sparse(from_logits=True, reduction=None)([1], [[1.0, 2.0]])


def test_evaluate_names_losses_and_refuses_two_of_one_name():
    y, p = np.array([0.0, 1.0]), np.array([0.5, 0.5])
    result = sl.evaluate({"a": "mse", "b": MSE(reduction="sum"), "c": MSE}, y, p)
    assert {name: loss.value for name, loss in result.items()} == {"a": 0.25, "b": 0.5, "c": 0.25}
    assert sl.evaluate(["mse", "bce"], y, p).keys() == {"mean_squared_error", "binary_crossentropy"}
    with pytest.raises(UsageError, match="two losses have one name"):
        sl.evaluate(["mse", "MSE"], y, p)
    with pytest.raises(UsageError, match="no losses"):
        sl.evaluate([], y, p)
    with pytest.raises(ShapeError, match="must have one shape"):
        sl.evaluate([MSE(name="a"), MSE(axis=None, name="b")], np.zeros((2, 2)), np.zeros((2, 2)))


def test_none_without_a_place_for_it_is_refused():
    with pytest.raises(UsageError, match=r"pass out='losses\.zarr'"):
        sl.evaluate("mse", [0.0], [1.0], reduction="none")


def test_calls_from_several_threads_do_not_enter_the_parallel_loop_together():
    """Numba's workqueue layer would abort the process; the bits are those of a single call."""
    rng = np.random.default_rng(8)
    y, p = rng.random(300_000, np.float32), rng.random(300_000, np.float32)
    alone = MSE()(y, p)
    with ThreadPoolExecutor(4) as pool:
        assert {float(value) for value in pool.map(lambda _: MSE()(y, p), range(12))} == {float(alone)}


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_a_forked_process_computes_the_same():
    code = """if True:
        import multiprocessing, numpy as np, streamloss as sl
        y, p = np.zeros(200_000, np.float32), np.full(200_000, 0.5, np.float32)
        def run(_):
            return float(sl.losses.MeanSquaredError()(y, p))
        if __name__ == "__main__":
            alone = run(0)
            with multiprocessing.get_context("fork").Pool(2) as pool:
                assert set(pool.map(run, range(4))) == {alone} == {0.25}
    """
    subprocess.run([sys.executable, "-W", "ignore", "-c", code], check=True)


KERAS_POSITIONS = {
    "BinaryCrossentropy": "from_logits label_smoothing axis reduction name dtype",
    "CategoricalCrossentropy": "from_logits label_smoothing axis reduction name dtype",
    "SparseCategoricalCrossentropy": "from_logits ignore_class reduction axis name dtype",
    "CategoricalGeneralizedCrossEntropy": "q reduction name dtype",
    "CategoricalHinge": "reduction name dtype",
    "CosineSimilarity": "axis reduction name dtype",
    "Huber": "delta reduction name dtype",
    "KLDivergence": "reduction name dtype",
    "LogCosh": "reduction name dtype",
    "MeanAbsoluteError": "reduction name dtype",
    "MeanAbsolutePercentageError": "reduction name dtype",
    "MeanSquaredError": "reduction name dtype",
    "MeanSquaredLogarithmicError": "reduction name dtype",
    "Poisson": "reduction name dtype",
}
"""What Keras 3.15's constructors take, by position."""


@pytest.mark.parametrize("name", KERAS_POSITIONS)
def test_positions_are_those_of_keras(name):
    parameters = inspect.signature(getattr(sl.losses, name)).parameters.values()
    positional = [p.name for p in parameters if p.kind is inspect.Parameter.POSITIONAL_OR_KEYWORD]
    assert positional == KERAS_POSITIONS[name].split()


def test_reduction_by_position():
    assert Sparse(True, None, "sum").reduction == "sum"
    assert MSE("none").reduction == "none"
    with pytest.raises(UsageError, match=r"takes 3 arguments by position \(reduction, name, dtype\); received 4"):
        MSE("sum", "mse", "float32", -1)
