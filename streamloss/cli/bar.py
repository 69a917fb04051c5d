"""The live progress bar."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator

from rich.console import Console
from rich.progress import BarColumn, Progress, ProgressColumn, Task, TextColumn, TimeRemainingColumn
from rich.text import Text

from .. import types


class _Rate(ProgressColumn):
    def render(self, task: Task) -> Text:
        return Text(f"{task.speed:,.0f} rows/s" if task.speed else "")


@contextlib.contextmanager
def live_bar() -> Iterator[Callable[[types.Progress], None]]:
    """Yields the callback that moves the bar; the bar disappears at the end."""
    columns = (BarColumn(), TextColumn("{task.percentage:>5.1f}%"), _Rate(), TimeRemainingColumn())
    with Progress(TextColumn("evaluating"), *columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task("", total=None)

        def update(progress: types.Progress) -> None:
            bar.update(task, completed=progress.rows, total=progress.total)

        yield update
