"""Probabilities and labels that rounding put outside [0, 1]: taken as 0 or 1, up to four units in the last place."""

import math

import dask.array as da
import ml_dtypes
import numpy as np
import pytest
import zarr

import streamloss as sl
from streamloss.errors import ValueRangeError

RNG = np.random.default_rng(3)
SLACK = {"float16": 2.0**-9, "bfloat16": 2.0**-6, "float32": 2.0**-22, "float64": 2.0**-51}
DTYPES = {name: ml_dtypes.bfloat16 if name == "bfloat16" else np.dtype(name) for name in SLACK}
P = np.array([0.0, 1.0, 1.0, 0.25, 0.5, 1.0])
Y = np.array([0.0, 1.0, 0.0, 1.0, 1.0, 1.0])


def nudged(values, dtype, amount):
    """Move the first values outside [0, 1], by an amount that the dtype holds."""
    moved = values.copy()
    moved[:3] += np.array([-amount, amount, amount])
    return moved.astype(DTYPES[dtype])


@pytest.mark.parametrize("way", ["memory", "Dask", "all cores", "NONE"])
@pytest.mark.parametrize("dtype", SLACK)
@pytest.mark.parametrize("role", ["y_true", "y_pred", "both"])
def test_a_few_units_in_the_last_place_are_rounding(tmp_path, role, dtype, way):
    exact = {"y_true": Y.astype(DTYPES[dtype]), "y_pred": P.astype(DTYPES[dtype])}
    moved = dict(exact)
    for name in exact if role == "both" else [role]:
        moved[name] = nudged({"y_true": Y, "y_pred": P}[name], dtype, SLACK[dtype])
        moved[name][0] = -SLACK[dtype] if name == "y_pred" else exact[name][0]
    options = {"all cores": {"executor": "threads"}, "NONE": {"out": str(tmp_path / "moved.zarr")}}.get(way, {})
    given = {name: da.from_array(a, chunks=2) if way == "Dask" else a for name, a in moved.items()}
    found = sl.evaluate("bce", **given, **options)["bce"]
    if way == "NONE":
        options = {"out": str(tmp_path / "exact.zarr")}
    expected = sl.evaluate("bce", **exact, **options)["bce"]
    assert found.state.to_bytes() == expected.state.to_bytes()
    if way == "NONE":
        written = [zarr.open_array(tmp_path / f"{name}.zarr" / "bce")[...].tobytes() for name in ("moved", "exact")]
        assert written[0] == written[1]


@pytest.mark.parametrize(
    ("loss", "y"),
    [
        (sl.losses.SparseCategoricalCrossentropy(), np.array([0, 1])),
        (sl.losses.CategoricalCrossentropy(), np.eye(2)),
        (sl.losses.BinaryFocalCrossentropy(), np.eye(2)),
        (sl.losses.KLDivergence(), np.eye(2)),
        (sl.losses.BrierScore(), np.array([0, 1])),
        (sl.losses.Dice(), np.eye(2)),
    ],
    ids=lambda of: getattr(of, "name", ""),
)
def test_every_loss_of_probabilities_has_the_tolerance(loss, y):
    exact = np.array([[0.0, 1.0], [1.0, 0.0]], np.float32)
    assert loss(y, exact + np.float32([-(2.0**-22), 2.0**-22])) == loss(y, exact + np.float32([0, 0]))


@pytest.mark.parametrize("dtype", SLACK)
def test_what_is_further_out_is_refused_with_digits_enough(dtype):
    beyond = {"float64": r"1\.000000000000001\d*", "float32": r"1\.0000003\d", "float16": r"1\.00292969"}
    amount = 3 * SLACK[dtype] / 2
    moved = nudged(P, dtype, 0.0)
    moved[1] = 1 + amount
    pattern = rf"y_pred\[1\] is {beyond.get(dtype, '1.0234375')}; expected a value in \[0, 1\]"
    with pytest.raises(ValueRangeError, match=pattern):
        sl.evaluate("bce", Y, moved)


def test_the_row_that_is_named_is_the_one_that_is_refused():
    """Not one before it, whose prediction is within the tolerance."""
    p = P.astype(np.float32)
    p[1], p[4] = 1 + 2.0**-22, 7.0
    with pytest.raises(ValueRangeError, match=r"y_pred\[4\] is 7; expected"):
        sl.evaluate("bce", Y, p)
    y = Y.copy()
    y[1] = 3.0
    with pytest.raises(ValueRangeError, match=r"y_true\[1\] is 3; expected"):
        sl.evaluate("bce", y, p)


def test_other_intervals_have_no_tolerance():
    with pytest.raises(ValueRangeError, match=r"y_pred\[0\] is -1e-09; expected a value in \[0, inf\)"):
        sl.evaluate("poisson", [1.0], [-1e-9])
    assert math.isfinite(sl.evaluate("poisson", [1.0], [0.0])["poisson"].mean)
