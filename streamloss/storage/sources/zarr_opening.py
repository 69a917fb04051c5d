"""Opening Zarr arrays by path, and naming what is there where there is none."""

from __future__ import annotations

import difflib
from pathlib import Path
from typing import Any

import zarr

from ...errors import SourceError
from ..uris import split_store


def open_local(path: Path, role: str) -> zarr.Array[Any]:
    """Return the Zarr array at a local path, ``store.zarr/path/in/group``. Raises SourceError where there is none."""
    store, inner = split_store(path)
    if not store.exists():
        raise SourceError(f"{role}: there is no {str(store)!r}.")
    try:
        found = zarr.open(store, path=inner, mode="r")
    except Exception as error:  # damaged metadata raises whatever its parser raises
        raise SourceError(
            f"{role}: {str(path)!r} is not a Zarr array: {_nearby(store, inner) or why(error)}"
        ) from error
    if isinstance(found, zarr.Group):
        arrays = ", ".join(array_names(found)[:20]) or "none"
        raise SourceError(f"{role}: {str(path)!r} is a Zarr group; name one of its arrays: {arrays}.")
    return found


def array_names(group: zarr.Group) -> list[str]:
    """Return the names of the arrays of a group and of all groups in it, sorted."""
    return sorted(name for name, member in group.members(max_depth=None) if isinstance(member, zarr.Array))


def why(error: Exception) -> str:
    """Return the reason why an array cannot be opened, for an error message."""
    if isinstance(error, FileNotFoundError | NotADirectoryError):
        return "it has no Zarr metadata (zarr.json or .zarray). Expected a file a.npy, or store.zarr/path/in/group."
    return f"its metadata cannot be read: {type(error).__name__}: {error}"


def _nearby(store: Path, inner: str) -> str:
    """Return a hint which arrays the store has, with the name nearest to `inner`; "" where it cannot be listed."""
    try:
        names = array_names(zarr.open_group(store, mode="r"))
    except Exception:  # only a hint
        return ""
    near = difflib.get_close_matches(inner, names, n=1)
    guess = f" Did you mean {near[0]!r}?" if near else ""
    return f"the store has no array {inner!r}.{guess} Arrays: {', '.join(names[:20])}."
