"""HDF5 files by their paths: ``file.h5::/group/dataset``, read by h5py."""

from __future__ import annotations

from typing import Any

from ...errors import DataError, MissingExtraError, SourceError
from ..uris import Address
from .base import Source
from .containers import chosen, file_and_member, refuse_no_file, unreadable_file
from .foreign_files import explain_file
from .sliced import open_sliced


def open_hdf5(address: Address, role: str, missing_chunks: str) -> Source:
    """Open a dataset of a local HDF5 file: the one that is named, or the only one.

    Raises SourceError where there is none, and MissingExtraError without h5py.
    """
    try:
        import h5py
    except ImportError:
        raise MissingExtraError("reading HDF5 files", "hdf5") from None
    file, member = file_and_member(address)
    refuse_no_file(role, file)
    try:
        opened = h5py.File(file, "r")
        name = f"/{member.strip('/')}" if member else ""
        if not name or not isinstance(opened.get(name), h5py.Dataset):
            name = chosen(role, file, name, _datasets(opened))
        return open_sliced(opened[name], role, missing_chunks)
    except (DataError, MemoryError):
        raise
    except Exception as error:  # h5py raises OSError, KeyError, RuntimeError and ValueError for damaged files
        other = explain_file(file, role)
        raise SourceError(other) if other else unreadable_file(role, file, "HDF5", error) from error


def _datasets(file: Any) -> dict[str, str]:
    """Return the names of the datasets of a file, with their shapes and dtypes.

    Datasets that hold the labels of a dimension are left out where there are others.
    """
    import h5py

    found: dict[str, Any] = {}

    def visit(name: str, item: Any) -> None:
        if isinstance(item, h5py.Dataset):
            found[f"/{name}"] = item

    file.visititems(visit)
    data = {name: item for name, item in found.items() if not item.is_scale} or found
    return {name: f"{item.shape} {item.dtype}" for name, item in data.items()}
