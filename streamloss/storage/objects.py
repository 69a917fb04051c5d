"""Single objects of a store: their sizes and versions, ranges of their bytes, and what is wrong with them."""

from __future__ import annotations

import io
from collections.abc import Iterator
from typing import Any, NamedTuple, Protocol

from .stores import RETRIES, object_store, scrubbed
from .uris import StorageOptions, redacted

BODIES = 4
"""The most times that an object is asked for whose body ends early; obstore itself retries what fails before."""
_ADVICE = {
    "PermissionDeniedError": "refused (403): the credentials do not allow reading it, or it is not there and they do "
    "not allow listing. Grant both.",
    "UnauthenticatedError": "refused (401): credentials are missing or wrong. Set them in the environment or "
    "storage_options, or skip_signature for a public bucket.",
    "PreconditionError": "it was changed since it was opened. Begin again, once it is whole.",
}


class ObjectReadError(OSError):
    """An object that could not be read, with its place and the reason."""


def explained(where: str, error: Exception) -> str:
    """Return where an object is and why it cannot be read, with the status where there is one."""
    advice = _ADVICE.get(type(error).__name__, "")
    return f"{where}: {advice}{' ' if advice else ''}{scrubbed(error)}"


def attempts_of(options: StorageOptions) -> int:
    """Return how often an object is asked for whose body ends early."""
    return min(BODIES, 1 + int(float(options.get("max_retries", RETRIES["max_retries"]))))


def received(store: Any, uri: str, key: str, attempts: int, request: Any = None) -> Any:
    """Return the bytes of an object, asked for again where its body ends early.

    Raises FileNotFoundError where the object is not there, and ObjectReadError for what else is wrong.
    """
    import obstore
    from obstore.exceptions import GenericError

    for attempt in range(attempts):
        try:
            return obstore.get(store, key, options=request).bytes()
        except FileNotFoundError:
            raise
        except GenericError as error:
            if attempt + 1 == attempts or "body" not in str(error).lower():
                raise ObjectReadError(explained(f"{uri}/{key}", error)) from None
        except Exception as error:  # each provider has its own
            raise ObjectReadError(explained(f"{uri}/{key}", error)) from None
    raise AssertionError("the last attempt returns or raises")


class Version(NamedTuple):
    """The size in bytes of an object, and what tells it from another one of its name."""

    size: int
    tag: str


class Objects(Protocol):
    """Objects that are found by key below a URI, of any library's."""

    uri: str

    def version(self, key: str) -> Version:
        """Return an object's version. Raises FileNotFoundError, or ObjectReadError for what else is wrong."""

    def list(self, prefix: str) -> Iterator[tuple[str, Version]]:
        """Yield the keys that begin with a folder's name, and their versions. Raises ObjectReadError."""

    def read(self, key: str, start: int, stop: int, version: Version) -> bytes:
        """Return a range of an object's bytes. Raises ObjectReadError, also where it is another version by now."""


class Bucket:
    """A bucket, or a server, whose objects are found by key."""

    def __init__(self, uri: str, options: StorageOptions, role: str) -> None:
        """Raises as :func:`.stores.object_store` does."""
        self.uri, self._options = redacted(uri), options
        self._store = object_store(uri, options, role)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Bucket) and (self.uri, self._options) == (other.uri, other._options)

    def __hash__(self) -> int:
        return hash(self.uri)

    def version(self, key: str) -> Version:
        """Return an object's version. Raises FileNotFoundError, or ObjectReadError for what else is wrong."""
        import obstore

        try:
            return _version(obstore.head(self._store, key))
        except FileNotFoundError:
            raise FileNotFoundError(f"{self.uri}/{key}") from None
        except Exception as error:  # each provider has its own
            raise ObjectReadError(explained(f"{self.uri}/{key}", error)) from None

    def list(self, prefix: str) -> Iterator[tuple[str, Version]]:
        """Yield the keys that begin with a folder's name, and their versions. Raises ObjectReadError."""
        import obstore

        try:
            for page in obstore.list(self._store, prefix or None):
                yield from ((entry["path"], _version(entry)) for entry in page)
        except Exception as error:
            raise ObjectReadError(explained(f"{self.uri}/{prefix}", error)) from None

    def read(self, key: str, start: int, stop: int, version: Version) -> bytes:
        """Return a range of an object's bytes. Raises ObjectReadError, also where it is another version by now."""
        request: Any = {"range": (start, stop)}
        if version.tag.startswith(('"', "W/")):  # what is no entity tag is a time
            request["if_match"] = version.tag
        attempts = attempts_of(self._options)
        for _ in range(attempts):
            try:
                found: bytes = received(self._store, self.uri, key, attempts, request).to_bytes()
            except FileNotFoundError as error:
                raise ObjectReadError(explained(f"{self.uri}/{key}", error)) from None
            if len(found) == stop - start:
                return found
        raise ObjectReadError(f"{self.uri}/{key}: bytes {start:,} to {stop:,} end early; it is shorter than it was.")


class ObjectReader(io.RawIOBase):
    """An object as a file that is read; each read is one request."""

    def __init__(self, bucket: Objects, key: str, version: Version) -> None:
        self._bucket, self._key, self._version, self._at = bucket, key, version, 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._at

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        self._at = offset + (0, self._at, self._version.size)[whence]
        return self._at

    def read(self, size: int | None = -1) -> bytes:
        stop = self._version.size if size is None or size < 0 else min(self._at + size, self._version.size)
        if stop <= self._at:
            return b""
        found = self._bucket.read(self._key, self._at, stop, self._version)
        self._at = stop
        return found


def _version(entry: Any) -> Version:
    tag = entry["e_tag"] or entry["version"] or entry["last_modified"].isoformat()
    return Version(int(entry["size"]), str(tag))
