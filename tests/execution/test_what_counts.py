"""Rows that count, and in which order it is decided: the table of docs/semantics.md."""

import math
import warnings

import dask.array as da
import numpy as np
import pytest
import zarr

import streamloss as sl
from streamloss.errors import ValueRangeError

SPOILED = 2  # the row that is masked, ignored, of weight 0, or left out
ROWS = 6
RNG = np.random.default_rng(5)
PROBABILITIES = RNG.dirichlet(np.ones(3), ROWS)
LABELS = np.array([0, 2, 1, 0, 1, 2])
NAN, INF = math.nan, math.inf

CASES = {  # loss, labels, predictions
    "elements": (sl.losses.BinaryCrossentropy(), np.array([0.0, 1, 1, 0, 0.5, 1]), RNG.random(ROWS)),
    "elements of rows": (sl.losses.BinaryCrossentropy(), RNG.random((ROWS, 3)), RNG.random((ROWS, 3))),
    "sparse": (sl.losses.SparseCategoricalCrossentropy(), LABELS.astype(np.float64), PROBABILITIES),
    "dense": (sl.losses.CategoricalCrossentropy(), np.eye(3)[LABELS], PROBABILITIES),
    "distribution": (sl.losses.GaussianNLL(), RNG.normal(size=ROWS), RNG.random((ROWS, 2))),
    "sequence": (sl.losses.CTC(), np.array([[1.0, 2]] * ROWS), RNG.normal(size=(ROWS, 4, 3))),
    "ratio": (sl.losses.Dice(axis=(1, 2)), RNG.random((ROWS, 2, 2)), RNG.random((ROWS, 2, 2))),
}
DEFECTS = {  # label, prediction
    "NaN prediction": (None, NAN),
    "NaN label": (NAN, None),
    "invalid label": (7.5, None),
    "infinite prediction": (None, INF),
    "both": (-9.0, -INF),
}
WAYS = {"one core": {"executor": "inline"}, "all cores": {"executor": "threads"}, "Dask": {"scheduler": "synchronous"}}
KEPT = np.arange(ROWS) != SPOILED


def evaluated(loss, y, p, weight=None, way="one core", nan_policy="raise", tmp_path=None, **more):
    """Return the result, and the losses of rows if there is a place for them."""
    arrays = [a if a is None or way != "Dask" else da.from_array(a, chunks=(2, *a.shape[1:])) for a in (y, p, weight)]
    if (mask := more.pop("mask", None)) is not None:
        more["mask"] = da.from_array(mask, chunks=2) if way == "Dask" else mask
    out = {} if tmp_path is None else {"out": str(tmp_path / "out.zarr")}
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", ".*whose loss is NaN w")
        result = sl.evaluate({"loss": loss}, *arrays, nan_policy=nan_policy, **WAYS[way], **out, **more)["loss"]
    return result, None if tmp_path is None else zarr.open_array(tmp_path / "out.zarr" / "loss")[...]


def spoiled(case, defect):
    loss, y, p = CASES[case]
    y, p = y.copy(), p.copy()
    label, prediction = DEFECTS[defect]
    if label is not None:
        y[SPOILED] = label
    if prediction is not None:
        p[SPOILED] = prediction
    return loss, y, p


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("case", CASES)
def test_a_weight_of_0_leaves_a_row_out_of_sums_and_counts_it(tmp_path, case, way):
    weight = np.where(KEPT, 2.0, 0.0)
    expected, _ = evaluated(*(a if i == 0 else a[KEPT] for i, a in enumerate(CASES[case])), weight[KEPT])
    for k, defect in enumerate(DEFECTS):
        for policy in ("raise", "omit", "propagate"):
            place = tmp_path / f"{k}{policy}"
            result, losses = evaluated(*spoiled(case, defect), weight, way, policy, place)
            assert (result.count, result.omitted, result.ignored) == (ROWS, 0, 0), defect
            assert (result.sum, result.weight_sum) == (expected.sum, expected.weight_sum)
            assert losses[SPOILED].tobytes() == losses.dtype.type(0.0).tobytes()


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("case", CASES)
def test_a_masked_row_may_hold_anything(tmp_path, case, way):
    expected, _ = evaluated(*(a if i == 0 else a[KEPT] for i, a in enumerate(CASES[case])))
    for k, (defect, bad_weight) in enumerate(zip(DEFECTS, [NAN, -1.0, INF, 0.0, -INF], strict=True)):
        weight = np.where(KEPT, 1.0, bad_weight)
        result, losses = evaluated(*spoiled(case, defect), weight, way, tmp_path=tmp_path / str(k), mask=KEPT)
        assert (result.count, result.ignored, result.sum) == (ROWS - 1, 1, expected.sum), defect
        assert losses[SPOILED] == 0.0


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("weight", [NAN, -1.0, INF])
def test_an_ignored_row_may_hold_any_prediction_and_weight(way, weight):
    loss = sl.losses.SparseCategoricalCrossentropy(ignore_class=-1)
    y, p = np.where(KEPT, LABELS, -1), PROBABILITIES.copy()
    p[SPOILED] = [NAN, INF, -3.0]
    result, _ = evaluated(loss, y, p, np.where(KEPT, 1.0, weight), way, class_weight={-1: 3.0})
    assert (result.count, result.ignored) == (ROWS - 1, 1)
    assert result.sum == evaluated(loss, y[KEPT], p[KEPT], np.ones(ROWS - 1))[0].sum


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("weight", [NAN, -1.0, INF])
@pytest.mark.parametrize("policy", ["raise", "omit", "propagate"])
def test_a_weight_that_is_none_is_refused_in_every_other_row(way, weight, policy):
    for defect in ("NaN prediction", "NaN label"):
        with pytest.raises(ValueRangeError, match=r"sample_weight\[2\] is .*A weight of 0 leaves a row out of sums"):
            evaluated(*spoiled("elements", defect), np.where(KEPT, 1.0, weight), way, policy)


