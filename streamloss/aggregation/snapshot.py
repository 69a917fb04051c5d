"""An evaluation up to now, as a file: for shards, checkpoints, and results that are merged later.

A document of JSON: the manifest of the evaluation (its inputs, losses, settings and blocks), the numbers of the blocks
that were evaluated, and their exact states. Workers, threads, memory and the executor are no part of the manifest:
another number of them goes on from a snapshot, or merges with it.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from ..core.blocks import Ranges
from ..errors import StateError
from .block_result import BlockResult
from .identity import canonical_json
from .manifest import Manifest
from .state import State

FORMAT, VERSION = "streamloss.partial", 1


@dataclass(frozen=True, slots=True)
class Snapshot:
    """The result of some blocks of an evaluation, perhaps of all of them, and which evaluation it is."""

    manifest: Manifest
    result: BlockResult
    all_binary: Mapping[str, bool] = field(default_factory=dict)
    """For each loss by its name, where losses of rows are written that depend on it: whether all labels of the whole
    data are 0 or 1."""

    @property
    def missing(self) -> Ranges:
        """The blocks that were not evaluated."""
        return Ranges.of([(0, self.manifest.grid.num_blocks)]) - self.result.covered

    def describe(self, blocks: Ranges) -> str:
        """Return which rows some blocks hold, for a person."""
        return self.manifest.grid.describe(blocks, self.manifest.start)

    def merge(self, other: Snapshot) -> Snapshot:
        """Return the snapshot of the blocks of both, which are of one evaluation."""
        return Snapshot(self.manifest, self.result.merge(other.result), {**self.all_binary, **other.all_binary})

    def to_bytes(self) -> bytes:
        """Return the snapshot as canonical JSON."""
        content = {
            "format": FORMAT,
            "version": VERSION,
            "evaluation": self.manifest.to_dict(),
            "covered": self.result.covered.pieces,
            "states": [state.to_dict() for state in self.result.states],
            "all_binary": self.all_binary,
            "filled": self.result.filled,
            "seconds": round(self.result.seconds, 6),
        }
        return canonical_json(content).encode() + b"\n"

    @classmethod
    def from_bytes(cls, data: bytes, where: str) -> Snapshot:
        """Return the inverse of :meth:`to_bytes`. Raises StateError, which says where the bytes are from."""
        try:
            content = json.loads(data)
            if (content["format"], content["version"]) != (FORMAT, VERSION):
                raise StateError(
                    f"expected a {FORMAT} of version {VERSION}; received {content['format']} of version "
                    f"{content['version']}. Use the version of streamloss that wrote it."
                )
            manifest = Manifest.from_dict(content["evaluation"])
            result = BlockResult(
                Ranges.of((int(a), int(b)) for a, b in content["covered"]),
                tuple(State.from_bytes(canonical_json(state).encode()) for state in content["states"]),
                content["filled"],
                float(content["seconds"]),
            )
            if result.covered - Ranges.of([(0, manifest.grid.num_blocks)]):
                raise ValueError("it covers blocks that there are not")
            if len(result.states) != len(manifest.losses):
                raise ValueError(f"{len(result.states)} states of {len(manifest.losses)} losses")
            return cls(manifest, result, content["all_binary"])
        except StateError as error:
            raise StateError(f"{where}: {error}") from None
        except (KeyError, TypeError, AttributeError, ValueError) as error:
            raise StateError(
                f"{where}: these {len(data):,} bytes are no saved state: {type(error).__name__}: {error}. Expected a "
                "file that --shard, --state, Result.save or a checkpoint wrote."
            ) from error


def write_whole(path: Path, data: bytes) -> None:
    """Replace a file by a new one that is on disk by then: a reader sees the old file or the new one, at any time."""
    temporary = path.with_name(f"{path.name}.tmp")
    with open(temporary, "wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
    os.replace(temporary, path)
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)
