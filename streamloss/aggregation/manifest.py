"""The manifest, which tells an evaluation from any other one: its inputs, losses, settings and blocks."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Self

from ..core.blocks import Grid
from .identity import canonical_json

_ASPECTS = {
    "metadata": "its metadata",
    "files": "sizes or times of its files",
    "content": "its numbers",
    "place": "its place",
    "sample": "bytes of its files",
    "first_byte": "where in its file it begins",
}
_OF_A_COPY = {"place", "files"}
"""The aspects of a fingerprint in which a copy may differ."""
_EVIDENCE = {"sample", "content", "graph"}
"""Evidence of content."""


@dataclass(frozen=True, slots=True)
class InputManifest:
    """One array of an evaluation."""

    where: str
    """The place of the array: a URI, or "in memory"."""
    shape: tuple[int, ...]
    dtype: str
    chunk_shape: tuple[int, ...]
    nbytes: int
    """The array's bytes in memory, decoded."""
    fingerprint: Mapping[str, Any] | None = None
    """The fingerprint, which tells the array from one that was changed; None where nothing is merged or resumed."""

    def to_dict(self) -> dict[str, Any]:
        return {
            "where": self.where,
            "shape": list(self.shape),
            "dtype": self.dtype,
            "chunks": list(self.chunk_shape),
            "bytes": self.nbytes,
            **({} if self.fingerprint is None else {"stamp": self.fingerprint}),
        }

    @classmethod
    def from_dict(cls, content: Mapping[str, Any]) -> Self:
        shape, chunk_shape = tuple(content["shape"]), tuple(content["chunks"])
        return cls(content["where"], shape, content["dtype"], chunk_shape, content["bytes"], content.get("stamp"))


@dataclass(frozen=True, slots=True)
class LossManifest:
    """One loss of an evaluation."""

    name: str
    config: Mapping[str, Any]
    """The loss and its parameters, as ``losses.deserialize`` takes them."""
    dtype: str
    """The dtype of the losses of rows."""
    reduction: str
    out: str | None = None
    """The URI that the losses of rows are written to."""

    def to_dict(self) -> dict[str, Any]:
        return {
            "name": self.name,
            "config": self.config,
            "dtype": self.dtype,
            "reduction": self.reduction,
            "out": self.out,
        }

    @classmethod
    def from_dict(cls, content: Mapping[str, Any]) -> Self:
        return cls(content["name"], content["config"], content["dtype"], content["reduction"], content["out"])


@dataclass(frozen=True, slots=True)
class Manifest:
    """An evaluation. Workers, threads, memory and the executor are no part of it: they may change from one part of an
    evaluation to the next.
    """

    version: str
    """The version of streamloss."""
    inputs: Mapping[str, InputManifest]
    """The arrays by role."""
    losses: tuple[LossManifest, ...]
    sample_weight: float | None
    """The one weight of all rows; None where there is none, or an array."""
    class_weight: Mapping[str, float]
    """The weights by label, as text."""
    start: int
    """The arrays' first row evaluated."""
    shape: tuple[int, ...]
    """The losses' shape, for the rows evaluated."""
    block_shape: tuple[int, ...]
    nan_policy: str
    missing_chunks: str | dict[str, str] | None
    all_rows: int
    """The number of rows of the arrays, those that are not evaluated among them."""
    clip_probabilities: bool = False
    statistics: tuple[str, ...] = ()
    by: tuple[Mapping[str, Any], ...] = ()
    """The keys of groups, clusters and kept axes."""

    @property
    def grid(self) -> Grid:
        """The blocks by number."""
        return Grid(self.shape, self.block_shape)

    @property
    def fingerprinted(self) -> bool:
        """Whether all inputs can be told from changed ones, so that parts can be merged."""
        return all(of.fingerprint is not None for of in self.inputs.values())

    @property
    def key(self) -> str:
        """A short text that no other evaluation has."""
        return _key(self.to_dict())

    @property
    def key_of_copies(self) -> str:
        """A short text that evaluations of the same inputs and of copies of them have, and no others."""
        content = self.to_dict()
        for of in content["inputs"].values():
            of.pop("where")
            of["stamp"] = {k: v for k, v in of.get("stamp", {}).items() if k not in _OF_A_COPY}
        return _key(content)

    @property
    def without_evidence(self) -> list[str]:
        """The roles of the inputs that only sizes and times tell from others, as earlier versions noted them."""
        return [role for role, of in self.inputs.items() if of.fingerprint and not _EVIDENCE & of.fingerprint.keys()]

    def to_dict(self) -> dict[str, Any]:
        """Return the manifest for JSON."""
        return {
            "streamloss": self.version,
            "inputs": {role: of.to_dict() for role, of in self.inputs.items()},
            "losses": [loss.to_dict() for loss in self.losses],
            "sample_weight": self.sample_weight,
            "class_weight": dict(self.class_weight),
            "rows": {"start": self.start, "shape": list(self.shape)},
            "block_shape": list(self.block_shape),
            "nan_policy": self.nan_policy,
            "missing_chunks": self.missing_chunks,
            "all_rows": self.all_rows,
            **({"clip_probabilities": True} if self.clip_probabilities else {}),
            **({"statistics": list(self.statistics)} if self.statistics else {}),
            **({"by": list(self.by)} if self.by else {}),
        }

    @classmethod
    def from_dict(cls, content: Mapping[str, Any]) -> Self:
        """Return the inverse of :meth:`to_dict`. Raises KeyError, TypeError and AttributeError for anything else."""
        rows = content["rows"]
        return cls(
            version=content["streamloss"],
            inputs={role: InputManifest.from_dict(of) for role, of in content["inputs"].items()},
            losses=tuple(map(LossManifest.from_dict, content["losses"])),
            sample_weight=content["sample_weight"],
            class_weight=content["class_weight"],
            start=rows["start"],
            shape=tuple(rows["shape"]),
            block_shape=tuple(content["block_shape"]),
            nan_policy=content["nan_policy"],
            missing_chunks=content["missing_chunks"],
            all_rows=content["all_rows"],
            clip_probabilities=content.get("clip_probabilities", False),
            statistics=tuple(content.get("statistics", ())),
            by=tuple(content.get("by", ())),
        )


