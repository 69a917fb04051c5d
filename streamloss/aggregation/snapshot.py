"""An evaluation up to now, as a file: for shards, checkpoints, and results that are merged later.

A document of JSON: the manifest of the evaluation (its inputs, losses, settings and blocks), the numbers of the blocks
that were evaluated, and their exact states. Workers, threads, memory and the executor are no part of the manifest:
another number of them goes on from a snapshot, or merges with it.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from ..core.blocks import Ranges
from ..errors import StateError, StreamlossError
from .block_result import BlockResult
from .identity import canonical_json
from .manifest import Manifest
from .sense import expect_blocks, expect_counts, expect_flags, refuse_senseless
from .state import State

FORMAT, VERSION = "streamloss.partial", 1
KEYS = frozenset(
    ("format", "version", "evaluation", "covered", "states", "all_binary", "filled", "seconds")
)  # and "digest", which files of the first versions lack, and "run", which files of results have


@dataclass(frozen=True, slots=True)
class Snapshot:
    """The result of some blocks of an evaluation, perhaps of all of them, and which evaluation it is."""

    manifest: Manifest
    result: BlockResult
    all_binary: Mapping[str, bool] = field(default_factory=dict)
    """For each loss by its name, where losses of rows are written that depend on it: whether all labels of the whole
    data are 0 or 1."""
    run: Mapping[str, Any] | None = field(default=None, compare=False)
    """For a file that a result was saved to: what the result says of its run, beside the states."""

    def __repr__(self) -> str:
        """Return which losses and blocks it is of."""
        losses = ", ".join(loss.name for loss in self.manifest.losses)
        return f"Snapshot({losses}: {len(self.result.covered):,} of {self.manifest.grid.num_blocks:,} blocks)"

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
        """Return the snapshot as canonical JSON, with a digest of the rest of it."""
        content = {
            "format": FORMAT,
            "version": VERSION,
            "evaluation": self.manifest.to_dict(),
            "covered": self.result.covered.pieces,
            "states": [state.to_dict() for state in self.result.states],
            "all_binary": self.all_binary,
            "filled": self.result.filled,
            "seconds": round(self.result.seconds, 6),
            **({} if self.run is None else {"run": self.run}),
        }
        return canonical_json(content | {"digest": digest_of(content)}).encode() + b"\n"

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
            _refuse_damaged(content)
            manifest = Manifest.from_dict(content["evaluation"])
            result = BlockResult(
                expect_blocks(content["covered"], manifest.grid),
                tuple(State.from_bytes(canonical_json(state).encode()) for state in content["states"]),
                expect_counts("filled", content["filled"]),
                float(content["seconds"]),
            )
            refuse_senseless(manifest, result)
            return cls(manifest, result, expect_flags("all_binary", content["all_binary"]), content.get("run"))
        except StateError as error:
            raise StateError(f"{where}: {error}") from None
        except (LookupError, TypeError, AttributeError, ValueError, ArithmeticError) as error:
            raise StateError(
                f"{where}: these {len(data):,} bytes are no saved state: {type(error).__name__}: {error}. Expected a "
                "file that --shard, --state, Result.save or a checkpoint wrote."
            ) from error


@contextlib.contextmanager
def refused_if_senseless(where: str) -> Iterator[None]:
    """Raise StateError for what the content of a file, edited with its digest or without one, breaks further on."""
    try:
        yield
    except StreamlossError:
        raise
    except (KeyError, IndexError, TypeError, AttributeError, ValueError, ArithmeticError) as error:
        raise StateError(
            f"{where}: what it holds does not fit together ({type(error).__name__}: {error}); it was edited. "
            "Use the file as it was written, or evaluate again."
        ) from error


def digest_of(content: Mapping[str, Any]) -> str:
    """Return the digest of a snapshot's content as JSON, without that digest itself."""
    rest = {key: value for key, value in content.items() if key != "digest"}
    return hashlib.blake2b(canonical_json(rest).encode(), digest_size=16).hexdigest()


def _refuse_damaged(content: Mapping[str, Any]) -> None:
    """Raise ValueError for content with another digest than its own, or with keys that no version wrote."""
    if unknown := sorted({*content} - {*KEYS, "run", "digest"}):
        raise ValueError(f"it has a key {unknown[0]!r}; expected {', '.join(sorted(KEYS))}")
    if not isinstance(content.get("run", {}), dict):
        raise ValueError(f"its run is {content['run']!r}; expected a mapping")
    if "digest" not in content and ("run" in content or any("parts" in state for state in content["states"])):
        raise ValueError("it has no digest, which each version has written that wrote results or groups; it was edited")
    if "digest" in content and content["digest"] != digest_of(content):
        raise ValueError("its content is not what was written: the digest is another; it was damaged or edited")
