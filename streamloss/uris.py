"""Where arrays are, as people write it."""

from pathlib import Path


def split_store(path: Path) -> tuple[Path, str]:
    """The Zarr store and the path inside it: ``dir/store.zarr/group/array`` -> (``dir/store.zarr``, ``group/array``).

    A path without ``.zarr`` in it is a store itself.
    """
    for parent in [*reversed(path.parents), path]:
        if parent.suffix == ".zarr":
            return parent, path.relative_to(parent).as_posix().removeprefix(".")
    return path, ""


def same_place(one: str, other: str) -> bool:
    """Whether two URIs of local files name the same file or directory."""
    paths = [Path(uri.removeprefix("file://")) for uri in (one, other)]
    return all(path.exists() for path in paths) and paths[0].samefile(paths[1])