@pytest.mark.parametrize("way", WAYS)
def test_a_class_weight_of_0_is_a_weight_of_0(way):
    _, y, p = CASES["elements"]
    y, p = np.array([0.0, 1, 5, 0, 1, 1]), p.copy()
    p[SPOILED] = NAN
    result, _ = evaluated("bce", y, p, way=way, class_weight={5: 0.0, 1: 2.0})
    expected, _ = evaluated("bce", y[KEPT], p[KEPT], class_weight={1: 2.0})
    assert (result.count, result.sum, result.weight_sum) == (ROWS, expected.sum, expected.weight_sum)


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("label", [NAN, 0.5])
def test_labels_of_rows_that_do_not_count_need_no_class(way, label):
    _, y, p = CASES["elements"]
    y, p = np.where(np.arange(ROWS) == SPOILED, label, [0.0, 1, 1, 0, 1, 1]), p.copy()
    weights = {"class_weight": {0: 2.0}}
    expected = evaluated("bce", y[KEPT], p[KEPT], **weights)[0].sum
    assert evaluated("bce", y, p, way=way, mask=KEPT, **weights)[0].sum == expected
    assert evaluated("bce", y, p, np.where(KEPT, 1.0, 0.0), way, **weights)[0].sum == expected
    with pytest.raises(ValueRangeError, match="is NaN.*; expected a number" if label != label else "expected whole"):
        evaluated("bce", y, p, way=way, **weights)
    p[SPOILED] = NAN
    omitted, _ = evaluated("bce", y, p, way=way, nan_policy="omit", **weights)
    assert (omitted.sum, omitted.omitted) == (expected, 1)


def test_a_nan_in_a_one_hot_label_is_no_class():
    """The position of a NaN is not the largest entry, whose class may weigh nothing."""
    loss, y, p = spoiled("dense", "NaN label")
    with pytest.raises(ValueRangeError, match=r"y_true\[2, 0\] is NaN"):
        evaluated(loss, y, p, class_weight={0: 0.0})


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("role", ["y_true", "y_pred"])
def test_large_integers_of_rows_that_do_not_count_are_not_looked_at(way, role):
    arrays = {"y_true": np.arange(ROWS), "y_pred": np.arange(ROWS) + 1}
    arrays[role][SPOILED] = 2**53 + 1
    y, p = arrays["y_true"], arrays["y_pred"]
    assert evaluated("mse", y, p, way=way, mask=KEPT)[0].sum == ROWS - 1
    assert evaluated("mse", y, p, KEPT.astype(float), way)[0].sum == ROWS - 1
    with pytest.raises(ValueRangeError, match=r"holds the integer 9007199254740993"):
        evaluated("mse", y, p, way=way)


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("why", ["mask", "weight", "class weight", "omitted label", "omitted prediction", "rows"])
def test_labels_that_do_not_count_decide_no_convention(tmp_path, way, why):
    """A label of -1 beside 0 and 1, in a row that is left out, and both in the sum and in the losses of rows."""
    y, p = np.array([[0.0, 1], [1, 0], [1, -1], [0, 0], [1, 1], [0, 1]]), RNG.normal(size=(ROWS, 2))
    weight, mask, more = None, None, {}
    kept = KEPT
    match why:
        case "mask":
            mask = KEPT
        case "weight":
            weight = KEPT.astype(float)
        case "class weight":
            y, p = y[:, 1], p[:, 1]
            more = {"class_weight": {-1: 0.0}}
        case "omitted label":
            y[SPOILED, 0], more = NAN, {"nan_policy": "omit"}
        case "omitted prediction":
            p[SPOILED, 0], more = NAN, {"nan_policy": "omit"}
        case "rows":
            kept, more = np.arange(ROWS) > SPOILED, {"rows": slice(SPOILED + 1, None)}
    result, losses = evaluated("hinge", y, p, weight, way, tmp_path=tmp_path, mask=mask, **more)
    expected, of_rows = evaluated(sl.losses.Hinge(labels="01"), y[kept], p[kept], tmp_path=tmp_path / "expected")
    assert result.sum == expected.sum
    assert (losses if why == "rows" else losses[kept]).tobytes() == of_rows.tobytes()


@pytest.mark.parametrize("shape", [(ROWS, 1), (2, 3, 1)])
def test_one_column_is_weighted_by_class_as_none(shape):
    y, p = np.array([0.0, 1, 1, 0, 0, 1]), RNG.random(ROWS)
    found, _ = evaluated("bce", y.reshape(shape), p.reshape(shape), class_weight={1: 4.0})
    assert found.sum == evaluated("bce", y, p, class_weight={1: 4.0})[0].sum
