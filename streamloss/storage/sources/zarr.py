"""Zarr arrays, format 2 and 3, sharded or not, in any store.

Zarr silently reads a chunk that does not exist as the fill value, so reads go through a store that tracks which keys
are missing. Inside a shard the same holds for inner chunks, which are found missing in the shard's index: zarr fetches
the index anyway.
"""

from __future__ import annotations

import json
import math
from collections.abc import Container
from typing import Any

import numpy as np
import zarr
from zarr.codecs import ShardingCodec
from zarr.storage import FsspecStore, LocalStore, MemoryStore, ObjectStore, StorePath, ZipStore

from ...errors import CorruptChunkError, DataError, MissingChunkError, SourceError
from ..objects import ObjectReadError
from ..regular_files import SpecialFileError
from . import fingerprints
from .base import Allocate, HostSource, Selection, Source, fill_option, nbytes, selection_shape, touched
from .bfloat16 import widened
from .dtypes import refuse_no_numbers
from .encoding import refuse_encoded, units_of
from .labels import Labels
from .unchanged import refuse_changed
from .zarr_codecs import OversizedChunkError, ShardIndex
from .zarr_decoders import checker_of
from .zarr_fetched import direct_chunks
from .zarr_labels import labels_beside
from .zarr_metadata import codec_names, dimensions_of, fill_of, missing_number, outermost
from .zarr_opening import metadata_key, open_stored, type_and_names, why
from .zarr_presence import Witnesses, refuse_absent, refuse_vanished, unreadable, vanished
from .zarr_tracking import TrackingStore

_CONCURRENT = 10  # chunks that zarr decodes at a time for one read ("async.concurrency")


