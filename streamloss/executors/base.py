"""``run_block``, the one function that every executor maps over the blocks of a plan."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import nullcontext
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np

from ..alignment import View
from ..exact.accumulator import SIZE
from ..exact.state import ExactSum, State
from ..kernels import convert, cpu, tile
from ..losses._registry import Sparse
from ..planning import Job, Plan
from ..sinks import Sink
from ..sources import Source
from ..types import Block
from .diagnosis import explain, explain_inexact

Array = np.ndarray[Any, Any]
States = tuple[State, ...]
"""One state for each loss of the plan, in its order."""

NAN_POLICIES = {"raise": tile.RAISE, "omit": tile.OMIT, "propagate": tile.PROPAGATE}
PARALLEL_FROM = 1 << 17
"""Elements from which one block is worth the compilation and start of the loop over all cores."""


@dataclass(frozen=True, slots=True)
class Task:
    """A plan, with where its losses go and what to do about NaN."""

    plan: Plan
    sinks: Mapping[str, Sink] = field(default_factory=dict)
    """By the loss' name; losses without a sink are only added up."""
    nan_policy: str = "raise"

    def empty(self) -> States:
        return tuple(State.empty(identity(job, self.plan)) for job in self.plan.jobs)


class Executor(Protocol):
    """Evaluates all blocks of a task. Exact states make the order, and the workers' number, irrelevant."""

    name: str

    def run(self, task: Task, done: Callable[[Block], None]) -> States:
        """The merged states. Calls `done` after each block, from the calling thread."""


def identity(job: Job, plan: Plan) -> dict[str, Any]:
    """What a state is a state of."""
    parameters = dict(job.spec.parameters)
    return {
        "loss": job.spec.name,
        "parameters": parameters,
        "dtype": str(job.dtype),
        "weighted": plan.sample_weight is not None,
    }


def merge_all(left: States, right: States) -> States:
    return tuple(a.merge(b) for a, b in zip(left, right, strict=True))


def run_block(task: Task, block: Block, parallel: bool = False) -> States:
    """Read a block, evaluate its losses, write them where they go, and return the states of its rows.

    ``parallel`` uses Numba's threads and must not be set on a thread of a pool.
    Raises DataError for the first row that has no loss, naming it.
    """
    plan = task.plan
    raw: dict[tuple[str, View], Array] = {}

    def read(source: Source, view: View) -> Array:
        key = (source.role, view)
        if key not in raw:
            raw[key] = view.to_rows(source.read(view.select(block, plan.start)), block.shape)
        return raw[key]

    weight = _weight(plan, block, read)
    return tuple(_run_job(task, job, block, read, weight, parallel) for job in plan.jobs)


def _weight(plan: Plan, block: Block, read: Callable[[Source, View], Array]) -> Array | None:
    if plan.sample_weight is None:
        return None
    if isinstance(plan.sample_weight, float):
        return np.full(block.rows, plan.sample_weight)
    assert plan.weight_view is not None
    return convert.weights(read(plan.sample_weight, plan.weight_view))


def _run_job(
    task: Task, job: Job, block: Block, read: Callable[[Source, View], Array], weight: Array | None, parallel: bool
) -> State:
    plan, formula = task.plan, job.spec.formula
    labels, predictions = read(plan.y_true, job.layout.y_true), read(plan.y_pred, job.layout.y_pred)
    for role, data in (("y_pred", predictions), ("y_true", labels)):
        if (role == "y_pred" or not isinstance(formula, Sparse)) and convert.inexact_integers(data) is not None:
            raise explain_inexact(job, role, data, block)
    y_pred = convert.floating(predictions)
    y_pred = y_pred if y_pred.ndim == 2 else y_pred.reshape(-1, 1)
    if isinstance(formula, Sparse):
        y_true = convert.labels(labels)
    else:
        y_true = convert.floating(labels, y_pred.dtype).reshape(y_pred.shape)
    ignore_class = job.spec.parameters.get("ignore_class")
    ignore = (0, 0) if ignore_class is None else (1, ignore_class)
    out = np.empty(block.rows, job.dtype)
    limbs = np.zeros((cpu.PIECES, 2, SIZE), np.int64)
    counts = np.zeros((cpu.PIECES, tile.NUM_COUNTS), np.int64)
    weights = np.empty(0) if weight is None else weight
    arguments = (y_true, y_pred, weights, ignore, job.spec.arguments(job.dtype), NAN_POLICIES[task.nan_policy], out)
    with cpu.all_cores() if parallel and y_pred.size >= PARALLEL_FROM else nullcontext(False) as free:
        if free:
            first_bad = [int(r) for r in cpu.parallel(formula)(*arguments, limbs, counts)]
        else:
            first_bad = [cpu.serial(formula)(*arguments, limbs[0], counts[0])]
    if bad := [r for r in first_bad if r >= 0]:
        raise explain(plan, job, block, min(bad), labels, predictions, weight)
    if job.name in task.sinks:
        task.sinks[job.name].write(block, out.reshape(block.shape))
    return _state(job, plan, limbs, counts)


def _state(job: Job, plan: Plan, limbs: Array, counts: Array) -> State:
    total = {
        name: int(counts[:, i].sum())
        for name, i in (
            ("count", tile.COUNT),
            ("nonzero_weights", tile.NONZERO),
            ("omitted", tile.OMITTED),
            ("ignored", tile.IGNORED_ROWS),
        )
    }
    weighted = plan.sample_weight is not None
    sums = {
        "loss": _exact(limbs[:, tile.VALUES]),
        "weight": _exact(limbs[:, tile.WEIGHTS]) if weighted else ExactSum.of_count(total["count"]),
    }
    if not weighted:
        total["nonzero_weights"] = total["count"]
    return State(State.empty(identity(job, plan)).of, sums, total)


def _exact(limbs: Array) -> ExactSum:
    """The sum over pieces. A block has at most ``blocking.MAX_ROWS`` rows, so limbs added up still fit int64."""
    return ExactSum.of_limbs(limbs.sum(axis=0))
