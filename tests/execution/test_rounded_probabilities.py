"""Probabilities and labels outside [0, 1]: 0 or 1 where rounding put them there, or where clipping is asked for."""

import math

import dask.array as da
import ml_dtypes
import numpy as np
import pytest
import zarr

import streamloss as sl
from streamloss import cli
from streamloss.errors import UsageError, ValueRangeError
from streamloss.execution import probabilities

SLACK = {"float16": 2.0**-8, "bfloat16": 2.0**-5, "float32": 2.0**-21, "float64": 2.0**-50}
DTYPES = {name: ml_dtypes.bfloat16 if name == "bfloat16" else np.dtype(name) for name in SLACK}
P = np.array([0.0, 1.0, 1.0, 0.25, 0.5, 1.0])
Y = np.array([0.0, 1.0, 0.0, 1.0, 1.0, 1.0])
NAME = "binary_crossentropy"


def moved(values, dtype, amount):
    """Move the first values outside [0, 1], by an amount that the dtype holds."""
    return (values + np.array([-amount, amount, 0, 0, 0, amount])).astype(DTYPES[dtype])


def evaluated(y, p, way="memory", tmp_path=None, **options):
    """Return the bytes of the state and of NONE."""
    options |= {"all cores": {"executor": "threads"}, "pieces": {"executor": "inline"}}.get(way, {})
    if way == "files":
        for name, array in (("y", y), ("p", p)):
            zarr.create_array(tmp_path / f"{name}.zarr", data=array, overwrite=True)
        y, p = str(tmp_path / "y.zarr"), str(tmp_path / "p.zarr")
    if way == "NONE":
        options["out"] = {NAME: str(tmp_path / "losses.zarr")}
    if way == "Dask":
        y, p = da.from_array(y, chunks=2), da.from_array(p, chunks=2)
    result = sl.evaluate("bce", y, p, overwrite=True, **options)[NAME]
    return result.state.to_bytes(), zarr.open_array(options["out"][NAME])[...].tobytes() if "out" in options else b""


@pytest.mark.parametrize("way", ["memory", "all cores", "pieces", "NONE", "Dask", "files"])
@pytest.mark.parametrize("dtype", SLACK)
@pytest.mark.parametrize("role", ["y_true", "y_pred", "both"])
def test_what_rounding_put_outside_is_0_or_1(tmp_path, monkeypatch, role, dtype, way):
    if way == "pieces":
        monkeypatch.setattr(probabilities, "PIECE", 2)
        monkeypatch.setattr("streamloss.execution.loss_on_block.PIECE", 2)
    if way == "files" and dtype == "bfloat16":
        return  # Zarr has none
    exact = {"y_true": Y.astype(DTYPES[dtype]), "y_pred": P.astype(DTYPES[dtype])}
    given = dict(exact)
    for name in exact if role == "both" else [role]:
        given[name] = moved({"y_true": Y, "y_pred": P}[name], dtype, SLACK[dtype])
    assert evaluated(*given.values(), way, tmp_path) == evaluated(*exact.values(), way, tmp_path)


EYE = np.eye(2)
LOSSES = [
    (sl.losses.SparseCategoricalCrossentropy(), np.array([0, 1])),
    (sl.losses.SparseCategoricalCrossentropy(label_smoothing=0.1), np.array([0, 1])),
    (sl.losses.CategoricalCrossentropy(), EYE),
    (sl.losses.CategoricalFocalCrossentropy(), EYE),
    (sl.losses.CategoricalGeneralizedCrossEntropy(), np.array([0, 1])),
    (sl.losses.BinaryCrossentropy(epsilon=0), EYE),
    (sl.losses.BinaryFocalCrossentropy(), EYE),
    (sl.losses.KLDivergence(), EYE),
    (sl.losses.BrierScore(), np.array([0, 1])),
    (sl.losses.Dice(), EYE),
    (sl.losses.Tversky(axis=-1), EYE),
]


@pytest.mark.parametrize(("loss", "y"), LOSSES, ids=lambda of: getattr(of, "name", ""))
def test_every_loss_of_probabilities_has_the_same_slack(loss, y):
    exact = np.array([[0.0, 1.0], [1.0, 0.0]], np.float32)
    sides = np.where(exact == 1, np.float32(2.0**-21), -np.float32(2.0**-21))
    assert loss(y, exact + sides) == loss(y, exact)
    for clip, scale in ((False, 2.0), (True, 1e5)):
        further = exact + sides * np.float32(scale)
        if clip:
            found = sl.evaluate(loss, y, further, clip_probabilities=True)[loss.name]
            assert found.value == sl.evaluate(loss, y, exact)[loss.name].value
        else:
            with pytest.raises(ValueRangeError, match=r"clip_probabilities=True .*--clip-probabilities"):
                loss(y, further)


