"""Recognising arrays of other libraries, without importing these."""

from __future__ import annotations

import sys
from typing import Any

import numpy as np


def is_of(array: Any, package: str, *names: str) -> bool:
    """Return whether an array is of one of these types of a package, without importing it."""
    module = sys.modules.get(package)
    return module is not None and isinstance(array, tuple(getattr(module, name) for name in names))


def is_table(array: Any) -> bool:
    """Return whether an array is a table or column of Arrow, or gives itself as one; those of pandas are NumPy's."""
    if isinstance(array, np.ndarray | np.generic) or is_of(array, "pandas", "Series", "DataFrame", "Index"):
        return False
    if is_of(array, "xarray", "DataArray", "Variable"):
        return False
    is_query = is_of(array, "polars", "LazyFrame")
    return is_query or any(hasattr(array, name) for name in ("__arrow_c_stream__", "__arrow_c_array__"))


def is_sliced(array: Any) -> bool:
    """Return whether an array is kept elsewhere than in memory, and gives rectangles of it: of h5py, netCDF4,
    TensorStore, or opened by xarray and not yet read, or of any other class that has a shape, a dtype and slices.
    """
    if is_of(array, "xarray", "DataArray", "Variable"):
        return array.chunks is None and not getattr(array, "variable", array)._in_memory
    if isinstance(array, np.ndarray | np.generic) or is_of(array, "pandas", "Series", "DataFrame", "Index"):
        return False
    if any(hasattr(array, name) for name in ("__array_interface__", "__dlpack__")):  # in memory, without a copy
        return False
    if not (hasattr(array, "__getitem__") and isinstance(getattr(array, "shape", None), tuple) and array.shape):
        return False
    try:
        _numpys(array.dtype)
    except (AttributeError, TypeError):
        return False
    return True


def _numpys(dtype: Any) -> np.dtype[Any]:
    """Return NumPy's dtype for one that may be TensorStore's."""
    return np.dtype(getattr(dtype, "numpy_dtype", dtype))
