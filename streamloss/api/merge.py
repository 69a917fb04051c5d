"""The public function ``merge``: one result from those of shards, each row exactly once, all of one evaluation."""

from __future__ import annotations

import itertools
import os
import re
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ..aggregation.checks import check_snapshot, evidence_message
from ..aggregation.manifest import differences
from ..aggregation.snapshot import Snapshot, refused_if_senseless
from ..core.blocks import Ranges
from ..errors import SourceError, StateError, StreamlossWarning, UsageError
from ..storage.regular_files import read_regular
from .manifest import plan_of
from .result import Result, result_of

_SHARD = re.compile(r"\d+-of-(\d+)\.state$")
MOST_SHARDS = 20
"""The most shards that an error names."""


def merge(states: Any, *, partial: bool = False, copies: bool = False) -> Result:
    """Return the result of an evaluation from the states of its shards, in any order: the same bytes as of one run.

    Parameters
    ----------
    states : path, Result, or sequence of these
        Files that ``Result.save`` or ``--shard`` wrote, checkpoints, or results of ``evaluate(..., shard=(i, n))``.
    partial : bool
        Whether rows may be missing: the result is then of the others, and says so in its warnings.
    copies : bool
        Whether shards may have read copies of the inputs, at other places: sampled bytes are then compared, places and
        times are not.

    Returns
    -------
    Result
        What :func:`streamloss.evaluate` of all rows would return.

    Raises
    ------
    StateError
        Where rows are missing or in two of the states, and which; where they are of different inputs, losses or
        settings, and what differs; for a file that is no state.

    Examples
    --------
    >>> import numpy as np
    >>> import streamloss as sl
    >>> import zarr
    >>> rows = np.ones(200_000), np.full(200_000, 0.5)
    >>> data = [zarr.create_array({}, data=values, chunks=(100_000,)) for values in rows]
    >>> shards = [sl.evaluate("mse", *data, shard=(i, 2)) for i in range(2)]
    >>> sl.merge(shards)["mse"].sum
    50000.0

    """
    named = [_opened(state) for state in _several(states)]
    if not named:
        raise UsageError("no states were given to merge; expected the files of all shards.")
    with refused_if_senseless(" and ".join(name for name, _ in named[:2])):
        named.sort(key=lambda item: item[1].result.covered.pieces)  # any order gives the same words, too
        # all are compared with one that has evidence of content, if any has: what older versions wrote equals much
        first_name, first = min(named, key=lambda item: len(item[1].manifest.without_evidence))
        for name, other in named:
            if other is not first and (lines := differences(first.manifest, other.manifest, copies)):
                raise StateError(
                    f"{first_name} and {name} are not of one evaluation: {'; '.join(lines)}. Merge shards of the "
                    "same inputs and settings."
                )
        _refuse_overlaps(named)
        merged = first
        for _, other in named:
            merged = merged if other is first else merged.merge(other)
        messages = [evidence_message(state.manifest, name) for name, state in named if state.manifest.without_evidence]
        for message in messages:
            warnings.warn(message, StreamlossWarning, stacklevel=2)
        if merged.missing:
            given = f"in none of the {len(named)} states" if len(named) > 1 else "not in the one state given"
            lacking = f"{merged.describe(merged.missing)} are {given}"
            if not partial:
                raise StateError(
                    f"{lacking}; expected each row in one. Evaluate {_shards_missing(named, merged)}, or pass "
                    "partial=True (--partial) for a result of the rows there are."
                )
            messages.append(f"{lacking}: this is the result of the others")
            warnings.warn(messages[-1], StreamlossWarning, stacklevel=2)
        return result_of(merged, plan_of(merged.manifest), "merge", len(named), [*messages, *check_snapshot(merged)])


def _shards_missing(named: Sequence[tuple[str, Snapshot]], merged: Snapshot) -> str:
    """Return which shards are to be evaluated again, as far as the names of files, such as 03-of-12.state, or else the
    blocks that the states hold, tell.
    """
    of = {int(match[1]) for name, _ in named if (match := _SHARD.search(name))}
    number = merged.manifest.grid.num_blocks
    count = of.pop() if len(of) == 1 else _number_of_shards([state.result.covered for _, state in named], number)
    if count is None:
        return "the shards that are missing"
    lacking = [i for i in range(count) if (Ranges.of_shard(i, count, number) & merged.missing).pieces]
    shown = ", ".join(f"{i}/{count}" for i in lacking[:MOST_SHARDS])
    more = f" and {len(lacking) - MOST_SHARDS:,} more" if len(lacking) > MOST_SHARDS else ""
    numbers = ",".join(map(str, lacking[:MOST_SHARDS]))
    return f"the shard{'s' * (len(lacking) > 1)} {shown}{more} again (as an array of jobs: {numbers})"


def _number_of_shards(covered: Sequence[Ranges], number: int) -> int | None:
    """Return the least number of shards of which each state holds one, of `number` blocks; None if there is none.

    Any that fits will do: its other shards hold the blocks that are missing, each once.
    """
    held = [blocks for blocks in covered if blocks.pieces]
    if not held or any(len(blocks.pieces) > 1 for blocks in held):
        return None
    firsts = [blocks.pieces[0][0] for blocks in held]
    size = max(stop - first for ((first, stop),) in (blocks.pieces for blocks in held))
    most = number if size == 1 else -(-number // (size - 1))
    for count in range(max(2, number // (size + 1)), min(number, most) + 1):
        of_firsts = (Ranges.of_shard(-(-first * count // number), count, number) for first in firsts)
        if all(shard.pieces == blocks.pieces for shard, blocks in zip(of_firsts, held, strict=True)):
            return count
    return None


def _several(states: Any) -> Sequence[Any]:
    return [states] if isinstance(states, str | os.PathLike | Result) else list(states)


def _opened(state: Any) -> tuple[str, Snapshot]:
    if isinstance(state, Result):
        if state.partial is None:
            raise UsageError(
                "a result without shard= or checkpoint= does not know its rows; expected one that has them."
            )
        return f"the result of {state.partial.describe(state.partial.result.covered)}", state.partial
    path = Path(state)
    try:
        snapshot = Snapshot.from_bytes(read_regular(path), str(path))
    except OSError as error:
        raise SourceError(f"cannot read the state {str(path)!r}: {error.strerror or error}.") from None
    if not snapshot.manifest.fingerprinted:
        raise StateError(
            f"{str(path)!r} is the result of an evaluation without shard= or checkpoint=, which does not know its "
            "inputs from changed ones; expected one that does. streamloss.load reads it."
        )
    return str(path), snapshot


def _refuse_overlaps(named: Sequence[tuple[str, Snapshot]]) -> None:
    seen: list[tuple[int, int, str]] = []
    for name, state in named:
        seen += [(a, b, name) for a, b in state.result.covered.pieces]
    seen.sort()
    for (_, stop, name), (first, other_stop, other_name) in itertools.pairwise(seen):
        if first < stop:
            state = next(state for other, state in named if other == other_name)
            rows = state.describe(Ranges.of([(first, min(stop, other_stop))]))
            raise StateError(
                f"{name} and {other_name} both hold {rows}; expected each row in one of the states. Leave one out."
            )
