"""Checks of what a user should know of an evaluation before using its values: errors and warnings."""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Mapping

import numpy as np

from ..errors import StreamlossWarning, ValueRangeError
from ..storage.sources import Source
from ..storage.sources.base import fill_option
from .manifest import Manifest
from .reductions import ratio_losses, totals
from .snapshot import Snapshot
from .state import State


def check_snapshot(snapshot: Snapshot) -> list[str]:
    """Return the messages about the values of an evaluation, of which its caller's caller is warned, too.

    Raises ValueRangeError for a ratio over the whole data that is 0 / 0.
    """
    manifest, result = snapshot.manifest, snapshot.result
    states = {loss.name: state for loss, state in zip(manifest.losses, result.states, strict=True)}
    for name, state in states.items():
        refuse_undefined_ratios(name, state, manifest.nan_policy)
    filled = [_filled_message(role, count, manifest.inputs[role].where) for role, count in result.filled.items()]
    return warn_of_values(states, filled)


def filled_messages(sources: Iterable[Source]) -> list[str]:
    """Return the messages about the missing chunks that sources of this process read as their fill value."""
    return [_filled_message(source.role, source.filled, source.where) for source in sources if source.filled]


def evidence_message(manifest: Manifest, name: str) -> str:
    """Return the message that nothing in a saved state tells its inputs from others of equal sizes and times."""
    roles = manifest.without_evidence
    places = ", ".join(f"{role} ({manifest.inputs[role].where})" for role in roles)
    return (
        f"{name} is of an earlier version and holds no evidence of the content of {places}: files of equal sizes and "
        "times pass for each other. Make sure that it is of the same arrays"
    )


def _filled_message(role: str, count: int, where: str) -> str:
    read = (
        f"1 chunk of {where} does not exist; its fill value was read"
        if count == 1
        else f"{count:,} chunks of {where} do not exist; their fill value was read"
    )
    return f"{role}: {read}. If it is meant, pass {fill_option(role)}"


def warn_of_values(states: Mapping[str, State], messages: Iterable[str] = ()) -> list[str]:
    """Warn with `messages`, and with those about the states' values, and return all of them.

    The warnings name the line that called the caller's caller.
    """
    messages = list(messages)
    for name, state in states.items():
        of = totals(state)
        if of.count == 0:
            messages.append(f"{name}: no row was left to average, so means are 0.0, as in Keras")
        elif of.nonzero_weights == 0:
            messages.append(f"{name}: all weights are 0, so means divided by weights are 0.0, as in Keras")
        if omitted := state.count("omitted"):
            rows = "1 row whose loss is NaN was" if omitted == 1 else f"{omitted:,} rows whose loss is NaN were"
            messages.append(f"{name}: {rows} left out")
    for message in messages:
        warnings.warn(message, StreamlossWarning, stacklevel=4)
    return messages


def refuse_undefined_ratios(name: str, state: State, nan_policy: str) -> None:
    """Raise ValueRangeError for a ratio over the whole data that is 0 / 0."""
    if nan_policy != "raise" or state.identity.ratio_shape is None or not state.count("elements"):
        return
    undefined = np.argwhere(np.isnan(ratio_losses(state)))
    if len(undefined):
        raise ValueRangeError(
            f"{name}: the ratio at {tuple(undefined[0].tolist())} is 0 / 0: no label and no prediction "
            "above 0; expected an overlap that is defined. Pass epsilon above 0."
        )
