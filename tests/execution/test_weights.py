"""What a row counts: masks and class weights, alone, together with sample weights, and from chunks."""

import json
import math
from fractions import Fraction

import numpy as np
import pytest
import zarr

import streamloss as sl
from streamloss.cli import run
from streamloss.errors import ShapeError, UsageError, ValueRangeError

RNG = np.random.default_rng(11)
ROWS, CLASSES = 40, 4
LABELS = RNG.integers(0, CLASSES, ROWS)
PROBABILITIES = RNG.dirichlet(np.ones(CLASSES), ROWS).astype(np.float32)
ONE_HOT = np.eye(CLASSES, dtype=np.float32)[LABELS]
WEIGHTS = RNG.random(ROWS)
MASK = RNG.random(ROWS) < 0.7
CLASS_WEIGHT = {0: 0.5, 2: 3.0, 3: 0.0}
OF_ROWS = np.array([CLASS_WEIGHT.get(int(label), 1.0) for label in LABELS])

Sparse = sl.losses.SparseCategoricalCrossentropy


def evaluate(loss, *arrays, **options):
    return next(iter(sl.evaluate(loss, *arrays, **options).values()))


def test_masked_rows_are_zero_not_counted_and_may_hold_anything():
    y_true, y_pred = LABELS.copy(), PROBABILITIES.copy()
    y_true[~MASK], y_pred[~MASK] = 99, np.nan
    unreduced = Sparse(reduction=None)
    losses = unreduced(y_true, y_pred, WEIGHTS, mask=MASK)
    kept = unreduced(LABELS[MASK], PROBABILITIES[MASK], WEIGHTS[MASK])
    assert losses[MASK].tobytes() == kept.tobytes()
    assert not losses[~MASK].any()
    result = evaluate(Sparse(), y_true, y_pred, WEIGHTS, mask=MASK)
    assert (result.count, result.ignored) == (MASK.sum(), (~MASK).sum())
    assert result.sum == math.fsum(kept)
    assert result.weighted_mean == float(sum(map(Fraction, kept.tolist())) / sum(map(Fraction, WEIGHTS[MASK].tolist())))


@pytest.mark.parametrize("dtype", [bool, np.uint8, np.int64])
def test_masks_come_from_chunks_and_spread_over_axes(tmp_path, dtype):
    y, p = RNG.random((6, 5, 3), np.float32), RNG.random((6, 5, 3), np.float32)
    keep = np.array([[True], [False], [True], [True], [False], [True]])
    stored = zarr.create_array(tmp_path / "mask.zarr", shape=(6, 1), chunks=(4, 1), dtype=dtype)
    stored[...] = keep.astype(dtype)
    options = {"rows": slice(1, 6), "executor": "threads"}
    found = evaluate("mse", y, p, mask=str(tmp_path / "mask.zarr"), **options)
    assert found.state.to_bytes() == evaluate("mse", y, p, mask=np.repeat(keep, 5, axis=1), **options).state.to_bytes()
    assert found.count == 3 * 5


def test_masks_that_are_none_are_refused():
    with pytest.raises(ValueRangeError, match=r"mask has dtype float64; expected booleans, or integers 0 and 1"):
        evaluate("mse", LABELS, LABELS, mask=WEIGHTS)
    with pytest.raises(ValueRangeError, match=r"mask\[3\] is 2; expected booleans, or 0 and 1"):
        evaluate("mse", LABELS, LABELS, mask=np.where(np.arange(ROWS) == 3, 2, 1))
    with pytest.raises(ShapeError, match=r"mask has shape \(39,\) but the losses have shape \(40,\)"):
        evaluate("mse", LABELS, LABELS, mask=MASK[1:])


@pytest.mark.parametrize(
    ("loss", "y_true"),
    [
        (Sparse(), LABELS),
        (Sparse(), LABELS.astype(np.float32)[:, None]),
        (sl.losses.CategoricalCrossentropy(), ONE_HOT),
        (sl.losses.CategoricalCrossentropy(label_smoothing=0.1), ONE_HOT.astype(np.uint8)),
    ],
)
def test_class_weights_are_sample_weights_by_label(loss, y_true):
    by_class = evaluate(loss, y_true, PROBABILITIES, class_weight=CLASS_WEIGHT)
    by_row = evaluate(loss, y_true, PROBABILITIES, OF_ROWS)
    assert (by_class.sum, by_class.mean, by_class.weighted_mean) == (by_row.sum, by_row.mean, by_row.weighted_mean)
    assert by_class.weight_sum == math.fsum(OF_ROWS)
    both = evaluate(loss, y_true, PROBABILITIES, WEIGHTS, class_weight=CLASS_WEIGHT)
    assert both.sum == evaluate(loss, y_true, PROBABILITIES, WEIGHTS * OF_ROWS).sum


