"""Whether files are those that were opened: what is read of two versions of a file is the data of neither.

A file is told from another version by its size and its time of change, which is cheap enough to ask before each read of
a memory map: a map of a file that was cut ends the process, or reads zeros.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from pathlib import Path

from ...errors import SourceError
from ..uris import Address, split_zip
from .containers import file_and_member

Stamp = tuple[int, int]
"""A file's size in bytes and its time of change in nanoseconds."""
_METADATA = ("zarr.json", ".zarray")


def stamp_of(path: Path) -> Stamp | None:
    """Return a file's stamp; None where there is no such file, or nobody who may look at it."""
    try:
        status = os.stat(path)
    except OSError:  # a name that is too long for a file, too
        return None
    return status.st_size, status.st_mtime_ns


def stamps_of(paths: Iterable[Path]) -> dict[Path, Stamp]:
    """Return the stamps of those of the files that are there."""
    found = {path: stamp_of(path) for path in paths}
    return {path: stamp for path, stamp in found.items() if stamp is not None}


def files_under(address: Address) -> list[Path]:
    """Return the file that holds a local array, or those that describe a Zarr array in a folder."""
    if address.path is None:
        return []
    zipped = split_zip(address.path)
    file = zipped[0] if zipped else file_and_member(address)[0]
    if file.is_file():
        return [file]
    return [address.path / address.member / name for name in _METADATA]


def refuse_changed(role: str, stamps: Mapping[Path, Stamp]) -> None:
    """Raise SourceError where one of the files is another version by now, or is gone."""
    for path, stamp in stamps.items():
        if (now := stamp_of(path)) != stamp:
            what = "is gone, or cannot be read any more," if now is None else "was changed"
            raise SourceError(
                f"{role}: {str(path)!r} {what} since it was opened, so what was read may be of two versions. Evaluate "
                "again once nothing writes to it."
            )
