"""A result as a table that a person can read."""

from __future__ import annotations

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table

from ..result import Result
from ..types import Reduction


def print_result(result: Result) -> None:
    """On stdout: a row for each loss, where its losses of rows went, then what the run took."""
    console = Console(highlight=False, soft_wrap=False)
    reductions = {loss.reduction for loss in result.values()} - {Reduction.NONE, Reduction.SUM}
    table = Table(box=SIMPLE_HEAD, pad_edge=False)
    table.add_column("loss", overflow="fold", min_width=12)
    for title in (*sorted(reductions), "sum", "count"):
        table.add_column(title, justify="right", no_wrap=True)
    for name, loss in result.items():
        values = [f"{loss.value:.10g}" if loss.reduction is reduction else "" for reduction in sorted(reductions)]
        table.add_row(name, *values, f"{loss.sum:.10g}", f"{loss.count:,}")
    console.print(table)
    for name, loss in result.items():
        if loss.out is not None:
            console.print(f"losses of rows, {name}: {loss.out}", soft_wrap=True)
    console.print(summary(result), soft_wrap=True)


def summary(result: Result) -> str:
    """One line: rows, time, speed, memory."""
    return (
        f"{result.rows:,} rows in {result.seconds:.2f} s ({result.rows_per_second:,.0f} rows/s), "
        f"{result.workers} x {result.executor}, peak memory {result.peak_memory / 2**20:,.0f} MiB"
    )
