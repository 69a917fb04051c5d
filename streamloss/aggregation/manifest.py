"""What tells an evaluation from any other one: its inputs, losses, settings and blocks, as JSON."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from typing import Any

from .identity import canonical_json

_ASPECTS = {
    "metadata": "its metadata",
    "files": "sizes or times of its files",
    "content": "its numbers",
    "first_byte": "where in its file it begins",
}


def plain(evaluation: Mapping[str, Any]) -> Mapping[str, Any]:
    """As it comes back from a file: lists for tuples."""
    read: Mapping[str, Any] = json.loads(canonical_json(evaluation))
    return read


def evaluation_key(evaluation: Mapping[str, Any]) -> str:
    """A short text that no other evaluation has."""
    return hashlib.blake2b(canonical_json(evaluation).encode(), digest_size=16).hexdigest()


def differences(one: Mapping[str, Any], other: Mapping[str, Any]) -> list[str]:
    """What tells one evaluation from another, a line for each: inputs by their names first."""
    lines, other = [], plain(other)
    for role in sorted({*one["inputs"], *other["inputs"]}):
        if (line := _input_difference(role, one["inputs"].get(role), other["inputs"].get(role))) is not None:
            lines.append(line)
    rest = [{k: v for k, v in evaluation.items() if k != "inputs"} for evaluation in (one, other)]
    lines += [f"{name}: {_short(a)} there, {_short(b)} here" for name, a, b in _unequal("", *rest)]
    return lines


def _input_difference(role: str, one: Any, other: Any) -> str | None:
    if one is None or other is None:
        return f"{role}: {'none there, but one here' if one is None else 'one there, but none here'}"
    where = other["where"]
    for key in ("shape", "dtype", "chunks"):
        if one[key] != other[key]:
            return f"{role} ({where}) has another {key}: {_short(one[key])} there, {_short(other[key])} here"
    a, b = one["stamp"], other["stamp"]
    changed = [_ASPECTS.get(key, key) for key in {**a, **b} if a.get(key) != b.get(key)]
    return f"{role} ({where}) has changed: {' and '.join(changed)}" if changed else None


def _unequal(path: str, one: Any, other: Any) -> Iterator[tuple[str, Any, Any]]:
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
