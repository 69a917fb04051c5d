"""Single objects through fsspec, for schemes that obstore has not: ``hf://``, ``sftp://``, ``memory://`` and others."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from ..errors import MissingExtraError, SourceError
from .objects import ObjectReadError, Version
from .stores import scrubbed
from .uris import StorageOptions, redacted

_TAGS = ("ETag", "etag", "mtime", "LastModified", "last_modified", "created")
"""The names of what file systems of fsspec tell a version of an object from another one by; some have none."""


class FsspecBucket:
    """A file system of fsspec below a URI, with the methods of :class:`.objects.Bucket`."""

    def __init__(self, uri: str, options: StorageOptions, role: str) -> None:
        """Raises MissingExtraError without fsspec, or the package of the scheme, and SourceError."""
        self.uri, self._options = redacted(uri), options
        try:
            import fsspec  # type: ignore[import-untyped]
        except ImportError:
            raise MissingExtraError(f"{role}: reading {uri.partition('://')[0]}://", "remote") from None
        try:
            self._files, self._root = fsspec.core.url_to_fs(uri, **options)
        except Exception as error:  # each file system has its own, an ImportError of its package among them
            raise SourceError(f"{role}: cannot open {self.uri!r}: {type(error).__name__}: {scrubbed(error)}") from None

    def __eq__(self, other: object) -> bool:
        return isinstance(other, FsspecBucket) and (self.uri, self._options) == (other.uri, other._options)

    def __hash__(self) -> int:
        return hash(self.uri)

    def version(self, key: str) -> Version:
        """Return an object's version. Raises FileNotFoundError, or ObjectReadError for what else is wrong."""
        try:
            return _version(self._files.info(self._path(key)))
        except FileNotFoundError:
            raise FileNotFoundError(f"{self.uri}/{key}") from None
        except Exception as error:
            raise self._explained(key, error) from None

    def list(self, prefix: str) -> Iterator[tuple[str, Version]]:
        """Yield the keys below a folder, and their versions. Raises ObjectReadError."""
        try:
            found = self._files.find(self._path(prefix), detail=True)
        except Exception as error:
            raise self._explained(prefix, error) from None
        root = self._root.rstrip("/") + "/"
        for path, entry in found.items():
            whole = path if path.startswith(root) else f"/{path}"
            yield whole.removeprefix(root), _version(entry)

    def read(self, key: str, start: int, stop: int, version: Version) -> bytes:
        """Return a range of an object's bytes. Raises ObjectReadError, also for fewer bytes than there were."""
        try:
            data = bytes(self._files.cat_file(self._path(key), start=start, end=stop))
        except Exception as error:
            raise self._explained(key, error) from None
        if len(data) != min(stop, version.size) - start:
            raise ObjectReadError(
                f"{self.uri}/{key}: it was changed since it was opened. Begin again, once it is whole."
            )
        return data

    def _path(self, key: str) -> str:
        return f"{self._root.rstrip('/')}/{key}" if key else self._root

    def _explained(self, key: str, error: Exception) -> ObjectReadError:
        return ObjectReadError(f"{self.uri}/{key}: {type(error).__name__}: {scrubbed(error)}")


def _version(entry: Mapping[str, Any]) -> Version:
    tag = next((str(entry[name]) for name in _TAGS if entry.get(name)), "")
    return Version(int(entry["size"]), tag)
