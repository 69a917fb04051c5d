"""Checks that what a file of states says can be: its blocks, its counts, and the rows that both stand for."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from ..core.blocks import Grid, Ranges
from .accumulation import BINARY, Accumulation
from .block_result import BlockResult
from .exact_sum import ExactSum
from .manifest import Manifest
from .ratios import RATIOS
from .state import State, expect_count
from .statistics import accumulation_of
from .tables.exact_table import ExactTable

OTHER_LABELS = "other_labels"
"""The count of labels beside 0 and 1, of losses whose convention all labels decide."""
LEFT_OUT = ("omitted", "ignored")
"""The counts of rows that are not added up."""


def expect_counts(name: str, values: Any) -> dict[str, int]:
    """Return counts by name. Raises ValueError and AttributeError for anything else."""
    return {key: expect_count(f"{name} {key!r}", value) for key, value in values.items()}


def expect_blocks(pieces: Sequence[Any], grid: Grid) -> Ranges:
    """Return the blocks that ranges name. Raises ValueError unless they are as `Ranges` keeps them, and of the grid."""
    if min((*grid.block_shape, 1)) < 1:
        raise ValueError(f"blocks of the shape {grid.block_shape} hold no rows")
    before = -1
    for first, stop in pieces:
        if not before < expect_count("a block", first) < expect_count("a block", stop) <= grid.num_blocks:
            raise ValueError(f"it covers the blocks [{first}, {stop}), which are none of {grid.num_blocks:,} in order")
        before = stop
    return Ranges(tuple((first, stop) for first, stop in pieces))


def refuse_senseless(manifest: Manifest, result: BlockResult) -> None:
    """Raise ValueError for states whose sums and counts are none of their losses, or of other rows than the blocks'."""
    if len(result.states) != len(manifest.losses):
        raise ValueError(f"{len(result.states)} states of {len(manifest.losses)} losses")
    rows = manifest.grid.rows(result.covered)
    for loss, state in zip(manifest.losses, result.states, strict=True):
        _refuse_senseless_state(loss.name, state, rows)


def _refuse_senseless_state(name: str, state: State, rows: int) -> None:
    identity = state.identity
    accumulation = accumulation_of(identity.statistics) if identity.ratio_shape is None else RATIOS
    _refuse_unknown_names(name, state, accumulation)
    _refuse_senseless_parts(name, state, rows)
    added = state.count(accumulation.counted)
    of = added + sum(map(state.count, LEFT_OUT))
    if accumulation.per_ratio:  # a row has elements of several ratios
        if (of == 0) != (rows == 0):
            raise ValueError(f"{name} counts {of:,} elements of {rows:,} rows")
        return
    if of != rows:
        raise ValueError(f"{name} counts {of:,} rows, and the blocks it covers hold {rows:,}")
    for held in accumulation.counts:
        if state.count(held.name) > added:
            raise ValueError(f"{name} counts {state.count(held.name):,} {held.name!r} of {added:,} rows")
    if not identity.weighted:
        ones = [held.name for held in accumulation.counts if held.of_weight_alone and state.count(held.name) != added]
        ones += [
            s.name for s in accumulation.sums if s.of_weight_alone and state.sum(s.name) != ExactSum.of_count(added)
        ]
        if ones:
            raise ValueError(f"{name} has no weights, and {ones[0]!r} is not that of {added:,} weights of 1")


_OF_ALL_ROWS = ("groups", "kept", "running", "clusters", "clusters_by_group", "confusion", "paired")
"""The tables in which each row has a key."""


def _refuse_senseless_parts(name: str, state: State, rows: int) -> None:
    for part_name, part in state.parts.items():
        if (
            part_name.removesuffix(BINARY) in _OF_ALL_ROWS
            and isinstance(part, ExactTable)
            and int(part.counts[:, :3].sum()) != rows
        ):
            raise ValueError(f"{name}: {part_name} counts {int(part.counts[:, :3].sum()):,} rows of {rows:,}")


def _refuse_unknown_names(name: str, state: State, accumulation: Accumulation) -> None:
    ratio_shape = state.identity.ratio_shape
    known = {accumulation.counted, OTHER_LABELS, *LEFT_OUT, *(held.name for held in accumulation.counts)}
    if unknown := sorted({*state.counts} - known):
        raise ValueError(f"{name} has a count {unknown[0]!r}; expected {', '.join(sorted(known))}")
    sums = accumulation.sum_names(1 if ratio_shape is None else Grid(ratio_shape, (1,) * len(ratio_shape)).num_blocks)
    if unknown := sorted({*state.sums} - {*sums, *(total + BINARY for total in sums)}):
        raise ValueError(f"{name} has a sum {unknown[0]!r}; expected some of {', '.join(sums[:6])}")


def expect_flags(name: str, values: Mapping[str, Any]) -> dict[str, bool]:
    """Return booleans by name. Raises ValueError and AttributeError for anything else."""
    for key, value in values.items():
        if not isinstance(value, bool):
            raise ValueError(f"{name} {key!r} is {value!r}; expected true or false")
    return dict(values)
