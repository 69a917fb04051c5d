"""Places of Parquet data: a file, a folder of files, or the files that a pattern matches. Imports no pyarrow."""

from __future__ import annotations

import glob
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from ...errors import SourceError
from ..uris import Address

SUFFIXES = (".parquet", ".pq", ".parq")
_MAGIC = b"PAR1"
_ZARR = ("zarr.json", ".zarray", ".zgroup", ".zmetadata")
PATTERN = "*?["
"""The marks of a pattern."""


def is_parquet(array: Any) -> bool:
    """Return whether an address names local Parquet files: by suffix, by what a file begins with, or a folder by what
    is in it.
    """
    path = array.path if isinstance(array, Address) else None
    if path is None:
        return False
    if path.is_dir():
        if path.suffix.lower() in SUFFIXES:
            return True
        return not any((path / name).exists() for name in _ZARR) and next(_in_folder(path, "="), None) is not None
    if path.is_file():
        return _is_parquet_file(path)
    if path.suffix.lower() in SUFFIXES or _file_above(path) is not None:
        return True
    return any(mark in str(path) for mark in PATTERN) and next(_matching(path), None) is not None


def files_of(address: Address, role: str) -> list[Path]:
    """Return the files of an address, sorted by path. Raises SourceError where there are none."""
    path = address.path
    assert path is not None
    if path.is_file():
        return [path]
    if path.is_dir():
        if found := sorted(_in_folder(path)):
            return found
        raise SourceError(f"{role}: the folder {str(path)!r} has no Parquet files (*.parquet) in it.")
    if found := sorted(_matching(path)):
        return found
    if (file := _file_above(path)) is not None:
        inner = path.relative_to(file).as_posix()
        raise SourceError(f"{role}: {str(path)!r}: a column is named after '::'; expected '{file}::{inner}'.")
    if any(mark in str(path) for mark in PATTERN):
        raise SourceError(f"{role}: no file matches {str(path)!r}.")
    raise SourceError(f"{role}: there is no file {str(path)!r}.")


def _in_folder(folder: Path, below: str = "") -> Iterator[Path]:
    """Yield the data files in a folder and in those below whose names hold `below`: none that is hidden or begins with
    an underscore, such as `_SUCCESS`, `_metadata` and what a job that was not finished left in `_temporary`.
    """
    for entry in folder.iterdir():
        if entry.name.startswith((".", "_")):
            continue
        if entry.suffix.lower() in SUFFIXES and entry.is_file():
            yield entry
        elif below in entry.name and entry.is_dir():
            yield from _in_folder(entry, below)


def _matching(pattern: Path) -> Iterator[Path]:
    """Yield the Parquet files that a pattern matches, or that are in folders which it matches; hidden ones are not."""
    for name in glob.iglob(str(pattern), recursive=True):
        path = Path(name)
        if any(part.startswith("_") and part not in pattern.parts for part in path.parts):
            continue
        if path.is_dir() and "**" not in str(pattern):
            yield from _in_folder(path)
        elif path.is_file() and _is_parquet_file(path):
            yield path


def _file_above(path: Path) -> Path | None:
    """Return the Parquet file that a path leads into as if it were a folder; None where there is none."""
    return next((parent for parent in path.parents if parent.suffix.lower() in SUFFIXES and parent.is_file()), None)


def _is_parquet_file(path: Path) -> bool:
    if path.suffix.lower() in SUFFIXES:
        return True
    return path.suffix != ".npy" and begins_as_parquet(path)


def begins_as_parquet(path: Path) -> bool:
    """Return whether a file begins with the mark of Parquet."""
    try:
        with open(path, "rb") as file:
            return file.read(len(_MAGIC)) == _MAGIC
    except OSError:
        return False
