"""Dask arrays: nothing is computed until it is asked for, and then the bytes are those of arrays in memory."""

import warnings

import dask
import dask.array as da
import numpy as np
import pytest
import zarr
from dask.callbacks import Callback
from hypothesis import given, settings
from hypothesis import strategies as st

import streamloss as sl
from strategies import cases, every_loss
from streamloss.errors import StreamlossWarning, UsageError, ValueRangeError

MSE = "mean_squared_error"
LOSSES = every_loss()
CHOSEN = ["mean_squared_error", "sparse_categorical_crossentropy", "hinge", "dice", "dice:axis=0", "ctc"]
REDUCTIONS = ["none", "sum", "sum_over_batch_size", "mean_with_sample_weight"]


class Computed(Callback):
    """Counts the tasks that Dask's own schedulers run."""

    def __init__(self):
        self.tasks = 0
        super().__init__(posttask=self.count)

    def count(self, *_):
        self.tasks += 1


@pytest.mark.parametrize("name", CHOSEN)
@settings(max_examples=8)
@given(data=st.data())
def test_any_chunks_give_the_bytes_of_arrays_in_memory(name, data):
    """Chunks that do not meet, and chunks along the classes."""
    case = data.draw(cases(LOSSES[name]))
    chunked = [
        da.from_array(a, chunks=tuple(data.draw(st.integers(1, n)) for n in a.shape))
        if isinstance(a, np.ndarray)
        else a
        for a in case
    ]
    for reduction in REDUCTIONS:
        loss = type(LOSSES[name])(**{**LOSSES[name].get_config(), "reduction": reduction})
        expected = loss(*case)
        with Computed() as computed:
            lazy = loss(*chunked)
        assert computed.tasks == 0
        assert (lazy.shape, lazy.dtype) == (np.shape(expected), expected.dtype)
        value = lazy.compute(scheduler=data.draw(st.sampled_from(["synchronous", "threads"])))
        assert np.asarray(value).tobytes() == np.asarray(expected).tobytes()


def arrays(rows=20, classes=3):
    rng = np.random.default_rng(4)
    return rng.random((rows, classes), np.float32), rng.random((rows, classes), np.float32)


def test_a_plan_computes_nothing_of_them():
    y, p = (da.from_array(array) for array in arrays())
    with Computed() as computed, pytest.raises(UsageError, match=r"Dask decides; .*See array\.chunks"):
        sl.plan("mse", arrays()[0], y + p)
    assert computed.tasks == 0


def chunked(array, *chunks):
    return da.from_array(array, chunks=chunks)


def test_the_losses_of_rows_have_the_rows_chunks():
    y, p = arrays()
    lazy = sl.losses.MeanSquaredError(reduction="none")(chunked(y, 20, 3), chunked(p, (3, 9, 8), 2))
    assert lazy.chunks == ((3, 9, 8),)


def test_weights_and_masks_of_any_shape_meet():
    y, p = arrays(12, 4)
    w, m = np.random.default_rng(1).random((12, 1)), np.arange(4) % 2 == 0
    loss = sl.losses.MeanSquaredError(axis=None, reduction="none")
    expected = loss(y, p, w, mask=m.reshape(1, 4))
    for weight in (w, chunked(w, 5, 1)):
        lazy = loss(chunked(y, 4, 3), p, weight, mask=chunked(m.reshape(1, 4), 1, 2))
        assert np.array_equal(lazy.compute(scheduler="synchronous"), expected)


def test_zarr_arrays_may_stand_beside_dask_arrays():
    y, p = arrays()
    stored = zarr.create_array(zarr.storage.MemoryStore(), data=y, chunks=(6, 3))
    loss = sl.losses.MeanSquaredError()
    assert loss(stored, chunked(p, 7, 3)).compute(scheduler="synchronous") == loss(y, p)


@pytest.mark.parametrize("reduction", ["none", "sum"])
def test_chunks_of_unknown_sizes(reduction):
    y, p = arrays()
    keep = np.arange(20) % 3 > 0
    lazy = [chunked(a, 6, 2)[chunked(keep, 6)] for a in (y, p)]
    loss = sl.losses.MeanSquaredError(reduction=reduction)
    value = loss(*lazy).compute(scheduler="synchronous")
    assert np.array_equal(value, loss(y[keep], p[keep]))
    with pytest.raises(UsageError, match=r"y_true has chunks of unknown .* y_true \(4, 2\), y_pred \(1, 1\).*_sizes"):
        loss(lazy[0], da.from_array(p, chunks=20)[chunked(keep, 20)])
    with pytest.raises(UsageError, match=r"y_pred has chunks of unknown .* Call y_pred\.compute_chunk_sizes"):
        loss(y[keep], lazy[1])
    with pytest.raises(UsageError, match=r"Call y_true\.compute_chunk_sizes\(\) first"):
        sl.evaluate(loss, *lazy)
    computed = [array.compute_chunk_sizes() for array in lazy]
    assert sl.evaluate("mse", *computed)[MSE].sum == sl.evaluate("mse", y[keep], p[keep])[MSE].sum


