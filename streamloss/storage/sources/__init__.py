"""Opening arrays, by type or by URI: one table of the kinds of arrays that there are.

A kind's module, and the library behind it, is imported when the first array of that kind is opened. A new kind takes a
file beside this one and a line in ``KINDS``.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from importlib import import_module
from pathlib import Path
from typing import Any, NamedTuple

from ...errors import MissingExtraError, SourceError, StreamlossError, UsageError
from ..regular_files import special_kind
from ..stores import is_remote
from ..uris import Address, address_of, redacted
from .base import HostSource, Source, on_gpu
from .containers import container, file_and_member
from .dtypes import is_key
from .key_times import with_times
from .parquet_objects import is_remote_parquet
from .parquet_places import is_parquet
from .recognition import is_sliced, is_table
from .unchanged import Stamp, files_under, stamps_of
from .wrapped import Wrapped

__all__ = ["KINDS", "MISSING_CHUNKS", "Source", "open_source"]

MISSING_CHUNKS = ("error", "warn", "fill")
"""The policies for a Zarr chunk that was never written: refuse it; read its fill value and warn; read its fill value.
"""


class Kind(NamedTuple):
    """A kind of arrays: how to recognise one, without importing its library, and what opens it."""

    matches: Callable[[Any], bool]
    """A predicate of what the user passed, or of its :class:`~streamloss.storage.uris.Address` for a path or URI."""
    opener: str
    """The function, as ``"module:function"`` in this folder; called with the array or address, its role and
    `missing_chunks`.
    """

    def open(self, array: Any, role: str, missing_chunks: str) -> Source:
        module, _, function = self.opener.partition(":")
        source: Source = getattr(import_module(f".{module}", __name__), function)(array, role, missing_chunks)
        return source


def local(*suffixes: str) -> Callable[[Any], bool]:
    """Match local addresses, all of them or those that end with one of the suffixes."""

    def matches(array: Any) -> bool:
        path = array.path if isinstance(array, Address) else None
        return path is not None and (not suffixes or path.suffix in suffixes)

    return matches


def library(name: str) -> Callable[[Any], bool]:
    """Match arrays whose type is defined in the package `name`."""
    return lambda array: type(array).__module__.partition(".")[0] == name


KINDS = (
    Kind(container(".nc", ".nc4", ".cdf", begins=(b"CDF\x01", b"CDF\x02", b"CDF\x05")), "netcdf_files:open_netcdf"),
    Kind(container(".h5", ".hdf5", ".hdf", ".he5", begins=(b"\x89HDF\r\n\x1a\n",)), "hdf5_files:open_hdf5"),
    Kind(local(".npy"), "numpy:open_npy"),
    Kind(local(".safetensors"), "safetensors:open_safetensors"),
    Kind(local(".pt", ".pth"), "torch_files:open_torch_file"),
    Kind(is_parquet, "parquet:open_parquet"),
    Kind(local(), "zarr_paths:open_path"),
    Kind(is_remote_parquet, "parquet:open_parquet"),
    Kind(is_remote, "remote:open_remote"),
    Kind(on_gpu, "gpu:open_gpu_array"),
    Kind(library("zarr"), "zarr:open_zarr"),
    Kind(library("dask"), "dask:open_lazy"),
    Kind(is_table, "tables:open_table"),
    Kind(is_sliced, "sliced:open_sliced"),
    Kind(lambda array: not isinstance(array, Address), "numpy:open_array"),
)
"""The kinds of arrays; the first one that matches opens an array."""


def open_source(array: Any, role: str, missing_chunks: str) -> Source:
    """Open `array`: an array in memory or on a GPU, a memmap, a zarr.Array, a Dask array, an array that gives slices,
    as those of h5py, or a path, URI or its address (``a.npy``, ``store.zarr/path/in/group``, ``s3://...``).

    Raises SourceError where there is none, UsageError for an unknown `missing_chunks`.
    """
    if missing_chunks not in MISSING_CHUNKS:
        raise UsageError(f"missing_chunks must be one of {', '.join(MISSING_CHUNKS)}; received {missing_chunks!r}.")
    try:
        if isinstance(array, str | os.PathLike):
            array = address_of(os.fspath(array))
        if isinstance(array, Address):
            _refuse_special(array, role)
        stamps = stamps_of(files_under(array)) if isinstance(array, Address) else {}
        return _watched(_opened(array, role, missing_chunks), stamps)
    except StreamlossError:
        raise
    except OSError as error:  # of any kind's library, and of looking at what a path is: no rights, no such mount
        place = redacted(array.uri) if isinstance(array, Address) else getattr(array, "filename", None) or array
        raise SourceError(
            f"{role}: cannot open {str(place)!r}: {error.strerror or error}. Check that this user may read it, and the "
            "folders above it."
        ) from error


def _refuse_special(address: Address, role: str) -> None:
    """Raise UsageError for a path that is none, and SourceError for a named pipe or a device, which may have no end."""
    if "\0" in address.uri:
        raise UsageError(f"{role}: {address.uri!r} is no path: it has a NUL character in it.")
    for path in {address.path, address.path and file_and_member(address)[0]}:
        if path is not None and (kind := special_kind(path)) is not None:
            raise SourceError(
                f"{role}: {str(path)!r} is {kind}, and arrays are read in parts, some twice. Write it to a file."
            )


def _watched(source: Source, stamps: Mapping[Path, Stamp]) -> Source:
    """Let what reads the files look for changes, since before they were opened."""
    inner: Any = source
    while isinstance(inner, Wrapped):
        inner = inner.inner
    if stamps and isinstance(inner, HostSource):
        inner.stamps = stamps
    return source


def _opened(array: Any, role: str, missing_chunks: str) -> Source:
    for kind in KINDS:
        if not kind.matches(array):
            continue
        try:
            source = kind.open(array, role, missing_chunks)
            return with_times(source) if is_key(role) else source
        except MissingExtraError:  # arrays of JAX copy themselves to the host; others do not, and the extra is named
            if not type(array).__module__.startswith("jax"):
                raise
    raise SourceError(
        f"{role}: cannot read {redacted(array.uri)!r}: {array.scheme}:// is not supported yet; expected a local path "
        "(a.npy, store.zarr/path/in/group) or an opened zarr.Array, whose store may be remote."
    )