def differences(one: Manifest, other: Manifest, copies: bool = False) -> list[str]:
    """Return what tells one evaluation from another, a line for each difference: inputs by their names first.

    With `copies`, inputs may be copies of each other: their content decides, not their places and times.
    """
    there, here = _plain(one), _plain(other)
    lines = []
    for role in sorted({*one.inputs, *other.inputs}):
        if (line := _input_difference(role, there["inputs"].get(role), here["inputs"].get(role), copies)) is not None:
            lines.append(line)
    rest = [{k: v for k, v in content.items() if k != "inputs"} for content in (there, here)]
    return lines + [f"{name}: {_short(a)} there, {_short(b)} here" for name, a, b in _unequal("", *rest)]


def _key(content: Any) -> str:
    return hashlib.blake2b(canonical_json(content).encode(), digest_size=16).hexdigest()


def _plain(manifest: Manifest) -> Any:
    """Return the manifest as it comes back from a file: keys in their order, lists for tuples."""
    return json.loads(canonical_json(manifest.to_dict()))


def _input_difference(role: str, one: Any, other: Any, copies: bool) -> str | None:
    if one is None or other is None:
        return f"{role}: {'none there, but one here' if one is None else 'one there, but none here'}"
    where = other["where"]
    for key in ("shape", "dtype", "chunks"):
        if one[key] != other[key]:
            return f"{role} ({where}) has another {key}: {_short(one[key])} there, {_short(other[key])} here"
    a, b = one["stamp"], other["stamp"]
    changed = [key for key in {**a, **b} if a.get(key) != b.get(key)]
    if not ("sample" in a and "sample" in b) and a.keys() & b.keys():  # one is of a version that noted less
        changed = [key for key in changed if key not in ("place", "sample")]
    elif copies:
        changed = [key for key in changed if key not in _OF_A_COPY]
    if not changed:
        return None
    line = f"{role} ({where}) has changed: {' and '.join(_ASPECTS.get(key, key) for key in changed)}"
    if "place" in changed:
        line += f", {a.get('place')} there, {b.get('place')} here"
    if set(changed) <= _OF_A_COPY and "sample" in a and "sample" in b:
        line += " (sampled bytes are equal: if it is a copy with the same numbers, pass copies=True, or --copies)"
    return line


def _unequal(path: str, one: Any, other: Any) -> Iterator[tuple[str, Any, Any]]:
    """Yield the path of each value that differs, and both values."""
    if isinstance(one, list) and isinstance(other, list) and path == "losses":
        one, other = ({of["name"]: of for of in losses} for losses in (one, other))
        yield from _unequal(path, one, other)
        if list(one) != list(other):
            yield "the losses' order", list(one), list(other)
    elif isinstance(one, Mapping) and isinstance(other, Mapping):
        for key in {**one, **other}:
            yield from _unequal(f"{path}.{key}" if path else key, one.get(key), other.get(key))
    elif one != other:
        yield path, one, other


def _short(value: Any) -> str:
    text = str(tuple(value)) if isinstance(value, list) else str(value)
    return text if len(text) <= 60 else f"{text[:57]}..."
