"""Parquet data in object stores: an object, the objects of a folder, or those that a pattern matches."""

from __future__ import annotations

from collections.abc import Sequence
from fnmatch import fnmatchcase
from pathlib import PurePosixPath
from typing import Any

from ...errors import SourceError
from ..fsspec_objects import FsspecBucket
from ..objects import Bucket, ObjectReadError, Objects
from ..stores import FAMILIES, is_remote, refuse_query
from ..uris import Address, redacted
from .data_files import ObjectFile
from .parquet_places import PATTERN, SUFFIXES


def is_remote_parquet(array: Any) -> bool:
    """Return whether an address names Parquet objects: by the suffix, as a pattern, or as a folder, which ends with a
    slash.
    """
    if not is_remote(array):
        return False
    place = array.place.partition("?")[0]
    return place.lower().endswith(SUFFIXES) or place.endswith("/") or any(mark in place for mark in "*[")


def objects_of(address: Address, role: str) -> tuple[list[ObjectFile], str]:
    """Return the objects of an address, sorted by key, and the folder that they are in. Raises SourceError where there
    are none, or where the store refuses to be read.
    """
    refuse_query(address, role)
    scheme, _, rest = address.place.partition("://")
    host, _, key = rest.partition("/")
    place = f"{scheme}://{host}"
    kind = Bucket if address.scheme in FAMILIES else FsspecBucket
    bucket: Objects = kind(place, address.options, role)
    where = redacted(address.place)
    try:
        if key.lower().endswith(SUFFIXES) and not any(mark in key for mark in PATTERN):
            return [ObjectFile(bucket, key, bucket.version(key))], str(PurePosixPath(f"{bucket.uri}/{key}").parent)
        found, folder = _listed(bucket, key)
    except FileNotFoundError:
        raise SourceError(f"{role}: there is no {where!r}.") from None
    except ObjectReadError as error:
        raise SourceError(f"{role}: cannot open {where!r}: {error}") from None
    if not found:
        raise SourceError(f"{role}: {where!r} has no Parquet files (*.parquet) in it.")
    return sorted(found, key=lambda file: file.key), str(PurePosixPath(f"{bucket.uri}/{folder}"))


def _listed(bucket: Objects, key: str) -> tuple[list[ObjectFile], str]:
    """Return the objects of a folder or pattern, and the folder that was listed."""
    parts = key.split("/")
    plain = next((i for i, part in enumerate(parts) if any(mark in part for mark in PATTERN)), len(parts) - 1)
    folder, wanted = "/".join(parts[:plain]), [part for part in parts[plain:] if part]
    found = []
    for path, version in bucket.list(folder):
        inside = path.removeprefix(f"{folder}/" if folder else "").split("/")
        hidden = any(part.startswith(("_", ".")) and part not in wanted for part in inside)
        if not hidden and path.lower().endswith(SUFFIXES) and _matches(inside, wanted):
            found.append(ObjectFile(bucket, path, version))
    return found, folder


def _matches(parts: Sequence[str], wanted: Sequence[str]) -> bool:
    """Return whether a path matches a pattern, or lies in a folder that does, as the folders of partitions do."""
    if not wanted:
        return all("=" in part for part in parts[:-1])
    if not parts:
        return False
    if wanted[0] == "**":
        return any(_matches(parts[i:], wanted[1:]) for i in range(len(parts)))
    return fnmatchcase(parts[0], wanted[0]) and (
        _matches(parts[1:], wanted[1:]) if len(parts) > 1 else len(wanted) == 1
    )
