"""``evaluate`` and ``plan``: settings in, a result on stdout, everything else on stderr."""

from __future__ import annotations

import contextlib
import json
import operator
import os
import re
import sys
import warnings
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import click

from .. import config as configuration
from ..errors import StreamlossWarning, UnknownNameError, UsageError
from ..evaluation import evaluate, plan
from ..machine import parse_memory, resident_bytes
from ..result import Result
from ..types import Progress, Reduction
from .table import hanging, print_result

_COMPARE = {">": operator.gt, ">=": operator.ge, "<": operator.lt, "<=": operator.le}
_GATE = re.compile(r"^\s*(?P<loss>[^<>=]*?)\s*(?P<op>>=|<=|>|<)\s*(?P<bound>[^\s<>=]+)\s*$")
SILENCE = 5.0
"""Seconds between lines of progress where stderr is no terminal."""


def run_evaluate(quiet: bool, form: str | None, fail_if: tuple[str, ...], **given: Any) -> None:
    settings = _load(**given)
    arguments = _within_budget(settings.run_arguments())
    gates = [_gate(text, _reductions(arguments)) for text in fail_if]
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
        raise click.exceptions.Exit(1)


def run_plan(form: str | None, **given: Any) -> None:
    made = plan(**_within_budget(_load(**given).arguments()))
    if _wants_json(form):
        click.echo(json.dumps(made.to_dict(), indent=2))
    else:
        for line in str(made).splitlines():
            click.echo(hanging(line, 10))


def _load(config: str | None, settings: tuple[str, ...], **flags: Any) -> configuration.Config:
    return configuration.load(Path(config) if config else None, os.environ, settings, flags)


def _within_budget(arguments: dict[str, Any]) -> dict[str, Any]:
    """On the command line the process is ours: the budget holds for all of it, not for what is added."""
    left = parse_memory(arguments["memory"]) - resident_bytes()
    return arguments | {"memory": max(1, left)}


def _wants_json(form: str | None) -> bool:
    return form == "json" or (form is None and not sys.stdout.isatty())


def _reductions(arguments: Mapping[str, Any]) -> dict[str, Reduction]:
    """What each loss is reduced to, by its name."""
    asked = arguments.get("reduction")
    return {loss.name: Reduction.parse(asked) if asked else loss.reduction for loss in arguments["losses"]}


def _gate(text: str, losses: Mapping[str, Reduction]) -> Callable[[Result], bool]:
    """``log_loss>1.2`` -> whether a result fails it. A value that is NaN fails every gate."""
    match = _GATE.match(text)
    try:
        bound = float(match["bound"]) if match else None
    except ValueError:
        bound = None
    if match is None or bound is None or bound != bound:
        raise UsageError(f"--fail-if takes [LOSS]>NUMBER with >, >=, < or <=, such as 'mse>0.5'; received {text!r}.")
    compare, name = _COMPARE[match["op"]], match["loss"]
    if name and name not in losses:
        raise UnknownNameError(f"loss in --fail-if {text!r}:", name, losses)
    gated = [name] if name else list(losses)
    for loss in gated:
        if losses[loss] is Reduction.NONE:
            raise UsageError(
                f"--fail-if {text!r}: {loss} has the reduction 'none', so there is no value to compare. "
                "Name another loss, or give this one a reduction."
            )

    def failed(result: Result) -> bool:
        values: list[Any] = [result[loss].value for loss in gated]
        return any(compare(value, bound) or value != value for value in values)

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
