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
from ..api.compare import compare
from ..api.comparison import Comparison
from ..api.evaluate import evaluate
from ..api.merge import merge
from ..api.planned import plan
from ..api.report.files import try_report_target
from ..api.result import Result
from ..core.machine import parse_memory, resident_bytes
from ..core.text import printable
from ..core.types import Reduction
from ..errors import StreamlossWarning, UsageError
from . import config as configuration
from .gates import Gate, Gated, exit_if_any_fails
from .reports import write
from .schema import Config
from .signals import stopped_by_signals
from .statistics import print_comparison
from .table import print_result
from .terminal import hanging
from .values import parse_shard

PARTIAL = 4
"""The exit code of a result of some rows only."""


def run_evaluate(quiet: bool, form: str | None, fail_if: tuple[str, ...], **given: Any) -> None:
    """Run ``streamloss evaluate``; `given` are its other options."""
    settings = _load(**given)
    if settings.models is not None:
        raise UsageError("models are several predictions, which `streamloss compare` takes; pass --y-pred for one.")
    arguments = _within_budget(settings.run_arguments())
    gates = [Gate.parse(text, _gated(arguments)) for text in fail_if]
    shard, checkpoint = parse_shard(settings.shard), arguments["checkpoint"]
    if shard is not None and gates:
        raise UsageError(
            "--fail-if with --shard: a shard has a part of the value; give --fail-if to `streamloss merge`."
        )
    state = settings.state or (None if shard is None else f"states/{file_name(shard)}")
    places = _places_read(arguments, given["config"])
    if settings.report is not None:
        if shard is not None:
            raise UsageError("--report with --shard: a shard is a part of the rows; give it to `streamloss merge`.")
        try_report_target(Path(settings.report), places)
    if state is not None:
        try_state_target(Path(state), places)
    with _warnings_on_stderr(), stopped_by_signals(checkpoint):
        result = evaluate(**arguments, progress=not quiet)
    with _shown(result, form):
        write(result, settings.report)
        _save(result, state)
    if state is not None:
        click.echo(f"streamloss: {result.rows:,} rows are in {state}; `streamloss merge` adds shards up.", err=True)
    exit_if_any_fails(gates, result)


def run_compare(quiet: bool, form: str | None, **given: Any) -> None:
    """Run ``streamloss compare``; `given` are its other options."""
    settings = _load(**given)
    if settings.models is None:
        raise UsageError("compare takes two models or more: --model old=URI --model new=URI, or [models] in the file.")
    arguments = _within_budget(settings.compare_arguments())
    if settings.report is not None:
        models = {f"the model {name}": uri for name, uri in settings.models.items()}
        try_report_target(Path(settings.report), _places_read(arguments, given["config"]) | models)
    with _warnings_on_stderr(), stopped_by_signals(None):
        found = compare(**arguments, progress=not quiet)
    with _shown(found, form):
        write(found, settings.report)


def run_merge(
    states: tuple[str, ...],
    partial: bool,
    copies: bool,
    state: str | None,
    report: str | None,
    form: str | None,
    fail_if: tuple[str, ...],
) -> None:
    """Run ``streamloss merge``."""
    places = {f"the state {of}": of for of in states}
    if state is not None:
        try_state_target(Path(state), places)
    if report is not None:
        try_report_target(Path(report), places)
    with _warnings_on_stderr():
        result = merge(states, partial=partial, copies=copies)
    evaluated = [Gated(name, loss.state.identity.loss, loss.reduction) for name, loss in result.items()]
    gates = [Gate.parse(text, evaluated) for text in fail_if]
    with _shown(result, form):
        write(result, report)
        _save(result, state)
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
    keys = {f"by.{name}": key.array for name, key in (arguments.get("by") or {}).items()}
    keys |= {} if arguments.get("cluster") is None else {"cluster": arguments["cluster"].array}
    read = {role: arguments.get(role) for role in roles} | keys
    places = {role: place for role, place in read.items() if isinstance(place, str)}
    return places if config is None else places | {"the configuration": config}


def _save(result: Result, state: str | None) -> None:
    if state is not None:
        result.save(state)


@contextlib.contextmanager
def _shown(found: Result | Comparison, form: str | None) -> Iterator[None]:
    """Show a result at the end, also where it cannot be saved, before the error is raised."""
    try:
        yield
    finally:
        if _wants_json(form):
            click.echo(found.to_json())
        elif isinstance(found, Comparison):
            print_comparison(found)
        else:
            print_result(found)


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
                    click.echo(printable(f"streamloss: warning: {warning.message}."), err=True)
