"""Groups, quantiles, worst rows and comparisons as tables."""

from __future__ import annotations

from rich.console import Console
from rich.text import Text

from ..api.comparison import Comparison
from ..api.result import Result
from ..api.result_text import summary
from ..api.table import Table as ResultTable
from ..api.table import cell_text, is_number
from .terminal import hanging, new_table, stdout

MOST_ROWS = 20
"""The most rows of a table of groups, worst rows or bins that a terminal shows."""


def print_statistics(result: Result, console: Console) -> None:
    """Print what the losses say beside their means: groups, quantiles, worst rows, calibration."""
    for name, loss in result.items():
        parts = loss.state.parts
        title = f", {name}" if len(result) > 1 else ""
        if loss.state.identity.ratio_shape:
            _print_table(console, f"ratios over the data{title}", loss.ratios, "--json has all of them")
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
    hidden = ["sum", "clusters"]
    hidden += ["mean", "weight_sum"] if "weighted_mean" in table.columns else []
    hidden += ["stderr"] if "low" in table.columns else []
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


def print_comparison(found: Comparison) -> None:
    """Print how models differ from the baseline, by group where there are some, and a summary of the run."""
    console = stdout()
    columns = ("mean", "difference", "low", "high", "p_value", "skill")
    for loss in found.losses:
        rows = [row for row in found.table if row["loss"] == loss]
        body = [[row["model"], *(_rounded(row[name]) for name in columns)] for row in rows]
        title = f"{loss}, differences to {found.baseline} with 95% intervals"
        _print_table(console, title, ResultTable(["model", *columns], body), "--json has all of them")
        wins = [
            [row["model"], row["better"], row["equal"], row["worse"]] for row in rows if row["model"] != found.baseline
        ]
        counts = ResultTable(["model", "better", "equal", "worse"], wins)
        _print_table(console, f"rows on which a model is better than {found.baseline}", counts, "")
        if found.grouped:
            keys = [name for name in found.groups.columns if name not in ("loss", "model")]
            keys = keys[: keys.index("mean")]
            shown = [
                [*(row[key] for key in keys), row["model"], *(_rounded(row[name]) for name in columns[:5])]
                for row in found.groups
                if row["loss"] == loss and row["model"] != found.baseline
            ]
            _print_table(
                console,
                f"{loss}, by group",
                ResultTable([*keys, "model", *columns[:5]], shown),
                "--json has all of them",
            )
    console.print(hanging(summary(found.result), 2), soft_wrap=True, markup=False)


def _rounded(value: float) -> float:
    return float(f"{value:.4g}")
