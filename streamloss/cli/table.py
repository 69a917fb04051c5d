"""Results as tables, and texts wrapped to the terminal."""

from __future__ import annotations

import sys
import textwrap

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table
from rich.text import Text

from ..api.loss_result import LossResult
from ..api.result import Result
from ..api.result_text import LEFT_OUT, number, summary
from ..api.table import Table as ResultTable
from ..api.table import cell_text, is_number
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
        print_statistics(result, console)
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
    intervals = any("stderr" in loss.state.identity.statistics for loss in result.values())
    if intervals:
        table.add_column("95% interval", justify="right", no_wrap=True)
    left_out = [name for name in LEFT_OUT if any(getattr(loss, name) for loss in result.values())]
    for title in ("sum", "count", *left_out):
        table.add_column(title, justify="right", no_wrap=True)
    for name, loss in result.items():
        value = number(loss.value) if isinstance(loss.value, float) else ""
        values = [str(loss.reduction), value][2 - num_values :]
        first = [number(loss.weighted_mean)] if weighted else []
        counts = [f"{getattr(loss, title):,}" for title in ("count", *left_out)]
        interval = [_interval(loss)] if intervals else []
        table.add_row(Text(name), *first, *values, *interval, number(loss.sum), *counts)
    return table


def _interval(loss: LossResult) -> str:
    """Return the half width of the interval of the mean that is shown first, as "± 0.0012"."""
    if "stderr" not in loss.state.identity.statistics:
        return ""
    low, high = loss.interval(0.95)
    return f"± {(high - low) / 2:.3g}"


MOST_ROWS = 20
"""The most rows of a table of groups, worst rows or bins that a terminal shows."""


def print_statistics(result: Result, console: Console) -> None:
    """Print what the losses say beside their means: groups, quantiles, worst rows, calibration."""
    for name, loss in result.items():
        parts = loss.state.parts
        title = f", {name}" if len(result) > 1 else ""
        if "groups" in parts:
            _print_table(console, f"groups{title}", _narrow(loss.groups), "--json has all of them")
        if "kept" in parts:
            _print_table(console, f"kept axes{title}", _narrow(loss.kept), "--json has all of them")
        if "histogram" in parts:
            quantiles = {key: value for key, value in loss.statistics["quantiles"].items() if key != "0.01"}
            values = {"least": loss.quantile(0), **quantiles, "greatest": loss.quantile(1)}
            columns = [key if key in ("least", "greatest") else f"{float(key):.0%}" for key in values]
            _print_table(
                console, f"quantiles{title}", ResultTable(columns, [[f"{v:.3g}" for v in values.values()]]), ""
            )
        if "worst" in parts:
            _print_table(console, f"worst rows{title}", loss.worst, "--json has all of them")
        if "running" in parts:
            _print_table(console, f"running loss{title}", loss.running, "--json has all of them")
        if "calibration" in parts:
            shown = loss.statistics
            errors = f"expected error {shown['expected_calibration_error']:.4g}"
            largest = f"largest {shown['maximum_calibration_error']:.4g}"
            _print_table(
                console, f"calibration{title}: {errors}, {largest}", loss.calibration, "--json has all of them"
            )
        if "confusion" in parts:
            accuracy = loss.statistics["accuracy"]
            classes = [[of["class"], of["count"], of["right"], of["mean"]] for of in loss.statistics["classes"]]
            table = ResultTable(["class", "count", "right", "mean"], classes, "classes")
            _print_table(console, f"classes{title}: accuracy {accuracy:.4g}", table, "--json has the confusion matrix")


def _narrow(table: ResultTable) -> ResultTable:
    """Return a table of groups without the columns that a terminal of 80 columns has no room for."""
    hidden = ("sum", "mean", "weight_sum") if "weighted_mean" in table.columns else ("sum",)
    return table.select(*(name for name in table.columns if name not in hidden))


def _print_table(console: Console, title: str, table: ResultTable, rest: str) -> None:
    """Print a table, as many columns as there is room for, under its title."""
    console.print(Text(title, style="bold"))
    shown = new_table()
    rows = [[cell_text(value) for value in row.values()] for row in table[:MOST_ROWS]]
    for column in table.columns:
        right = all(is_number(value) for value in table.column(column)[:MOST_ROWS])
        shown.add_column(column, justify="right" if right else "left", no_wrap=right, overflow="fold")
    for row in rows:
        shown.add_row(*map(Text, row))
    console.print(shown)
    if len(table) > MOST_ROWS:
        console.print(f"... and {len(table) - MOST_ROWS:,} more; {rest}\n", markup=False)
