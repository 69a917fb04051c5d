"""The check that an array holds numbers, and the advice on one that holds something else."""

from __future__ import annotations

from typing import Any

import numpy as np

from ...errors import SourceError
from .bfloat16 import is_number

KEY_KINDS = "SUTmM"
"""The kinds of dtypes, beside numbers, that keys of groups may have: text and times."""


def is_key(role: str) -> bool:
    """Return whether an array of this role holds keys of groups or clusters."""
    return role == "cluster" or role.startswith("by.")


def refuse_no_numbers(role: str, where: str, dtype: np.dtype[Any], given: Any = None) -> None:
    """Raise SourceError for a dtype that is neither of integers nor of floats or booleans.

    `where` names the array in the message; `given` is what was passed, where that says more than the dtype does. Keys
    of groups may be text and times, too.
    """
    if is_key(role) and dtype.kind in KEY_KINDS:
        return
    if dtype.kind == "f" and dtype.itemsize > 8:
        raise SourceError(
            f"{role}: expected at most 64 bits; received dtype {dtype} ({where}), whose digits would be lost without a "
            "word. Pass array.astype('float64')."
        )
    if not is_number(dtype):
        raise SourceError(f"{role}: expected numbers; received dtype {dtype} ({where}). {_advice(dtype, given)}")


def _advice(dtype: np.dtype[Any], given: Any) -> str:
    """Return how to make numbers of what was given."""
    if callable(getattr(given, "toarray", None)):
        return "Sparse arrays are not evaluated as such: pass array.toarray(), of some rows at a time if it is large."
    if hasattr(given, "__next__"):
        return "An iterator cannot be read by blocks: pass an array, such as np.fromiter(values, float)."
    if dtype.kind in "SUT" or (dtype.kind == "O" and isinstance(_first(given), str | bytes)):
        return (
            "For labels that are text pass the number of each one's class, in the order of y_pred's columns, such as "
            "np.searchsorted(classes, labels) with sorted classes; for text of numbers array.astype(float)."
        )
    if dtype.kind in "mM":
        what = "array" if dtype.kind == "m" else "(array - array.min())"
        return f"Pass them in a unit, such as {what} / np.timedelta64(1, 's')."
    if dtype.kind == "c":
        return "Pass array.real, np.abs(array), or the parts as np.stack([array.real, array.imag], axis=-1)."
    if dtype.name.startswith("float8") or (dtype.kind == "V" and dtype.itemsize == 1 and not dtype.names):
        return "Floats of 8 bits: view them as the dtype of ml_dtypes that they have, and call astype('float32')."
    if dtype.names:
        return f"Pass one of the fields: array[{dtype.names[0]!r}]."
    if dtype.kind == "O" and type(given).__module__.partition(".")[0] == "pandas":
        return "Pass array.to_numpy(dtype=float, na_value=float('nan'))."
    if dtype.kind == "O" and np.ndim(given):
        return "Pass array.astype(float), in which None becomes NaN."
    return "Pass an array in memory, a memmap, a zarr.Array, a Dask array, or a path or URI."


def _first(given: Any) -> Any:
    """Return the first element of an array in memory; None where there is none."""
    return next(iter(np.asarray(given, dtype=object).ravel()), None)
