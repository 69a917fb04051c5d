"""Opening Zarr arrays by path, in directories and zip files, and naming what is there where there is none.

The metadata of an array may be kept only in that of a group above it (consolidated metadata): it is read where the
array has none itself.
"""

from __future__ import annotations

import difflib
import json
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import zarr
from zarr.abc.store import Store
from zarr.core.buffer import default_buffer_prototype
from zarr.core.sync import sync
from zarr.storage import LocalStore, StorePath, ZipStore

from ...errors import SourceError
from ..uris import split_store, split_zip
from .bfloat16 import bits_of
from .encoding import says_bfloat16
from .foreign_files import ARCHIVE, explain_file, explain_stand_in, kind_of

_CONSOLIDATED = (".zmetadata", "zarr.json")


class Stored(NamedTuple):
    """An array or a group that was found in a store."""

    array: Any
    """The array, or a group."""
    bfloat16: bool = False
    """Whether the metadata says that the array is bfloat16; `array` then has its bits."""


def open_local(path: Path, role: str) -> Stored:
    """Return the Zarr array at a local path, ``store.zarr/path/in/group``, or ``store.zarr.zip/path/in/group``.

    Raises SourceError where there is none.
    """
    in_zip = split_zip(path)
    place, inner = in_zip or split_store(path)
    if not in_zip and not place.is_dir() and (other := explain_file(path, role)) is not None:
        raise SourceError(other)
    if not place.exists():
        raise SourceError(f"{role}: there is no {str(place)!r}.")
    store: Store | None = None
    try:
        store = _zip_store(place) if in_zip else LocalStore(place, read_only=True)
        found = open_stored(store, inner)
    except Exception as error:  # damaged metadata raises whatever its parser raises
        if not in_zip and (above := _under_a_group_above(place, inner)) is not None:
            return above
        near = "" if store is None else _nearby(store, inner)
        other = None if near else _other_kind(place, inner, role, torn=store is None)
        if other is not None:
            raise SourceError(other) from error
        raise SourceError(f"{role}: {str(path)!r} is not a Zarr array: {near or why(error)}") from error
    if isinstance(found.array, zarr.Group):
        arrays = ", ".join(array_names(found.array)[:20]) or "none"
        raise SourceError(f"{role}: {str(path)!r} is a Zarr group; name one of its arrays: {arrays}.")
    return found


def open_stored(store: Store, path: str, zarr_format: Any = None) -> Stored:
    """Return the array or group at a path in a store. Raises what zarr raises where there is none."""
    try:
        return Stored(zarr.open(store, path=path, mode="r", zarr_format=zarr_format))
    except Exception:
        own = _document(store, _join(path, "zarr.json"))
        if _is_bfloat16(own):
            return _from_document(store, path, own)
        if (found := _from_consolidated(store, path)) is None:
            raise
        return found


def metadata_key(array: zarr.Array[Any], own: bool) -> str | None:
    """Return the key of the metadata that an array was opened from: its `own`, or that of a group above it; None where
    there is neither.
    """
    if own:
        return _join(array.path, "zarr.json" if array.metadata.zarr_format == 3 else ".zarray")
    return next((key for key, _ in _consolidated(array.store, array.path)), None)


def array_names(group: zarr.Group) -> list[str]:
    """Return the names of the arrays of a group and of all groups in it, sorted."""
    return sorted(name for name, member in group.members(max_depth=None) if isinstance(member, zarr.Array))


def why(error: Exception) -> str:
    """Return the reason why an array cannot be opened, for an error message."""
    if isinstance(error, FileNotFoundError | NotADirectoryError):
        return "it has no Zarr metadata (zarr.json or .zarray). Expected a file a.npy, or store.zarr/path/in/group."
    if isinstance(error, zipfile.BadZipFile):
        return f"the zip file cannot be read: {error}. If it is still being written, or was copied in part, wait."
    return f"its metadata cannot be read: {type(error).__name__}: {error}"


def _other_kind(place: Path, inner: str, role: str, torn: bool) -> str | None:
    """Return the message about a file or directory of another kind, or about what stands in for the metadata.

    A zip file that is `torn` is one all the same.
    """
    for document in ("zarr.json", ".zarray"):
        if (found := explain_stand_in(place / inner / document, role)) is not None:
            return found
    return None if torn and kind_of(place) is ARCHIVE else explain_file(place, role)


