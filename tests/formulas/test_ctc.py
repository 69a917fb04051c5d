"""CTC against the sum over all alignments, and the rows that have none."""

import itertools
import math

import numpy as np
import pytest

import streamloss as sl
from streamloss.errors import ShapeError, ValueRangeError

RNG = np.random.default_rng(13)
CTC = sl.losses.CTC


def by_enumeration(labels, logits):
    """``-log`` of the probability of all paths that spell the labels once repeats and blanks are dropped."""
    exp = np.exp(logits.astype(np.float64) - logits.max(axis=1, keepdims=True))
    probabilities = exp / exp.sum(axis=1, keepdims=True)
    total = []
    for path in itertools.product(range(logits.shape[1]), repeat=len(logits)):
        if [k for k, _ in itertools.groupby(path) if k] == list(labels):
            total.append(math.prod(probabilities[t, k] for t, k in enumerate(path)))
    return -math.log(math.fsum(total))


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_ctc_adds_up_all_alignments(dtype):
    logits = (RNG.normal(size=(6, 5, 3)) * 3).astype(dtype)
    labels = np.array([[1, 2, 0], [2, 2, 0], [1, 1, 2], [0, 0, 0], [2, 0, 0], [1, 2, 1]], np.int32)
    losses = CTC(reduction=None)(labels, logits)
    expected = [by_enumeration(row[row > 0], x) for row, x in zip(labels, logits, strict=True)]
    np.testing.assert_allclose(losses, expected, rtol=1e-7 if dtype == np.float32 else 1e-13)
    assert losses.dtype == dtype


def test_ctc_keeps_the_tail_of_a_certain_sequence():
    """Certain of every step, the loss is what the other classes have: far below a float64's unit beside 1."""
    logits = np.zeros((1, 4, 3))
    logits[0, [0, 1, 2, 3], [1, 1, 0, 2]] = 60.0
    loss = CTC(reduction=None)([[1, 2]], logits)[0]
    # at each step one other class keeps the spelling (1 or blank, blank or 2), the other one does not, but at the ends
    assert 0 < loss < 8 * math.exp(-60)


def test_ctc_does_not_underflow_over_many_steps():
    steps = 3000
    loss = CTC()([[1, 2, 3]], np.zeros((1, steps, 50)))
    # all paths are equally likely: log of their number, which is C(steps + 3, 6) for three different labels
    assert loss == pytest.approx(steps * math.log(50) - math.log(math.comb(steps + 3, 6)), rel=1e-14)


def test_logits_of_minus_infinity_are_impossible_classes():
    logits = np.zeros((1, 2, 3))
    logits[0, :, 2] = -np.inf
    assert CTC()([[1, 0]], logits) == pytest.approx(-math.log(3 / 4))
    with pytest.raises(ValueRangeError, match="every alignment has a step whose logit is -inf"):
        CTC()([[2, 0]], logits)


def test_rows_that_cannot_be_aligned_follow_the_policy():
    labels, logits = np.array([[1, 1], [1, 0]]), np.zeros((2, 2, 3), np.float32)
    message = (
        r"y_true\[0, :\] cannot be aligned with y_pred\[0, :, :\]: its 2 labels need 3 time steps .* has 2; expected"
    )
    with pytest.raises(ValueRangeError, match=message):
        CTC()(labels, logits)
    with pytest.warns(sl.errors.StreamlossWarning, match="1 row whose"):
        omitted = sl.evaluate(CTC(), labels, logits, nan_policy="omit")["ctc"]
    assert (omitted.count, omitted.omitted) == (1, 1)
    assert sl.evaluate(CTC(), labels, logits, nan_policy="propagate")["ctc"].sum == math.inf


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        ([[1, 3]], r"y_true\[0, 1\] is 3, but y_pred has 3 classes; expected an integer label from 0 to 2"),
        ([[-1, 1]], r"y_true\[0, 0\] is -1, but y_pred has 3 classes"),
        ([[0, 1]], r"y_true\[0, 1\] is 1, behind a 0; expected labels from 1 to 2 and then only zeros"),
        ([[1.5, 0]], r"y_true\[0, 0\] is 1.5; expected an integer label"),
        ([[1, np.nan]], r"y_true\[0, 1\] is NaN; expected an integer label"),
    ],
)
def test_labels_that_are_no_sequence_are_named(labels, message):
    with pytest.raises(ValueRangeError, match=message):
        CTC()(labels, np.zeros((1, 4, 3)))


@pytest.mark.parametrize(
    ("y_true", "y_pred"), [((3,), (3, 4, 5)), ((3, 2), (3, 4)), ((3, 2), (2, 4, 5)), ((3, 2), (3, 0, 5))]
)
def test_shapes_that_are_no_sequences_are_named(y_true, y_pred):
    with pytest.raises(ShapeError, match=r"expected \(rows, length\) and \(rows, time, classes\)"):
        CTC()(np.zeros(y_true, int), np.zeros(y_pred))
