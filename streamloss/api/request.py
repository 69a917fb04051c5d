"""The arguments of ``evaluate`` as records, and the plan that is made from them."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from ..core.machine import DEFAULT_MEMORY, parse_memory
from ..core.types import Progress
from ..errors import ShapeError, UsageError
from ..execution import Executor, is_of_dask
from ..execution.block import MAX_GROUPS
from ..planning.gpu import BUFFERS
from ..planning.plan import Plan
from ..planning.planner import make_plan
from ..planning.request import Limits, LossRequest
from ..storage.sources import Source
from ..storage.sources.dask import as_lazy, is_lazy, refuse_unknown_chunks, refuse_weight_without_axis
from ..storage.sources.encoding import same_units
from ..storage.uris import StorageOptions
from .class_weight import checked_class_weight
from .inputs import Inputs, is_number, open_inputs, policies_of


@dataclass(frozen=True, slots=True)
class Options:
    """The arguments of :func:`streamloss.evaluate` other than the losses and the arrays."""

    class_weight: Mapping[int, float] | Sequence[float] | None = None
    reduction: str | None = ""
    out: str | Mapping[str, str] | None = None
    out_options: StorageOptions = field(default_factory=StorageOptions)
    """The options of the object store that `out` is in."""
    overwrite: bool = False
    executor: str | Executor = "auto"
    scheduler: Any = None
    scheduler_file: str | None = None
    memory: int | str = DEFAULT_MEMORY
    workers: int | None = None
    rows: slice | None = None
    shard: tuple[int, int] | None = None
    checkpoint: str | os.PathLike[str] | None = None
    copies: bool = False
    max_groups: int = MAX_GROUPS
    nan_policy: str = "raise"
    clip_probabilities: bool = False
    missing_chunks: str | Mapping[str, str] | None = None
    progress: Callable[[Progress], None] | None = None

    @property
    def resumable(self) -> bool:
        """Whether other processes evaluate other parts, or go on later: then blocks must not depend on the machine."""
        return self.shard is not None or self.checkpoint is not None


def prepare_inputs(
    requests: Sequence[LossRequest],
    inputs: Inputs,
    resumable: bool = False,
    missing_chunks: str | Mapping[str, str] | None = None,
) -> Inputs:
    """Return the inputs as they are; or, where one is a Dask array, all arrays as Dask arrays, whose missing chunks are
    errors by default.

    Raises UsageError for what cannot be a Dask array, and for Dask arrays of an evaluation that is `resumable`.
    """
    if not any(map(is_lazy, inputs.by_role().values())):
        return inputs
    if resumable:
        raise UsageError(
            "shard and checkpoint need arrays that can be read again in parts; received Dask arrays. Store them "
            "(array.to_zarr), or evaluate without; Dask tries again what its workers lose."
        )
    _refuse_two_arrays(requests, inputs.y_pred)  # before they become one
    policies = policies_of(missing_chunks, inputs.grouping, lazy=True)
    refuse_weight_without_axis(inputs.sample_weight)
    described = {
        role: as_lazy(array, role, policies[role])
        for role, array in inputs.by_role().items()
        if array is not None and not is_number(role, array)
    }
    arrays = {role: lazy.array for role, lazy in described.items()}
    return replace(inputs.with_arrays(arrays), lazy=True, described=described)


def plan_request(
    requests: Sequence[LossRequest], inputs: Inputs, options: Options, *, losses_on_host: bool = True
) -> Plan:
    """Open the arrays and return the plan of their evaluation; `inputs` are prepared.

    `losses_on_host` says whether losses of rows are held by the host until they are written. Raises UsageError and
    DataError for what the evaluation would refuse before its first block.
    """
    requests = [
        replace(request, statistics=tuple(sorted({*request.statistics, *inputs.grouping.statistics})))
        for request in requests
    ]
    sources = open_inputs(inputs, options.missing_chunks)
    class_weight = checked_class_weight(options.class_weight)
    _refuse_two_arrays(requests, inputs.y_pred)
    limits = Limits.unlimited() if inputs.lazy else _limits(options, losses_on_host)
    try:
        return make_plan(
            requests,
            sources,
            limits,
            class_weight=class_weight,
            clip_probabilities=options.clip_probabilities,
            rows=options.rows,
        )
    except ShapeError:
        if inputs.lazy:
            refuse_unknown_chunks(inputs.by_role())
        raise


def messages_about(plan: Plan) -> list[str]:
    """Return what is odd about the arrays of a plan, though it can be evaluated: integers as logits or probabilities of
    a cross-entropy, which are often labels, integers that may be the bits of bfloat16, and units that differ.
    """
    messages = _units_that_differ(plan.y_true, plan.y_pred)
    dtypes = plan.y_true.dtype, plan.y_pred.dtype
    if dtypes[1].kind not in "biu":
        return messages
    if dtypes[1].kind != "b" and dtypes[1].itemsize == 2 and dtypes[0] != dtypes[1]:  # both may be images
        messages.append(
            f"y_pred has dtype {dtypes[1]}, as has bfloat16 that is stored by its bits (1.0 is then 16256); if it is "
            "that, pass y_pred.view(ml_dtypes.bfloat16), or store it as floats"
        )
    for loss in plan.losses:
        if (from_logits := loss.spec.parameters.get("from_logits")) is not None:
            what = "logits are floats as a rule" if from_logits else "probabilities are floats as a rule"
            guess = (
                f"y_true has {dtypes[0]}: if the two are exchanged, y_true comes first"
                if dtypes[0].kind == "f"
                else "if they are labels, or the argmax of scores, pass the scores"
            )
            messages.append(f"{loss.name}: y_pred has dtype {dtypes[1]}, but {what}; {guess}")
    return messages


def _units_that_differ(y_true: Source, y_pred: Source) -> list[str]:
    if y_true.units is None or y_pred.units is None or same_units(y_true.units, y_pred.units):
        return []
    return [
        f"y_true ({y_true.where}) is in {y_true.units!r}, but y_pred ({y_pred.where}) in {y_pred.units!r}; if their "
        "numbers are compared, convert one of them"
    ]


def _refuse_two_arrays(requests: Sequence[LossRequest], y_pred: Any) -> None:
    """Raise ShapeError where a distribution's two parameters come as two arrays: one array of them would have the
    parameters as rows, and with two rows nothing else would show it.
    """
    meanings = next((request.spec.formula.meanings for request in requests if request.spec.formula.meanings), None)
    if meanings is None or not isinstance(y_pred, tuple | list) or len(y_pred) != 2:
        return
    if isinstance(y_pred, tuple) or any(getattr(part, "shape", ()) for part in y_pred):
        raise ShapeError(
            f"y_pred is a {type(y_pred).__name__} of two arrays; expected one array whose last axis holds "
            f"{' and '.join(meanings)}. Stack them: np.stack([{', '.join(meanings)}], axis=-1); or, if they are two "
            "rows, np.stack([first, second])."
        )


def _limits(options: Options, losses_on_host: bool) -> Limits:
    return Limits(
        parse_memory(options.memory),
        options.workers,
        least_workers=BUFFERS if options.executor == "cuda" else 1,
        machine_independent=options.resumable
        or is_of_dask(options.executor, options.scheduler, options.scheduler_file),
        losses_on_host=losses_on_host,
        max_groups=options.max_groups,
    )
