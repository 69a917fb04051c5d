"""Where the losses of rows go: targets by name, created before anything is read."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np

from ..aggregation.reductions import losses_of_cells
from ..aggregation.state import State
from ..core.blocks import Block
from ..errors import StateError, UnknownNameError, UsageError
from ..planning.plan import Plan, PlannedLoss
from ..storage.sinks import Sink
from ..storage.uris import same_place


def targets_by_name(out: str | Mapping[str, str] | None, named: Iterable[str]) -> dict[str, str]:
    """Where the losses of rows go, by name."""
    names = list(named)
    if out is None:
        return {}
    if isinstance(out, Mapping):
        for name in out:
            if name not in names:
                raise UnknownNameError("loss in out", name, names)
        return {name: str(uri) for name, uri in out.items()}
    return {name: f"{str(out).rstrip('/')}/{name}" for name in names}


def open_sinks(
    the_plan: Plan,
    configs: Mapping[str, Any],
    targets: Mapping[str, str],
    overwrite: bool,
    key: str | None = None,
    begun: bool = False,
) -> dict[str, Sink]:
    """Create the targets; none of them if one is refused. `key` tells the evaluation, for parts that write to one
    array; if it has `begun`, its targets must be there.
    """
    if not targets:
        return {}
    from ..storage.sinks.zarr import ZarrSink, check_target

    taken = {f"{source.role} is read from": source.where for source in the_plan.sources}
    for name, uri in targets.items():
        for use, place in taken.items():
            if same_place(uri, place):
                raise UsageError(f"out: {uri!r} is where {use}; write to another place.")
        taken[f"{name} is written"] = uri
        check_target(uri, overwrite, key)

    def open_sink(job: PlannedLoss) -> Sink:
        shape, chunks, dtype = the_plan.shape, the_plan.block_shape, job.dtype
        if job.alignment.ratio_shape is not None:
            shape, chunks, dtype = job.alignment.ratio_shape, job.alignment.ratio_shape, np.dtype(np.float64)
        attributes = {"loss": configs[job.name], "rows_from": the_plan.start}
        sink = ZarrSink(targets[job.name], shape, chunks, dtype, attributes, overwrite, key)
        if begun and not sink.joined:
            raise StateError(
                f"out: the checkpoint says that rows were written to {targets[job.name]!r}, which is not there; "
                "expected the array as it was. Restore it, or remove the checkpoint, and this array, to begin anew."
            )
        return sink

    return {job.name: open_sink(job) for job in the_plan.jobs if job.name in targets}


def write_cells(the_plan: Plan, states: Iterable[State], sinks: Mapping[str, Sink]) -> None:
    """Ratios over the whole data, which are known at the end only."""
    for job, state in zip(the_plan.jobs, states, strict=True):
        if job.alignment.ratio_shape is not None and job.name in sinks:
            block = Block(0, (0,) * len(job.alignment.ratio_shape), job.alignment.ratio_shape)
            sinks[job.name].write(block, losses_of_cells(state, weighted=True))
