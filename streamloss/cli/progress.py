"""Progress on stderr: a live bar on a terminal, now and then a line elsewhere."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Callable, Iterator

import click

from ..core import types
from ..core.kernel_cache import counts

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
        last, speed = 0.0, _Speed()

        def line(progress: types.Progress) -> None:
            nonlocal last
            rate = speed.after(progress)
            if progress.seconds - last >= SILENCE and progress.rows < progress.total:
                last = progress.seconds
                share = progress.rows / max(1, progress.total)
                click.echo(
                    f"{share:6.1%}  {progress.rows:,} of {progress.total:,} rows{rate and f', {rate}'}", err=True
                )

        yield line


class _Speed:
    """The rows per second since the first block, and so without the time of the compiler."""

    def __init__(self) -> None:
        self._first: types.Progress | None = None

    def after(self, progress: types.Progress) -> str:
        """Return the speed as text; nothing until it can be told."""
        self._first = self._first or progress
        seconds = progress.seconds - self._first.seconds
        return f"{(progress.rows - self._first.rows) / seconds:,.0f} rows/s" if seconds > 0.5 else ""


@contextlib.contextmanager
def live_bar() -> Iterator[Callable[[types.Progress], None]]:
    """Yield the callback that moves the bar; the bar disappears at the end."""
    from rich.console import Console
    from rich.progress import BarColumn, Progress, ProgressColumn, Task, TextColumn, TimeRemainingColumn
    from rich.text import Text

    class Phase(ProgressColumn):
        """Shows the phase that the run is in; until the first block is done, also its seconds."""

        def render(self, task: Task) -> Text:
            if task.completed:
                return Text("evaluating")
            return Text(f"{'compiling' if counts.compiling else 'starting'} {task.elapsed or 0.0:.0f} s")

    columns = (
        Phase(),
        BarColumn(bar_width=30),  # leaves space for the terminal's ^C
        TextColumn("{task.percentage:>5.1f}%"),
        TextColumn("{task.fields[rate]}"),
        TimeRemainingColumn(),
    )
    speed = _Speed()
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task("", total=None, rate="")

        def update(progress: types.Progress) -> None:
            bar.update(task, completed=progress.rows, total=progress.total, rate=speed.after(progress))

        yield update