class ZarrSource(HostSource):
    """A ``zarr.Array``."""

    def __init__(
        self, array: zarr.Array[Any], role: str, missing_chunks: str, where: str | None = None, *, packed: bool = False
    ) -> None:
        """`packed` says that the numbers may be packed, as another source decodes them."""
        if not isinstance(array, zarr.Array):
            raise SourceError(f"{role}: expected a zarr.Array; received {type_and_names(array)}.")
        refuse_no_numbers(role, where or str(array.store_path), array.dtype)
        self.role = role
        self.where = where or str(array.store_path)
        self._opened = array
        self._policy = missing_chunks
        self._filled: set[str] = set()
        self._has_chunks: bool | None = None  # None: no chunk was found missing, so there was no need to look
        self._witnesses = Witnesses(array.store.root if isinstance(array.store, LocalStore) else None)
        self._is_listed_only = False  # whether only a group above has the array's metadata
        self._packed = packed
        if not packed:
            refuse_encoded(role, self.where, array.attrs.asdict(), array.dtype, missing_number(array))
        self.dimensions, self.units = dimensions_of(array), units_of(array.attrs.asdict())
        self._store = TrackingStore(array.store)
        self._store.check = checker_of(outermost(array), nbytes(array.chunks, array.dtype))
        self._track_shards(array)
        self._local = direct_chunks(array)
        self._array, self._metadata_key = self._watched(array)
        self.shape = self._array.shape
        self.dtype = self._array.dtype
        self.chunk_shape = self._array.shards or self._array.chunks
        self.piece_shape = None if self._local is None else self._local.piece_shape
        self.remote = isinstance(array.store, FsspecStore | ObjectStore)

    def __reduce__(self) -> Any:
        """Pickle the store and the path: another process opens the array itself."""
        store = self._opened.store
        if isinstance(store, LocalStore):
            store = LocalStore(store.root.absolute(), read_only=True)
        elif isinstance(store, ZipStore):
            store = ZipStore(store.path.absolute(), mode="r")
        place = StorePath(store, self._opened.path)
        zarr_format = self._opened.metadata.zarr_format
        return _open_again, (place, zarr_format, self.role, self._policy, self.where, self._packed)

    def labels(self) -> dict[int, Labels]:
        """Return the coordinates that xarray keeps beside the array."""
        return labels_beside(self._opened, self.dimensions)

    def _watched(self, array: zarr.Array[Any]) -> tuple[zarr.Array[Any], str]:
        """Return the array as it is read through the store that tracks, and the key of its metadata.

        Raises MissingChunkError where the metadata is gone.
        """
        place = StorePath(self._store, array.path)
        try:
            watched = zarr.open_array(place, mode="r", zarr_format=array.metadata.zarr_format)
        except Exception as error:  # a group above may keep its metadata; a dtype may be bfloat16, which zarr lacks
            self._is_listed_only = isinstance(error, FileNotFoundError)
            watched = zarr.Array(zarr.AsyncArray(array.metadata, place))
        if (key := metadata_key(array, own=not self._is_listed_only)) is None:
            raise vanished(self.role, self.where, "its metadata")
        return watched, key

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
                f"{fill_option(self.role)} if all its chunks were written or its fill value is meant."
            )
        index = ShardIndex.of(array, codec)
        if index is None:
            raise SourceError(
                f"{self.role}: the shard index of {self.where} is encoded by {codec.index_codecs}, so missing "
                f"chunks cannot be told; expected little-endian bytes and crc32c. {fill_option(self.role)} reads on."
            )
        self._store.index = index

    def read(self, selection: Selection, allocate: Allocate = np.empty) -> np.ndarray[Any, Any]:
        if self._local is not None and self._local.covers(selection):
            out = allocate(selection_shape(selection), self.dtype)
            try:
                missing = self._local.read(selection, out)
                if missing:
                    self._refuse_vanished()
                keys = dict.fromkeys(self._local_key(coordinates) for coordinates in missing)
                for key in keys:
                    self._note_missing(key)
                self._note_found(selection, keys)
                return out
            except (DataError, MemoryError):
                raise
            except Exception as error:  # zarr reads it again, and may succeed; if not, its error is as good
                if isinstance(error, ObjectReadError):
                    raise self._corrupt(selection, error) from error
                if isinstance(error, SpecialFileError):
                    raise CorruptChunkError(f"{self.role}: a chunk of {self.where} cannot be read: {error}.") from error
                if isinstance(error, OversizedChunkError):
                    raise self._oversized(error) from error
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
        self._note_found(selection, self._store.missing)
        return np.asarray(data)

    def _check_missing(self, selection: Selection) -> None:
        for coordinates in touched(selection, self._array.chunks):
            key = self._missing_key(coordinates)
            if key is not None:
                self._note_missing(key)

    def _note_found(self, selection: Selection, missing: Container[str]) -> None:
        """Keep a chunk that was read, where there is one, to look for it again."""
        keys = map(self._key, touched(selection, self.chunk_shape))
        if (found := next((key for key in keys if key not in missing), None)) is not None:
            self._witnesses.add(found)

    def _refuse_vanished(self) -> None:
        refuse_vanished(self._opened, self.role, self.where, (self._metadata_key, *self._witnesses.keys))
        if self._has_chunks is None:
            self._has_chunks = self._look_for_chunks()

    def _look_for_chunks(self) -> bool:
        # an array that was deleted may still be listed, so without a chunk it is none
        fill_is_meant = self._policy == "error" or (self._policy == "fill" and not self._is_listed_only)
        return refuse_absent(self._opened, self.role, self.where, fill_is_meant)

    def confirm(self) -> None:
        refuse_changed(self.role, self._witnesses.stamps)
        if self._policy == "error":  # what is read is there
            super().confirm()
            return
        seen = self._witnesses.keys if self._has_chunks else ()
        refuse_vanished(self._opened, self.role, self.where, (self._metadata_key, *seen))
        if self._has_chunks and not self._witnesses.keys and not self._look_for_chunks():
            raise vanished(self.role, self.where, "each of its chunks")
        super().confirm()

    def _note_missing(self, key: str) -> None:
        """Apply the policy to a chunk that does not exist: raise MissingChunkError, count it, or do nothing."""
        if self._policy == "error":
            raise MissingChunkError(
                f"{self.role}: chunk {key} of {self.where} does not exist; Zarr would read its elements as the "
                f"fill value {fill_of(self._array)}. Write the chunk, or pass missing_chunks='warn' or 'fill' if "
                f"the fill value is meant, as where the writer skips such chunks; {fill_option(self.role)} allows it "
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

    def _oversized(self, error: OversizedChunkError) -> CorruptChunkError:
        """Return the error of a chunk that no reader should decode."""
        grid = zip(error.coordinates or (), self._array.chunks, self.chunk_shape, strict=True)
        key = self._key(tuple(i * c // g for i, c, g in grid))
        return CorruptChunkError(
            f"{self.role}: chunk {key} of {self.where} cannot be decoded: {error}. It is damaged, or made to fill "
            "memory; write it again."
        )

    def _corrupt(self, selection: Selection, error: Exception) -> CorruptChunkError:
        """Return the error that names the first chunk of the selection that cannot be read by itself."""
        if isinstance(error, ObjectReadError):  # it names the object, and was tried again already
            return CorruptChunkError(f"{self.role}: a chunk of {self.where} cannot be read: {error}")
        for coordinates in touched(selection, self.chunk_shape):
            box = zip(coordinates, self.chunk_shape, self.shape, strict=True)
            try:
                self._array[tuple(slice(i * c, min((i + 1) * c, n)) for i, c, n in box)]
            except Exception as single:
                return unreadable(self._opened, self.role, self.where, self._key(coordinates), single)
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
        store = self._opened.store
        local = isinstance(store, LocalStore)
        picked = fingerprints.spread(math.prod(grid), fingerprints.SAMPLED if local else fingerprints.REMOTE_CHUNKS)
        keys = [self._key(tuple(map(int, np.unravel_index(i, grid)))) if grid else self._key(()) for i in picked]
        metadata = json.dumps(self._opened.metadata.to_dict(), sort_keys=True, default=str).encode()
        if isinstance(store, LocalStore):
            return fingerprints.of_local_zarr(metadata, store.root, self._opened.path, keys)
        if isinstance(store, ZipStore):
            return fingerprints.of_zipped_zarr(metadata, store.path, self._opened.path)
        place = f"in memory: {self._opened.path}" if isinstance(store, MemoryStore) else str(self._opened.store_path)
        return fingerprints.of_stored_zarr(metadata, place, store, keys)


def _open_again(
    place: StorePath, zarr_format: Any, role: str, missing_chunks: str, where: str, packed: bool
) -> ZarrSource:
    """Open a pickled source in another process."""
    try:
        array = open_stored(place.store, place.path, zarr_format).array
    except Exception as error:  # whatever opening raises
        raise SourceError(f"{role}: this worker cannot open {place}: {why(error)}") from None
    return ZarrSource(array, role, missing_chunks, where, packed=packed)


def open_zarr(array: Any, role: str, missing_chunks: str) -> Source:
    """Open a ``zarr.Array``."""
    return widened(ZarrSource(array, role, missing_chunks))
