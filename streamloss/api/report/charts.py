"""Charts as SVG. Lines are stretched to the width there is; their texts stand beside them in HTML, so that they are as
large on a phone as on a wide screen.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import NamedTuple

from .elements import Element, element
from .numbers import Scale, shown

LENGTH = 1000
"""The units of each side of a drawing."""
_CELL = 40


class Point(NamedTuple):
    """A point with the interval that it lies in, NaN where there is none."""

    value: float
    low: float = math.nan
    high: float = math.nan


def interval_cell(point: Point, scale: Scale, reference: float) -> Element:
    """Return the cell of a table with a point, its interval, and a line at the reference."""
    parts = [_line(scale.place(reference), 0, scale.place(reference), 1, "reference", _CELL)]
    if math.isfinite(point.low) or math.isfinite(point.high):
        parts.append(_line(scale.place(point.low), 0.5, scale.place(point.high), 0.5, "interval", _CELL))
    if math.isfinite(point.value):
        parts.append(_dot(scale.place(point.value), 0.5, _CELL))
    return element("td", _drawing(parts, _CELL), class_="chart")


def share_cell(share: float) -> Element:
    """Return the cell of a table with a bar as long as a share, from 0 to 1."""
    width = min(1.0, max(0.0, share)) if math.isfinite(share) else 0.0
    bar = element("rect", x=0, y=_CELL // 4, width=round(LENGTH * width), height=_CELL // 2, class_="bar")
    return element("td", _drawing([bar], _CELL), class_="chart")


def axis_head(scale: Scale) -> Element:
    """Return the head of a column of intervals, with the ticks of their scale."""
    ticks = [_tick(scale.place(value), shown(value), "left") for value in scale.ticks(4)]
    return element("th", element("div", *ticks, class_="ticks"), class_="chart")


def bars(title: str, heights: Sequence[float], labels: Sequence[tuple[float, str]], caption: str = "") -> Element:
    """Return a chart of bars of equal width. `labels` have places along the bars, from 0 to their number."""
    scale = Scale(0.0, max(heights, default=1.0) * 1.04 or 1.0)
    width = LENGTH / max(1, len(heights))
    parts = [
        element(
            "rect",
            x=round(i * width + width * 0.06, 1),
            y=round(LENGTH * (1 - scale.place(height)), 1),
            width=round(width * 0.88, 1),
            height=round(LENGTH * scale.place(height), 1),
            class_="bar",
        )
        for i, height in enumerate(heights)
        if height > 0
    ]
    ticks = [(place / max(1, len(heights)), label) for place, label in labels]
    return _chart(title, parts, ticks, scale, caption)


def line(title: str, values: Sequence[float], reference: float, ends: tuple[str, str], caption: str = "") -> Element:
    """Return a chart of values at equal distances, with gaps where one is NaN, and a line at the reference."""
    scale = Scale.over([*values, reference])
    last = max(1, len(values) - 1)
    parts = [_level(scale, reference)]
    run: list[tuple[float, float]] = []
    for i, value in enumerate([*values, math.nan]):
        if math.isfinite(value):
            run.append((i / last, scale.place(value)))
        elif run:
            parts.append(_path(run))
            run = []
    return _chart(title, parts, [(0.0, ends[0]), (1.0, ends[1])], scale, caption)


def reliability(title: str, points: Iterable[tuple[float, float, float]], caption: str = "") -> Element:
    """Return a diagram of how often predictions of some probability are right: points (probability, share, weight)."""
    scale = Scale(0.0, 1.0)
    found = [point for point in points if all(map(math.isfinite, point))]
    total = sum(weight for _, _, weight in found) or 1.0
    most = max((weight for _, _, weight in found), default=1.0) or 1.0
    parts = [_line(0, 0, 1, 1, "reference")]
    for x, _, weight in found:
        height = round(LENGTH * 0.25 * weight / most, 1)
        parts.append(element("rect", x=round(LENGTH * x - 12, 1), y=LENGTH - height, width=24, height=height,
                             class_="faint"))  # fmt: skip
    parts.append(_path([(x, y) for x, y, _ in found]))
    for x, y, weight in found:
        place = _dot(x, y)
        place.append(
            element("title", f"{shown(x, 3)}: {shown(y, 3)} of {shown(100 * weight / total, 3)} % of the weight")
        )
        parts.append(place)
    ticks = [(value, shown(value)) for value in scale.ticks(5)]
    return _chart(title, parts, ticks, scale, caption, "chart square")


def _chart(
    title: str,
    parts: list[Element],
    ticks: Sequence[tuple[float, str]],
    scale: Scale,
    caption: str,
    class_: str = "chart",
) -> Element:
    grid = [_line(0, scale.place(value), 1, scale.place(value), "grid") for value in scale.ticks(5)]
    left = [_tick(scale.place(value), shown(value), "bottom") for value in scale.ticks(5)]
    across = [_tick(place, label, "left") for place, label in ticks]
    plot = element(
        "div",
        element("div", *left, class_="side"),
        _drawing([*grid, *parts], LENGTH, title),
        element("div", *across, class_="ticks"),
        class_="plot",
    )
    return element(
        "figure", element("figcaption", title), plot, *([element("p", caption)] if caption else []), class_=class_
    )


def _drawing(parts: Iterable[Element], height: int, label: str = "") -> Element:
    drawing = element("svg", *parts, viewBox=f"0 0 {LENGTH} {height}", preserveAspectRatio="none")
    drawing.attrib |= {"role": "img", "aria-label": label} if label else {"aria-hidden": "true"}
    return drawing


def _line(x1: float, y1: float, x2: float, y2: float, class_: str, height: int = LENGTH) -> Element:
    """Return a line between places from 0 to 1, of which y counts from below."""
    ends = {"x1": LENGTH * x1, "y1": height * (1 - y1), "x2": LENGTH * x2, "y2": height * (1 - y2)}
    return element("line", class_=class_, **{name: round(end, 1) for name, end in ends.items()})


def _dot(x: float, y: float, height: int = LENGTH) -> Element:
    """Return a dot: a line without length and with round ends, which stays round when the drawing is stretched."""
    return _line(x, y, x, y, "dot", height)


def _path(places: Sequence[tuple[float, float]]) -> Element:
    if len(places) == 1:
        return _dot(*places[0])
    text = " ".join(f"{round(LENGTH * x, 1)},{round(LENGTH * (1 - y), 1)}" for x, y in places)
    return element("polyline", points=text, class_="curve")


def _level(scale: Scale, value: float) -> Element:
    place = scale.place(value)
    return _line(0, place, 1, place, "reference") if math.isfinite(place) else element("g")


def _tick(place: float, label: str, side: str) -> Element:
    return element("span", label, style=f"{side}: {100 * place:.2f}%")
