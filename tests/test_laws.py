"""The laws that streamloss promises, as properties over every declared loss.

The losses of rows and the state have the same bytes for any chunks, executor, number of threads, store and tree of
merges; SUM is the exact sum of the losses of rows, and means are exact quotients.
"""

import functools
import itertools
import math

import numpy as np
import pytest
import zarr
from hypothesis import given, settings
from hypothesis import strategies as st

import streamloss as sl
from exact import exact_sum, rounded
from strategies import Case, cases, every_loss, over_rows
from streamloss.execution import backends
from streamloss.formulas._kinds import LabelSequence, OneHot, Parametric, Sparse
from streamloss.kernels import cpu

LOSSES = every_loss()


@pytest.fixture(autouse=True, scope="module")
def parallel_loops(small_blocks):
    """Use the loop over all cores for arrays of any size, too."""
    small_blocks.setattr(backends, "PARALLEL_FROM", 0)
    small_blocks.setattr(cpu, "ELEMENTS_PER_THREAD", 1)


def stored(data: st.DataObject, array: np.ndarray) -> zarr.Array:
    """Return a copy in a Zarr store in memory, in chunks of any size (up to five along an axis), sharded or not."""
    chunks = tuple(data.draw(st.integers(-(-n // 5), n), label="chunk") for n in array.shape)
    layout = data.draw(st.sampled_from(["v2", "v3", "sharded"]), label="layout")
    shards = tuple(2 * c for c in chunks) if layout == "sharded" else None
    made = zarr.create_array(
        zarr.storage.MemoryStore(),
        shape=array.shape,
        dtype=array.dtype,
        chunks=chunks,
        shards=shards,
        zarr_format=2 if layout == "v2" else 3,
        config={"write_empty_chunks": True},
    )
    made[...] = array
    return made


def everything(loss, shape) -> dict:
    """Return the arguments that ask for every statistic that has a meaning for a loss, with keys for its rows."""
    if over_rows(loss):
        return {}
    stats = ["stderr", "histogram", "worst=3", "running=4"]
    with_classes = "from_logits" in loss.spec.parameters and not isinstance(loss.spec.formula, LabelSequence)
    keys = np.arange(np.prod(shape)).reshape(shape)
    by = {"third": keys % 3, "text": np.array(["a", "bc"])[keys % 2]}
    return {
        "by": by,
        "keep": 0,
        "cluster": keys // 4,
        "stats": stats + ["calibration=5", "calibration_tail", "confusion"] * with_classes,
    }


def run(loss, case, **options) -> tuple[bytes, bytes]:
    """Return the bytes of the losses of rows, and of the state with every statistic."""
    unreduced = type(loss)(**{**loss.get_config(), "reduction": "none"})
    losses = unreduced(case.y_true, case.y_pred, case.weight)
    asked = everything(loss, losses.shape)
    result = sl.evaluate(loss, case.y_true, case.y_pred, case.weight, **asked, **options)
    return losses.tobytes(), result[loss.name].state.to_bytes()


@pytest.mark.parametrize("name", LOSSES)
@settings(max_examples=settings.default.max_examples // 2)  # each example evaluates up to ten times
@given(data=st.data())
def test_any_chunking_executor_thread_count_and_merge_tree_gives_identical_bytes(name, data):
    loss = LOSSES[name]
    case = data.draw(cases(loss))
    rows = len(case.y_pred)
    losses_of_rows, state = run(loss, case, executor="inline")

    chunked = Case(*(stored(data, array) if isinstance(array, np.ndarray) else array for array in case))
    executor = data.draw(st.sampled_from(["inline", "threads"]), label="executor")
    workers = data.draw(st.integers(1, 4), label="workers")
    assert run(loss, chunked, executor=executor, workers=workers) == (losses_of_rows, state)
    if case.y_pred.dtype == np.float32:  # one dtype's loop over all cores is compiled, not two
        assert run(loss, case, executor="auto") == (losses_of_rows, state), "the parallel kernel"

    cuts = sorted({0, rows, *data.draw(st.lists(st.integers(0, rows), max_size=4), label="cuts")})
    unreduced = type(loss)(**{**loss.get_config(), "reduction": "none"})
    asked = everything(loss, unreduced(*case).shape)
    parts = [
        sl.evaluate(loss, *chunked[:2], chunked.weight, rows=slice(a, b), executor="inline", **asked)[loss.name].state
        for a, b in itertools.pairwise(cuts)
    ]
    while len(parts) > 1:  # any tree: merge any two until one is left
        a, b = data.draw(st.permutations(range(len(parts))), label="merge")[:2]
        parts = [part for i, part in enumerate(parts) if i not in (a, b)] + [parts[a].merge(parts[b])]
    assert parts[0].to_bytes() == state


@pytest.mark.parametrize("name", LOSSES)
@given(data=st.data())
def test_sums_and_means_are_exact(name, data):
    loss = LOSSES[name]
    case = data.draw(cases(loss))
    unreduced = type(loss)(**{**loss.get_config(), "reduction": "none"})
    losses_of_rows = np.atleast_1d(unreduced(*case))
    result = sl.evaluate(loss, case.y_true, case.y_pred, case.weight, executor="inline")[loss.name]
    if not np.isfinite(losses_of_rows).all():
        infinities = set(losses_of_rows[np.isinf(losses_of_rows)].tolist())
        assert np.array_equal(result.sum, infinities.pop() if len(infinities) == 1 else np.nan, equal_nan=True)
        return
    total = exact_sum(losses_of_rows)
    weight = 1.0 if case.weight is None else case.weight
    weights = exact_sum(np.broadcast_to(weight, losses_of_rows.shape))
    assert result.sum == rounded(total)
    if abs(total) < 1e300:
        assert result.sum == math.fsum(losses_of_rows)
    assert result.mean == rounded(total / len(losses_of_rows))
    assert result.weighted_mean == rounded(total / weights)
    assert (result.count, result.weight_sum) == (len(losses_of_rows), rounded(weights))


@pytest.mark.parametrize("name", LOSSES)
@given(data=st.data())
def test_float32_predictions_give_the_bytes_of_the_same_values_as_float64(name, data):
    loss = LOSSES[name]
    case = data.draw(cases(loss).filter(lambda case: case.y_pred.dtype == np.float32))
    for dtype in ("float32", "float64"):
        unreduced = type(loss)(**{**loss.get_config(), "reduction": "none", "dtype": dtype})
        upcast = unreduced(case.y_true, case.y_pred.astype(np.float64))
        assert unreduced(case.y_true, case.y_pred).tobytes() == upcast.tobytes()


@pytest.mark.parametrize("name", LOSSES)
def test_losses_do_not_depend_on_their_neighbours(name):
    """A row has the same bits alone and among others, for numbers of classes across slots and segments."""
    loss = LOSSES[name]
    if loss.spec.both_conventions or over_rows(loss):
        return  # its rows do depend on all labels
    unreduced = type(loss)(**{**loss.get_config(), "reduction": "none"})
    rng = np.random.default_rng(1)
    for classes in (1, 2, 3, 255, 256, 257, 1023, 1025, 2500):
        y_pred = rng.random((5, classes), np.float32)
        match loss.spec.formula:
            case Sparse() | OneHot():
                y_true = rng.integers(0, classes, 5)
            case Parametric():
                y_true, y_pred = y_pred[:, 0].copy(), rng.random((5, 2), np.float32)
            case LabelSequence():
                y_true, y_pred = np.full((5, 1), classes - 1), y_pred.reshape(5, 1, classes)
            case formula:
                y_true = y_pred[::-1].round() if formula.y_true.smallest <= 0 else y_pred[::-1] + 1
        together = unreduced(y_true, y_pred)
        alone = np.concatenate([unreduced(y_true[i : i + 1], y_pred[i : i + 1]) for i in range(5)])
        assert together.tobytes() == alone.tobytes()


def test_merging_is_associative_over_real_states():
    rng = np.random.default_rng(2)
    y, p = rng.random(1000, np.float32), rng.random(1000, np.float32)
    whole = sl.evaluate("mse", y, p)["mean_squared_error"].state
    parts = [sl.evaluate("mse", y[i::7], p[i::7])["mean_squared_error"].state for i in range(7)]
    assert functools.reduce(lambda a, b: b.merge(a), parts).to_bytes() == whole.to_bytes()
