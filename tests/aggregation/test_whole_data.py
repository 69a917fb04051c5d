"""Losses that the whole data decides: labels' convention in the hinge family, ratios over all rows in the overlaps."""

import math
from fractions import Fraction

import numpy as np
import pytest
import zarr

import streamloss as sl
from streamloss.errors import ShapeError, UsageError, ValueRangeError

RNG = np.random.default_rng(12)
P = RNG.normal(size=(30, 2)).astype(np.float32)
BINARY = RNG.integers(0, 2, (30, 2)).astype(np.float32)
MIXED = BINARY.copy()
MIXED[-1, -1] = -1.0  # one label in the last chunk makes all zeros mean "no side"

Hinge = sl.losses.Hinge


def numpy_hinge(y, p):
    return np.maximum(1 - y.astype(np.float64) * p.astype(np.float64), 0).mean(axis=-1)


def chunked(path, array, rows=4):
    made = zarr.create_array(path, shape=array.shape, chunks=(rows, *array.shape[1:]), dtype=array.dtype)
    made[...] = array
    return str(path)


@pytest.mark.parametrize(("labels", "side"), [(BINARY, 2 * BINARY - 1), (MIXED, MIXED)], ids=["binary", "mixed"])
@pytest.mark.parametrize("name", ["hinge", "squared_hinge"])
def test_the_convention_is_decided_over_all_chunks(tmp_path, name, labels, side):
    make = Hinge if name == "hinge" else sl.losses.SquaredHinge
    exact = np.maximum(1 - side.astype(np.float64) * P, 0) ** (1 if name == "hinge" else 2)
    losses = make(reduction=None)(labels, P)
    np.testing.assert_allclose(losses, exact.mean(axis=-1), rtol=1e-7)
    y, p = chunked(tmp_path / "y.zarr", labels), chunked(tmp_path / "p.zarr", P)
    result = sl.evaluate(make(), y, p, out=str(tmp_path / "out.zarr"))[name]
    assert result.sum == math.fsum(losses)
    assert zarr.open_array(tmp_path / "out.zarr" / name)[...].tobytes() == losses.tobytes()
    parts = [sl.evaluate(make(), y, p, rows=rows)[name].state for rows in (slice(0, 7), slice(7, 30))]
    assert parts[1].merge(parts[0]).to_bytes() == result.state.to_bytes()


def test_rows_that_are_not_evaluated_do_not_decide(tmp_path):
    result = sl.evaluate(Hinge(), MIXED, P, rows=slice(0, 29), out=str(tmp_path / "out.zarr"))["hinge"]
    written = zarr.open_array(tmp_path / "out.zarr" / "hinge")[...]
    np.testing.assert_allclose(written, numpy_hinge(2 * BINARY - 1, P)[:29], rtol=1e-7)
    assert result.sum == math.fsum(written)


def test_masked_labels_do_not_decide():
    mask = np.arange(30) < 29
    losses = Hinge(reduction=None)(MIXED, P, mask=mask)
    np.testing.assert_allclose(losses[:29], numpy_hinge(2 * BINARY - 1, P)[:29], rtol=1e-7)
    masked = sl.evaluate(Hinge(), MIXED, P, mask=mask)["hinge"]
    assert masked.mean == sl.evaluate(Hinge(), BINARY[:29], P[:29])["hinge"].mean


def test_a_declared_convention_is_held_to():
    np.testing.assert_allclose(Hinge(labels="pm1", reduction=None)(BINARY, P), numpy_hinge(BINARY, P), rtol=1e-7)
    assert Hinge(labels="01")(BINARY, P) == Hinge()(BINARY, P)
    with pytest.raises(ValueRangeError, match=r"y_true\[29, 1\] is -1; expected a value in \[0, 1\]"):
        Hinge(labels="01")(MIXED, P)
    with pytest.raises(ValueRangeError, match=r"is 2; expected a value in \[-1, 1\]"):
        Hinge()([2.0], [1.0])
    with pytest.raises(sl.errors.UnknownNameError, match=r"labels of Hinge.*Did you mean 'auto'"):
        Hinge(labels="auot")


def test_a_label_without_a_side_costs_one_whatever_is_predicted():
    assert Hinge(reduction=None)([0.0, -1.0], [np.inf, 0.0]).tolist() == [1.0, 1.0]


Y = (RNG.random((12, 5, 3)) < 0.4).astype(np.float32)
Q = RNG.random((12, 5, 3), np.float32)


def exact_ratio(y, p, alpha=None, beta=None, epsilon=1e-7):
    """In rational numbers, of all entries: Dice, or Tversky where alpha and beta are given."""
    y, p = ([Fraction(v) for v in array.ravel().tolist()] for array in (y, p))
    both, epsilon = sum(a * b for a, b in zip(y, p, strict=True)), Fraction(float(np.float32(epsilon)))
    if alpha is None:
        return float(1 - 2 * both / (sum(y) + sum(p) + epsilon))
    wrong = Fraction(alpha) * (sum(p) - both) + Fraction(beta) * (sum(y) - both)
    return float(1 - both / (both + wrong + epsilon))


