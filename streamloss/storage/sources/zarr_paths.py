"""Zarr arrays by their paths, and variables of Zarr stores as xarray names and decodes them."""

from __future__ import annotations

import warnings
from typing import Any

import zarr

from ...errors import SourceError
from ..uris import Address, split_store, split_zip
from .base import Source
from .bfloat16 import Widened, widened
from .cf_decoding import Decoded, xarray_for
from .encoding import meanings, refuse_encoded, says_bfloat16
from .zarr import ZarrSource
from .zarr_metadata import missing_number
from .zarr_opening import open_local


def open_path(address: Address, role: str, missing_chunks: str) -> Source:
    """Open the Zarr array at a local path, ``store.zarr/path/in/group``, or as a variable, ``store.zarr::group/name``,
    whose packed numbers are decoded as xarray does it.
    """
    assert address.path is not None
    path = address.path / address.member
    stored = open_local(path, role)
    attributes = stored.array.attrs.asdict()
    found = meanings(attributes, stored.array.dtype, missing_number(stored.array))
    if found and not stored.bfloat16 and not any(map(says_bfloat16, found.values())):
        if address.member:
            return _decoded(stored.array, role, missing_chunks, f"{address.path}::{address.member}")
        store, inner = split_zip(path) or split_store(path)
        variable = f"{store}::{inner}" if inner and stored.array.path else None
        refuse_encoded(role, str(path), attributes, stored.array.dtype, missing_number(stored.array), variable)
    source = ZarrSource(stored.array, role, missing_chunks, where=str(path))
    return Widened(source) if stored.bfloat16 else widened(source)


def _decoded(array: zarr.Array[Any], role: str, missing_chunks: str, where: str) -> Source:
    """Return a variable with packed numbers as xarray decodes it. Raises SourceError for an array that is no variable
    of xarray, and MissingExtraError without xarray.
    """
    xarray = xarray_for(f"decoding the packed numbers of {where}")
    group, _, name = array.path.rpartition("/")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of metadata that is not consolidated, and of other variables
            dataset = xarray.open_zarr(
                array.store,
                group=group or None,
                chunks=None,
                decode_cf=False,
                create_default_indexes=False,
                zarr_format=array.metadata.zarr_format,
            )
        variable = dataset.variables[name]
    except Exception as error:  # each of its layers has its own
        raise SourceError(
            f"{role}: xarray cannot open {where!r}: {type(error).__name__}: {error}. Its "
            "numbers are packed; xarray needs the names of all dimensions in the group to decode them."
        ) from error
    packed = ZarrSource(array, role, missing_chunks, where, packed=True)
    return Decoded(packed, variable.attrs, tuple(map(str, variable.dims)))
