"""Arrays that hold no numbers are refused in every role, with the way to make numbers of them."""

from __future__ import annotations

import datetime
import decimal

import dask.array as da
import numpy as np
import pandas as pd
import pytest
import scipy.sparse
import xarray

import streamloss as sl
from streamloss.errors import SourceError

ROLES = ("y_true", "y_pred", "sample_weight", "mask")
ROWS = 4

REFUSED = {
    "text": (np.array(["a", "b", "a", "b"]), r"searchsorted\(classes, labels\)"),
    "bytes": (np.array([b"1"] * ROWS), "searchsorted"),
    "text as bytes": (b"1234", "searchsorted"),
    "text in objects": (pd.Series(list("abab"), dtype="category"), "searchsorted"),
    "numbers in objects": (np.array([1, 2, 3, 4], object), r"astype\(float\)"),
    "None among numbers": (np.array([1, None, 3, 4], object), r"astype\(float\)"),
    "decimals": (np.array([decimal.Decimal(1)] * ROWS), r"astype\(float\)"),
    "pandas booleans with NA": (pd.Series([True, None, True, True], dtype="boolean"), r"to_numpy\(dtype=float"),
    "dates": (np.array(["2020-01-01"] * ROWS, "M8[D]"), "timedelta64"),
    "durations": (np.array([1] * ROWS, "m8[s]"), r"array / np.timedelta64"),
    "dates in objects": (np.array([datetime.date(2020, 1, 1)] * ROWS), r"astype\(float\)"),
    "complex": (np.ones(ROWS, complex), r"array\.real"),
    "fields": (np.ones(ROWS, [("loss", "f8"), ("n", "i4")]), r"array\['loss'\]"),
    "sparse": (scipy.sparse.csr_array([[1.0, 0.0]]), r"toarray\(\)"),
    "sparse matrix": (scipy.sparse.coo_matrix([[1.0, 0.0]]), r"toarray\(\)"),
    "a set": ({1, 2, 3, 4}, "an array in memory"),
    "a dict": ({"a": 1}, "an array in memory"),
    "ragged": ([[1, 2], [3], 4, 5], "cannot make an array of list"),
    "a Dataset": (xarray.Dataset({"a": ("row", np.ones(ROWS))}), "DataArray"),
    "Dask text": (da.from_array(np.array(["a"] * ROWS), chunks=2), "searchsorted"),
    "Dask complex": (da.ones(ROWS, dtype=complex, chunks=2), r"array\.real"),
}


def evaluate(role, array):
    given = {
        "y_true": np.arange(ROWS),
        "y_pred": np.ones(ROWS),
        "sample_weight": np.ones(ROWS),
        "mask": np.ones(ROWS, bool),
    }
    given[role] = array
    return sl.evaluate("mse", given.pop("y_true"), given.pop("y_pred"), **given)["mean_squared_error"]


@pytest.mark.parametrize("role", ROLES)
@pytest.mark.parametrize("kind", REFUSED)
def test_what_holds_no_numbers_is_refused_with_the_way_to_make_some(kind, role):
    array, advice = REFUSED[kind]
    with pytest.raises(SourceError, match=f"^{role}: .*{advice}"):
        evaluate(role, array)


@pytest.mark.parametrize("role", ROLES)
def test_iterators_are_refused(role):
    with pytest.raises(SourceError, match=rf"^{role}: .*np\.fromiter"):
        evaluate(role, (i for i in range(ROWS)))


@pytest.mark.parametrize("role", ROLES[:2])
def test_an_array_that_was_not_given_is_named(role):
    with pytest.raises(SourceError, match=f"^{role}: expected numbers; received dtype object .NoneType."):
        evaluate(role, None)


@pytest.mark.parametrize("weight", [2, 2.0, np.float32(2), np.array(2), xarray.DataArray(2.0)])
def test_one_weight_for_all_rows_is_a_number_of_any_kind(weight):
    assert evaluate("sample_weight", weight).sum == 2 * evaluate("sample_weight", 1).sum
