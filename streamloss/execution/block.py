"""``run_block``, the one function that every executor maps over the blocks of a plan."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

from ..aggregation.state import State, States, canonical_json
from ..core.blocks import Block, Ranges
from ..planning.plan import Plan, PlannedLoss
from ..storage.sinks import Sink
from .backends import Backend, CpuBackend
from .inputs import BlockInputs, host_mask
from .loss_on_block import NAN_POLICIES, LossOnBlock, identity, labels_beside_0_and_1

__all__ = [
    "NAN_POLICIES",
    "Executor",
    "BlockResult",
    "CpuBackend",
    "Run",
    "all_labels_are_binary",
    "run_block",
]


@dataclass(frozen=True, slots=True)
class Run:
    """A plan, with which of its blocks are to be evaluated, where their losses go, what to do about NaN, and what was
    found out about the labels. Can be pickled, if its arrays and sinks are places and not memory.
    """

    plan: Plan
    sinks: Mapping[str, Sink] = field(default_factory=dict)
    """By the loss' name; losses without a sink are only added up."""
    nan_policy: str = "raise"
    all_binary: Mapping[str, bool] = field(default_factory=dict)
    """By the loss' name, for losses whose labels' convention depends on all labels and whose losses are written:
    whether all labels of the whole data are 0 or 1."""
    todo: Ranges | None = None
    """The blocks to evaluate, by number; None: all."""
    statistics: tuple[str, ...] = ()
    """What is added up beside the totals; see :mod:`streamloss.aggregation.statistics`."""
    on_gpu: bool = False
    """Whether workers of a scheduler evaluate them on their GPUs."""

    @property
    def numbers(self) -> Ranges:
        """Of the blocks to evaluate."""
        return Ranges.of([(0, self.plan.num_blocks)]) if self.todo is None else self.todo

    def blocks(self) -> Iterator[Block]:
        return self.plan.blocks() if self.todo is None else map(self.plan.grid.block, self.todo)

    def empty(self) -> States:
        return tuple(State.empty(identity(job, self.plan)) for job in self.plan.jobs)


@dataclass(frozen=True, slots=True)
class BlockResult:
    """Some blocks, one after the other, and what came of them."""

    first: int
    stop: int
    """One past the last block's number."""
    states: States
    filled: Mapping[str, int] = field(default_factory=dict)
    """Missing chunks that another process read as their fill value, by the array's role."""


class Executor(Protocol):
    """Evaluates the blocks of a task. Exact states make the order, and the workers' number, irrelevant."""

    name: str

    def run(self, task: Run, done: Callable[[BlockResult], None]) -> None:
        """Calls `done` with each part, in any order, from the calling thread."""


def run_block(task: Run, block: Block, backend: Backend | None = None) -> States:
    """Read a block, evaluate its losses, write them where they go, and return the states of its rows.

    Losses that differ only in name or reduction are evaluated once.
    ``backend`` is the calling thread's; None: one core, once.
    Raises DataError for the first row that has no loss, naming it.
    """
    backend = backend or CpuBackend()
    with backend.activate():
        return _run_block(task, block, backend)


def _run_block(task: Run, block: Block, backend: Backend) -> States:
    plan, inputs = task.plan, BlockInputs(task.plan, block, backend.buffers)
    weight, mask = backend.weight_of(plan, inputs), backend.mask_of(plan, inputs)
    alike: dict[str, list[PlannedLoss]] = {}
    for job in plan.jobs:
        alike.setdefault(f"{canonical_json(identity(job, plan))} {job.alignment}", []).append(job)
    states: dict[str, State] = {}
    for jobs in alike.values():
        written = [job for job in jobs if job.name in task.sinks and job.alignment.ratio_shape is None]
        first = written[0] if written else jobs[0]
        losses: Any = backend.new_losses(task.sinks[first.name], block, first.dtype) if written else None
        binary = task.all_binary.get(first.name)
        loss = LossOnBlock(plan, first, inputs, weight, mask, task.nan_policy, backend, task.statistics)
        state = loss.evaluate(losses, binary)
        for job in written:
            task.sinks[job.name].write(block, losses.reshape(block.shape))
        states.update((job.name, state) for job in jobs)
    return tuple(states[job.name] for job in plan.jobs)


def all_labels_are_binary(plan: Plan, job: PlannedLoss) -> bool:
    """Whether all labels that there are, also beyond the rows that the plan evaluates, are 0 or 1. Reads the labels."""
    everywhere = dataclasses.replace(plan, start=0, shape=job.alignment.rows)
    for block in everywhere.blocks():
        inputs = BlockInputs(everywhere, block)
        if labels_beside_0_and_1(inputs.read(plan.y_true, job.alignment.y_true), host_mask(everywhere, inputs)):
            return False
    return True
