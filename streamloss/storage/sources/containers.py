"""Files that hold several arrays by name: recognising one, and finding the array in it that is meant."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from ...errors import SourceError
from ..uris import Address

MOST_LISTED = 20
"""The most arrays of a file that an error lists."""


def container(*suffixes: str, begins: tuple[bytes, ...] = ()) -> Callable[[Any], bool]:
    """Match local files, and places in them, that have one of these suffixes or begin with one of these bytes."""

    def matches(array: Any) -> bool:
        if not isinstance(array, Address) or array.path is None:
            return False
        file, _ = file_and_member(array)
        if file.is_file():
            return file.suffix.lower() in suffixes or any(map(_head(file).startswith, begins))
        return file.suffix.lower() in suffixes and not file.is_dir()

    return matches


def file_and_member(address: Address) -> tuple[Path, str]:
    """Return the file that an address names, and the name in it: of ``a.h5::group/name`` and ``a.h5/group/name``.

    The file need not exist.
    """
    path = address.path
    assert path is not None
    if not address.member and not path.exists():
        for parent in path.parents:
            if parent.is_file():
                return parent, path.relative_to(parent).as_posix()
    return path, address.member


def refuse_no_file(role: str, file: Path) -> None:
    """Raise SourceError where there is no file."""
    if not file.is_file():
        raise SourceError(f"{role}: there is no file {str(file)!r}.")


def unreadable_file(role: str, file: Path, what: str, error: Exception) -> SourceError:
    """Return the error for a file that its library, or our parser, cannot read."""
    return SourceError(
        f"{role}: {str(file)!r} cannot be read as {what}: {type(error).__name__}: {error}. It may be damaged, cut "
        "short, still being written, or of another kind than its name says."
    )


def chosen(role: str, file: Path, member: str, arrays: Mapping[str, str]) -> str:
    """Return the name of the array that is meant: `member`, or the only one where no name is given.

    `arrays` maps the names of a file's arrays to what is known of each. Raises SourceError, which lists them.
    """
    if member in arrays:
        return member
    if not member and len(arrays) == 1:
        return next(iter(arrays))
    first = next(iter(arrays), "name")
    if not arrays:
        problem = f"holds no arrays; expected one named {member!r}" if member else "holds no arrays; expected one"
    elif not member:
        problem = f"holds {len(arrays)} arrays; name one of them, as in {f'{file}::{first}'!r}"
    else:
        below = [name for name in arrays if name.endswith(f"/{member.lstrip('/')}")]
        near = below or difflib.get_close_matches(member, arrays, n=1)
        problem = f"has no array {member!r}" + (f". Did you mean {near[0]!r}?" if near else "")
    listed = ", ".join(f"{name} {known}" for name, known in list(arrays.items())[:MOST_LISTED])
    more = len(arrays) - MOST_LISTED
    told = f" Arrays: {listed}{f' and {more:,} others' if more > 0 else ''}." if arrays else ""
    raise SourceError(f"{role}: {str(file)!r} {problem}{'' if problem.endswith('?') else '.'}{told}")


def _head(file: Path) -> bytes:
    try:
        with open(file, "rb") as opened:
            return opened.read(16)
    except OSError:  # what opens it says why
        return b""
