"""The public function ``compare``: the losses of several models on the same rows, and whether they differ."""

from __future__ import annotations

import time
import warnings
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import replace
from typing import Any

from ..aggregation.snapshot import Snapshot
from ..core.machine import DEFAULT_MEMORY
from ..core.types import Progress
from ..errors import StreamlossWarning, UnknownNameError, UsageError
from ..execution import Executor
from ..execution.block import MAX_GROUPS
from ..planning.request import LossRequest
from ..storage.sources.dask import is_lazy
from .comparison import Comparison
from .grouping import grouping_of, labels_of
from .inputs import Inputs
from .interop import loss_requests
from .manifest import manifest_of
from .progress import shown_progress
from .request import Options, messages_about, plan_request
from .result import result_of
from .run import choose_executor, run_plan
from .storage_options import with_options


def compare(
    losses: Any,
    y_true: Any,
    y_preds: Mapping[str, Any],
    sample_weight: Any = None,
    *,
    baseline: str | None = None,
    mask: Any = None,
    by: Mapping[str, Any] | None = None,
    cluster: Any = None,
    max_groups: int = MAX_GROUPS,
    class_weight: Mapping[int, float] | Sequence[float] | None = None,
    executor: str | Executor = "auto",
    scheduler: Any = None,
    memory: int | str = DEFAULT_MEMORY,
    workers: int | None = None,
    rows: slice | None = None,
    nan_policy: str = "raise",
    clip_probabilities: bool = False,
    missing_chunks: str | Mapping[str, str] | None = None,
    progress: bool | str | Callable[[Progress], None] | None = "auto",
    storage_options: Mapping[str, Any] | None = None,
) -> Comparison:
    """Compare the losses of several models on the same rows, in one pass that reads the labels once.

    Parameters
    ----------
    losses, y_true, sample_weight
        As in :func:`streamloss.evaluate`. The losses are of rows. ``None, None`` compares losses of rows that were
        written before, such as arrays of the reduction NONE: `y_preds` has them.
    y_preds : mapping of str to array
        The predictions of each model by its name: what `y_pred` may be in :func:`streamloss.evaluate`, but for Dask
        arrays.
    baseline : str, optional
        The model that the others are compared with; by default the first.
    mask, by, cluster, max_groups, class_weight, executor, scheduler, memory, workers, rows, nan_policy, \
clip_probabilities, missing_chunks, progress, storage_options
        As in :func:`streamloss.evaluate`. With `cluster` (a day, a user) differences are judged by clusters.

    Returns
    -------
    Comparison
        A table with a row for each model and loss: the mean, its difference to the baseline's with interval and
        p-value, how often the model was better, and the skill score; ``groups`` has the same by group.

    Raises
    ------
    UsageError
        For fewer than two models, and for an unknown baseline.
    DataError
        As :func:`streamloss.evaluate`; also where a model has no loss on rows where the baseline has one.

    Examples
    --------
    >>> import numpy as np
    >>> import streamloss as sl
    >>> y = np.array([0.0, 1.0, 2.0, 3.0])
    >>> found = sl.compare("mae", y, {"old": y + [1.0, 1.5, 0.5, 1.0], "new": y + [0.5, 0.75, 0.0, 1.0]})
    >>> row = found["new"]
    >>> row["difference"], row["better"], row["equal"], round(row["p_value"], 3)
    (-0.4375, 3, 1, 0.069)

    """
    begin = time.perf_counter()
    models = _models(y_preds, baseline)
    first, *others = models
    options = Options(
        class_weight=class_weight,
        executor=executor,
        scheduler=scheduler,
        memory=memory,
        workers=workers,
        rows=rows,
        max_groups=max_groups,
        nan_policy=nan_policy,
        clip_probabilities=clip_probabilities,
        missing_chunks=missing_chunks,
    )
    grouping = grouping_of(by, None, cluster, "stderr")
    y_true = labels_of(losses, y_true, models[first])
    inputs = Inputs(y_true, models[first], sample_weight, mask, grouping, {}, {name: models[name] for name in others})
    inputs = with_options(inputs, storage_options)
    for role, array in inputs.by_role().items():
        if is_lazy(array):
            raise UsageError(
                f"compare received a Dask array as {role}; expected arrays that are read block by block. Store it "
                "(array.to_zarr), or evaluate each model."
            )
    requests = [_of_model(request, name, first) for request in loss_requests(losses) for name in models]
    plan = plan_request(requests, inputs, options)
    chosen = choose_executor(plan, inputs, options)
    messages = messages_about(plan)
    for message in messages:
        warnings.warn(message, StreamlossWarning, stacklevel=2)
    with ExitStack() as held:
        shown = held.enter_context(shown_progress(progress))
        collected = run_plan(
            plan, chosen, {}, nan_policy=nan_policy, max_groups=max_groups, progress=shown, begin=begin
        )
    snapshot = Snapshot(manifest_of(plan, requests, {}, options), collected.result, {})
    result = result_of(snapshot, plan.to_dict(), chosen.name, chosen.workers_used or plan.workers, messages)
    return Comparison(result, first, tuple(models))


def _models(y_preds: Any, baseline: str | None) -> dict[str, Any]:
    """Return the predictions by model, the baseline first."""
    if not isinstance(y_preds, Mapping) or len(y_preds) < 2:
        raise UsageError(
            "compare takes the predictions of two models or more by name, such as {'old': old, 'new': new}; received "
            f"{f'{len(y_preds)} of them' if isinstance(y_preds, Mapping) else f'a {type(y_preds).__name__}'}."
        )
    for name in y_preds:
        if not isinstance(name, str) or not name or "/" in name:
            raise UsageError(f"a model is named {name!r}; expected text without '/'.")
    first = next(iter(y_preds)) if baseline is None else baseline
    if first not in y_preds:
        raise UnknownNameError("baseline", first, y_preds)
    return {first: y_preds[first], **y_preds}


def _of_model(request: LossRequest, model: str, baseline: str) -> LossRequest:
    if model == baseline:
        return replace(request, name=f"{request.name}/{model}")
    return replace(
        request,
        name=f"{request.name}/{model}",
        model=model,
        baseline=f"{request.name}/{baseline}",
        statistics=("paired",),
    )
