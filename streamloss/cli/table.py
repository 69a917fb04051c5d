"""Results as tables, and texts wrapped to the terminal."""

from __future__ import annotations

import sys
import textwrap

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table
from rich.text import Text

from ..api.result import Result
from ..api.result_text import LEFT_OUT, number, summary
from ..core.types import Reduction

UNLIMITED = 1000
"""The width in columns where stdout is no terminal: lines are for grep, and are not wrapped."""


def stdout() -> Console:
    return Console(highlight=False, soft_wrap=False, width=None if sys.stdout.isatty() else UNLIMITED)


def hanging(line: str, indent: int) -> str:
    """Return a line wrapped to the terminal, its continuations indented."""
    width = max(stdout().width, indent + 20)
    return textwrap.fill(line, width, subsequent_indent=" " * indent, break_long_words=False, break_on_hyphens=False)


def new_table(*titles: str) -> Table:
    table = Table(box=SIMPLE_HEAD, pad_edge=False)
    for title in titles:
        table.add_column(title, overflow="fold")
    return table


def print_result(result: Result) -> None:
    """Print a row for each loss, the targets of losses of rows, and a summary of the run."""
    console = stdout()
    if not all(loss.empty for loss in result.values()):
        console.print(_table_of(result))
    for name, loss in result.items():
        if loss.out is not None:
            console.print(f"losses of rows, {name}: {loss.out}", soft_wrap=True, markup=False)
    console.print(summary(result), soft_wrap=True, markup=False)


def _table_of(result: Result) -> Table:
    """Return a table of values: with weights the weighted mean first, then the value of the reduction."""
    reductions = {loss.reduction for loss in result.values()}
    num_values = 2 if len(reductions) > 1 else 0 if reductions <= {Reduction.NONE, Reduction.SUM} else 1
    weighted = any(loss.weighted for loss in result.values()) and reductions != {Reduction.MEAN_WITH_SAMPLE_WEIGHT}
    table = Table(box=SIMPLE_HEAD, pad_edge=False)
    table.add_column("loss", overflow="fold", min_width=12)
    if weighted:
        table.add_column("weighted_mean", justify="right", no_wrap=True)
    if num_values == 2:
        table.add_column("reduction", no_wrap=True)
        table.add_column("value", justify="right", no_wrap=True)
    elif num_values == 1:  # under the reduction's name; the sum has a column of its own
        table.add_column(*reductions, justify="right", no_wrap=True)
    left_out = [name for name in LEFT_OUT if any(getattr(loss, name) for loss in result.values())]
    for title in ("sum", "count", *left_out):
        table.add_column(title, justify="right", no_wrap=True)
    for name, loss in result.items():
        value = number(loss.value) if isinstance(loss.value, float) else ""
        values = [str(loss.reduction), value][2 - num_values :]
        first = [number(loss.weighted_mean)] if weighted else []
        counts = [f"{getattr(loss, title):,}" for title in ("count", *left_out)]
        table.add_row(Text(name), *first, *values, number(loss.sum), *counts)
    return table
