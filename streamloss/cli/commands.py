"""The commands ``evaluate``, ``merge`` and ``plan``: a result on stdout, everything else on stderr."""

from __future__ import annotations

import contextlib
import json
import os
import sys
import warnings
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import click

from ..aggregation.checkpoint import file_name
from ..aggregation.state_files import try_state_target
from ..api.evaluate import evaluate, plan
from ..api.merge import merge
from ..api.result import Result
from ..core.machine import parse_memory, resident_bytes
from ..core.types import Reduction
from ..errors import StreamlossWarning, UsageError
from . import config as configuration
from .gates import Gate, Gated, exit_if_any_fails
from .schema import Config
from .signals import stopped_by_signals
from .table import hanging, print_result
from .values import parse_shard

PARTIAL = 4
"""The exit code of a result of some rows only."""


def run_evaluate(quiet: bool, form: str | None, fail_if: tuple[str, ...], **given: Any) -> None:
    """Run ``streamloss evaluate``; `given` are its other options."""
    settings = _load(**given)
    arguments = _within_budget(settings.run_arguments())
    gates = [Gate.parse(text, _gated(arguments)) for text in fail_if]
    shard, checkpoint = parse_shard(settings.shard), arguments["checkpoint"]
    if shard is not None and gates:
        raise UsageError(
            "--fail-if with --shard: a shard has a part of the value; give --fail-if to `streamloss merge`."
        )
    state = settings.state or (None if shard is None else f"states/{file_name(shard)}")
    if state is not None:
        try_state_target(Path(state), _places_read(arguments, given["config"]))
    with _warnings_on_stderr(), stopped_by_signals(checkpoint):
        result = evaluate(**arguments, progress=not quiet)
    if state is None:
        _show(result, form)
    else:
        _save_and_show(result, state, form)
        click.echo(f"streamloss: {result.rows:,} rows are in {state}; `streamloss merge` adds shards up.", err=True)
    exit_if_any_fails(gates, result)


def run_merge(
    states: tuple[str, ...], partial: bool, copies: bool, state: str | None, form: str | None, fail_if: tuple[str, ...]
) -> None:
    """Run ``streamloss merge``."""
    if state is not None:
        try_state_target(Path(state), {f"the state {of}": of for of in states})
    with _warnings_on_stderr():
        result = merge(states, partial=partial, copies=copies)
    evaluated = [Gated(name, loss.state.identity.loss, loss.reduction) for name, loss in result.items()]
    gates = [Gate.parse(text, evaluated) for text in fail_if]
    if state is None:
        _show(result, form)
    else:
        _save_and_show(result, state, form)
    exit_if_any_fails(gates, result)
    if result.partial is not None and result.partial.missing:
        raise click.exceptions.Exit(PARTIAL)


def run_plan(form: str | None, **given: Any) -> None:
    """Run ``streamloss plan``; `given` are its other options."""
    made = plan(**_within_budget(_load(**given).arguments()))
    if _wants_json(form):
        click.echo(json.dumps(made.to_dict(), indent=2))
    else:
        for line in str(made).splitlines():
            click.echo(hanging(line, 10))


def _load(config: str | None, settings: tuple[str, ...], **flags: Any) -> Config:
    return configuration.load(Path(config) if config else None, os.environ, settings, flags)


def _within_budget(arguments: dict[str, Any]) -> dict[str, Any]:
    """Return the arguments with the memory that is left: on the command line the budget holds for the whole process."""
    left = parse_memory(arguments["memory"]) - resident_bytes()
    return arguments | {"memory": max(1, left)}


def _gated(arguments: Mapping[str, Any]) -> list[Gated]:
    """Return what gates may be for: each loss, with its reduction."""
    asked = arguments.get("reduction")
    return [
        Gated(loss.name, loss.spec.name, Reduction.parse(asked) if asked else loss.reduction)
        for loss in arguments["losses"]
    ]


def _places_read(arguments: Mapping[str, Any], config: str | None) -> dict[str, str]:
    """Return the places that an evaluation reads, by what they are."""
    roles = ("y_true", "y_pred", "sample_weight", "mask")
    places = {role: arguments[role] for role in roles if isinstance(arguments.get(role), str)}
    return places if config is None else places | {"the configuration": config}


def _save_and_show(result: Result, state: str, form: str | None) -> None:
    """Save a result and show it; where it cannot be saved it is shown all the same, before the error is raised."""
    try:
        result.save(state)
    finally:
        _show(result, form)


def _show(result: Result, form: str | None) -> None:
    if _wants_json(form):
        click.echo(result.to_json())
    else:
        print_result(result)


def _wants_json(form: str | None) -> bool:
    return form == "json" or (form is None and not sys.stdout.isatty())


@contextlib.contextmanager
def _warnings_on_stderr() -> Iterator[None]:
    """Print our warnings as one line each at the end, when the progress bar is gone."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        try:
            yield
        finally:
            for warning in caught:
                if issubclass(warning.category, StreamlossWarning):
                    click.echo(f"streamloss: warning: {warning.message}.", err=True)
