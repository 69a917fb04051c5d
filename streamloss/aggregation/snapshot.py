"""What an evaluation has found so far, as a file: for shards, checkpoints, and results that are merged later.

A document of JSON: what tells the evaluation from any other one (its inputs, losses, settings and blocks), the numbers
of the blocks that were evaluated, and their exact states. Workers, threads, memory and the executor are no part of
what tells it: another number of them goes on from it, or merges with it.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ..core.blocks import Grid, Ranges
from ..errors import StateError
from .identity import canonical_json
from .state import State

FORMAT, VERSION = "streamloss.partial", 1


@dataclass(frozen=True, slots=True)
class Snapshot:
    """A part of an evaluation, perhaps all of it."""

    evaluation: Mapping[str, Any]
    """What tells it from any other one, for JSON."""
    covered: Ranges
    """The blocks that were evaluated, by number."""
    states: tuple[State, ...]
    """Of their rows, for each loss."""
    all_binary: Mapping[str, bool] = field(default_factory=dict)
    """What the whole data's labels decided, by the loss' name, where losses of rows are written."""
    filled: Mapping[str, int] = field(default_factory=dict)
    """Missing chunks that were read as their fill value, by the array's role."""
    seconds: float = 0.0
    """Of work so far."""

    @property
    def grid(self) -> Grid:
        return Grid(tuple(self.evaluation["rows"]["shape"]), tuple(self.evaluation["block_shape"]))

    @property
    def missing(self) -> Ranges:
        """The blocks that it has not."""
        return Ranges.of([(0, self.grid.num_blocks)]) - self.covered

    def describe(self, blocks: Ranges) -> str:
        """Which rows they hold."""
        return self.grid.describe(blocks, self.evaluation["rows"]["start"])

    def to_bytes(self) -> bytes:
        content = {
            "format": FORMAT,
            "version": VERSION,
            "evaluation": self.evaluation,
            "covered": self.covered.pieces,
            "states": [state.to_dict() for state in self.states],
            "all_binary": self.all_binary,
            "filled": self.filled,
            "seconds": round(self.seconds, 6),
        }
        return canonical_json(content).encode() + b"\n"

    @classmethod
    def from_bytes(cls, data: bytes, where: str) -> Snapshot:
        """The inverse of :meth:`to_bytes`. Raises StateError, which says where the bytes are from."""
        try:
            content = json.loads(data)
            if (content["format"], content["version"]) != (FORMAT, VERSION):
                raise StateError(
                    f"expected a {FORMAT} of version {VERSION}; received {content['format']} of version "
                    f"{content['version']}. Use the version of streamloss that wrote it."
                )
            partial = cls(
                content["evaluation"],
                Ranges.of((int(a), int(b)) for a, b in content["covered"]),
                tuple(State.from_bytes(canonical_json(state).encode()) for state in content["states"]),
                content["all_binary"],
                content["filled"],
                float(content["seconds"]),
            )
            if partial.covered - Ranges.of([(0, partial.grid.num_blocks)]):
                raise ValueError("it covers blocks that there are not")
            if len(partial.states) != len(partial.evaluation["losses"]):
                raise ValueError(f"{len(partial.states)} states of {len(partial.evaluation['losses'])} losses")
            return partial
        except StateError as error:
            raise StateError(f"{where}: {error}") from None
        except (KeyError, TypeError, AttributeError, ValueError) as error:
            raise StateError(
                f"{where}: these {len(data):,} bytes are no saved state: {type(error).__name__}: {error}. Expected a "
                "file that --shard, --state, Result.save or a checkpoint wrote."
            ) from error


def write_whole(path: Path, data: bytes) -> None:
    """Replace a file by a new one that is on disk by then: whoever reads it, and whenever, sees one or the other."""
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
