"""Zarr arrays in object stores and behind URLs, by URI; none of them is ever listed to be opened."""

from __future__ import annotations

from pathlib import PurePosixPath

import zarr

from ...errors import SourceError
from ..stores import refuse_query, scrubbed, split_remote
from ..uris import Address, redacted
from ..zarr_objects import zarr_store
from .base import Source
from .bfloat16 import Widened, widened
from .zarr import ZarrSource
from .zarr_opening import Stored, open_stored, why

_FILES = {".npy", ".npz", ".csv", ".parquet", ".h5", ".hdf5", ".nc", ".json", ".zip", ".pkl", ".pt", ".mat", ".arrow"}


def open_remote(address: Address, role: str, missing_chunks: str) -> Source:
    """Open the Zarr array at ``s3://bucket/store.zarr/path/in/group``, or ``...store.zarr::path/in/group``.

    Raises SourceError where there is none, or where the store cannot be reached.
    """
    refuse_query(address, role)
    where = redacted(address.uri)
    uri, inner = split_remote(address)
    if not inner and (suffix := PurePosixPath(uri).suffix.lower()) in _FILES:
        raise SourceError(
            f"{role}: {where!r} names a {suffix} file, which is not read from object stores; expected a Zarr array. "
            "Copy the file to this machine, or write the array as Zarr."
        )
    store = zarr_store(uri, address.options, role)
    folder = f"{redacted(address.place)}/::{address.member}"
    hint = f" A folder of Parquet files ends with a slash: {folder}." if address.member and ".zarr" not in uri else ""
    stored = _open(store, inner, role, where, hint)
    if isinstance(stored.array, zarr.Group):
        raise SourceError(f"{role}: {where!r} is a Zarr group; name one of its arrays: {where}/name.")
    try:
        source = ZarrSource(stored.array, role, missing_chunks, where=where)
    except OSError as error:
        raise SourceError(f"{role}: cannot open {where!r}: {scrubbed(error)}") from None
    return Widened(source) if stored.bfloat16 else widened(source)


def _open(store: object, inner: str, role: str, where: str, hint: str) -> Stored:
    try:
        return open_stored(store, inner)  # type: ignore[arg-type]
    except FileNotFoundError as error:
        refused = getattr(store, "refused", [])
        if refused:
            raise SourceError(f"{role}: cannot open {where!r}: {refused[0]}") from None
        raise SourceError(f"{role}: {where!r} is not a Zarr array: {why(error)}{hint}") from None
    except OSError as error:
        raise SourceError(f"{role}: cannot open {where!r}: {scrubbed(error)}") from None
    except Exception as error:  # damaged metadata raises whatever its parser raises
        raise SourceError(f"{role}: {where!r} is not a Zarr array: {why(error)}") from None
