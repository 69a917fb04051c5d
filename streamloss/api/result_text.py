"""Results as short texts: for a prompt, a log and a notebook."""

from __future__ import annotations

import html
import math
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from ..core.text import printable

if TYPE_CHECKING:
    from .loss_result import LossResult
    from .result import Result

LEFT_OUT = ("ignored", "omitted")
"""The counts that are shown where some loss has rows in them."""
_NUMBERS = {"value", "weighted_mean", "count", *LEFT_OUT}
"""The columns that are aligned at their right."""


def number(value: float) -> str:
    """Return ten digits of a value."""
    return f"{value:.10g}"


def summary(result: Result) -> str:
    """Return one line with the rows, the time, the speed and the memory of a run."""
    merged = result.executor == "merge"
    how = f"merged from {result.workers} states" if merged else f"{result.workers} x {result.executor}"
    rate = f" ({result.rows_per_second:,.0f} rows/s)" if 1 <= result.rows_per_second < math.inf else ""
    compiling = f", {result.compile_seconds:.2f} s of them compiling" if result.compile_seconds >= 0.01 else ""
    return (
        f"{result.rows:,} rows in {result.seconds:.2f} s{compiling}{rate}, "
        f"{how}, peak memory {result.peak_memory / 2**20:,.0f} MiB"
    )


def text_of(result: Result) -> str:
    """Return a line about the run, a table of the losses with a line for each, and the number of warnings."""
    columns, rows = _table(result.losses.values())
    widths = [max(map(len, column)) for column in zip(columns, *rows, strict=True)]
    lines = [
        "  ".join(
            cell.rjust(width) if title in _NUMBERS else cell.ljust(width)
            for title, cell, width in zip(columns, row, widths, strict=True)
        ).rstrip()
        for row in [columns, *rows]
    ]
    return printable("\n".join([f"Result of {summary(result)}", *lines, *_warned(result)]))


def text_of_loss(loss: LossResult) -> str:
    """Return the name, the value with its reduction, and the count of a loss."""
    shown = loss.headline if loss.headline != "value" else str(loss.reduction)
    left_out = "".join(f", {getattr(loss, name):,} {name}" for name in LEFT_OUT if getattr(loss, name))
    return printable(f"LossResult({loss.name}: {_headline(loss)}, {shown} of {loss.count:,}{left_out})")


def html_of(result: Result) -> str:
    """Return the same table and line as HTML, every text in it escaped."""
    return f"{_html_table(result.losses.values())}<p>{'<br>'.join(map(html.escape, _below(result)))}</p>"


def html_of_loss(loss: LossResult) -> str:
    """Return the table of one loss as HTML, every text in it escaped."""
    return _html_table([loss])


def _below(result: Result) -> list[str]:
    return [summary(result), *(f"warning: {message}" for message in result.warnings)]


def _warned(result: Result) -> list[str]:
    if not result.warnings:
        return []
    return [f"{len(result.warnings)} warning{'s' * (len(result.warnings) > 1)}: see result.warnings"]


def _headline(loss: LossResult) -> str:
    value = getattr(loss, loss.headline)
    return number(value) if isinstance(value, float) else f"written to {value}"


def _table(losses: Iterable[LossResult]) -> tuple[list[str], list[list[str]]]:
    """Return the titles of the columns, and a row for each loss; the weighted mean comes first where there are weights,
    and counts of what was left out where something was.
    """
    losses = list(losses)
    weighted = any(loss.headline == "weighted_mean" for loss in losses)
    left_out = [name for name in LEFT_OUT if any(getattr(loss, name) for loss in losses)]
    columns = ["loss", *["weighted_mean"] * weighted, "value", "reduction", "count", *left_out]
    rows = [
        [
            loss.name,
            *[number(loss.weighted_mean)] * weighted,
            number(loss.value) if isinstance(loss.value, float) else str(loss.value),
            str(loss.reduction),
            *(f"{getattr(loss, name):,}" for name in ("count", *left_out)),
        ]
        for loss in losses
    ]
    return columns, rows


def _html_table(losses: Iterable[LossResult]) -> str:
    columns, rows = _table(losses)
    head, body = _html_row("th", columns, columns), "".join(_html_row("td", columns, row) for row in rows)
    return f"<table><thead>{head}</thead><tbody>{body}</tbody></table>"


def _html_row(tag: str, columns: Sequence[str], cells: Sequence[str]) -> str:
    sides = ["right" if title in _NUMBERS else "left" for title in columns]
    inside = "".join(
        f'<{tag} style="text-align: {side}">{html.escape(cell)}</{tag}>'
        for side, cell in zip(sides, cells, strict=True)
    )
    return f"<tr>{inside}</tr>"
