"""Dask chunks are compared with what was declared when they are computed; arrays beside them are checked as any."""

import dask.array as da
import numpy as np
import pytest
import zarr

import streamloss as sl
from streamloss.errors import MissingChunkError, SourceError, StreamlossWarning, UsageError
from streamloss.execution.dask.graph_tasks import AsDeclared

ROLES = ["y_true", "y_pred", "sample_weight", "mask"]


def arrays():
    kinds = dict.fromkeys(ROLES, np.float64) | {"mask": bool}
    return {role: da.ones(8, chunks=4, dtype=kinds[role]) for role in ROLES}


def run(given):
    labels, predictions = given.pop("y_true"), given.pop("y_pred")
    return sl.evaluate("mse", labels, predictions, scheduler="synchronous", **given)


DEFECTS = {
    "masked": lambda a: da.ma.masked_equal(a, 1),
    "has shape": lambda a: a.map_blocks(lambda chunk: chunk[:1], chunks=a.chunks, dtype=a.dtype),
    "has dtype": lambda a: a.map_blocks(lambda chunk: chunk.astype("i2"), dtype=a.dtype, meta=np.empty(0, a.dtype)),
}


@pytest.mark.parametrize("role", ROLES)
@pytest.mark.parametrize("defect", DEFECTS)
def test_a_chunk_that_is_not_what_was_declared_is_refused(role, defect):
    given = arrays()
    given[role] = DEFECTS[defect](given[role])
    with pytest.raises(SourceError, match=f"{role}: .*{defect}"):
        run(given)


@pytest.mark.parametrize("role", ROLES)
def test_a_masked_array_beside_dask_arrays_is_refused(role):
    given = arrays()
    given[role] = np.ma.masked_equal(given[role].compute(), 1)
    with pytest.raises(SourceError, match=f"{role}: .* has 8 masked elements"):
        run(given)


@pytest.mark.parametrize("role", ROLES)
def test_packed_zarr_arrays_beside_dask_arrays_are_refused(role):
    given = arrays()
    given[role] = zarr.array(given[role].compute(), chunks=4)
    given[role].attrs["scale_factor"] = 0.5
    with pytest.raises(SourceError, match=f"{role}: .*scale_factor"):
        run(given)


def test_chunks_of_unknown_sizes_may_be_empty_but_not_of_other_lengths():
    x = da.from_array(np.arange(8.0), chunks=4)
    kept = x[x >= 4]
    loss = sl.losses.MeanSquaredError()
    assert loss(kept, kept + 1).compute(scheduler="synchronous") == 1
    for reduction, value in {"sum": 4, "none": [1, 1, 1, 1]}.items():
        lazy = sl.losses.MeanSquaredError(reduction=reduction)(kept, kept + 1)
        assert np.array_equal(lazy.compute(scheduler="synchronous"), value)
    with pytest.raises(SourceError, match="compute_chunk_sizes"):
        loss(x[x % 4 == 0], x[x % 4 >= 2]).compute(scheduler="synchronous")


def off_by_one(array):
    """Return an array whose first chunk is one row short and whose second one row long, and which declares neither."""
    parts = [array.blocks[i].compute() for i in range(2)]
    whole = np.concatenate(parts)
    split = array.chunks[0][0] - 1
    wrong = [whole[:split], whole[split:]]
    return array.map_blocks(lambda chunk, block_id: wrong[block_id[0]], dtype=array.dtype, chunks=array.chunks)


def one_other_dtype(array):
    """Return an array one of whose chunks has a narrower dtype, which promotion hides."""
    return array.map_blocks(
        lambda chunk, block_id: chunk.astype("i1") if block_id[0] == 0 else chunk,
        dtype=array.dtype,
        meta=np.empty((0,) * array.ndim, array.dtype),
    )


HIDDEN = {"has shape": off_by_one, "has dtype": one_other_dtype}


def losses(given, reduction, rows=None):
    given = dict(given)
    labels, predictions = given.pop("y_true"), given.pop("y_pred")
    if rows is not None:
        return sl.evaluate("mse", labels, predictions, scheduler="synchronous", rows=rows, **given)
    loss = sl.losses.MeanSquaredError(reduction=reduction)
    return loss(labels, predictions, given.get("sample_weight")).compute(scheduler="synchronous")


@pytest.mark.parametrize("reduction", ["sum", "none"])
@pytest.mark.parametrize("defect", HIDDEN)
def test_defects_that_rechunking_would_hide_are_refused(defect, reduction):
    given = {"y_true": HIDDEN[defect](da.ones(8, chunks=4)), "y_pred": da.ones(8, chunks=8)}
    with pytest.raises(SourceError, match=f"y_true: .*block .*{defect}"):
        losses(given, reduction)


