"""Plans of batches: a batch with the shapes and dtypes of one before takes its plan, for making one takes longer than
the losses of some hundred rows.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from ..errors import UsageError
from ..planning.plan import Plan
from ..planning.request import LossRequest
from ..storage.sources.numpy import ArraySource, plain_source
from .inputs import Inputs
from .request import Options, messages_about, plan_request, prepare_inputs

MOST_PLANS = 16
"""The plans that are kept: sentences, padded to the longest one of their batch, have a shape in each batch."""


class BatchPlans:
    """Makes the plans of batches, and keeps the last ones. The arrays of a batch are not held by it."""

    def __init__(self, requests: Sequence[LossRequest], options: Options) -> None:
        self._requests, self._options = requests, options
        self._kept: dict[Any, tuple[Plan, list[str]]] = {}

    def plan(self, inputs: Inputs) -> tuple[Plan, list[str]]:
        """Return the plan of a batch, with the messages about its arrays. Raises what ``plan_request`` raises, and
        UsageError for Dask arrays.
        """
        sources = {role: plain_source(array, role) for role, array in inputs.by_role().items() if array is not None}
        plain = {role: source for role, source in sources.items() if source is not None}
        if len(plain) < len(sources):  # what is to be opened and looked at has more than a shape and a dtype
            return self._made(inputs)
        key = tuple((role, source.shape, source.dtype, source.contiguous) for role, source in plain.items())
        if (kept := self._kept.get(key)) is None:
            plan, messages = self._made(inputs)
            if len(self._kept) >= MOST_PLANS:
                self._kept = {}  # another thread may read the old ones
            without = {role: _without_numbers(source) for role, source in plain.items()}
            self._kept[key] = replace(plan, **without), messages  # type: ignore[arg-type]
            return plan, messages
        return replace(kept[0], **plain), kept[1]  # type: ignore[arg-type]

    def _made(self, inputs: Inputs) -> tuple[Plan, list[str]]:
        inputs = prepare_inputs(self._requests, inputs)
        if inputs.lazy:
            raise UsageError("an Evaluator takes arrays in memory; evaluate(...) takes Dask arrays.")
        plan = plan_request(self._requests, inputs, self._options)
        return plan, messages_about(plan)


def _without_numbers(source: ArraySource) -> ArraySource:
    """Return a source of the same shape and dtype, whose array takes a few bytes."""
    return ArraySource(np.broadcast_to(np.zeros((), source.dtype), source.shape), source.role)
