"""Results as tables, and texts wrapped to the terminal."""

from __future__ import annotations

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table
from rich.text import Text

from ..api.loss_result import LossResult
from ..api.result import Result
from ..api.result_text import LEFT_OUT, number, summary
from ..core.types import Reduction
from .statistics import print_statistics
from .terminal import UNLIMITED, hanging, stdout


def print_result(result: Result) -> None:
    """Print a row for each loss, the targets of losses of rows, and a summary of the run."""
    console = stdout()
    if not all(loss.empty for loss in result.values()):
        console.print(_fitting(result, console))
        print_statistics(result, console)
    for name, loss in result.items():
        if loss.out is not None:
            console.print(f"losses of rows, {name}: {loss.out}", soft_wrap=True, markup=False)
    console.print(hanging(summary(result), 2), soft_wrap=True, markup=False)


def _fitting(result: Result, console: Console) -> Table:
    """Return the table of values; where the terminal is too narrow for it, without sums that nobody asked for, and then
    with names that are broken behind an underscore.
    """
    wide = console.options.update(width=UNLIMITED)
    sums = any(loss.reduction is Reduction.SUM for loss in result.values())
    table = _table_of(result)
    if console.measure(table, options=wide).maximum > console.width:
        table = _table_of(result, sums)
    if (over := console.measure(table, options=wide).maximum - console.width) > 0:
        table = _table_of(result, sums, max(map(len, result)) - over)
    return table


def _broken(name: str, width: int) -> str:
    """Return a name in lines that end behind an underscore, where it is longer than a width."""
    lines = [""]
    for piece in name.replace("_", "_\n").splitlines():
        if lines[-1] and len(lines[-1]) + len(piece) > width:
            lines.append("")
        lines[-1] += piece
    return "\n".join(lines)


def _table_of(result: Result, sums: bool = True, names: int | None = None) -> Table:
    """Return a table of values: with weights the weighted mean first, then the value of the reduction.

    `sums` says whether it has the sums, `names` is the most columns of a name, by default any.
    """
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
    for title in (*["sum"] * sums, "count", *left_out):
        table.add_column(title, justify="right", no_wrap=True)
    for name, loss in result.items():
        value = number(loss.value) if isinstance(loss.value, float) else ""
        values = [str(loss.reduction), value][2 - num_values :]
        first = [number(loss.weighted_mean)] if weighted else []
        counts = [f"{getattr(loss, title):,}" for title in ("count", *left_out)]
        interval = [_interval(loss)] if intervals else []
        shown = name if names is None else _broken(name, names)
        table.add_row(Text(shown), *first, *values, *interval, *[number(loss.sum)] * sums, *counts)
    return table


def _interval(loss: LossResult) -> str:
    """Return the half width of the interval of the mean that is shown first, as "± 0.0012"."""
    if "stderr" not in loss.state.identity.statistics:
        return ""
    low, high = loss.interval(0.95)
    return f"± {(high - low) / 2:.3g}"
