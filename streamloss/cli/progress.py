"""The live progress bar."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

from ..core import types


@contextlib.contextmanager
def live_bar() -> Iterator[Callable[[types.Progress], None]]:
    """Yields the callback that moves the bar; the bar disappears at the end."""
    columns = (
        BarColumn(bar_width=30),  # leaves room for the terminal's ^C
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
