"""Kernels that are compiled ahead of time, for a cache that comes with a container's image or is shared by workers."""

from __future__ import annotations

import itertools
import time
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np

from ..core.cache_folder import folder
from ..core.kernel_cache import counts
from ..errors import MachineError
from ..execution.inline import InlineExecutor
from ..formulas._kinds import Elementwise, LabelLayout, Parametric
from ..kernels.summation_order import FEW, SEVERAL
from ..planning.request import LossRequest
from .inputs import Inputs
from .interop import loss_requests
from .request import plan_request, prepare_inputs
from .run import DEFAULTS, run_plan

CLASSES = (2, FEW + 1, SEVERAL + 1)
"""Numbers of classes, one for each kind of loop over classes: rows with other numbers share its kernels."""


class CompiledKernel(NamedTuple):
    """A kernel that is in the cache now."""

    loss: str
    y_true: str
    """The dtype of labels, as are the next two."""
    y_pred: str
    sample_weight: str | None
    classes: int
    compiled: bool
    """Whether it was not there before."""
    seconds: float


def compile_kernels(
    losses: Any,
    y_pred_dtypes: Sequence[str] = ("float32",),
    y_true_dtypes: Sequence[str] = (),
    weight_dtypes: Sequence[str | None] = (None,),
    classes: Sequence[int] = (),
) -> Iterator[CompiledKernel]:
    """Compile the kernels of losses for each combination of dtypes and numbers of classes, and keep them on disk.

    Parameters
    ----------
    losses : loss, str, config, sequence or mapping of these
        As :func:`streamloss.evaluate` takes them.
    y_pred_dtypes : sequence of str
        Dtypes of predictions.
    y_true_dtypes : sequence of str
        Dtypes of labels; by default int64 for labels that name classes, else those of the predictions.
    weight_dtypes : sequence of str or None
        Dtypes of `sample_weight`; None: without weights.
    classes : sequence of int
        Numbers of classes; by default one for each kind of loop that the loss has.

    Yields
    ------
    CompiledKernel
        One for each combination, when it is in the cache.

    Raises
    ------
    MachineError
        There is no folder in which kernels could be kept.

    """
    if folder() is None:
        raise MachineError(
            "there is no kernel cache: STREAMLOSS_CACHE switches it off, or its folder cannot be made, or others can "
            "write to it. Name a folder of your own: STREAMLOSS_CACHE_DIR=/path/to/kernels"
        )
    for request in loss_requests(losses):
        formula = request.spec.formula
        labels = y_true_dtypes or (("int64",) if formula.integer_labels else (None,))
        for y_pred, y_true, weight in itertools.product(y_pred_dtypes, labels, weight_dtypes):
            for number in classes or _classes_of(formula):
                yield _compiled(request, y_pred, y_true or y_pred, weight, number)


def _classes_of(formula: Any) -> tuple[int, ...]:
    """Return a number of classes for each kind of loop of a formula."""
    if isinstance(formula, Parametric):
        return (2,)
    if formula.label_layout is LabelLayout.SEQUENCE:
        return CLASSES[:1]
    return (1, *CLASSES) if isinstance(formula, Elementwise) else CLASSES


def _compiled(request: LossRequest, y_pred: str, y_true: str, weight: str | None, classes: int) -> CompiledKernel:
    """Evaluate one row of ones, which every loss accepts: it takes the kernel of any other evaluation of its dtypes."""
    formula, begin, before = request.spec.formula, time.perf_counter(), counts.compiled
    shapes = {
        LabelLayout.PER_ELEMENT: ((1, classes), (1, classes)),
        LabelLayout.PER_ROW: ((1,), (1, classes)),
        LabelLayout.SEQUENCE: ((1, 1), (1, 2, classes)),
    }
    label_shape, shape = shapes[formula.label_layout]
    if classes == 1 and not formula.needs_class_axis:
        label_shape, shape = (1,), (1,)
    labels = (np.zeros if formula.integer_labels else np.ones)(label_shape, y_true)
    weights = None if weight is None else np.ones(1, weight)
    inputs = prepare_inputs((request,), Inputs(labels, np.ones(shape, y_pred), weights))
    run_plan(plan_request((request,), inputs, DEFAULTS), InlineExecutor(), {}, nan_policy="omit")
    compiled = counts.compiled > before
    return CompiledKernel(request.name, y_true, y_pred, weight, classes, compiled, time.perf_counter() - begin)
