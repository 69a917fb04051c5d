"""Public reports of wrong numbers from other libraries, each named by its thread: here they are right, or refused."""

from __future__ import annotations

import math
import operator

import dask.array as da
import numpy as np
import pytest
import zarr

import streamloss as sl
from streamloss.errors import MissingChunkError, ShapeError, SourceError, StreamlossWarning


def evaluate(loss, y_true, y_pred, **options):
    return next(iter(sl.evaluate(loss, y_true, y_pred, **options).losses.values()))


@pytest.mark.parametrize("labels", ["u1", "i1", "u2", "u4", "u8", "i8", "?"])
@pytest.mark.parametrize("predictions", ["u1", "i1", "u2", "i4"])
@pytest.mark.filterwarnings("ignore:.*bfloat16 that is stored by its bits")
def test_scikit_learn_28827_differences_of_small_integers_do_not_wrap(labels, predictions):
    y_true = np.array([0, 1, 1, 0]).astype(labels)
    y_pred = np.array([16, 0, 127, 100]).astype(predictions)
    expected = math.fsum((float(a) - float(b)) ** 2 for a, b in zip(y_true, y_pred, strict=True))
    assert evaluate("mse", y_true, y_pred).sum == expected
    assert evaluate("mae", y_pred, y_true).sum == math.fsum(
        abs(float(a) - float(b)) for a, b in zip(y_true, y_pred, strict=True)
    )


@pytest.mark.parametrize("dtype", ["f2", "f4", "f8"])
@pytest.mark.parametrize("p", [0.0, 1.0])
def test_scikit_learn_24315_a_sure_and_wrong_probability_is_finite(dtype, p):
    found = evaluate("bce", np.array([1 - p]), np.array([p], dtype)).value
    assert 15 < found < 17
    clipless = evaluate(sl.losses.BinaryCrossentropy(epsilon=0.0), np.array([1 - p]), np.array([p], dtype))
    assert clipless.value == math.inf


def test_scikit_learn_30910_text_labels_have_no_order_of_columns():
    with pytest.raises(SourceError, match=r"y_true: .* in the order of y_pred's columns"):
        evaluate("sparse_categorical_crossentropy", ["dog", "cat"], np.eye(2))


def test_scikit_learn_6703_labels_of_one_class_stay_that_class():
    ones, zeros = np.ones(3), np.zeros(3)
    assert evaluate("bce", ones, zeros).value == pytest.approx(-math.log(1e-7))
    assert evaluate("bce", zeros, zeros).value == pytest.approx(0, abs=1e-6)
    three = np.full((3, 4), 0.25)
    assert evaluate("sparse_categorical_crossentropy", [2, 2, 2], three).value == pytest.approx(math.log(4))


def test_tf_keras_734_rows_without_a_label_are_no_nan():
    loss = sl.losses.SparseCategoricalCrossentropy(ignore_class=-1, from_logits=True)
    logits = np.array([[0.0, 1.0], [np.inf, np.nan], [1.0, 0.0]])
    assert evaluate(loss, [1, -1, 1], logits).value == pytest.approx(np.log1p(np.exp([-1.0, 1.0])).mean())
    with pytest.warns(StreamlossWarning):
        assert evaluate(loss, [-1, -1, -1], logits).value == 0.0


def test_keras_23235_weights_of_more_axes_than_the_losses_are_refused():
    y = np.ones((6, 5))
    with pytest.raises(ShapeError, match=r"sample_weight has shape \(6, 5\).*one for each row"):
        evaluate("mse", y, y, sample_weight=np.ones((6, 5)))
    weights = np.arange(30.0).reshape(6, 5)
    each = evaluate(sl.losses.MeanSquaredError(axis=None), y, y + 1, sample_weight=weights)
    assert each.sum == weights.sum()


def test_keras_19740_the_mean_over_the_weights_is_shown_first():
    found = evaluate("mae", [[1.0], [2.0]], [[2.0], [3.0]], sample_weight=[0.0, 1.0])
    assert found.value == 0.5
    assert found.weighted_mean == 1.0
    assert found.headline == "weighted_mean"


