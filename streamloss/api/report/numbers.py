"""Numbers of a document as they are shown, and the scales of charts."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

_WORDS = {"NaN": math.nan, "Infinity": math.inf, "-Infinity": -math.inf}


def number_of(value: Any) -> float:
    """Return a number of a document of JSON, in which those that are not finite are words; NaN for what is none."""
    if isinstance(value, str):
        return _WORDS.get(value, math.nan)
    return math.nan if value is None or isinstance(value, bool) else float(value)


def shown(value: Any, digits: int = 6) -> str:
    """Return a value as text: whole numbers with separators, others with some digits, and what is missing as a dash."""
    if value is None:
        return "–"
    if isinstance(value, bool) or (isinstance(value, str) and value not in _WORDS):
        return str(value)
    if isinstance(value, int):
        return f"{value:,}"
    if isinstance(value, list | tuple):
        return ", ".join(shown(part, digits) for part in value)
    number = number_of(value)
    if math.isnan(number):
        return "NaN"
    if math.isinf(number):
        return "∞" if number > 0 else "−∞"
    return f"{number:.{digits}g}".replace("-", "−", 1 if number < 0 else 0)


@dataclass(frozen=True, slots=True)
class Scale:
    """A linear scale: which place of the length of an axis each number has, from 0 to 1."""

    low: float
    high: float

    @classmethod
    def over(cls, values: Iterable[float], margin: float = 0.04) -> Scale:
        """Return the scale over some numbers, with a margin on both sides; those that are not finite are left out."""
        finite = [value for value in values if math.isfinite(value)]
        low, high = min(finite, default=0.0), max(finite, default=1.0)
        room = (high - low) * margin or abs(low) * margin or 1.0
        low, high = low - room, high + room
        return cls(low, high) if math.isfinite(high - low) else cls(-1.0, 1.0)

    def place(self, value: float) -> float:
        """Return the place of a number, held to the axis; NaN for NaN."""
        if math.isnan(value):
            return math.nan
        return min(1.0, max(0.0, (value - self.low) / (self.high - self.low)))

    def ticks(self, most: int = 6) -> Sequence[float]:
        """Return up to `most` round numbers in the scale."""
        width = self.high - self.low
        unit = 10.0 ** math.floor(math.log10(width / most))
        step = next(unit * factor for factor in (1, 2, 5, 10, 20) if width / (unit * factor) <= most)
        first = math.ceil(self.low / step)
        return [
            round(i * step, 2 - math.floor(math.log10(step))) for i in range(first, math.floor(self.high / step) + 1)
        ]
