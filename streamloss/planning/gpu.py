"""The losses that a GPU can evaluate, and the arrays that it reads where they are."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ..core.types import HALVES
from ..errors import UsageError
from ..storage.sources.base import Source
from .alignment import View
from .plan import Plan, PlannedLoss

GPU_LABELS = ("bool", "int8", "uint8", "int16", "uint16", "int32", "uint32", "int64")
GPU_TARGETS = ("bool", "uint8", "float32", "float64", *HALVES)
GPU_PREDICTIONS = ("float32", "float64", *HALVES)
GPU_WEIGHTS = ("float32", "float64")
"""Dtypes that kernels on a GPU read as they are stored there; others are converted on the host."""

BUFFERS = 3
"""The least number of blocks at a time for a GPU: one is read, one copied, one evaluated."""


def why_not_on_gpu(loss: PlannedLoss) -> str | None:
    """Return why a loss cannot be evaluated on a GPU; None if it can."""
    if loss.alignment.ratio_shape is not None:
        return "it is a ratio of sums over the whole data"
    if loss.alignment.class_axis is not None:
        return "its labels are a map of classes"
    if loss.formula.is_ratio and loss.spec.parameters["ignore_class"] is not None:
        return "it ignores elements of rows"
    return loss.formula.why_not_on_gpu


def gpu_reads(loss: PlannedLoss, source: Source) -> bool:
    """Return whether a loss' kernels on a GPU read labels or predictions as `source` has them."""
    labels, integers = source.role == "y_true", loss.formula.integer_labels
    if why_not_on_gpu(loss) is not None or (loss.precision is not None and not (labels and integers)):
        return False
    known = (GPU_LABELS if integers else GPU_TARGETS) if labels else GPU_PREDICTIONS
    return source.dtype.name in known


def stays_on_gpu(source: Source, view: View, rank: int, losses: Sequence[PlannedLoss], by_class: bool) -> bool:
    """Return whether an array is on a GPU and read nowhere else; `rank` is that of the losses, and `by_class` says
    whether rows are weighted by their labels.
    """
    if not source.on_gpu or not view.in_order(rank):
        return False
    conventions = any(loss.spec.both_conventions for loss in losses)  # which labels that count decide, on the host
    match source.role:
        case "sample_weight":
            return source.dtype.name in GPU_WEIGHTS and not by_class and not conventions
        case "mask":
            return source.dtype == np.bool_ and not conventions
        case "y_true":
            return all(gpu_reads(loss, source) for loss in losses) and not by_class and not conventions
        case _:
            return all(gpu_reads(loss, source) for loss in losses)


def refuse_what_gpus_cannot(plan: Plan) -> None:
    """Raise UsageError for a loss that a GPU cannot evaluate, where a GPU was asked for by name."""
    for planned in plan.losses:
        if (reason := why_not_on_gpu(planned)) is not None:
            raise UsageError(
                f"{planned.spec.name}: executor='cuda' cannot evaluate it, because {reason}; expected a loss of rows "
                "over elements or classes. Use executor='auto', which evaluates it on the CPU."
            )
