"""Paths and URIs of arrays."""

import os
import re
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import unquote


class StorageOptions(dict[str, Any]):
    """Options of an object store, which print without their values: some are credentials."""

    def __repr__(self) -> str:
        return f"StorageOptions({', '.join(self)})"

    __str__ = __repr__


class Address(NamedTuple):
    """The place of an array: a file, directory or object, and the array's name where that holds several."""

    uri: str
    """The address as it was given."""
    place: str
    """The path or URI without the member."""
    member: str
    """The name after ``::``, such as a column or a variable; empty where there is none."""
    options: StorageOptions = StorageOptions()
    """The options of the object store that holds the place."""

    @property
    def path(self) -> Path | None:
        """Return the local file or directory of the place; None where the scheme is another than ``file``."""
        return local_path(self.place)

    @property
    def scheme(self) -> str:
        """Return the scheme of the place in lower case: "file" for a path without one."""
        scheme, separator, _ = self.place.partition("://")
        return scheme.lower() if separator else "file"


def address_of(uri: str) -> Address:
    """Return the parts of a path or URI: ``data.parquet::p`` is the member ``p`` of ``data.parquet``.

    The last ``::`` divides, unless what follows is a URI itself, or a local file or directory has the whole name.

    >>> address_of("s3://bucket/run.parquet::[p0,p1]").member
    '[p0,p1]'
    """
    place, separator, member = uri.rpartition("::")
    if not separator or "://" in member or ((whole := local_path(uri)) is not None and os.path.exists(whole)):
        return Address(uri, uri, "")
    return Address(uri, place, member)


def is_remote_uri(uri: str) -> bool:
    """Return whether a URI is of another scheme than ``file``."""
    return address_of(uri).scheme != "file"


def redacted(uri: str) -> str:
    """Return a URI without user, password and query, which may sign a request; a path is returned as it is.

    >>> redacted("https://me:secret@host/a.zarr?X-Signature=1")
    'https://host/a.zarr'
    """
    scheme, separator, rest = uri.partition("://")
    if not separator or scheme.lower() == "file":
        return uri
    place, _, query = rest.partition("?")
    _, colons, member = query.partition("::")
    return f"{scheme}://{re.sub(r'^[^/@]*(:[^/]*)@', '', place)}{colons}{member}"


def split_store(path: Path) -> tuple[Path, str]:
    """Return the Zarr store and the path inside it.

    ``dir/store.zarr/group/array`` gives (``dir/store.zarr``, ``group/array``); a path without ``.zarr`` in it is a
    store itself.
    """
    for parent in [*reversed(path.parents), path]:
        if parent.suffix == ".zarr":
            return parent, path.relative_to(parent).as_posix().removeprefix(".")
    return path, ""


def split_zip(path: Path) -> tuple[Path, str] | None:
    """Return the zip file that a path leads into, and the path inside it; None where there is none.

    ``dir/store.zarr.zip/group/array`` gives (``dir/store.zarr.zip``, ``group/array``).
    """
    for parent in [*reversed(path.parents), path]:
        if parent.suffix == ".zip" and parent.is_file():
            return parent, path.relative_to(parent).as_posix().removeprefix(".")
    return None


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
    path, other_path = address_of(one).path, address_of(other).path
    if path is None or other_path is None:
        return False
    path, other_path = path.resolve(), other_path.resolve()
    return path == other_path or path in other_path.parents or other_path in path.parents
