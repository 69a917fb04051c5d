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


def overlap(one: str, other: str) -> bool:
    """Return whether two URIs name the same local file or directory, or one lies below the other; neither must
    exist.
    """
    path, other_path = local_path(one), local_path(other)
    if path is None or other_path is None:
        return False
    path, other_path = path.resolve(), other_path.resolve()
    return path == other_path or path in other_path.parents or other_path in path.parents