@pytest.mark.parametrize("executor", ["inline", "threads", "auto"])
def test_one_ratio_over_all_chunks_is_exact(tmp_path, executor):
    y, p = chunked(tmp_path / "y.zarr", Y, 5), chunked(tmp_path / "p.zarr", Q, 7)
    dice = sl.losses.Dice()
    result = sl.evaluate([dice, sl.losses.Tversky(0.25, 2.0)], y, p, executor=executor)
    assert result["dice"].value == exact_ratio(Y, Q)
    assert result["tversky"].value == exact_ratio(Y, Q, 0.25, 2.0)
    assert dice(Y, Q) == dice(y, p) == result["dice"].sum
    assert (result["dice"].count, result["dice"].weight_sum) == (1, 1.0)


def test_float64_products_are_not_rounded():
    y, p = RNG.random((50, 2)), RNG.random((50, 2))
    assert sl.losses.Dice(epsilon=0)(y, p) == exact_ratio(y, p, epsilon=0.0)


@pytest.mark.parametrize("axis", [(0, 1), [0, 1], (1, 0), (-3, -2)])
def test_ratios_over_the_rows_for_each_class(tmp_path, axis):
    loss = sl.losses.Dice(axis=axis, reduction=None)
    ratios = [exact_ratio(Y[..., j], Q[..., j]) for j in range(3)]
    assert loss(Y, Q).tolist() == ratios
    assert sl.losses.Dice(axis=axis)(Y, Q) == pytest.approx(sum(ratios) / 3, rel=1e-15)
    result = sl.evaluate(loss, Y, Q, 2.0, out=str(tmp_path / "out.zarr"))["dice"]
    assert zarr.open_array(tmp_path / "out.zarr" / "dice")[...].tolist() == [2 * ratio for ratio in ratios]
    assert (result.count, result.weight_sum) == (3, 6.0)


def test_a_ratio_inside_each_row():
    losses = sl.losses.Dice(axis=(1, 2), reduction=None)(Y, Q)
    assert losses.dtype == np.float32
    np.testing.assert_allclose(losses, [exact_ratio(y, p) for y, p in zip(Y, Q, strict=True)], rtol=1e-7)
    by_time = sl.losses.Tversky(alpha=1.0, beta=0.0, axis=-1, reduction=None)(Y, Q)
    np.testing.assert_allclose(by_time[3, 2], exact_ratio(Y[3, 2], Q[3, 2], 1.0, 0.0), rtol=1e-7)


def test_ratios_leave_masked_and_omitted_rows_out():
    mask = np.arange(12) < 9
    assert sl.losses.Dice(axis=(0,), reduction=None)(Y, Q, mask=mask).tolist() == (
        sl.losses.Dice(axis=(0,), reduction=None)(Y[:9], Q[:9]).tolist()
    )
    spoiled = Q.copy()
    spoiled[9:] = np.nan
    with pytest.raises(ValueRangeError, match=r"y_pred\[9, 0, 0\] is NaN"):
        sl.losses.Dice()(Y, spoiled)
    with pytest.warns(sl.errors.StreamlossWarning, match="45 rows whose loss is NaN were left out"):
        omitted = sl.evaluate(sl.losses.Dice(), Y, spoiled, nan_policy="omit")["dice"]
    assert omitted.value == exact_ratio(Y[:9], Q[:9])
    assert np.isnan(sl.evaluate(sl.losses.Dice(), Y, spoiled, nan_policy="propagate")["dice"].value)


def test_ratios_refuse_what_has_no_meaning():
    with pytest.raises(UsageError, match="one ratio over the whole data has no rows that could be weighted"):
        sl.losses.Dice()(Y, Q, np.ones((12, 5, 3)))
    with pytest.raises(ValueRangeError, match=r"y_pred\[1\] is 1.5; expected a value in \[0, 1\]"):
        sl.losses.Dice()([1.0, 0.0], [0.5, 1.5])
    with pytest.raises(ShapeError, match="axis=3 is out of bounds"):
        sl.losses.Dice(axis=3)(Y, Q)
    with pytest.raises(ShapeError, match="names an axis of y_pred of rank 3 twice"):
        sl.losses.Dice(axis=(0, -3))(Y, Q)
    with pytest.raises(ShapeError, match="leaves 5,000 ratios over the whole data; expected at most 4,096"):
        sl.losses.Dice(axis=0)(np.zeros((2, 5000)), np.zeros((2, 5000)))
    with pytest.raises(ValueRangeError, match=r"dice: the ratio at \(1,\) is 0 / 0"):
        sl.losses.Dice(axis=0, epsilon=0)(np.array([[1.0, 0.0]]), np.array([[1.0, 0.0]]))


def test_an_overlap_of_nothing_costs_one():
    assert sl.losses.Dice()(np.zeros(4), np.zeros(4)) == 1.0
    assert sl.losses.Tversky()(np.zeros(4), np.zeros(4)) == 1.0


def test_sums_of_other_ratios_are_not_merged():
    states = [sl.evaluate(sl.losses.Dice(axis=axis), Y, Q)["dice"].state for axis in (None, (0, 1))]
    with pytest.raises(sl.errors.StateError, match="cannot be merged"):
        states[0].merge(states[1])
