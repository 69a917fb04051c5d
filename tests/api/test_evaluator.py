"""An evaluator of batches: however rows are cut, and whoever adds them, the sums are those of all rows at once."""

import gc
import itertools
import pickle
import time
import warnings
import weakref
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import zarr
from hypothesis import given, settings
from hypothesis import strategies as st

import streamloss as sl
from streamloss.api.batch_sums import BatchSums
from streamloss.errors import (
    OutputExistsError,
    ShapeError,
    SourceError,
    StateError,
    StreamlossWarning,
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
@given(
    cuts=st.lists(st.integers(0, ROWS), max_size=5),
    weighted=st.booleans(),
    split=st.integers(0, 6),
    how=st.sampled_from(["merge", "restore", "pickle"]),
)
def test_any_cutting_merging_and_saving_has_the_sums_of_all_rows(name, tmp_path_factory, cuts, weighted, split, how):
    loss, y_true, y_pred = LOSSES[name]
    weights = WEIGHTS if weighted and name != "whole data" else None
    places = sorted([0, ROWS, *cuts])  # some batches have no rows
    evaluators = sl.Evaluator(loss), sl.Evaluator(loss)
    for i, (first, stop) in enumerate(itertools.pairwise(places)):
        added(evaluators[i >= split], y_true, y_pred, weights, first, stop)
    one, other = evaluators
    if how == "restore" and other.batches:
        path = tmp_path_factory.mktemp("saved") / "other.state"
        other.save(path)
        one.restore(path)
    else:
        one.merge(pickle.loads(pickle.dumps(other)) if how == "pickle" else other)
    expected = sl.evaluate(loss, y_true, y_pred, weights)
    (found,), (whole,) = one.result().values(), expected.values()
    assert found.state == whole.state
    assert (found.value, found.sum, found.count) == (whole.value, whole.sum, whole.count)
    assert (one.result().rows, one.batches) == (expected.rows, len(places) - 1)


def test_threads_add_side_by_side(monkeypatch):
    merge = BatchSums.merge

    def slowly(self, other):
        time.sleep(0.001)  # another thread reads the sums in the meantime, unless it has to wait
        return merge(self, other)

    monkeypatch.setattr(BatchSums, "merge", slowly)
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


def updated(**settings):
    evaluator = sl.Evaluator("mse", **settings)
    evaluator.update(ONE_HOT, LOGITS)
    return evaluator


@pytest.mark.parametrize(
    "settings", [{"nan_policy": "omit"}, {"nan_policy": "propagate"}, {"clip_probabilities": True}]
)
def test_sums_of_other_settings_are_not_mixed(settings, tmp_path):
    """Rows that one has left out, or let through as NaN, the other would have refused."""
    one, other = updated(), updated(**settings)
    other.save(tmp_path / "other.state")
    (name,) = settings
    for add in (lambda: one.merge(other), lambda: one.restore(tmp_path / "other.state")):
        with pytest.raises(StateError, match=f"the other evaluator has {name}="):
            add()
    assert one.states() == updated().states()


def test_only_evaluators_of_the_same_losses_are_merged():
    with pytest.raises(StateError, match="is of other; expected mean_squared_error"):
        updated().merge(sl.Evaluator({"other": "mse"}))
    with pytest.raises(UsageError, match="merge takes another Evaluator; received 3"):
        updated().merge(3)


def test_a_pickled_evaluator_goes_on():
    evaluator = pickle.loads(pickle.dumps(updated()))
    evaluator.update(ONE_HOT, LOGITS)
    assert (evaluator.rows, evaluator.batches) == (2 * ROWS, 2)
    assert evaluator.result().value == updated().result().value


def test_the_result_is_that_of_evaluate_and_can_be_saved(tmp_path):
    loss, labels = sl.losses.SparseCategoricalCrossentropy(from_logits=True), LABELS.reshape(-1, 2)
    logits, class_weight = LOGITS.reshape(-1, 2, 5), {1: 2.0, 3: 0.5}
    evaluator = sl.Evaluator(loss, class_weight=class_weight, reduction="mean_with_sample_weight")
    for part in (slice(0, 7), slice(7, None)):
        evaluator.update(labels[part], logits[part])
    found = evaluator.result()
    expected = sl.evaluate(loss, labels, logits, class_weight=class_weight, reduction="mean_with_sample_weight")
    assert (found.value, found.rows, found.bytes_read) == (expected.value, ROWS, expected.bytes_read)
    assert found.to_dict()["losses"] == expected.to_dict()["losses"]
    assert found.snapshot.manifest.class_weight == expected.snapshot.manifest.class_weight
    found.save(tmp_path / "a.state")
    assert sl.load(tmp_path / "a.state") == found
    with pytest.raises(UsageError, match="does not know its rows"):  # batches may be in another evaluator, too
        sl.merge([found, found])


def test_warnings_name_the_line_that_asks_for_the_result():
    evaluator = sl.Evaluator("mse", nan_policy="omit")
    evaluator.update([1.0, 2.0], [1.0, np.nan])
    with pytest.warns(StreamlossWarning, match="1 row whose loss is NaN was left out") as caught:
        evaluator.result()
    assert caught[0].filename == __file__


def test_chunks_that_were_never_written_are_warned_of():
    labels = zarr.create_array({}, shape=(4,), chunks=(2,), dtype="f8", fill_value=0.0)
    labels[:2] = 1.0
    evaluator = sl.Evaluator("mse")
    with pytest.warns(StreamlossWarning, match="y_true: 1 of the chunks of .* never written; fill values were read"):
        evaluator.update(labels, np.ones(4))


@pytest.mark.parametrize("batch", [{"y_true": LABELS}, {"y_true": LABELS, "y_pred": LOGITS, "index": LABELS}, "ab"])
def test_what_is_no_batch_is_named(batch):
    with pytest.raises(UsageError, match=r"batch 0 is a (mapping of 'y_true'|str of 2).*; expected \(y_true, y_pred\)"):
        sl.Evaluator("mse").update_all([batch])


def test_no_batch_is_held():
    evaluator, predictions = sl.Evaluator("mse"), LOGITS.copy()
    evaluator.update(ONE_HOT, predictions)
    held = weakref.ref(predictions)
    del predictions
    gc.collect()
    assert held() is None


def test_batches_of_equal_shapes_have_their_own_numbers_layouts_and_weights():
    """A plan that is kept for a shape has nothing of the batch that it was made for."""
    batches = [
        (ONE_HOT, LOGITS, 2.0),
        (ONE_HOT, LOGITS[::-1], 3.0),
        (ONE_HOT.astype(np.int64), np.asfortranarray(LOGITS), np.array(0.5)),
        (ONE_HOT, LOGITS[::-1].copy(), np.array(0.25)),
        (ONE_HOT, LOGITS, np.array(0.75)),
        (ONE_HOT, LOGITS * 2, WEIGHTS),
        (ONE_HOT[::-1], LOGITS, WEIGHTS[::-1]),
    ]
    evaluator = sl.Evaluator("mse").update_all(batches)
    y_true, y_pred, weight = (
        [np.broadcast_to(b[i], s) for b in batches] for i, s in enumerate([(ROWS, 5)] * 2 + [ROWS])
    )
    expected = sl.evaluate("mse", *map(np.concatenate, (y_true, y_pred, weight)))
    assert evaluator.states()["mean_squared_error"] == expected["mean_squared_error"].state


def test_a_kept_plan_refuses_and_warns_as_a_new_one():
    evaluator, wrong = sl.Evaluator(sl.losses.SparseCategoricalCrossentropy(from_logits=True)), LABELS.copy()
    wrong[3] = 9
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        evaluator.update(LABELS, np.ones((ROWS, 5), np.int64))
        before = evaluator.states()
        with pytest.raises(ValueRangeError, match=r"y_true\[3\] is 9"):
            evaluator.update(wrong, np.ones((ROWS, 5), np.int64))
    assert len([w for w in caught if "logits are floats" in str(w.message) and w.filename == __file__]) == 2
    assert evaluator.states() == before


def test_more_shapes_than_plans_are_kept():
    evaluator = sl.Evaluator("mse")
    for rows in (*range(1, 40), *range(1, 40)):
        evaluator.update(ONE_HOT[:rows], LOGITS[:rows])
    assert evaluator.rows == 39 * 40


def test_tensors_of_a_data_loader_are_batches():
    torch = pytest.importorskip("torch")
    loader = torch.utils.data.DataLoader(
        torch.utils.data.TensorDataset(torch.from_numpy(LABELS), torch.from_numpy(LOGITS)), batch_size=50
    )
    loss = sl.losses.SparseCategoricalCrossentropy(from_logits=True)
    expected = sl.evaluate(loss, LABELS, LOGITS).value
    assert sl.Evaluator(loss).update_all(loader).result().value == expected
    evaluator = sl.Evaluator(loss)
    evaluator.update(torch.from_numpy(LABELS), torch.from_numpy(LOGITS).requires_grad_())  # as in a training loop
    assert evaluator.result().value == expected
