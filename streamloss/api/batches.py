"""Losses over an iterable of batches, as a data loader gives them: ``evaluate(losses, batches=loader)``."""

from __future__ import annotations

import operator
import time
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from ..aggregation.reductions import reduce_state
from ..core.types import Progress, Reduction
from ..errors import UsageError
from .evaluator import Evaluator
from .progress import shown_progress
from .request import Options
from .result import Result

_ALLOWED = ("class_weight", "reduction", "nan_policy", "clip_probabilities")
"""The options that batches take, too."""


def evaluate_batches(
    losses: Any, batches: Iterable[Any], options: Options, others: Mapping[str, Any], progress: Any
) -> Result:
    """Return the losses of all rows of an iterable's batches.

    `others` are the arguments of ``evaluate`` that are no options, by name. Raises UsageError for arguments that need
    arrays which can be read again, and what batches raise, with the number of the batch.
    """
    _refuse(options, others)
    evaluator = Evaluator(
        losses,
        class_weight=options.class_weight,
        reduction=options.reduction,
        nan_policy=options.nan_policy,
        clip_probabilities=options.clip_probabilities,
    )
    if isinstance(batches, str | Mapping) or not isinstance(batches, Iterable):
        raise UsageError(
            f"batches is a {type(batches).__name__}; expected an iterable of (y_true, y_pred), (y_true, y_pred, "
            "sample_weight) or mappings with these names, such as a data loader or a generator."
        )
    with shown_progress(progress) as show:
        evaluator.update_all(batches if show is None else _shown(evaluator, batches, show))
        if show is not None and evaluator.batches:
            show(_progress_of(evaluator, evaluator.rows, time.perf_counter()))
    return evaluator.result()


def _shown(evaluator: Evaluator, batches: Iterable[Any], show: Callable[[Progress], None]) -> Iterable[Any]:
    """Yield the batches, and show after each how far the evaluation is; a loader that has a length tells the end."""
    begin, count = time.perf_counter(), operator.length_hint(batches, 0)
    for batch in batches:
        if evaluator.batches:
            total = round(evaluator.rows * max(1.0, count / evaluator.batches))
            show(_progress_of(evaluator, total, begin))
        yield batch


def _progress_of(evaluator: Evaluator, total: int, begin: float) -> Progress:
    name, state = next(iter(evaluator.states().items()))
    reduction = Reduction.MEAN_WITH_SAMPLE_WEIGHT if state.identity.weighted else Reduction.SUM_OVER_BATCH_SIZE
    seconds = time.perf_counter() - begin
    return Progress(evaluator.rows, total, seconds, 0, name, lambda: reduce_state(state, reduction))


def _refuse(options: Options, others: Mapping[str, Any]) -> None:
    """Raise UsageError for arguments that batches cannot have, naming them."""
    plain = Options()
    given = [name for name, value in others.items() if value is not None]
    given += [
        name
        for name in Options.__dataclass_fields__
        if name not in _ALLOWED and getattr(options, name) != getattr(plain, name)
    ]
    if given:
        raise UsageError(
            f"batches= takes {', '.join(_ALLOWED)} and progress beside it; received {', '.join(given)}, which needs "
            "arrays that can be read in any order. Store what the batches hold (zarr, Parquet), and pass the arrays."
        )
