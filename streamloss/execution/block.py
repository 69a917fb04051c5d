"""``run_block``, the one function that every executor maps over the blocks of a plan."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple, Protocol

import numpy as np

from ..aggregation.block_result import BlockResult
from ..aggregation.state import State, States
from ..core.blocks import Block, Ranges
from ..planning.plan import Plan, PlannedLoss
from ..storage.sinks import Sink
from .backends import Backend, CpuBackend
from .inputs import BlockInputs, labels_beside_0_and_1
from .loss_on_block import NAN_POLICIES, LossOnBlock, RowLosses
from .pieces import pieces_of
from .row_statistics import RowStatistics

__all__ = [
    "MAX_GROUPS",
    "NAN_POLICIES",
    "Executor",
    "BlockResult",
    "CpuBackend",
    "Run",
    "all_labels_are_binary",
    "run_block",
]


MAX_GROUPS = 100_000


@dataclass(frozen=True, slots=True)
class Run:
    """A plan, with which of its blocks are to be evaluated, where their losses go, what to do about NaN, and what is
    known about all labels. It can be pickled, if its arrays and sinks are in files and not in memory.
    """

    plan: Plan
    sinks: Mapping[str, Sink] = field(default_factory=dict)
    """The sinks by the loss' name; losses without a sink are only added up."""
    nan_policy: str = "raise"
    all_binary: Mapping[str, bool] = field(default_factory=dict)
    """Whether all labels that count, of all rows of the plan, are 0 or 1, by the loss' name, for losses whose labels'
    convention depends on all labels and whose losses of rows are written."""
    max_groups: int = MAX_GROUPS
    """The most groups, and the most clusters."""
    todo: Ranges | None = None
    """The blocks to evaluate, by number; None: all."""
    on_gpu: bool = False
    """Whether workers of a scheduler evaluate them on their GPUs."""

    @property
    def numbers(self) -> Ranges:
        """The numbers of the blocks to evaluate."""
        return Ranges.of([(0, self.plan.num_blocks)]) if self.todo is None else self.todo

    def without(self, covered: Ranges) -> Run:
        """Return the run of the blocks that are not `covered`."""
        return dataclasses.replace(self, todo=self.numbers - covered)

    def blocks(self) -> Iterator[Block]:
        """Yield the blocks to evaluate, in the order of their numbers."""
        return self.plan.blocks() if self.todo is None else map(self.plan.grid.block, self.todo)

    def empty(self) -> States:
        """Return the states of no rows."""
        return tuple(State.empty(loss.identity) for loss in self.plan.losses)


class Executor(Protocol):
    """Evaluates the blocks of a run. Exact states make the order, and the workers' number, irrelevant.

    No more than ``run.plan.workers`` blocks may be in memory at a time: the plan's memory was projected for these.
    """

    name: str
    """The name that results show."""
    workers_used: int | None
    """The most threads that were at work, where that is known and not the plan's number of workers."""

    def run(self, run: Run, done: Callable[[BlockResult], None]) -> None:
        """Evaluate all blocks of `run`, and call `done` with each result, in any order, from the calling thread."""


def run_block(run: Run, block: Block, backend: Backend | None = None) -> States:
    """Read a block, evaluate its losses, write them where they go, and return the states of its rows.

    Losses that differ only in name or reduction are evaluated once. `backend` is the calling thread's; None: a new one
    of one core. Raises DataError for the first row that has no loss, naming it.
    """
    backend = backend or CpuBackend()
    with backend.activate():
        return _run_block(run, block, backend)


