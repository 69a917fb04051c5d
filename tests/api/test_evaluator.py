"""An evaluator of batches: however rows are cut, and whoever adds them, the sums are those of all rows at once."""

import itertools
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import streamloss as sl
from streamloss.errors import (
    OutputExistsError,
    ShapeError,
    SourceError,
    StateError,
    UsageError,
    ValueRangeError,
)

ROWS = 120
RNG = np.random.default_rng(11)
LOGITS = RNG.standard_normal((ROWS, 5)).astype(np.float32) * np.exp(RNG.uniform(-3, 3, (ROWS, 1))).astype(np.float32)
LABELS = RNG.integers(0, 5, ROWS)
ONE_HOT = np.eye(5, dtype=np.float32)[LABELS]
WEIGHTS = RNG.random(ROWS) * (RNG.random(ROWS) > 0.2)
LOSSES = {  # a loss, labels, predictions
    "sparse": (sl.losses.SparseCategoricalCrossentropy(from_logits=True, ignore_class=2), LABELS, LOGITS),
    "float64": (sl.losses.MeanSquaredError(), ONE_HOT.astype(np.float64), LOGITS.astype(np.float64)),
    "convention": (sl.losses.Hinge(), ONE_HOT, LOGITS),
    "whole data": (sl.losses.Dice(), ONE_HOT, abs(LOGITS) / 100),
}


def added(evaluator, y_true, y_pred, weights, first, stop):
    weight = None if weights is None else weights[first:stop]
    evaluator.update(y_true[first:stop], y_pred[first:stop], weight)


@pytest.mark.parametrize("name", LOSSES)
@settings(max_examples=15, deadline=None)
@given(cuts=st.lists(st.integers(0, ROWS), max_size=5), weighted=st.booleans(), split=st.integers(0, 6))
def test_any_cutting_merging_and_saving_has_the_sums_of_all_rows(name, tmp_path_factory, cuts, weighted, split):
    loss, y_true, y_pred = LOSSES[name]
    weights = WEIGHTS if weighted and name != "whole data" else None
    places = sorted({0, ROWS, *cuts})
    evaluators = sl.Evaluator(loss), sl.Evaluator(loss)
    for i, (first, stop) in enumerate(itertools.pairwise(places)):
        added(evaluators[i >= split], y_true, y_pred, weights, first, stop)
    one, other = evaluators
    if other.batches:
        path = tmp_path_factory.mktemp("saved") / "other.state"
        other.save(path)
        one.restore(path) if split % 2 else one.merge(other)
    expected = sl.evaluate(loss, y_true, y_pred, weights)
    (found,), (whole,) = one.result().values(), expected.values()
    assert found.state == whole.state
    assert (found.value, found.sum, found.count) == (whole.value, whole.sum, whole.count)
    assert (one.result().rows, one.batches) == (expected.rows, len(places) - 1)


def test_threads_add_side_by_side():
    loss, y_true, y_pred = LOSSES["sparse"]
    evaluator = sl.Evaluator(loss)
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda i: added(evaluator, y_true, y_pred, None, i, i + 1), range(ROWS)))
    assert evaluator.result().value == sl.evaluate(loss, y_true, y_pred).value
    assert repr(evaluator) == f"Evaluator(sparse_categorical_crossentropy: {ROWS} rows in {ROWS} batches)"


def test_all_batches_of_a_loader_are_added():
    batches = [(LABELS[:40], LOGITS[:40]), {"y_true": LABELS[40:], "y_pred": LOGITS[40:], "mask": LABELS[40:] > 0}]
    evaluator = sl.Evaluator("scce").update_all([])
    with pytest.raises(UsageError, match="no batches yet"):
        evaluator.result()
    loss = sl.losses.SparseCategoricalCrossentropy(from_logits=True)
    found = sl.Evaluator(loss).update_all(iter(batches)).result()
    mask = np.concatenate([np.ones(40, bool), LABELS[40:] > 0])
    assert found.value == sl.evaluate(loss, LABELS, LOGITS, mask=mask).value
    with pytest.raises(UsageError, match=r"batch 1 is a list of 1; expected \(y_true, y_pred\)"):
        sl.Evaluator(loss).update_all([batches[0], [LABELS]])


