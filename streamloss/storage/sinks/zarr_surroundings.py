"""Checks of the place of a target: format 3 would make arrays of format 2 unreadable, and arrays hold only chunks."""

from __future__ import annotations

import json
from pathlib import Path

from ...errors import OutputExistsError

FORMAT_2 = (".zarray", ".zgroup", ".zmetadata")
"""The files of metadata that arrays and groups of format 2 have."""


def refuse_foreign_stores(uri: str, target: Path) -> None:
    """Raise OutputExistsError for a target that is, or lies below, a Zarr of format 2, or below an array.

    A group of format 2 with an array of format 3 in it is opened as format 3, so its own arrays would be gone.
    """
    place = target.resolve()
    for folder in (place, *place.parents):
        at = "it is" if folder == place else f"it lies below {str(folder)!r}, which is"
        if any((folder / name).exists() for name in FORMAT_2):
            raise OutputExistsError(
                f"out: {uri!r} exists as a Zarr of format 2, or would be written into one: {at} of format 2, which "
                "losses, written as format 3, would make unreadable. Pass another place, such as a new losses.zarr."
            )
        if folder != place and is_array(folder):
            raise OutputExistsError(
                f"out: {uri!r} cannot be written: {at} a Zarr array, and nothing but its chunks belongs there. "
                "Pass another place, such as a new losses.zarr."
            )


def is_array(folder: Path) -> bool:
    """Return whether a directory is a Zarr array."""
    try:
        if (folder / ".zarray").exists():
            return True
        return bool(json.loads((folder / "zarr.json").read_text())["node_type"] == "array")
    except (OSError, ValueError, KeyError, TypeError):
        return False