def test_a_loss_that_is_called_takes_class_weights():
    loss, unreduced = Sparse(), Sparse(reduction=None)
    assert loss(LABELS, PROBABILITIES, class_weight=CLASS_WEIGHT) == loss(LABELS, PROBABILITIES, OF_ROWS)
    by_class = unreduced(LABELS, PROBABILITIES, WEIGHTS, class_weight=CLASS_WEIGHT)
    assert by_class.tobytes() == unreduced(LABELS, PROBABILITIES, WEIGHTS * OF_ROWS).tobytes()
    for name in ("class_weight", "weight"):
        with pytest.raises(UsageError, match=r"loss\(y_true, y_pred, class_weight=\[...\]\)"):
            Sparse(**{name: [1.0, 2.0]})


def test_class_weights_of_binary_labels():
    y = (LABELS > 1).astype(np.float32)
    p = PROBABILITIES[:, 0]
    found = evaluate("bce", y, p, class_weight={1: 4.0})
    assert found.sum == evaluate("bce", y[:, None], p, np.where(y == 1, 4.0, 1.0)).sum
    with pytest.raises(ValueRangeError, match=r"y_true\[0\] is 0.5; expected whole numbers, for class_weight names"):
        evaluate("bce", np.full(3, 0.5), p[:3], class_weight={1: 4.0})


def test_pytorch_means_weigh_by_class_and_leave_the_ignored_out():
    """``torch.nn.CrossEntropyLoss(weight, ignore_index)`` divides by the weights of the kept labels."""
    weight = [0.5, 1.0, 3.0, 0.25]
    logits = RNG.normal(size=(ROWS, CLASSES))
    y = np.where(LABELS == 1, -100, LABELS)
    found = evaluate(Sparse(from_logits=True, ignore_class=-100), y, logits, class_weight=dict(enumerate(weight)))
    kept = y != -100
    shifted = logits - logits.max(axis=1, keepdims=True)
    nll = np.log(np.exp(shifted).sum(axis=1)) - shifted[np.arange(ROWS), np.where(kept, y, 0)]
    of_rows = np.array(weight)[np.where(kept, y, 0)] * kept
    assert found.weighted_mean == pytest.approx((nll * of_rows).sum() / of_rows.sum(), rel=1e-14)


def test_masks_and_class_weights_on_the_command_line(tmp_path, capsys):
    files = {"y_true": LABELS, "y_pred": PROBABILITIES, "mask": MASK}
    for name, array in files.items():
        np.save(tmp_path / f"{name}.npy", array)
    flags = [part for name in files for part in (f"--{name.replace('_', '-')}", str(tmp_path / f"{name}.npy"))]
    loss = ["--loss", "sparse_categorical_crossentropy"]
    assert run(["evaluate", *loss, *flags, "-s", "class_weight={0 = 0.5, 2 = 3}", "-s", "class_weight.3=0"]) == 0
    found = json.loads(capsys.readouterr().out)["losses"]["sparse_categorical_crossentropy"]
    expected = evaluate(Sparse(), LABELS, PROBABILITIES, mask=MASK, class_weight=CLASS_WEIGHT)
    assert (found["sum"], found["count"], found["ignored"]) == (expected.sum, expected.count, expected.ignored)
    assert run(["evaluate", *loss, *flags, "-s", "class_weight.x=1"]) == 2
    assert "class_weight.x" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ("1,2", r"class_weight must map labels to weights, as \{0: 1.0, 1: 5.0\}, or list .*; received '1,2'"),
        ([[1.0]], r"class_weight must map labels to weights"),
        ([1.0, -2.0], r"class_weight\[1\] is -2.0"),
        ({0.5: 1.0}, r"class_weight: 0.5 is no label; expected an integer"),
        ({True: 1.0}, r"class_weight: True is no label"),
        ({2**63: 1.0}, r"class_weight: 9223372036854775808 is no label; expected an integer of 64 bits"),
        ({0: -1.0}, r"class_weight\[0\] is -1.0; expected a finite weight of at least 0"),
        ({0: math.nan}, r"class_weight\[0\] is nan"),
        ({0: "1"}, r"class_weight\[0\] is '1'"),
    ],
)
def test_class_weights_that_are_none_are_refused(given, message):
    with pytest.raises(UsageError, match=message):
        evaluate(Sparse(), LABELS, PROBABILITIES, class_weight=given)


def test_class_weights_need_one_label_for_each_row():
    with pytest.raises(UsageError, match="class_weight needs one label for each row"):
        evaluate("mse", ONE_HOT, PROBABILITIES, class_weight={0: 2.0})


def test_states_of_other_class_weights_are_not_merged():
    states = [evaluate(Sparse(), LABELS, PROBABILITIES, class_weight={0: w}).state for w in (1.0, 2.0)]
    with pytest.raises(sl.errors.StateError, match="cannot be merged"):
        states[0].merge(states[1])


def test_no_class_weights_are_none():
    plain = evaluate(Sparse(), LABELS, PROBABILITIES)
    assert evaluate(Sparse(), LABELS, PROBABILITIES, class_weight={}).state == plain.state


@pytest.mark.parametrize("weight", [-1.0, math.nan, math.inf])
def test_one_weight_for_all_is_checked_before_anything_is_read(weight):
    with pytest.raises(ValueRangeError, match=r"sample_weight is .*; expected a finite weight of at least 0"):
        sl.losses.Dice()([1.0], [0.5], weight)
