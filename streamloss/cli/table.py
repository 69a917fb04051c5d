"""Results as tables, and texts wrapped to the terminal."""

from __future__ import annotations

from rich.box import SIMPLE_HEAD
from rich.table import Table
from rich.text import Text

from ..api.loss_result import LossResult
from ..api.result import Result
from ..api.result_text import LEFT_OUT, number, summary
from ..core.types import Reduction
from .statistics import print_statistics
from .terminal import stdout


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
