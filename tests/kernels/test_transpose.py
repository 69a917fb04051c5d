"""Rows turned into columns, beside NumPy's transposition."""

import numpy as np
import pytest

from streamloss.core.jit import no_alloc
from streamloss.kernels.transpose import WIDTH, to_columns

DTYPES = (np.float32, np.float64, np.uint8, np.int8, np.int32, np.int64, np.uint32)
NUMBERS = (1, 2, 3, WIDTH - 1, WIDTH, WIDTH + 1, 2 * WIDTH, 2 * WIDTH + 5, 37)


@no_alloc
def turned(rows, columns):
    """Other loops call it; Python cannot."""
    to_columns(rows, columns)


@pytest.mark.parametrize("dtype", DTYPES)
def test_columns_are_the_transposed_rows_as_float64(dtype):
    rng = np.random.default_rng(8)
    for n in NUMBERS:
        for classes in NUMBERS:
            if np.dtype(dtype).kind == "f":
                rows = rng.standard_normal((n, classes)).astype(dtype)
                rows.flat[:3] = (np.nan, -np.inf, -0.0)[: rows.size]
            else:
                limits = np.iinfo(dtype)
                rows = rng.integers(max(limits.min, -(2**53)), min(limits.max, 2**53), (n, classes), dtype, True)
            columns = np.full((classes + 1, n), 7.0)
            turned(rows, columns)
            np.testing.assert_array_equal(columns[:classes], rows.T.astype(np.float64), f"{n} rows of {classes}")
            np.testing.assert_array_equal(np.signbit(columns[:classes]), np.signbit(rows.T.astype(np.float64)))
            assert (columns[classes] == 7.0).all(), "written beyond the classes"
