"""Dask chunks are compared with what was declared when they are computed; arrays beside them are checked as any."""

import dask.array as da
import numpy as np
import pytest
import zarr

import streamloss as sl
from streamloss.errors import SourceError

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
    with pytest.raises(SourceError, match=f"{role}: 8 elements are masked"):
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
