"""From exact states to a result: what a person should know of the values, and the values."""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Mapping

import numpy as np

from ..errors import StreamlossWarning, ValueRangeError
from ..storage.sources import Source
from .reductions import losses_of_cells, totals
from .snapshot import Snapshot
from .state import State


def concluded(partial: Snapshot) -> list[str]:
    """What a person should know of the values of all rows before using them; also warned about.

    Raises ValueRangeError for a ratio over the whole data that is 0 / 0.
    """
    evaluation = partial.evaluation
    states = {of["name"]: state for of, state in zip(evaluation["losses"], partial.states, strict=True)}
    for name, state in states.items():
        refuse_undefined_cells(name, state, evaluation["nan_policy"])
    said = [_filled(role, count, evaluation["inputs"][role]["where"]) for role, count in partial.filled.items()]
    return said + warned(states, said)


def filled_chunks(sources: Iterable[Source]) -> list[str]:
    """Words about the missing chunks that sources of this process met."""
    return [_filled(s.role, s.filled, s.where) for s in sources if s.filled]


def _filled(role: str, count: int, where: str) -> str:
    if count == 1:
        return f"{role}: 1 chunk of {where} does not exist; its fill value was read"
    return f"{role}: {count:,} chunks of {where} do not exist; their fill value was read"


def warned(states: Mapping[str, State], said: Iterable[str] = ()) -> list[str]:
    """Words about the states' values; these, and what was `said` before, are warned about."""
    words = []
    for name, state in states.items():
        of = totals(state)
        if of.count == 0:
            words.append(f"{name}: no row was left to average, so means are 0.0, as in Keras")
        elif of.nonzero_weights == 0:
            words.append(f"{name}: all weights are 0, so means divided by weights are 0.0, as in Keras")
        if omitted := state.count("omitted"):
            rows = "1 row whose loss is NaN was" if omitted == 1 else f"{omitted:,} rows whose loss is NaN were"
            words.append(f"{name}: {rows} left out")
    for message in (*said, *words):
        warnings.warn(message, StreamlossWarning, stacklevel=4)
    return words


def refuse_undefined_cells(name: str, state: State, nan_policy: str) -> None:
    """Raises ValueRangeError for a ratio over the whole data that is 0 / 0."""
    if nan_policy != "raise" or state.identity.ratio_shape is None or not state.count("elements"):
        return
    undefined = np.argwhere(np.isnan(losses_of_cells(state)))
    if len(undefined):
        raise ValueRangeError(
            f"{name}: the ratio at {tuple(undefined[0].tolist())} is 0 / 0: no label and no prediction "
            "above 0; expected an overlap that is defined. Pass epsilon above 0."
        )
