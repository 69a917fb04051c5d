"""Where arrays are, as people write it."""

from pathlib import Path
from urllib.parse import unquote


def split_store(path: Path) -> tuple[Path, str]:
    """The Zarr store and the path inside it: ``dir/store.zarr/group/array`` -> (``dir/store.zarr``, ``group/array``).

    A path without ``.zarr`` in it is a store itself.
    """
    for parent in [*reversed(path.parents), path]:
        if parent.suffix == ".zarr":
            return parent, path.relative_to(parent).as_posix().removeprefix(".")
    return path, ""


def local_path(uri: str) -> Path | None:
    """The file or directory that a path or a ``file://`` URI names; None for any other scheme."""
    scheme, separator, rest = uri.partition("://")
    if not separator:
        return Path(uri)
    return Path(unquote(rest)) if scheme == "file" else None


def same_place(one: str, other: str) -> bool:
    """Whether two URIs name the same local file or directory, which need not exist."""
    paths = [local_path(uri) for uri in (one, other)]
    return None not in paths and paths[0].resolve() == paths[1].resolve()  # type: ignore[union-attr]
