"""What was asked for, as the floors below take it: losses by name, arrays opened, a plan."""

from __future__ import annotations

import math
import operator
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import numpy as np

from ..core.blocks import Ranges
from ..core.machine import parse_memory
from ..core.types import Reduction
from ..core.version import __version__
from ..errors import UsageError, ValueRangeError
from ..planning.dtypes import result_dtype
from ..planning.plan import LossRequest, Plan
from ..planning.planner import make_plan
from ..storage.sources import Source, open_source
from ..storage.sources.base import nbytes
from .interop import as_loss, describe
from .loss import Loss


def named_losses(losses: Any) -> dict[str, Loss]:
    """By the names that they have in the result."""
    if isinstance(losses, Mapping) and "class_name" not in losses:
        named = {str(name): as_loss(loss) for name, loss in losses.items()}
    else:
        single = isinstance(losses, str | Mapping | Loss) or callable(losses) or not isinstance(losses, Iterable)
        instances = [as_loss(loss) for loss in ([losses] if single else losses)]
        named = {loss.name: loss for loss in instances}
        if len(named) < len(instances):
            raise UsageError(
                f"two losses have one name: {', '.join(loss.name for loss in instances)}. Give them names: "
                "Loss(..., name='a'), or pass a mapping."
            )
    if not named:
        raise UsageError("no losses were given.")
    return named


def planned(
    named: Mapping[str, Loss],
    y_true: Any,
    y_pred: Any,
    sample_weight: Any,
    mask: Any,
    class_weight: Mapping[int, float] | None,
    memory: int | str,
    workers: int | None,
    rows: slice | None,
    missing_chunks: str | None,
    machine_independent: bool = False,
    opener: Callable[[Any, str, str], Source] | None = None,
    least_workers: int = 1,
    written: bool = True,
) -> Plan:
    """The plan of an evaluation, its arrays opened; see :func:`streamloss.evaluate` for the arguments."""
    opener = opener or open_source
    true_source = opener(y_true, "y_true", missing_chunks or "warn")
    pred_source = opener(y_pred, "y_pred", missing_chunks or "error")
    requests = [
        LossRequest(name, loss.spec, result_dtype(pred_source.dtype, loss.dtype), loss.precision)
        for name, loss in named.items()
    ]
    return make_plan(
        requests,
        true_source,
        pred_source,
        _open_weight(sample_weight, missing_chunks or "warn", opener),
        _open_mask(mask, missing_chunks or "error", opener),
        _checked_class_weight(class_weight),
        memory_bytes=parse_memory(memory),
        workers=workers,
        rows=rows,
        machine_independent=machine_independent,
        least_workers=least_workers,
        written=written,
    )


def described(
    plan: Plan,
    named: Mapping[str, Loss],
    reductions: Mapping[str, Reduction],
    targets: Mapping[str, str],
    nan_policy: str,
    missing_chunks: str | None,
    fingerprinted: bool,
) -> dict[str, Any]:
    """Describe an evaluation, for JSON: inputs (with their fingerprints, if `fingerprinted`), losses, settings, blocks.

    What may change from one part of it to the next is left out: workers, memory, executor.
    """
    inputs = {
        source.role: {
            "where": source.where,
            "shape": list(source.shape),
            "dtype": str(source.dtype),
            "chunks": list(source.chunk_shape),
            "bytes": nbytes(source.shape, source.dtype),
            **({"stamp": source.fingerprint()} if fingerprinted else {}),
        }
        for source in plan.sources
    }
    losses = [
        {
            "name": job.name,
            "config": describe(named[job.name]),
            "dtype": str(job.dtype),
            "reduction": str(reductions[job.name]),
            "out": targets.get(job.name),
        }
        for job in plan.jobs
    ]
    return {
        "streamloss": __version__,
        "inputs": inputs,
        "losses": losses,
        "sample_weight": plan.sample_weight if isinstance(plan.sample_weight, float) else None,
        "class_weight": {str(k): v for k, v in (plan.class_weight or {}).items()},
        "rows": {"start": plan.start, "shape": list(plan.shape)},
        "block_shape": list(plan.block_shape),
        "nan_policy": nan_policy,
        "missing_chunks": missing_chunks,
        "all_rows": _all_rows(plan),
    }


def _all_rows(plan: Plan) -> int:
    """Of the arrays, those that are not evaluated among them."""
    axes = plan.jobs[0].alignment.y_pred.axes
    return math.prod(n for n, axis in zip(plan.y_pred.shape, axes, strict=True) if axis >= 0)


def shard_of(num_blocks: int, shard: tuple[int, int]) -> Ranges:
    """The blocks of shard ``(i, n)``. Raises UsageError where there is no such shard."""
    try:
        index, count = (operator.index(number) for number in shard)
    except (TypeError, ValueError):
        raise UsageError(f"shard must be (i, n), such as (0, 4); received {shard!r}.") from None
    if not 0 <= index < count:
        raise UsageError(f"shard {index}/{count}: expected i from 0 to n - 1, so the first of four is 0/4.")
    return Ranges.of([(index * num_blocks // count, (index + 1) * num_blocks // count)])


def _open_weight(
    sample_weight: Any, missing_chunks: str, opener: Callable[[Any, str, str], Source]
) -> Source | float | None:
    if sample_weight is None:
        return None
    if not isinstance(sample_weight, str) and np.ndim(sample_weight) == 0 and not hasattr(sample_weight, "__fspath__"):
        weight = float(sample_weight)
        if not 0.0 <= weight < np.inf:
            raise ValueRangeError(f"sample_weight is {weight:g}; expected a finite weight of at least 0.")
        return weight
    return opener(sample_weight, "sample_weight", missing_chunks)


def _open_mask(mask: Any, missing_chunks: str, opener: Callable[[Any, str, str], Source]) -> Source | None:
    if mask is None:
        return None
    source = opener(mask, "mask", missing_chunks)
    if source.dtype.kind not in "biu":
        raise UsageError(
            f"mask has dtype {source.dtype}; expected booleans, or integers 0 and 1: whether a row counts."
        )
    return source


def _checked_class_weight(class_weight: Mapping[int, float] | None) -> dict[int, float] | None:
    """None where no class has a weight. Raises UsageError for what is no class or no weight."""
    if class_weight is None:
        return None
    if not isinstance(class_weight, Mapping):
        raise UsageError(f"class_weight must map labels to weights, as {{0: 1.0, 1: 5.0}}; received {class_weight!r}.")
    for label, weight in class_weight.items():
        if isinstance(label, bool) or not isinstance(label, int | np.integer):
            raise UsageError(f"class_weight: {label!r} is no label; expected an integer.")
        if abs(int(label)) >= 2**63:
            raise UsageError(f"class_weight: {label} is no label; expected an integer of 64 bits.")
        if not isinstance(weight, int | float | np.number) or not 0.0 <= weight < np.inf:
            raise UsageError(f"class_weight[{label}] is {weight!r}; expected a finite weight of at least 0.")
    return {int(label): float(weight) for label, weight in class_weight.items()} or None
