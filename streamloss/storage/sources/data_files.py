"""Files that hold a dataset: local ones, and objects in buckets."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any, Protocol

from ..objects import ObjectReader, Objects, Version

Stamp = tuple[int, int | str]
"""A file's size and time of change; an object's size and entity tag."""


class DataFile(Protocol):
    """A file of a dataset; ``str()`` of it is its path or URI without secrets."""

    def stamp(self) -> Stamp:
        """Return what tells the file from another one of its name. Raises OSError where it is gone."""

    def known_stamp(self) -> Stamp:
        """Return the stamp as it is checked before each read: reading an object refuses another version by itself."""

    def open(self) -> Any:
        """Return a file that pyarrow reads. Raises OSError."""

    def below(self, root: str) -> str:
        """Return the name of the file in a folder; its path or URI where it is elsewhere."""


@dataclass(frozen=True)
class LocalFile:
    path: Path

    def __str__(self) -> str:
        return str(self.path)

    def stamp(self) -> Stamp:
        status = os.stat(self.path)
        return status.st_size, status.st_mtime_ns

    known_stamp = stamp

    def open(self) -> Any:
        """Return a file that is not mapped: one that is cut while it is mapped ends the process, and its pages would
        count as memory of the process.
        """
        import pyarrow as pa

        return pa.OSFile(str(self.path))

    def below(self, root: str) -> str:
        return str(self.path.relative_to(root) if self.path.is_relative_to(root) else self.path)


@dataclass(frozen=True)
class ObjectFile:
    bucket: Objects
    key: str
    version: Version

    def __str__(self) -> str:
        return f"{self.bucket.uri}/{self.key}"

    def stamp(self) -> Stamp:
        version = self.bucket.version(self.key)
        return version.size, version.tag

    def known_stamp(self) -> Stamp:
        return self.version.size, self.version.tag

    def open(self) -> Any:
        import pyarrow as pa

        return pa.PythonFile(ObjectReader(self.bucket, self.key, self.version), mode="r")

    def below(self, root: str) -> str:
        path = PurePosixPath(str(self))
        return str(path.relative_to(root)) if path.is_relative_to(root) else str(self)
