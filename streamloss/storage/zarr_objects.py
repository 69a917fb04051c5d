"""The store of Zarr's keys in a bucket, or below a URL, which tells a refused object from an absent one.

Zarr reads a missing chunk as its fill value, so nothing but a "not found" of the object itself may pass for one.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from zarr.storage import ObjectStore

from ..errors import MissingExtraError, SourceError
from .objects import ObjectReadError, attempts_of, explained, received
from .stores import FAMILIES, object_store, scrubbed
from .uris import StorageOptions, redacted

_PACKAGES = {
    "gcs": "gcsfs", "hf": "huggingface_hub", "sftp": "paramiko", "ssh": "paramiko", "hdfs": "pyarrow", "ftp": "",
    "github": "requests", "webhdfs": "requests", "oss": "ossfs", "dropbox": "dropboxdrivefs", "smb": "smbprotocol",
}  # fmt: skip
_PROBED = {"zarr.json", ".zarray", ".zgroup", ".zmetadata"}
"""Keys of which any may be absent; where listing is not allowed, S3 answers 403 for what is absent."""


class RemoteStore(ObjectStore[Any]):
    """A Zarr store below a URI; prints, and is compared, without secrets, and is opened again where it is unpickled."""

    def __init__(self, uri: str, options: StorageOptions, role: str, *, read_only: bool) -> None:
        super().__init__(object_store(uri, options, role), read_only=read_only)
        self._uri, self._options, self._role = uri, options, role
        self.refused: list[str] = []
        """The refusals of metadata that may not be there."""

    def __reduce__(self) -> Any:
        return _reopened, (self._uri, self._options, self._role, self.read_only)

    def with_read_only(self, read_only: bool = False) -> RemoteStore:
        return _reopened(self._uri, self._options, self._role, read_only)

    def __str__(self) -> str:
        return redacted(self._uri)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, RemoteStore) and (self._uri, self._options) == (other._uri, other._options)

    __hash__ = None  # type: ignore[assignment]

    @property
    def supports_listing(self) -> bool:
        """Whether keys can be listed at all, which may still be refused."""
        return FAMILIES[self._uri.partition("://")[0].lower()] != "http"

    async def get(self, key: str, prototype: Any, byte_range: Any = None) -> Any:
        from obstore.exceptions import GenericError, PermissionDeniedError, UnauthenticatedError

        attempts = attempts_of(self._options)
        for attempt in range(attempts):
            try:
                found = await super().get(key, prototype, byte_range)
            except (PermissionDeniedError, UnauthenticatedError) as error:
                if key.rpartition("/")[2] in _PROBED:
                    self.refused.append(self._explained(key, error))
                    return None
                raise ObjectReadError(self._explained(key, error)) from None
            except GenericError as error:
                if attempt + 1 == attempts or "body" not in str(error).lower():
                    raise ObjectReadError(self._explained(key, error)) from None
            except Exception as error:
                raise ObjectReadError(self._explained(key, error)) from None
            else:
                if found is None:
                    await self._refuse_missing_bucket(key)
                return found
        raise AssertionError("the last attempt returns or raises")

    def fetch(self, key: str) -> Any:
        """Return the bytes of a chunk, from the calling thread; None where it is not there. Raises ObjectReadError."""
        try:
            return received(self.store, str(self), key, attempts_of(self._options))
        except FileNotFoundError:
            return None

    async def exists(self, key: str) -> bool:
        try:
            return await super().exists(key)
        except Exception as error:
            raise ObjectReadError(self._explained(key, error)) from None

    async def _refuse_missing_bucket(self, key: str) -> None:
        """Raise ObjectReadError where it is the bucket that is not there: asked once, when metadata is missing."""
        if key.rpartition("/")[2] not in _PROBED:
            return
        import obstore

        try:
            await obstore.get_async(self.store, key)
        except FileNotFoundError as error:
            if any(code in str(error) for code in ("NoSuchBucket", "ContainerNotFound", "bucket does not exist")):
                raise ObjectReadError(
                    f"{self}: the bucket does not exist (404). Check its name and endpoint."
                ) from None
        except Exception:  # what else is wrong is told where it matters
            return

    def _explained(self, key: str, error: Exception) -> str:
        return explained(f"{self}/{key}", error)


def _reopened(uri: str, options: StorageOptions, role: str, read_only: bool) -> RemoteStore:
    return RemoteStore(uri, options, role, read_only=read_only)


def zarr_store(uri: str, options: StorageOptions, role: str, *, read_only: bool = True) -> Any:
    """Return the Zarr store at a URI of any scheme but ``file``."""
    scheme = uri.partition("://")[0].lower()
    if scheme in FAMILIES:
        return RemoteStore(uri, options, role, read_only=read_only)
    return _fsspec_store(uri, scheme, options, role, read_only)


def _fsspec_store(uri: str, scheme: str, options: Mapping[str, Any], role: str, read_only: bool) -> Any:
    try:
        import fsspec  # type: ignore[import-untyped]
        from zarr.storage import FsspecStore
    except ImportError:
        raise MissingExtraError(f"{role}: reading {scheme}://", "remote") from None
    protocol = scheme.rpartition("::")[2]
    if protocol not in fsspec.available_protocols():
        raise SourceError(
            f"{role}: cannot read {redacted(uri)!r}: {scheme}:// is not supported; expected a local path, "
            f"{', '.join(f'{name}://' for name in FAMILIES)}, or a scheme of fsspec."
        )
    try:
        return FsspecStore.from_url(uri, storage_options=dict(options), read_only=read_only)
    except ImportError as error:
        package = _PACKAGES.get(protocol) or f"the package of {protocol}://"
        raise SourceError(
            f"{role}: reading {scheme}:// through fsspec needs {package}: {scrubbed(error)} Install it with pip."
        ) from None
    except Exception as error:  # each file system has its own
        raise SourceError(f"{role}: cannot open {redacted(uri)!r}: {type(error).__name__}: {scrubbed(error)}") from None
