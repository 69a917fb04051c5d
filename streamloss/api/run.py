"""The one way from a plan to what its blocks add up to, for ``evaluate`` and for losses that are called directly."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from ..aggregation.checkpoint import Checkpoint
from ..aggregation.checks import filled_messages, refuse_undefined_ratios, warn_of_values
from ..aggregation.reductions import ratio_losses, reduce_state
from ..core.blocks import Ranges
from ..core.types import Progress, Reduction
from ..errors import StreamlossWarning
from ..execution import Executor, Run, get_executor
from ..execution.block import MAX_GROUPS, all_labels_are_binary
from ..execution.collector import Collector
from ..planning.plan import Plan
from ..planning.request import LossRequest
from ..storage.sinks import Sink
from ..storage.sinks.memory import sink_beside
from ..storage.sources.base import on_gpu
from .inputs import Inputs
from .request import Options, messages_about, plan_request, prepare_inputs

DEFAULTS = Options()


def run_plan(
    plan: Plan,
    executor: Executor,
    sinks: Mapping[str, Sink],
    *,
    lazy: bool = False,
    nan_policy: str = "raise",
    max_groups: int = MAX_GROUPS,
    todo: Ranges | None = None,
    checkpoint: Checkpoint | None = None,
    progress: Callable[[Progress], None] | None = None,
    begin: float = 0.0,
) -> Collector:
    """Evaluate the blocks of a plan, and return what they add up to.

    `todo` are the blocks by number, by default all; those that `checkpoint` holds are not evaluated again. `lazy` says
    whether the arrays are Dask's, whose graph finds out what all labels decide. `begin` is the time of
    ``time.perf_counter`` when the evaluation began.
    """
    enter = getattr(progress, "enter", lambda phase: None)  # a display of ours shows the phase, too
    enter("reading labels")
    saved = None if checkpoint is None else checkpoint.snapshot
    if saved is not None:
        run = Run(plan, sinks, nan_policy, saved.all_binary, max_groups, todo).without(saved.result.covered)
    else:
        conventions = {} if lazy else _label_conventions(plan, sinks, nan_policy)
        run = Run(plan, sinks, nan_policy, conventions, max_groups, todo)
    collector = Collector(run, checkpoint, progress, begin)
    try:
        enter("evaluating")
        executor.run(run, collector.add)
        enter("writing")
        collector.confirm()
    finally:  # also where it was interrupted
        collector.save()
    return collector


def choose_executor(plan: Plan, inputs: Inputs, options: Options) -> Executor:
    """Return the executor that was asked for, or one that suits the arrays. Raises UsageError for an unknown one."""
    executor, scheduler, file = options.executor, options.scheduler, options.scheduler_file
    if inputs.lazy:
        from ..execution.dask.graph import graph_executor

        return graph_executor(plan, inputs.by_role(), options.out is not None, executor, scheduler, file)
    sources = plan.sources
    in_memory, gpu = all(s.in_memory for s in sources), any(s.on_gpu for s in sources)
    one_block = in_memory and not (plan.collected and plan.num_blocks > 1)
    return get_executor(executor, one_block, scheduler, file, gpu)


def call(
    request: LossRequest, inputs: Inputs, class_weight: Mapping[int, float] | Sequence[float] | None = None
) -> Any:
    """Return the reduced loss as a float64 scalar or, for NONE, the array of losses of rows; a Dask array if one of
    the arrays is Dask's.
    """
    inputs = prepare_inputs((request,), inputs)
    options = DEFAULTS if class_weight is None else replace(DEFAULTS, class_weight=class_weight)
    plan = plan_request((request,), inputs, options, losses_on_host=not on_gpu(inputs.y_pred))
    for message in messages_about(plan):
        warnings.warn(message, StreamlossWarning, stacklevel=3)
    if inputs.lazy:
        from ..execution.dask.graph import Graph

        return Graph(plan, inputs.by_role()).value(request.reduction)
    (loss,) = plan.losses
    unreduced = request.reduction is Reduction.NONE
    sinks: dict[str, Any] = {}
    if unreduced and loss.alignment.ratio_shape is None:
        sinks[loss.name] = sink_beside(plan.y_pred, plan.shape, loss.dtype)
    (state,) = run_plan(plan, choose_executor(plan, inputs, DEFAULTS), sinks).result.states
    refuse_undefined_ratios(loss.name, state, "raise")
    if loss.name in sinks:
        return sinks[loss.name].array()
    if unreduced:
        return ratio_losses(state, weighted=True)
    warn_of_values({loss.name: state}, filled_messages(plan.sources))
    return np.float64(reduce_state(state, request.reduction))


def _label_conventions(plan: Plan, sinks: Mapping[str, Sink], nan_policy: str) -> dict[str, bool]:
    """Return whether all labels are 0 or 1, by name, for losses whose losses of rows depend on it: these are written
    as they are computed, so it must be known before.
    """
    return {
        loss.name: all_labels_are_binary(plan, loss, nan_policy)
        for loss in plan.losses
        if loss.name in sinks and loss.spec.both_conventions
    }
