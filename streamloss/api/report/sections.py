"""The sections of a report about one loss: groups, distribution, running loss, calibration, classes, worst rows."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from .charts import Point, axis_head, bars, interval_cell, line, reliability, share_cell
from .elements import Cell, Element, element, table
from .numbers import Scale, number_of, shown

MOST_ROWS = 40
"""The most rows of a table in a report."""
MOST_CLASSES = 20
"""The most classes whose confusion is shown as a matrix."""
_SUMS = ("count", "sum", "mean", "weight_sum", "weighted_mean", "stderr", "low", "high", "clusters", "share")
"""The columns of groups that are no keys."""

Rows = Sequence[Mapping[str, Any]]


def sections_of(loss: Mapping[str, Any], shape: Sequence[int]) -> Iterator[Element]:
    """Yield the sections that a loss of a result has; `shape` is that of its losses of rows."""
    statistics = loss.get("statistics") or {}
    if groups := loss.get("groups"):
        yield from by_key("Groups", "groups", groups, loss)
    if kept := loss.get("kept"):
        yield from _kept(kept, loss)
    if statistics.get("quantiles"):
        yield from _distribution(statistics)
    if running := statistics.get("running"):
        means = [number_of(of["mean"]) for of in running]
        title = f"Running loss: the means of {len(means)} equal ranges of the rows, in their order"
        yield line(title, means, mean_of(loss), ("first rows", "last rows"))
    if found := statistics.get("calibration_bins"):
        yield from _calibration(statistics, found)
    if classes := statistics.get("classes"):
        yield from _classes(statistics, classes)
    if rows := statistics.get("worst"):
        yield element("h3", f"Worst {len(rows):,} rows")
        yield _worst(rows[:MOST_ROWS], shape)
        yield from _left_out(len(rows), "rows")


def mean_of(of: Mapping[str, Any]) -> float:
    """Return the mean that is shown of a loss or group: the weighted one where there is one."""
    return number_of(of.get("weighted_mean", of.get("mean")))


def names_of_keys(groups: Rows) -> list[str]:
    """Return the names of the keys of groups."""
    return [name for name in groups[0] if name not in _SUMS]


def by_key(title: str, what: str, rows: Rows, loss: Mapping[str, Any]) -> Iterator[Element]:
    """Yield a table of groups with their means and shares, those with the largest shares of the loss first."""
    keys = names_of_keys(rows)
    order = sorted(rows, key=lambda of: -_or_zero(number_of(of.get("share"))))
    top = order[:MOST_ROWS]
    points = [Point(mean_of(of), number_of(of.get("low")), number_of(of.get("high"))) for of in top]
    most = max((_or_zero(number_of(of.get("share"))) for of in top), default=0.0)
    reference, with_ends = mean_of(loss), any(math.isfinite(point.low) for point in points)
    scale = Scale.over([value for point in points for value in point] + [reference])
    head: list[Cell] = [*keys, axis_head(scale), _number("th", "mean")]
    head += [_number("th", "95 % interval", "optional")] if with_ends else []
    head += [_number("th", "count"), _number("th", "share of the sum"), element("th", class_="chart optional")]
    body: list[list[Cell]] = []
    for of, point in zip(top, points, strict=True):
        cells: list[Cell] = [*(shown(of[name]) for name in keys), interval_cell(point, scale, reference)]
        cells += [_number("td", shown(point.value, 5))]
        cells += [_number("td", f"{shown(point.low, 4)} to {shown(point.high, 4)}", "optional")] if with_ends else []
        share = number_of(of.get("share"))
        bar = share_cell(share / most if most > 0 else 0.0)
        bar.set("class", "chart optional")
        cells += [_number("td", shown(of["count"])), _number("td", f"{shown(100 * share, 3)} %"), bar]
        body.append(cells)
    yield element("h3", f"{title} by {', '.join(keys)}")
    yield element("div", table(head, body), class_="wide")
    yield element(
        "p", "The dashed line is the mean of all rows; the largest shares of the sum come first.", class_="note"
    )
    yield from _left_out(len(rows), what)


def _kept(rows: Rows, loss: Mapping[str, Any]) -> Iterator[Element]:
    keys = names_of_keys(rows)
    if len(keys) == 1 and len(rows) > 2:
        means, ends = [mean_of(of) for of in rows], (shown(rows[0][keys[0]]), shown(rows[-1][keys[0]]))
        yield line(f"Loss along {keys[0]}", means, mean_of(loss), ends)
    yield from by_key("Cells", "cells", rows, loss)


def _distribution(statistics: Mapping[str, Any]) -> Iterator[Element]:
    if bins := statistics.get("histogram"):
        labels = [(float(i), shown(bins[i]["low"], 3)) for i in range(0, len(bins), max(1, len(bins) // 6))]
        counts = [number_of(of["count"]) for of in bins]
        yield bars("Distribution of the losses of rows", counts, labels, "Rows in each bin.")
    quantiles = {"least": statistics.get("least"), **statistics["quantiles"], "greatest": statistics.get("greatest")}
    head = [_number("th", name if name.isalpha() else f"{100 * float(name):g} %") for name in quantiles]
    body = [[_number("td", shown(value, 4)) for value in quantiles.values()]]
    yield element("div", table(head, body), class_="wide")


def _calibration(statistics: Mapping[str, Any], bins: Rows) -> Iterator[Element]:
    points = [(number_of(of["confidence"]), number_of(of["accuracy"]), number_of(of["weight"])) for of in bins]
    errors = [("expected_calibration_error", "expected error"), ("maximum_calibration_error", "largest error")]
    said = "; ".join(f"{text} {shown(statistics[name], 4)}" for name, text in errors if name in statistics)
    yield reliability(
        "Reliability: how often predictions of some probability are right",
        points,
        f"Below, where the predictions are. Predictions on the dashed line mean what they say: {said}.",
    )


def _classes(statistics: Mapping[str, Any], classes: Rows) -> Iterator[Element]:
    yield element("h3", f"Classes: accuracy {shown(statistics.get('accuracy'), 5)}")
    head: list[Cell] = ["class", *(_number("th", name) for name in ("count", "right", "mean loss"))]
    body: list[list[Cell]] = []
    for of in classes[:MOST_ROWS]:
        body.append([shown(of["class"]), *(_number("td", shown(of[name], 5)) for name in ("count", "right", "mean"))])
    yield element("div", table(head, body), class_="wide")
    yield from _left_out(len(classes), "classes")
    matrix = statistics.get("confusion") or []
    if 0 < len(matrix) <= MOST_CLASSES:
        head = ["label", *(_number("th", str(i)) for i in range(len(matrix)))]
        yield element("h3", "Confusion: labels by row, predictions by column")
        yield element("div", table(head, [_shaded(i, row) for i, row in enumerate(matrix)], "matrix"), class_="wide")


def _shaded(label: int, counts: Sequence[int]) -> list[Cell]:
    cells: list[Cell] = [element("th", str(label))]
    for count in counts:
        share = round(70 * count / max(1, sum(counts)))
        cells.append(
            element("td", shown(count), style=f"background: color-mix(in srgb, var(--accent) {share}%, transparent)")
        )
    return cells


def _worst(rows: Rows, shape: Sequence[int]) -> Element:
    names = [name for name in rows[0] if name not in ("position", "loss")]
    head: list[Cell] = ["row", _number("th", "loss"), *(_number("th", name.removeprefix("by.")) for name in names)]
    body: list[list[Cell]] = []
    for of in rows:
        cells = [_number("td", shown(of[name])) for name in ("loss", *names)]
        body.append([_index(int(of["position"]), shape), *cells])
    return element("div", table(head, body), class_="wide")


def _index(position: int, shape: Sequence[int]) -> str:
    """Return the index of a loss by its position in row-major order."""
    index = []
    for n in reversed(shape[1:]):
        position, inner = divmod(position, n)
        index.append(inner)
    return ", ".join(f"{i:,}" for i in (position, *reversed(index)))


def _number(tag: str, text: str, more: str = "") -> Element:
    return element(tag, text, class_=f"number {more}".rstrip())


def _left_out(count: int, what: str) -> Iterator[Element]:
    if count > MOST_ROWS:
        yield element("p", f"{MOST_ROWS} of {count:,} {what}.", class_="note")


def _or_zero(value: float) -> float:
    return 0.0 if math.isnan(value) else value
