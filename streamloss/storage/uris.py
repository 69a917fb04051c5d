"""Paths and URIs of arrays."""

from pathlib import Path
from urllib.parse import unquote


def split_store(path: Path) -> tuple[Path, str]:
    """Return the Zarr store and the path inside it.

    ``dir/store.zarr/group/array`` gives (``dir/store.zarr``, ``group/array``); a path without ``.zarr`` in it is a
    store itself.
    """
    for parent in [*reversed(path.parents), path]:
        if parent.suffix == ".zarr":
            return parent, path.relative_to(parent).as_posix().removeprefix(".")
    return path, ""


def local_path(uri: str) -> Path | None:
    """Return the file or directory that a path or a ``file://`` URI names; None for any other scheme."""
    scheme, separator, rest = uri.partition("://")
    if not separator:
        return Path(uri)
    return Path(unquote(rest)) if scheme == "file" else None


def same_place(one: str, other: str) -> bool:
    """Return whether two URIs name the same local file or directory, which need not exist."""
    path, other_path = local_path(one), local_path(other)
    return path is not None and other_path is not None and path.resolve() == other_path.resolve()