@pytest.mark.parametrize("known", [True, False])
def test_wrong_data_is_named_by_its_row(known):
    y, p = arrays()
    p[13, 1] = np.nan
    lazy = [chunked(a, 6, 2) for a in (y, p)]
    if not known:
        lazy = [a[chunked(np.ones(20, bool), 6)] for a in lazy]
    loss = sl.losses.MeanSquaredError()(*lazy)
    named = (
        r"y_pred\[13, 1\] is NaN \(chunk 2/0 of a Dask array\)"
        if known
        else r"y_pred\[1, 1\] is NaN \(in chunk \(2,\) of a Dask array, its rows counted from its first\)"
    )
    with pytest.raises(ValueRangeError, match=named):
        loss.compute(scheduler="synchronous")


def test_what_cannot_be_lazy_is_refused_with_what_to_do():
    y, p = arrays()
    lazy = chunked(p, 6, 3)
    with pytest.raises(UsageError, match=r"zarr.open_array\('y\.zarr', mode='r'\)"):
        sl.losses.MeanSquaredError()("y.zarr", lazy)
    with pytest.raises(UsageError, match=r"Pass numpy\.load\('y\.npy', mmap_mode='r'\)\.$"):
        sl.losses.MeanSquaredError()("y.npy", lazy)
    with pytest.raises(UsageError, match=r"of no axis; .* weight\.compute\(\)"):
        sl.losses.MeanSquaredError()(y, lazy, da.ones(()))
    for options in ({"shard": (0, 2)}, {"checkpoint": "c"}):
        with pytest.raises(UsageError, match="to_zarr"):
            sl.evaluate("mse", y, lazy, **options)


def test_no_row_left_is_told_when_it_is_computed():
    y, p = arrays()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        lazy = sl.losses.MeanSquaredError()(chunked(y, 6, 3), chunked(p, 6, 3), mask=np.zeros(20, bool))
    with pytest.warns(StreamlossWarning, match="no row was left"):
        assert lazy.compute(scheduler="synchronous") == 0.0


def test_evaluate_takes_dask_arrays_and_writes(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    y, p = arrays(50)
    labels = np.where(y > 0.5, 1.0, -1.0).astype(np.float32)
    labels[:40] = np.abs(labels[:40])  # the last chunks decide what zeros mean
    for true, loss in ((y, MSE), (labels, "hinge")):
        losses = [loss] if loss == "hinge" else [loss, "mae"]
        expected = sl.evaluate(losses, true, p, out=f"{loss}.zarr", rows=slice(3, 48))
        for scheduler in ("synchronous", "threads", None):
            with dask.config.set(scheduler="threads"):
                result = sl.evaluate(
                    losses,
                    chunked(true, 7, 3),
                    chunked(p, (20, 5, 25), 2),
                    scheduler=scheduler,
                    out="out.zarr",
                    overwrite=True,
                    rows=slice(3, 48),
                )
            for name in result:
                assert result[name].state.to_bytes() == expected[name].state.to_bytes()
                written = [zarr.open_array(f"{place}/{name}")[:].tobytes() for place in ("out.zarr", f"{loss}.zarr")]
                assert written[0] == written[1]
            assert (result.rows, result.executor) == (45, "dask")


def test_states_travel_and_rows_do_not():
    """Each node of the tree takes eight states at most, and no task but NONE's gives away rows."""
    rows = da.zeros((2000, 3), chunks=(10, 3), dtype="f4")
    lazy = sl.losses.MeanSquaredError()(rows, rows)
    sizes = []

    def look(key, value, *_):
        if not isinstance(value, np.ndarray) or value.dtype != np.float32:
            sizes.append(np.size(value))

    with Callback(posttask=look):
        lazy.compute(scheduler="synchronous")
    assert 200 < len(sizes) < 600
    assert max(sizes) <= 1
    assert max(map(len, lazy.__dask_graph__().get_all_dependencies().values())) == 8
