"""The options of object stores: one mapping for all URIs, or one for each role."""

from __future__ import annotations

import os
from collections.abc import Collection, Mapping
from typing import Any

from ..errors import UsageError
from ..storage.stores import is_remote
from ..storage.uris import StorageOptions, address_of, is_remote_uri
from .inputs import ROLES, Inputs


def options_of(storage_options: Mapping[str, Any] | None, role: str, roles: Collection[str] = ROLES) -> StorageOptions:
    """Return the options for the URI of a role.

    A mapping with any role as a key is one by role, and has no other keys; any other is for all URIs. No option has
    the name of a role. Raises UsageError for what is neither.
    """
    if storage_options is None:
        return StorageOptions()
    if not isinstance(storage_options, Mapping) or not all(isinstance(key, str) for key in storage_options):
        raise UsageError(
            "storage_options must map options to values, or roles to such mappings; received a "
            f"{type(storage_options).__name__}."
        )
    if not any(key in roles for key in storage_options):
        return StorageOptions(storage_options)
    for key, value in storage_options.items():
        if key not in roles or not isinstance(value, Mapping):
            raise UsageError(
                f"storage_options has {key!r} beside roles; expected either options for all URIs, or a mapping of "
                f"options for each role ({', '.join(roles)})."
            )
    return StorageOptions(storage_options.get(role, {}))


def options_of_target(inputs: Inputs, out: Any, storage_options: Mapping[str, Any] | None) -> StorageOptions:
    """Return the options of the object store that losses of rows are written to: those of the role "out"."""
    uris = out.values() if isinstance(out, Mapping) else [] if out is None else [out]
    if not any(is_remote_uri(str(uri)) for uri in uris):
        return StorageOptions()
    return options_of(storage_options, "out", (*inputs.by_role(), "out"))


def with_options(
    inputs: Inputs, storage_options: Mapping[str, Any] | None, of_target: StorageOptions | None = None
) -> Inputs:
    """Return the inputs whose URIs in object stores have their options; `of_target` are those of the target.

    Raises UsageError for wrong options.
    """
    found: dict[str, Any] = {}
    for role, array in inputs.by_role().items():
        options = options_of(storage_options, role, (*inputs.by_role(), "out"))
        if isinstance(array, str | os.PathLike) and is_remote(address := address_of(os.fspath(array))):
            found[role] = address._replace(options=options)
    if storage_options and not found and not of_target:
        raise UsageError("storage_options was passed, but no array is the URI of an object store (s3://, https://).")
    return inputs.with_arrays(found)