@pytest.mark.parametrize("role", ROLES)
@pytest.mark.parametrize("defect", HIDDEN)
def test_defects_that_rows_would_hide_are_refused(defect, role):
    given = arrays()
    given[role] = HIDDEN[defect](given[role])
    with pytest.raises(SourceError, match=f"{role}: .*{defect}"):
        losses(given, "sum", rows=slice(1, 6))


@pytest.mark.parametrize("reduction", ["sum", "none"])
def test_defects_that_joining_chunked_classes_would_hide_are_refused(reduction):
    right = da.ones((8, 4), chunks=(4, 2))
    wide = [right.map_blocks(lambda c, block_id: c.astype("i1") if block_id == (1, 1) else c, dtype=right.dtype)]
    wide.append(right.map_blocks(lambda c, block_id: c[:, : 1 + 2 * block_id[1]], dtype=right.dtype))
    wide.append(right.map_blocks(lambda c, block_id: np.ones((4, 1 + 2 * block_id[1])), dtype=right.dtype))
    for wrong in wide:
        with pytest.raises(SourceError, match=r"y_pred: .*expected"):
            losses({"y_true": right, "y_pred": wrong}, reduction)


def test_chunked_classes_of_rows_of_unknown_number_are_checked():
    array = da.ones((8, 4), chunks=(4, 2))
    kept = array[da.ones(8, chunks=4) > 0]
    assert losses({"y_true": kept, "y_pred": kept + 1}, "sum") == 8
    wrong = kept.map_blocks(lambda c: c.astype("i1"), dtype=kept.dtype, meta=np.empty((0, 0)))
    with pytest.raises(SourceError, match=r"y_pred: .*has dtype int8"):
        losses({"y_true": kept, "y_pred": wrong}, "sum")


def test_own_chunks_that_are_evaluated_as_they_are_are_checked_once(monkeypatch):
    called = []
    monkeypatch.setattr(AsDeclared, "__call__", lambda self, position, chunk: called.append(position) or chunk)
    array = da.ones(8, chunks=4)
    assert losses({"y_true": array, "y_pred": array}, "sum") == 0
    assert not called
    assert losses({"y_true": array.rechunk(8), "y_pred": array}, "sum") == 0
    assert called == [(0,)]


def test_an_executor_of_its_own_is_refused_for_dask_arrays():
    class Own:
        name, workers_used = "own", None

        def run(self, run, done):
            raise AssertionError

    with pytest.raises(UsageError, match=r"executor=.*scheduler="):
        sl.evaluate("mse", da.ones(8), da.ones(8), executor=Own())


def half_written(role, given, **sharding):
    """Return a Zarr array whose second chunk does not exist."""
    array = zarr.create_array(zarr.storage.MemoryStore(), shape=(8,), chunks=(2,), dtype=given[role].dtype, **sharding)
    array[:4] = 1
    return array


@pytest.mark.parametrize("role", ROLES)
@pytest.mark.parametrize("sharding", [{}, {"shards": (8,)}], ids=["chunks", "a shard"])
def test_missing_chunks_of_zarr_arrays_beside_dask_arrays_follow_the_policy(role, sharding):
    given = arrays()
    given[role] = half_written(role, given, **sharding)
    labels, predictions = given.pop("y_true"), given.pop("y_pred")

    def value(**options):
        return sl.evaluate("mse", labels, predictions, scheduler="synchronous", **given, **options)

    with pytest.raises(MissingChunkError, match=f"{role}: chunk "):
        value()
    with pytest.warns(StreamlossWarning, match=f"{role}: chunks of .* do not exist"):
        warned = value(missing_chunks="warn")
    name = "mean_squared_error"
    assert value(missing_chunks="fill")[name].sum == warned[name].sum
    with pytest.raises(UsageError, match="missing_chunks must be one of"):
        value(missing_chunks="drop")


def test_lazy_losses_refuse_missing_chunks_of_labels_too():
    given = arrays()
    lazy = sl.losses.MeanSquaredError()(half_written("y_true", given), given["y_pred"])
    with pytest.raises(MissingChunkError, match="y_true: chunk "):
        lazy.compute(scheduler="synchronous")


def test_zarr_arrays_beside_dask_arrays_are_read_by_other_processes(tmp_path):
    written = zarr.create_array(tmp_path / "a.zarr", data=np.arange(8.0), chunks=(3,))
    lazy = sl.losses.MeanSquaredError(reduction="none")(written, da.zeros(8, chunks=4))
    assert np.array_equal(lazy.compute(scheduler="processes", num_workers=1), np.arange(8.0) ** 2)
