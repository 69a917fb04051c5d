"""Labels of Zarr arrays: xarray keeps each dimension's coordinate beside the arrays, under the dimension's name."""

from __future__ import annotations

from typing import Any

import zarr
from zarr.storage import FsspecStore, LocalStore, StorePath

from .labels import Labels
from .zarr_metadata import dimensions_of


def labels_beside(array: zarr.Array[Any], dimensions: tuple[str | None, ...]) -> dict[int, Labels]:
    """Return the labels of those dimensions for which the array's group has an array of one axis with their name."""
    group = _group_of(array)
    found = {}
    for axis, name in enumerate(dimensions):
        if group is None or not name or "/" in name or name == array.path.rpartition("/")[2]:
            continue
        coordinate = _open(group / name, array.metadata.zarr_format)
        if coordinate is None or coordinate.shape != array.shape[axis : axis + 1]:
            continue
        if dimensions_of(coordinate) == (name,):
            found[axis] = Labels("zarr", name, coordinate, coordinate.attrs.asdict())
    return found


def _group_of(array: zarr.Array[Any]) -> StorePath | None:
    """Return the place that holds the array; None where nothing but the array is in the store.

    An array that was opened by its own path is all that its store has, but a folder around it may hold others.
    """
    if array.path:
        return StorePath(array.store, array.path.rpartition("/")[0])
    store = array.store
    if isinstance(store, LocalStore):
        return StorePath(LocalStore(store.root.absolute().parent, read_only=True))
    if isinstance(store, FsspecStore) and "/" in store.path.strip("/"):
        return StorePath(FsspecStore(store.fs, path=store.path.rstrip("/").rpartition("/")[0], read_only=True))
    return None


def _open(place: StorePath, zarr_format: Any) -> zarr.Array[Any] | None:
    """Return the array at a place; None where there is none, or none that can be read."""
    try:
        found = zarr.open_array(place, mode="r", zarr_format=zarr_format)
        found[:1]
    except Exception:  # whatever a store or a codec raises
        return None
    return found