@pytest.mark.parametrize(
    ("dtype", "shown"),
    [
        ("float64", "1.0000000000000013"),
        ("float32", "1.00000072"),
        ("float16", "1.00585938"),
        ("bfloat16", "1.046875"),
    ],
)
def test_what_is_further_out_is_refused_with_digits_enough(dtype, shown):
    p, y = P.copy(), Y.copy()
    p[1] = 1 + 1.5 * SLACK[dtype]
    pattern = rf"y_pred\[1\] is {shown}; expected a value in \[0, 1\]\. If these are logits, pass from_logits=True; if"
    with pytest.raises(ValueRangeError, match=pattern):
        sl.evaluate("bce", Y, p.astype(DTYPES[dtype]))
    y[1] = p[1]
    pattern = rf"y_true\[1\] is {shown}; expected a value in \[0, 1\]\. If it is a probability, pass clip_prob"
    with pytest.raises(ValueRangeError, match=pattern):
        sl.evaluate("bce", y.astype(DTYPES[dtype]), P)


def test_the_row_that_is_named_is_the_one_that_is_refused():
    """Not one before it, whose numbers are within the slack."""
    p, y = P.astype(np.float32), Y.copy()
    p[1], p[4] = 1 + 2.0**-21, 7.0
    with pytest.raises(ValueRangeError, match=r"y_pred\[4\] is 7; expected"):
        sl.evaluate("bce", Y, p)
    y[1] = 3.0
    with pytest.raises(ValueRangeError, match=r"y_true\[1\] is 3; expected"):
        sl.evaluate("bce", y, p)


def test_another_loss_of_the_same_pass_sees_the_numbers_as_they_are():
    p = moved(P, "float32", 0.25)
    both = sl.evaluate(["bce", "mse"], Y, p, clip_probabilities=True)
    assert both["mean_squared_error"].value == sl.evaluate("mse", Y, p)["mean_squared_error"].value
    assert both[NAME].value == sl.evaluate("bce", Y, np.clip(p, 0, 1))[NAME].value


def test_rows_that_do_not_count_may_hold_anything():
    p = moved(P, "float32", 2.0**-21)
    p[3] = 9.0
    weights = np.array([1.0, 1.0, 2.0, 0.0, 1.0, 1.0])
    for options in ({"mask": weights > 0}, {"sample_weight": weights}):
        found = sl.evaluate("bce", Y, p, **options)[NAME]
        assert found.value == sl.evaluate("bce", Y, P.astype(np.float32), **options)[NAME].value


@pytest.mark.parametrize("way", ["memory", "all cores", "NONE", "Dask", "files"])
def test_clipping_takes_what_is_outside_as_0_or_1(tmp_path, way):
    p, y = moved(P, "float32", 0.375), moved(Y, "float32", 0.125)
    found = evaluated(y, p, way, tmp_path, clip_probabilities=True)
    assert found == evaluated(Y.astype(np.float32), P.astype(np.float32), way, tmp_path)


@pytest.mark.parametrize(
    ("y", "p", "message"),
    [
        (Y, np.where(P == 1, math.inf, P), r"y_pred\[1\] is inf; expected .*pass from_logits=True\.$"),
        (Y, np.where(P == 1, math.nan, P), r"y_pred\[1\] is NaN"),
        (2 * Y - 1, P, r"y_true\[0\] is -1; expected .*labels are -1 and 1"),
        (Y + 1, P, r"y_true\[1\] is 2; expected .*labels are 1 and 2"),
        (Y, (P * 255).astype(np.uint8), r"y_pred\[1\] is 255; expected"),
    ],
    ids=["infinity", "NaN", "labels of -1", "labels of 2", "integers"],
)
def test_what_is_no_probability_is_not_clipped(y, p, message):
    with pytest.raises(ValueRangeError, match=message):
        sl.evaluate("bce", y, p, clip_probabilities=True)


def test_other_intervals_have_no_slack():
    with pytest.raises(ValueRangeError, match=r"y_pred\[0\] is -1e-09; expected a value in \[0, inf\)"):
        sl.evaluate("poisson", [1.0], np.array([-1e-9]), clip_probabilities=True)
    with pytest.raises(ValueRangeError, match=r"sample_weight\[0\] is -1e-09"):
        sl.evaluate("bce", Y, P, np.array([-1e-9, 1, 1, 1, 1, 1]), clip_probabilities=True)


def test_the_setting_is_true_or_false():
    with pytest.raises(UsageError, match="clip_probabilities must be True or False; received 'yes'"):
        sl.evaluate("bce", Y, P, clip_probabilities="yes")


@pytest.mark.parametrize("place", ["flag", "file"])
def test_the_command_line_clips(tmp_path, capsys, place):
    np.save(tmp_path / "y.npy", Y)
    np.save(tmp_path / "p.npy", moved(P, "float32", 0.25))
    command = ["evaluate", "--loss", "bce", "--y-true", str(tmp_path / "y.npy"), "--y-pred", str(tmp_path / "p.npy")]
    assert cli.run(command) == ValueRangeError.exit_code
    assert "--clip-probabilities" in capsys.readouterr().err
    config = tmp_path / "job.toml"
    config.write_text("clip_probabilities = true\n", encoding="utf-8")
    assert cli.run([*command, *(["--clip-probabilities"] if place == "flag" else [str(config)])]) == 0
