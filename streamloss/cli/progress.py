"""Progress on stderr: a live bar on a terminal, now and then a line elsewhere."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Callable, Iterator

import click

from ..core import types

SILENCE = 5.0
"""The seconds between lines of progress where stderr is no terminal."""


@contextlib.contextmanager
def shown_progress(quiet: bool) -> Iterator[Callable[[types.Progress], None] | None]:
    """Yield the callback that shows progress; None if `quiet`."""
    if quiet:
        yield None
    elif sys.stderr.isatty():
        with live_bar() as update:
            yield update
    else:
        last = 0.0

        def line(progress: types.Progress) -> None:
            nonlocal last
            if progress.seconds - last >= SILENCE and progress.rows < progress.total:
                last = progress.seconds
                share = progress.rows / max(1, progress.total)
                rate = progress.rows / progress.seconds
                click.echo(f"{share:6.1%}  {progress.rows:,} of {progress.total:,} rows, {rate:,.0f} rows/s", err=True)

        yield line


@contextlib.contextmanager
def live_bar() -> Iterator[Callable[[types.Progress], None]]:
    """Yield the callback that moves the bar; the bar disappears at the end."""
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (
        BarColumn(bar_width=30),  # leaves space for the terminal's ^C
        TextColumn("{task.percentage:>5.1f}%"),
        TextColumn("{task.fields[rate]}"),
        TimeRemainingColumn(),
    )
    first: types.Progress | None = None
    with Progress(TextColumn("{task.description}"), *columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task("compiling", total=None, rate="")

        def update(progress: types.Progress) -> None:
            nonlocal first
            first = first or progress  # rows per second since the first block, so without the compiler's time
            seconds = progress.seconds - first.seconds
            rate = f"{(progress.rows - first.rows) / seconds:,.0f} rows/s" if seconds > 0.5 else ""
            bar.update(task, description="evaluating", completed=progress.rows, total=progress.total, rate=rate)

        yield update
