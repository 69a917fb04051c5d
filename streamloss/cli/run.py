"""``evaluate`` and ``plan``: settings in, a result on stdout, everything else on stderr."""

from __future__ import annotations

import contextlib
import json
import operator
import os
import re
import sys
import warnings
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import click

from .. import config as configuration
from ..errors import StreamlossWarning, UnknownNameError, UsageError
from ..evaluation import evaluate, parse_memory, plan
from ..planning import resident_bytes
from ..result import Result
from ..types import Progress
from .table import print_result

_COMPARE = {">": operator.gt, ">=": operator.ge, "<": operator.lt, "<=": operator.le}
_GATE = re.compile(r"^\s*(?P<loss>[^<>=]*?)\s*(?P<op>>=|<=|>|<)\s*(?P<bound>[^\s<>=]+)\s*$")
SILENCE = 5.0
"""Seconds between lines of progress where stderr is no terminal."""


def run_evaluate(quiet: bool, form: str | None, fail_if: tuple[str, ...], **given: Any) -> None:
    settings = _load(**given)
    arguments = _within_budget(settings.run_arguments())
    gates = [_gate(text, [loss.name for loss in arguments["losses"]]) for text in fail_if]
    with _said_on_stderr(), _progress(quiet) as progress:
        result = evaluate(**arguments, progress=progress)
    if _wants_json(form):
        click.echo(result.to_json())
    else:
        print_result(result)
    failed = [text for text, gate in zip(fail_if, gates, strict=True) if gate(result)]
    for text in failed:
        click.echo(f"streamloss: the gate {text!r} failed.", err=True)
    if failed:
        sys.exit(1)


def run_plan(form: str | None, **given: Any) -> None:
    made = plan(**_within_budget(_load(**given).arguments()))
    click.echo(json.dumps(made.to_dict(), indent=2) if _wants_json(form) else str(made))


def _load(config: str | None, settings: tuple[str, ...], **flags: Any) -> configuration.Config:
    return configuration.load(Path(config) if config else None, os.environ, settings, flags)


def _within_budget(arguments: dict[str, Any]) -> dict[str, Any]:
    """On the command line the process is ours: the budget holds for all of it, not for what is added."""
    left = parse_memory(arguments["memory"]) - resident_bytes()
    return arguments | {"memory": max(1, left)}


def _wants_json(form: str | None) -> bool:
    return form == "json" or (form is None and not sys.stdout.isatty())


def _gate(text: str, losses: Sequence[str]) -> Callable[[Result], bool]:
    """``log_loss>1.2`` -> whether a result fails it. A value that is NaN fails every gate."""
    match = _GATE.match(text)
    try:
        bound = float(match["bound"]) if match else None
    except ValueError:
        bound = None
    if match is None or bound is None:
        raise UsageError(f"--fail-if takes [LOSS]>NUMBER with >, >=, < or <=; received {text!r}.")
    compare, name = _COMPARE[match["op"]], match["loss"]
    if name and name not in losses:
        raise UnknownNameError(f"loss in --fail-if {text!r}:", name, losses)

    def failed(result: Result) -> bool:
        values = [result[name].value] if name else [loss.value for loss in result.values()]
        return any(compare(value, bound) or value != value for value in values if isinstance(value, float))

    return failed


@contextlib.contextmanager
def _said_on_stderr() -> Iterator[None]:
    """Warnings of ours as one line each, when the progress bar is gone."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        try:
            yield
        finally:
            for warning in caught:
                if issubclass(warning.category, StreamlossWarning):
                    click.echo(f"streamloss: warning: {warning.message}.", err=True)


@contextlib.contextmanager
def _progress(quiet: bool) -> Iterator[Callable[[Progress], None] | None]:
    """A live bar on a terminal, a plain line now and then otherwise."""
    if quiet:
        yield None
    elif sys.stderr.isatty():
        from .bar import live_bar

        with live_bar() as update:
            yield update
    else:
        last = 0.0

        def line(progress: Progress) -> None:
            nonlocal last
            if progress.seconds - last >= SILENCE and progress.rows < progress.total:
                last = progress.seconds
                share = progress.rows / max(1, progress.total)
                rate = progress.rows / progress.seconds
                click.echo(f"{share:6.1%}  {progress.rows:,} of {progress.total:,} rows, {rate:,.0f} rows/s", err=True)

        yield line