def _zip_store(place: Path) -> ZipStore:
    store = ZipStore(place.absolute(), mode="r")
    sync(store._open())
    return store


def _under_a_group_above(place: Path, inner: str) -> Stored | None:
    """Return the array of a directory whose metadata only a group above it has, where no store is named ``.zarr``."""
    for parent in place.parents:
        if any((parent / name).is_file() for name in _CONSOLIDATED):
            path = (place / inner).relative_to(parent).as_posix()
            if (found := _from_consolidated(LocalStore(parent, read_only=True), path)) is not None:
                return found
    return None


def _from_consolidated(store: Store, path: str) -> Stored | None:
    found = next((document for _, document in _consolidated(store, path)), None)
    return None if found is None else _from_document(store, path, found)


def _from_document(store: Store, path: str, document: dict[str, Any]) -> Stored:
    bfloat16 = _is_bfloat16(document)
    if bfloat16:
        attributes = {key: value for key, value in document.get("attributes", {}).items() if not says_bfloat16(value)}
        fill_value = bits_of(document.get("fill_value", 0))
        document = document | {"data_type": "uint16", "fill_value": fill_value, "attributes": attributes}
    return Stored(zarr.Array.from_dict(StorePath(store, path), document), bfloat16)


def _is_bfloat16(document: dict[str, Any]) -> bool:
    named = document.get("data_type")
    return "bfloat16" in (named, named.get("name") if isinstance(named, dict) else None)


def _consolidated(store: Store, path: str) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield the metadata of an array that groups above it hold, from the root down, with the key of the group's."""
    parts = path.split("/") if path else []
    for depth in range(len(parts)):
        name = "/".join(parts[depth:])
        for key in (_join("/".join(parts[:depth]), document) for document in _CONSOLIDATED):
            of_all = _document(store, key)
            if key.endswith(".zmetadata"):
                members = of_all.get("metadata", {})
                if f"{name}/.zarray" in members:
                    yield key, members[f"{name}/.zarray"] | {"attributes": members.get(f"{name}/.zattrs", {})}
            else:
                member = (of_all.get("consolidated_metadata") or {}).get("metadata", {}).get(name, {})
                if member.get("node_type") == "array":
                    yield key, member


def _document(store: Store, key: str) -> dict[str, Any]:
    """Return a JSON document of a store; an empty one where there is none, or no document."""
    try:
        value = sync(store.get(key, default_buffer_prototype()))
        found = json.loads(value.to_bytes()) if value is not None else {}
        return found if isinstance(found, dict) else {}
    except Exception:  # each store has its own errors; a damaged document says nothing
        return {}


def _join(path: str, name: str) -> str:
    return f"{path}/{name}" if path else name


def _nearby(store: Store, inner: str) -> str:
    """Return a hint which arrays the store has, with the name nearest to `inner`; "" where it cannot be listed."""
    try:
        names = array_names(zarr.open_group(store, mode="r"))
    except Exception:  # only a hint
        names = _names_of(store)
    if not names:
        return ""
    near = difflib.get_close_matches(inner, names, n=1) or [name for name in names if name.endswith(f"/{inner}")][:1]
    guess = f" Did you mean {near[0]!r}?" if near else ""
    return f"the store has no array {inner!r}.{guess} Arrays: {', '.join(names[:20])}."


def _names_of(store: Store) -> list[str]:
    """Return the paths of the arrays of a store whose root is no group: of a zip file of a folder, or of a group of
    format 2 with consolidated metadata only.
    """
    consolidated = _document(store, ".zmetadata").get("metadata", {})
    names = [key.removesuffix("/.zarray") for key in consolidated if key.endswith("/.zarray")]
    if isinstance(store, ZipStore):
        keys = store._zf.namelist()
        names += [key.removesuffix("/.zarray") for key in keys if key.endswith("/.zarray")]
        names += [
            key.removesuffix("/zarr.json")
            for key in keys
            if key.endswith("/zarr.json") and _document(store, key).get("node_type") == "array"
        ]
    return sorted(set(names))


def type_and_names(given: Any) -> str:
    """Return what was passed in place of an array, with the names of a group's arrays."""
    holding = (
        f" with the arrays {', '.join(array_names(given)[:20]) or 'none'}" if isinstance(given, zarr.Group) else ""
    )
    return f"a {type(given).__name__}{holding}"
