"""``evaluate`` and ``plan``: settings in, a result on stdout, everything else on stderr."""

from __future__ import annotations

import contextlib
import json
import operator
import os
import re
import signal
import sys
import warnings
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import click

from ..aggregation.checkpoint import file_name
from ..api.evaluate import evaluate, plan
from ..api.merge import merge
from ..api.result import Result
from ..core.machine import parse_memory, resident_bytes
from ..core.types import Progress, Reduction
from ..errors import StoppedError, StreamlossWarning, UnknownNameError, UsageError
from . import config as configuration
from .config import parse_shard
from .table import hanging, print_result

_COMPARE = {">": operator.gt, ">=": operator.ge, "<": operator.lt, "<=": operator.le}
_GATE = re.compile(r"^\s*(?P<loss>[^<>=]*?)\s*(?P<op>>=|<=|>|<)\s*(?P<bound>[^\s<>=]+)\s*$")
PARTIAL = 4
"""Exit code of a result of some rows only."""
SILENCE = 5.0
"""Seconds between lines of progress where stderr is no terminal."""


def run_evaluate(quiet: bool, form: str | None, fail_if: tuple[str, ...], **given: Any) -> None:
    settings = _load(**given)
    arguments = _within_budget(settings.run_arguments())
    gates = [_gate(text, _reductions(arguments)) for text in fail_if]
    shard, checkpoint = parse_shard(settings.shard), arguments["checkpoint"]
    if shard is not None and gates:
        raise UsageError(
            "--fail-if with --shard: a shard has a part of the value; give --fail-if to `streamloss merge`."
        )
    with _said_on_stderr(), _stopped_by_signals(checkpoint), _progress(quiet) as progress:
        result = evaluate(**arguments, progress=progress)
    state = settings.state or (None if shard is None else f"states/{file_name(shard)}")
    if state is not None:
        result.save(state)
        click.echo(f"streamloss: {result.rows:,} rows are in {state}; `streamloss merge` adds shards up.", err=True)
    _show(result, form)
    _exit_if_failed(result, fail_if, gates)


def run_merge(
    states: tuple[str, ...], partial: bool, state: str | None, form: str | None, fail_if: tuple[str, ...]
) -> None:
    with _said_on_stderr():
        result = merge(states, partial=partial)
    gates = [_gate(text, {name: loss.reduction for name, loss in result.items()}) for text in fail_if]
    if state is not None:
        result.save(state)
    _show(result, form)
    _exit_if_failed(result, fail_if, gates)
    if result.partial is not None and result.partial.missing:
        raise click.exceptions.Exit(PARTIAL)


def _show(result: Result, form: str | None) -> None:
    if _wants_json(form):
        click.echo(result.to_json())
    else:
        print_result(result)


def _exit_if_failed(result: Result, fail_if: tuple[str, ...], gates: list[Callable[[Result], bool]]) -> None:
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


class _Terminated(KeyboardInterrupt):
    """SIGTERM: like an interrupt from the keyboard, but for the exit code."""


@contextlib.contextmanager
def _stopped_by_signals(checkpoint: str | None) -> Iterator[None]:
    """With a checkpoint, SIGTERM stops as Ctrl-C does: what was done is saved, and the same command goes on from it."""
    if checkpoint is None:
        yield
        return

    def terminate(*_: Any) -> None:
        raise _Terminated

    before = signal.signal(signal.SIGTERM, terminate)
    try:
        yield
    except _Terminated:
        raise StoppedError(f"stopped; the same command goes on from what {checkpoint!r} holds.") from None
    except KeyboardInterrupt:
        click.echo(f"streamloss: the same command goes on from what {checkpoint!r} holds.", err=True)
        raise
    finally:
        signal.signal(signal.SIGTERM, before)


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
        from .progress import live_bar

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
