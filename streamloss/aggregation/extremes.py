"""The least and the greatest of some values, which merge."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, ClassVar, Self

import numpy as np


@dataclass(frozen=True, slots=True)
class Extremes:
    """The least and the greatest loss of some rows."""

    kind: ClassVar[str] = "extremes"
    least: float = math.inf
    greatest: float = -math.inf

    @classmethod
    def of(cls, values: np.ndarray[Any, Any]) -> Self:
        """Return the extremes of an array without NaN; +0.0 for either zero."""
        return cls(float(values.min()) + 0.0, float(values.max()) + 0.0) if values.size else cls()

    def merge(self, other: Self) -> Extremes:
        """Return the extremes of the values of both."""
        return Extremes(min(self.least, other.least), max(self.greatest, other.greatest))

    def to_dict(self) -> dict[str, Any]:
        """Return them for JSON, which has no infinity."""
        return {"kind": self.kind, "least": self.least.hex(), "greatest": self.greatest.hex()}

    @classmethod
    def from_dict(cls, content: Any) -> Self:
        """Return the inverse of :meth:`to_dict`. Raises KeyError, TypeError and ValueError for anything else."""
        return cls(float.fromhex(content["least"]), float.fromhex(content["greatest"]))
