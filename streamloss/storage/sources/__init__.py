"""Opening arrays, by type or by URI. Each kind's module, and its library, is imported when one is met."""

from __future__ import annotations

import os
from typing import Any

from ...errors import MissingExtraError, SourceError, UsageError
from ..uris import local_path
from .base import Source, on_gpu

__all__ = ["MISSING_CHUNKS", "Source", "open_source"]

MISSING_CHUNKS = ("error", "warn", "fill")
"""What to do about a Zarr chunk that was never written: refuse; read its fill value and say so; read it."""


def open_source(array: Any, role: str, missing_chunks: str) -> Source:
    """The array behind `array`: an array in memory, a memmap, a zarr.Array, or a URI (``a.npy``,
    ``store.zarr/path/in/group``).

    Raises SourceError where there is none, UsageError for an unknown `missing_chunks`.
    """
    if missing_chunks not in MISSING_CHUNKS:
        raise UsageError(f"missing_chunks must be one of {', '.join(MISSING_CHUNKS)}; received {missing_chunks!r}.")
    if isinstance(array, str | os.PathLike):
        return _open_uri(os.fspath(array), role, missing_chunks)
    module = type(array).__module__.partition(".")[0]
    if on_gpu(array):
        try:
            from .gpu import GpuSource

            return GpuSource(array, role)
        except MissingExtraError:  # arrays of JAX copy themselves to the host; others do not, and the extra is named
            if not module.startswith("jax"):
                raise
    if module == "zarr":
        from .zarr import ZarrSource

        return ZarrSource(array, role, missing_chunks)
    from .numpy import open_array

    return open_array(array, role)


def _open_uri(uri: str, role: str, missing_chunks: str) -> Source:
    path = local_path(uri)
    if path is None:
        raise SourceError(
            f"{role}: cannot read {uri!r}: {uri.partition('://')[0]}:// is not supported yet; expected a local path "
            "(a.npy, store.zarr/path/in/group) or an opened zarr.Array, whose store may be remote."
        )
    if path.suffix == ".npy":
        from .numpy import open_npy

        return open_npy(path, role)
    from .zarr import ZarrSource, open_path

    return ZarrSource(open_path(path, role), role, missing_chunks, where=str(path))