def _run_block(run: Run, block: Block, backend: Backend) -> States:
    passes = [_pass_of(run, block, equal, backend) for equal in run.plan.equal_losses]
    states: list[State] | None = None
    done = 0
    for piece in pieces_of(run.plan, block) if backend.takes_pieces else [block]:
        found = _run_piece(run, piece, slice(done, done + piece.rows), passes, backend)
        states = found if states is None else [a.merge(b) for a, b in zip(states, found, strict=True)]
        done += piece.rows
    assert states is not None
    by_name: dict[str, State] = {}
    for this, sums in zip(passes, states, strict=True):
        for loss in this.written:
            run.sinks[loss.name].write(block, this.losses.reshape(block.shape))
        state = dataclasses.replace(sums, parts=this.statistics.parts()) if this.statistics else sums
        by_name.update((loss.name, state) for loss in this.equal)
    return tuple(by_name[loss.name] for loss in run.plan.losses)


class _Pass(NamedTuple):
    """Losses that differ only in name or reduction: they are evaluated once."""

    equal: Sequence[PlannedLoss]
    written: Sequence[PlannedLoss]
    """Those whose losses of rows are written."""
    losses: Any
    """(rows,) of the block, where losses are written; else None."""
    statistics: RowStatistics
    """The collectors of losses of rows; false where there are none."""

    def compared_with(self, plan: Plan) -> list[str]:
        """Return the names of those of the losses that others are compared with."""
        return [loss.name for loss in self.equal if loss.name in plan.baselines]

    @property
    def first(self) -> PlannedLoss:
        return self.written[0] if self.written else self.equal[0]


def _pass_of(run: Run, block: Block, equal: Sequence[PlannedLoss], backend: Backend) -> _Pass:
    written = [loss for loss in equal if loss.name in run.sinks and loss.alignment.ratio_shape is None]
    losses = backend.new_losses(run.sinks[written[0].name], block, written[0].dtype) if written else None
    return _Pass(equal, written, losses, RowStatistics(run.plan, equal[0]))


def _run_piece(run: Run, piece: Block, rows: slice, passes: Sequence[_Pass], backend: Backend) -> list[State]:
    """Evaluate some rows of a block, a block of their own; return a state for each pass."""
    plan, inputs = run.plan, BlockInputs(run.plan, piece, backend.buffers, run.nan_policy)
    weight, mask = backend.weight_of(plan, inputs), backend.mask_of(plan, inputs)
    states: list[State] = []
    baselines: dict[str, RowLosses] = {}
    for this in passes:
        on_piece = LossOnBlock(plan, this.first, inputs, weight, mask, run.nan_policy, backend)
        written, compared = None if this.losses is None else this.losses[rows], this.compared_with(plan)
        losses = _places_for(this, piece.rows, written, bool(this.statistics or compared), run)
        states.append(on_piece.evaluate(losses))
        baselines.update((name, losses) for name in compared)
        if this.statistics:
            baseline = None if this.first.baseline is None else baselines[this.first.baseline]
            this.statistics.add(losses, baseline, inputs, run.nan_policy, backend)
            if losses.binary is not None and written is not None:  # they were collected under both conventions
                backend.copy(losses.binary if run.all_binary[this.first.name] else losses.out, written)
    return states


def _places_for(this: _Pass, rows: int, written: Any, collected: bool, run: Run) -> RowLosses:
    """Return where the losses of a piece go: to what is written, and where they are collected at least to memory; under
    both of the labels' conventions if that is not decided yet.
    """
    both = this.first.spec.both_conventions and this.first.alignment.ratio_shape is None
    if collected and both:
        return RowLosses(np.empty(rows, this.first.dtype), np.empty(rows, this.first.dtype))
    if collected and written is None:
        written = np.empty(rows, this.first.dtype)
    return RowLosses(None, written) if both and run.all_binary.get(this.first.name) else RowLosses(written)


def all_labels_are_binary(plan: Plan, loss: PlannedLoss, nan_policy: str) -> bool:
    """Return whether all labels of the plan's rows are 0 or 1, as far as they count: also of blocks that other shards
    evaluate. Reads the labels, and predictions where they may leave out a label that is neither.
    """
    return not any(
        labels_beside_0_and_1(plan, loss, BlockInputs(plan, block, nan_policy=nan_policy)) for block in plan.blocks()
    )
