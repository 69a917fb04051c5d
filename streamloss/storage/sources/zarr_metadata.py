"""The statements of an array's metadata about its numbers, in format 2 and 3 alike."""

from __future__ import annotations

from typing import Any

import zarr


def missing_number(array: zarr.Array[Any]) -> Any:
    """Return the number that xarray reads as missing data in format 2: the fill value of an array that names its
    dimensions as xarray does. Plain arrays have a fill value of 0 by default, which says nothing.
    """
    named = array.metadata.zarr_format == 2 and "_ARRAY_DIMENSIONS" in array.attrs
    return array.metadata.fill_value if named else None


def fill_of(array: zarr.Array[Any]) -> Any:
    """Return the number that missing chunks are read as: 0 where format 2 states none."""
    return 0 if array.fill_value is None else array.fill_value


def codec_names(array: zarr.Array[Any]) -> list[str]:
    """Return the names of the codecs of an array of format 3."""
    return [str(codec.to_dict()["name"]) for codec in array.metadata.codecs]  # type: ignore[union-attr]


def outermost(array: zarr.Array[Any]) -> Any:
    """Return the codec whose output the store keeps; None for uncompressed bytes in format 2."""
    return array.metadata.compressor if array.metadata.zarr_format == 2 else array.metadata.codecs[-1]


def dimensions_of(array: zarr.Array[Any]) -> tuple[str | None, ...]:
    """Return the names of the dimensions: of Zarr format 3, or as xarray writes them in format 2."""
    names = getattr(array.metadata, "dimension_names", None) or array.attrs.asdict().get("_ARRAY_DIMENSIONS") or ()
    return tuple(names) if isinstance(names, list | tuple) and len(names) == array.ndim else ()