REFUSED = {
    "a label out of range": ((LABELS + 5, LOGITS), ValueRangeError, "label"),
    "other classes": ((LABELS, LOGITS[:, :3]), (ShapeError, ValueRangeError), "label|classes"),
    "fewer labels": ((LABELS[:9], LOGITS), ShapeError, "y_true"),
    "weights": ((LABELS, LOGITS, WEIGHTS), StateError, "this batch has sample_weight; those before had none"),
    "another dtype": ((LABELS, LOGITS.astype(np.float64)), StateError, "of this batch are float64; expected float32"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_a_batch_that_is_refused_is_named_and_changes_nothing(case):
    batch, error, says = REFUSED[case]
    evaluator = sl.Evaluator(sl.losses.SparseCategoricalCrossentropy(from_logits=True))
    evaluator.update(LABELS, LOGITS)
    before = evaluator.states(), evaluator.rows, evaluator.batches
    with pytest.raises(error, match=says) as caught:
        evaluator.update(*batch)
    assert caught.value.__notes__ == ["It is in batch 1 of the Evaluator, counted from 0."]
    assert (evaluator.states(), evaluator.rows, evaluator.batches) == before


def test_batches_of_other_entries_are_not_mixed():
    evaluator = sl.Evaluator("mse")
    evaluator.update(ONE_HOT, LOGITS)
    with pytest.raises(ShapeError, match="y_pred has 2 axes, and 3 classes or entries; expected 2 axes, and 5"):
        evaluator.update(ONE_HOT[:, :3], LOGITS[:, :3])
    with pytest.raises(ShapeError, match="y_pred has 1 axis; expected 2 axes"):
        evaluator.update(ONE_HOT[:, 0], LOGITS[:, 0])


def test_losses_of_rows_are_refused():
    with pytest.raises(UsageError, match="mean_squared_error: an Evaluator adds losses up"):
        sl.Evaluator("mse", reduction="none")
    with pytest.raises(UsageError, match="nan_policy"):
        sl.Evaluator("mse", nan_policy="drop")


def test_what_was_saved_is_of_the_same_losses(tmp_path):
    evaluator = sl.Evaluator("mse")
    evaluator.update(ONE_HOT, LOGITS)
    evaluator.save(tmp_path / "a.state")
    evaluator.save(tmp_path / "a.state")
    with pytest.raises(StateError, match="is of mean_squared_error; expected mean_absolute_error"):
        sl.Evaluator("mae").restore(tmp_path / "a.state")
    with pytest.raises(SourceError, match="cannot read"):
        sl.Evaluator("mse").restore(tmp_path / "gone.state")
    for content in (b"", b"{}", b'{"format": "streamloss.evaluator", "version": 1}', b"[" * 10_000):
        (tmp_path / "b.state").write_bytes(content)
        with pytest.raises(StateError, match="not what an Evaluator has saved"):
            sl.Evaluator("mse").restore(tmp_path / "b.state")
    (tmp_path / "c.txt").write_text("mine")
    with pytest.raises(OutputExistsError, match="is no state"):
        evaluator.save(tmp_path / "c.txt")
    evaluator.reset()
    assert (evaluator.rows, evaluator.batches) == (0, 0)


def test_batches_of_another_width_are_one_evaluation_where_only_rows_differ():
    """Sentences of a batch are padded to the longest one of it."""
    evaluator = sl.Evaluator(sl.losses.SparseCategoricalCrossentropy(from_logits=True, ignore_class=-100))
    for width in (3, 7):
        labels = RNG.integers(0, 5, (4, width))
        labels[1, 2:] = -100
        evaluator.update(labels, RNG.standard_normal((4, width, 5)).astype(np.float32))
    assert evaluator.result()["sparse_categorical_crossentropy"].count == 3 * 10 + 2 + 2
