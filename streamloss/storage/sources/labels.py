"""Labels along the axes of arrays: indexes of pandas, coordinates of xarray, netCDF, HDF5 and Zarr.

Two arrays of one shape whose rows are labelled may have them in another order, or of other places: evaluated by
position, they would give a number that means nothing. Labels are read piece by piece, and compared before the data are
read; see :mod:`streamloss.planning.dimensions`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from .recognition import is_of
from .times import decoded_times

PIECE = 1 << 16
"""The labels that are compared at a time."""

Array = np.ndarray[Any, Any]


@dataclass(frozen=True, slots=True)
class Labels:
    """The labels along one axis of an array."""

    kind: str
    """The container, which decides how arrays are brought into one order: "pandas", "xarray", "netCDF4", "h5py" or
    "zarr"."""
    name: str
    """The name of the dimension; "index" and "columns" in pandas."""
    values: Any
    """The labels, which can be sliced: a pandas.Index, a variable of xarray or netCDF4, an h5py.Dataset or a
    zarr.Array."""
    attributes: Mapping[str, Any] = field(default_factory=dict)
    """The attributes beside them, which say what numbers mean that are times."""

    def read(self, start: int, stop: int) -> Array:
        """Return the labels from `start` to `stop`: times as such, text as str."""
        values = np.asarray(self.values[start:stop])
        if values.dtype.kind == "S":
            return np.char.decode(values, "utf-8", "replace")
        if values.dtype.kind == "O":
            text = [label.decode("utf-8", "replace") if isinstance(label, bytes) else label for label in values]
            values = np.empty(len(text), object)
            values[:] = text
        return decoded_times(values, self.attributes)


@dataclass(frozen=True, slots=True)
class Difference:
    """The first place where two arrays' labels differ."""

    at: int
    one: Any
    other: Any


def first_difference(one: Labels, other: Labels, start: int, stop: int) -> Difference | None:
    """Return the first place from `start` to `stop` where labels differ; None where there is none.

    NaN is equal to NaN, and numbers, times and text are compared whatever their dtypes.
    """
    if one.values is other.values or _equal_ranges(one.values, other.values):
        return None
    for first in range(start, stop, PIECE):
        a, b = (labels.read(first, min(first + PIECE, stop)) for labels in (one, other))
        differ = unequal(a, b)
        if differ.any():
            at = int(np.argmax(differ))
            return Difference(first + at, a[at], b[at])
    return None


def unequal(a: Array, b: Array) -> Array:
    """Return which labels differ; all of them where they cannot be compared."""
    everywhere = np.ones(len(a), np.bool_)
    if len(a) != len(b):
        return everywhere
    try:
        differ = np.asarray(a != b, np.bool_) & ~(np.asarray(a != a, np.bool_) & np.asarray(b != b, np.bool_))
    except (TypeError, ValueError):  # labels of other libraries
        return everywhere
    return differ if differ.shape == a.shape else everywhere


def _equal_ranges(one: Any, other: Any) -> bool:
    """Return whether both are equal ``pandas.RangeIndex``, which hold no labels that could be compared one by one."""
    if type(one).__name__ != "RangeIndex" or type(other).__name__ != "RangeIndex":
        return False
    return (one.start, one.step, len(one)) == (other.start, other.step, len(other))


def labels_of(array: Any) -> dict[int, Labels]:
    """Return the labels of an array by axis: those of pandas, xarray, netCDF4 and h5py; none of other arrays."""
    if is_of(array, "pandas", "Series", "DataFrame"):
        return _of_pandas(array)
    if is_of(array, "xarray", "DataArray"):
        return _of_xarray(array)
    if is_of(array, "netCDF4", "Variable"):
        return _of_netcdf4(array)
    if is_of(array, "h5py", "Dataset"):
        return _of_h5py(array)
    return {}


def dimensions_of(array: Any) -> tuple[str | None, ...]:
    """Return the names of the axes, as xarray, netCDF4 and h5py have them; none for other arrays."""
    if is_of(array, "xarray", "DataArray", "Variable"):
        return tuple(map(str, array.dims))
    if is_of(array, "netCDF4", "Variable"):
        return tuple(map(str, array.dimensions))
    if is_of(array, "h5py", "Dataset"):
        names = tuple(_name_of_scale(array.dims[axis]) for axis in range(array.ndim))
        return names if any(names) else ()
    return ()


def _of_pandas(array: Any) -> dict[int, Labels]:
    labels = {0: Labels("pandas", "index", array.index)}
    columns = getattr(array, "columns", None)
    if columns is not None and not (type(columns).__name__ == "RangeIndex" and columns.start == 0):
        labels[1] = Labels("pandas", "columns", columns)  # numbered from 0 they have no names
    return labels


def _of_xarray(array: Any) -> dict[int, Labels]:
    coordinates = {axis: array.coords[name] for axis, name in enumerate(array.dims) if name in array.coords}
    return {
        axis: Labels("xarray", str(found.name), found.variable, found.attrs)
        for axis, found in coordinates.items()
        if found.ndim == 1
    }


def _of_netcdf4(variable: Any) -> dict[int, Labels]:
    labels = {}
    for axis, name in enumerate(variable.dimensions):
        group = variable.group()
        while group is not None and name not in group.dimensions:
            group = group.parent
        found = None if group is None else group.variables.get(name)
        if found is not None and found.dimensions == (name,):
            attributes = {key: found.getncattr(key) for key in found.ncattrs()}
            labels[axis] = Labels("netCDF4", name, found, attributes)
    return labels


_NO_VARIABLE = b"This is a netCDF dimension but not a netCDF variable"


def _of_h5py(dataset: Any) -> dict[int, Labels]:
    labels = {}
    for axis in range(dataset.ndim):
        scale = dataset.dims[axis]
        found = scale[0] if len(scale) else None
        if found is None or found.shape != dataset.shape[axis : axis + 1] or found.dtype.kind not in "biufSO":
            continue
        if not bytes(found.attrs.get("NAME", b"")).startswith(_NO_VARIABLE):
            texts = {key: found.attrs[key] for key in ("units", "calendar") if key in found.attrs}
            labels[axis] = Labels("h5py", _name_of_scale(scale) or f"axis {axis}", found, texts)
    return labels


def _name_of_scale(scale: Any) -> str | None:
    """Return the name of a dimension of HDF5: its label, or that of the dataset which holds its labels."""
    named = scale.label or (scale[0].name.rpartition("/")[2] if len(scale) else "")
    return named or None
