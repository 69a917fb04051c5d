"""Zarr arrays, format 2 and 3, sharded or not, in any store.

Zarr silently reads a chunk that does not exist as the fill value, so reads go through a store that tracks which keys
are missing. Inside a shard the same holds for inner chunks, which are found missing in the shard's index: zarr fetches
the index anyway.
"""

from __future__ import annotations

import difflib
import itertools
import json
import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import zarr
from zarr.codecs import ShardingCodec
from zarr.storage import FsspecStore, LocalStore, ObjectStore, StorePath

from ...errors import CorruptChunkError, DataError, MissingChunkError, SourceError
from ..uris import split_store
from . import fingerprints
from .base import Allocate, HostSource, Selection, nbytes, selection_shape
from .encoding import refuse_encoded
from .zarr_codecs import ShardIndex, is_blosc
from .zarr_local import local_chunks
from .zarr_metadata import codec_names, dimensions_of, missing_number, outermost
from .zarr_presence import refuse_absent, refuse_vanished
from .zarr_tracking import TrackingStore

_CONCURRENT = 10  # chunks that zarr decodes at a time for one read ("async.concurrency")


class ZarrSource(HostSource):
    """A ``zarr.Array``."""

    def __init__(self, array: zarr.Array[Any], role: str, missing_chunks: str, where: str | None = None) -> None:
        if not isinstance(array, zarr.Array):
            raise SourceError(
                f"{role}: expected a zarr.Array; received a {type(array).__name__}"
                + (
                    f" with the arrays {', '.join(_array_names(array)[:20]) or 'none'}."
                    if isinstance(array, zarr.Group)
                    else "."
                )
            )
        if array.dtype.kind not in "biuf":
            raise SourceError(f"{role}: expected numbers; {array.store_path} has dtype {array.dtype}.")
        self.role = role
        self.where = where or str(array.store_path)
        self._opened = array
        self._policy = missing_chunks
        self._filled: set[str] = set()
        self._has_chunks = False
        refuse_encoded(role, self.where, array.attrs.asdict(), array.dtype, missing_number(array))
        self.dimensions = dimensions_of(array)
        self._store = TrackingStore(array.store)
        self._store.blosc = is_blosc(outermost(array))
        self._track_shards(array)
        self._local = local_chunks(array)
        self._array = zarr.open_array(
            StorePath(self._store, array.path), mode="r", zarr_format=array.metadata.zarr_format
        )
        self.shape = self._array.shape
        self.dtype = self._array.dtype
        self.chunk_shape = self._array.shards or self._array.chunks
        self.remote = isinstance(array.store, FsspecStore | ObjectStore)

    def __reduce__(self) -> Any:
        """Pickle the store and the path: another process opens the array itself."""
        store = self._opened.store
        if isinstance(store, LocalStore):
            store = LocalStore(store.root.absolute(), read_only=True)
        place = StorePath(store, self._opened.path)
        return _open_again, (place, self._opened.metadata.zarr_format, self.role, self._policy, self.where)

    def _track_shards(self, array: zarr.Array[Any]) -> None:
        """Let the store track missing inner chunks. Raises SourceError for an index of shards in another encoding."""
        codecs = () if array.metadata.zarr_format == 2 else array.metadata.codecs
        codec = next((c for c in codecs if isinstance(c, ShardingCodec)), None)
        if codec is None or self._policy == "fill":
            return
        if len(codecs) > 1 or any(isinstance(c, ShardingCodec) for c in codec.codecs):
            raise SourceError(
                f"{self.role}: {self.where} has shards inside of other codecs ({', '.join(codec_names(array))}), so "
                "missing chunks cannot be told. Write the array with sharding as its only outer codec, or pass "
                "missing_chunks='fill' if all its chunks were written or its fill value is meant."
            )
        index = ShardIndex.of(array, codec)
        if index is None:
            raise SourceError(
                f"{self.role}: the shard index of {self.where} is encoded by {codec.index_codecs}, so missing "
                "chunks cannot be told; expected little-endian bytes and crc32c. missing_chunks='fill' reads on."
            )
        self._store.index = index

    def read(self, selection: Selection, allocate: Allocate = np.empty) -> np.ndarray[Any, Any]:
        if self._local is not None:
            out = allocate(selection_shape(selection), self.dtype)
            try:
                missing = self._local.read(selection, out)
                if missing:
                    self._refuse_vanished()
                for coordinates in missing:
                    self._note_missing(self._local_key(coordinates))
                return out
            except (DataError, MemoryError):
                raise
            except Exception:  # zarr reads it again, and may succeed; if not, its error is as good
                pass
        return self._read_by_zarr(selection)

    def _read_by_zarr(self, selection: Selection) -> np.ndarray[Any, Any]:
        missing = len(self._store.missing)
        try:
            data = self._array[selection]
        except (DataError, MemoryError):
            raise
        except Exception as error:  # each codec has its own exceptions
            raise self._corrupt(selection, error) from error
        if len(self._store.missing) > missing:
            self._refuse_vanished()
        if self._policy != "fill" and (self._store.missing or self._store.missing_inner):
            self._check_missing(selection)
        return np.asarray(data)

    def _check_missing(self, selection: Selection) -> None:
        for coordinates in _touched(selection, self._array.chunks):
            key = self._missing_key(coordinates)
            if key is not None:
                self._note_missing(key)

    def _refuse_vanished(self) -> None:
        refuse_vanished(self._opened, self.role, self.where)
        if not self._has_chunks:
            refuse_absent(self._opened, self.role, self.where, fill_is_meant=self._policy != "warn")
            self._has_chunks = True

    def _note_missing(self, key: str) -> None:
        """Apply the policy to a chunk that does not exist: raise MissingChunkError, count it, or do nothing."""
        if self._policy == "error":
            raise MissingChunkError(
                f"{self.role}: chunk {key} of {self.where} does not exist; Zarr would read its elements as the "
                f"fill value {self._array.fill_value}. Write the chunk, or pass missing_chunks='warn' or 'fill' if "
                f"the fill value is meant, as where the writer skips chunks of it: {{{self.role!r}: 'fill'}} allows it "
                "for this array only."
            )
        if self._policy == "warn":
            self._filled.add(key)

    @property
    def filled(self) -> int:
        """Return how many chunks so far were absent and read as the fill value, under the policy "warn"."""
        return len(self._filled)

    def _missing_key(self, coordinates: tuple[int, ...]) -> str | None:
        """Return the key of the chunk if it is absent, else None."""
        shards = self._array.shards
        per_shard = (
            [s // c for s, c in zip(shards, self._array.chunks, strict=True)] if shards else [1] * len(coordinates)
        )
        outer = tuple(i // n for i, n in zip(coordinates, per_shard, strict=True))
        key = self._key(outer)
        if key in self._store.missing:
            return key
        if shards and key in self._store.missing_inner:
            inner = tuple(i % n for i, n in zip(coordinates, per_shard, strict=True))
            if self._store.missing_inner[key][np.ravel_multi_index(inner, per_shard)]:
                return f"{key} (inner chunk {inner})"
        return None

    def _local_key(self, coordinates: tuple[int, ...]) -> str:
        """Return the key of a chunk that the local reader did not find."""
        assert self._local is not None
        key = self._key(
            tuple(i * c // g for i, c, g in zip(coordinates, self._array.chunks, self.chunk_shape, strict=True))
        )
        if self._array.shards and self._local.exists(coordinates):
            per_shard = [g // c for g, c in zip(self.chunk_shape, self._array.chunks, strict=True)]
            return f"{key} (inner chunk {tuple(i % n for i, n in zip(coordinates, per_shard, strict=True))})"
        return key

    def _key(self, coordinates: tuple[int, ...]) -> str:
        path = self._array.path
        key: str = self._array.metadata.encode_chunk_key(coordinates)
        return f"{path}/{key}" if path else key

    def _corrupt(self, selection: Selection, error: Exception) -> CorruptChunkError:
        """Return the error that names the first chunk of the selection that cannot be read by itself."""
        for coordinates in _touched(selection, self.chunk_shape):
            box = zip(coordinates, self.chunk_shape, self.shape, strict=True)
            try:
                self._array[tuple(slice(i * c, min((i + 1) * c, n)) for i, c, n in box)]
            except Exception as single:
                return CorruptChunkError(
                    f"{self.role}: chunk {self._key(coordinates)} of {self.where} cannot be decoded: "
                    f"{type(single).__name__}: {single}. Write it again."
                )
        return CorruptChunkError(f"{self.role}: cannot read {self.where}: {type(error).__name__}: {error}")

    def read_bytes(self, selection_shape: tuple[int, ...]) -> int:
        touched = math.prod(
            min(-(-s // c) + 1, -(-n // c))
            for s, c, n in zip(selection_shape, self.chunk_shape, self.shape, strict=True)
        )
        encoded_and_decoded = 2 * min(touched, _CONCURRENT) * nbytes(self.chunk_shape, self.dtype)
        return nbytes(selection_shape, self.dtype) + encoded_and_decoded

    def locate(self, index: tuple[int, ...]) -> str:
        return f" (chunk {self._key(tuple(i // c for i, c in zip(index, self.chunk_shape, strict=True)))})"

    def fingerprint(self) -> fingerprints.Fingerprint:
        grid = [-(-n // c) for n, c in zip(self.shape, self.chunk_shape, strict=True)]
        picked = fingerprints.sample(math.prod(grid))
        keys = (self._key(tuple(map(int, np.unravel_index(i, grid)))) if grid else self._key(()) for i in picked)
        store = self._opened.store
        metadata = json.dumps(self._opened.metadata.to_dict(), sort_keys=True, default=str).encode()
        return fingerprints.of_zarr(metadata, store.root if isinstance(store, LocalStore) else None, keys)


def _open_again(place: StorePath, zarr_format: Any, role: str, missing_chunks: str, where: str) -> ZarrSource:
    """Open a pickled source in another process."""
    try:
        array = zarr.open_array(place, mode="r", zarr_format=zarr_format)
    except Exception as error:  # whatever opening raises
        raise SourceError(f"{role}: this worker cannot open {place}: {_why(error)}") from None
    return ZarrSource(array, role, missing_chunks, where)


def _touched(selection: Selection, chunk_shape: tuple[int, ...]) -> Iterator[tuple[int, ...]]:
    """Return the coordinates of the chunks that a selection touches."""
    return itertools.product(
        *(range(s.start // c, -(-s.stop // c)) for s, c in zip(selection, chunk_shape, strict=True))
    )


def open_path(path: Path, role: str, missing_chunks: str) -> ZarrSource:
    """Open the Zarr array at a local path, ``store.zarr/path/in/group``."""
    store, inner = split_store(path)
    if not store.exists():
        raise SourceError(f"{role}: there is no {str(store)!r}.")
    try:
        found = zarr.open(store, path=inner, mode="r")
    except Exception as error:  # damaged metadata raises whatever its parser raises
        raise SourceError(
            f"{role}: {str(path)!r} is not a Zarr array: {_nearby(store, inner) or _why(error)}"
        ) from error
    if isinstance(found, zarr.Group):
        arrays = ", ".join(_array_names(found)[:20]) or "none"
        raise SourceError(f"{role}: {str(path)!r} is a Zarr group; name one of its arrays: {arrays}.")
    return ZarrSource(found, role, missing_chunks, where=str(path))


def _array_names(group: zarr.Group) -> list[str]:
    """Return the names of the arrays of a group and of all groups in it, sorted."""
    return sorted(name for name, member in group.members(max_depth=None) if isinstance(member, zarr.Array))


def _why(error: Exception) -> str:
    """Return the reason why an array cannot be opened, for an error message."""
    if isinstance(error, FileNotFoundError | NotADirectoryError):
        return "it has no Zarr metadata (zarr.json or .zarray). Expected a file a.npy, or store.zarr/path/in/group."
    return f"its metadata cannot be read: {type(error).__name__}: {error}"


def _nearby(store: Path, inner: str) -> str:
    """Return a hint which arrays the store has, with the name nearest to `inner`; "" where it cannot be listed."""
    try:
        names = _array_names(zarr.open_group(store, mode="r"))
    except Exception:  # only a hint
        return ""
    near = difflib.get_close_matches(inner, names, n=1)
    guess = f" Did you mean {near[0]!r}?" if near else ""
    return f"the store has no array {inner!r}.{guess} Arrays: {', '.join(names[:20])}."