@pytest.mark.parametrize("role", ["y_true", "y_pred"])
def test_zarr_3682_chunks_that_writers_of_one_shard_lose_are_noticed(role, tmp_path):
    array = zarr.create_array(tmp_path / "a", shape=(8, 8), chunks=(2, 2), shards=(4, 4), dtype="f8")
    array[...] = 1.0
    array = zarr.create_array(tmp_path / "b", shape=(8, 8), chunks=(2, 2), shards=(4, 4), dtype="f8")
    array[:, :6] = 1.0  # what is left where the last writer of a shard did not see the others' chunks
    given = {"y_true": str(tmp_path / "a"), "y_pred": str(tmp_path / "a"), role: str(tmp_path / "b")}
    if role == "y_pred":
        with pytest.raises(MissingChunkError, match="y_pred: chunk"):
            evaluate("mse", **given)
    else:
        with pytest.warns(StreamlossWarning, match="y_true: 4 chunks"):
            evaluate("mse", **given)


@pytest.mark.parametrize("zarr_format", [2, 3])
@pytest.mark.parametrize("compressors", [None, "auto"])
@pytest.mark.parametrize("order", ["C", "F"])
@pytest.mark.parametrize("dtype", ["<f4", ">f4", ">i2", ">u8", ">f8"])
def test_zarr_1279_and_1375_orders_of_axes_and_bytes(zarr_format, compressors, order, dtype, tmp_path):
    values = np.arange(7 * 5 * 3).reshape(7, 5, 3).astype(dtype)
    options = {"order": order} if zarr_format == 2 else {}
    if zarr_format == 3 and order == "F":
        options["filters"] = [zarr.codecs.TransposeCodec(order=(2, 1, 0))]
    array = zarr.create_array(
        tmp_path / "a",
        shape=values.shape,
        chunks=(3, 2, 2),
        dtype=values.dtype,
        compressors=compressors,
        zarr_format=zarr_format,
        **options,
    )
    array[...] = values
    given = str(tmp_path / "a")
    weights = np.arange(35.0).reshape(7, 5)
    expected = evaluate("mse", values.astype("f8"), np.zeros((7, 5, 3)), sample_weight=weights).sum
    for rows in (None, slice(2, 5)):
        part = slice(None) if rows is None else rows
        found = evaluate("mse", given, np.zeros((7, 5, 3)), sample_weight=weights, rows=rows)
        whole = (np.square(values.astype("f8")).mean(axis=-1) * weights)[part]
        assert found.sum == pytest.approx(math.fsum(whole.ravel()), rel=1e-15)
    assert evaluate("mse", given, np.zeros((7, 5, 3)), sample_weight=weights).sum == expected


@pytest.mark.parametrize("chunks", [1, 3, 7, 10])
def test_transformers_41904_a_last_batch_that_is_smaller_weighs_less(chunks, tmp_path):
    rng = np.random.default_rng(3)
    values = rng.normal(size=10)
    zarr.create_array(tmp_path / "a", data=values, chunks=(chunks,))
    expected = math.fsum(values**2) / 10
    assert evaluate("mse", np.zeros(10), str(tmp_path / "a")).value == expected
    lazy = sl.evaluate("mse", da.zeros(10, chunks=4), da.from_array(values, chunks=chunks), scheduler="synchronous")
    assert lazy["mean_squared_error"].value == expected


def test_dask_4299_chunks_that_are_not_as_declared_are_refused():
    values = da.from_array(np.arange(3.0), chunks=3)
    picked = da.map_blocks(operator.getitem, values, da.from_array(np.array([0, 1]), chunks=2), dtype="f8", chunks=(3,))
    with pytest.raises(SourceError, match=r"y_pred: the chunk at block \(0,\) of a Dask array has shape \(2,\)"):
        sl.evaluate("mse", da.zeros(3, chunks=3), picked, scheduler="synchronous")


@pytest.mark.parametrize("columns", [(0, 1), (1, 0)])
def test_pytorch_40023_a_column_is_not_stretched_over_the_rows(columns):
    y_true, y_pred = np.array([0.0, 1.0, 2.0]), np.array([1.0, 1.0, 1.0])
    both = [a[:, None] if column else a for a, column in zip((y_true, y_pred), columns, strict=True)]
    assert evaluate("mse", *both).value == pytest.approx(2 / 3)


@pytest.mark.parametrize("nan_policy", ["raise", "omit", "propagate"])
def test_zarr_486_a_chunk_that_is_missing_is_no_nan(nan_policy, tmp_path):
    array = zarr.create_array(tmp_path / "a", shape=(8,), chunks=(4,), dtype="f8", fill_value=np.nan)
    array[:4] = 1.0
    with pytest.raises(MissingChunkError, match="y_pred: chunk c/1"):
        evaluate("mse", np.ones(8), str(tmp_path / "a"), nan_policy=nan_policy)
