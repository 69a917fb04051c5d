"""The section of a report about a comparison of models: forest plots of their differences."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from .charts import Point, axis_head, interval_cell
from .elements import Cell, Element, element, table
from .numbers import Scale, number_of, shown
from .sections import MOST_ROWS

KEYLESS = frozenset((
    "loss", "model", "mean", "difference", "stderr", "low", "high", "p_value", "better", "equal", "worse",
    "skill", "skill_low", "skill_high",
))  # fmt: skip
"""The columns of a comparison that are no keys of groups."""


def comparison_of(document: Mapping[str, Any]) -> Iterator[Element]:
    """Yield for each loss how models differ from the baseline, then the same by group."""
    baseline = document["baseline"]
    for loss, rows in itertools.groupby(document["comparison"], key=lambda of: of["loss"]):
        yield element("h2", loss)
        found = list(rows)
        yield _forest(found, ["model"], baseline, True)
        wins = [_wins(of, baseline) for of in found if of["model"] != baseline]
        yield element("p", " ".join(wins), class_="note")
        groups = [of for of in document.get("groups") or [] if of["loss"] == loss and of["model"] != baseline]
        if groups:
            keys = [name for name in groups[0] if name not in KEYLESS]
            order = sorted(groups, key=lambda of: -abs(number_of(of["difference"])))
            yield element("h3", f"By {', '.join(keys)}: the largest differences first")
            yield _forest(order[:MOST_ROWS], [*keys, "model"], baseline, False)
            if len(groups) > MOST_ROWS:
                yield element("p", f"{MOST_ROWS} of {len(groups):,} rows.", class_="note")


def _wins(of: Mapping[str, Any], baseline: str) -> str:
    counts = {name: int(of[name]) for name in ("better", "equal", "worse")}
    return (
        f"{of['model']} is better than {baseline} on {counts['better']:,} rows, equal on {counts['equal']:,} and worse "
        f"on {counts['worse']:,}."
    )


def _probability(value: Any) -> str:
    """Return a p-value as text, without a zero, which no p-value is."""
    return "<1e-300" if number_of(value) == 0.0 else shown(value, 3)


def _forest(rows: Sequence[Mapping[str, Any]], keys: Sequence[str], baseline: str, skill: bool) -> Element:
    """Return a table with a line for the interval of each difference."""
    points = [Point(*(number_of(of[name]) for name in ("difference", "low", "high"))) for of in rows]
    scale = Scale.over([value for point in points for value in point] + [0.0])
    head: list[Cell] = [*keys, axis_head(scale), *(element("th", text, class_="number") for text in (
        f"difference to {baseline}", "95 % interval", "p", "mean"))]  # fmt: skip
    head += [element("th", "skill", class_="number optional")] if skill else []
    body = []
    for of, point in zip(rows, points, strict=True):
        interval = f"{shown(point.low, 4)} to {shown(point.high, 4)}"
        texts = [shown(point.value, 4), interval, _probability(of["p_value"]), shown(of["mean"], 5)]
        cells: list[Cell] = [*(shown(of[key]) for key in keys), interval_cell(point, scale, 0.0)]
        cells += [element("td", text, class_="number") for text in texts]
        body.append(cells + ([element("td", shown(of["skill"], 4), class_="number optional")] if skill else []))
    return element("div", table(head, body), class_="wide")
