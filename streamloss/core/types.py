"""The small records and constants that every folder uses, free of any heavy import."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Literal, get_args

from ..errors import UnknownNameError

ExecutorName = Literal["auto", "inline", "threads", "dask", "cuda"]
"""The names that ``executor=`` and ``--executor`` take."""
EXECUTORS: tuple[str, ...] = get_args(ExecutorName)


class Reduction(StrEnum):
    """The ways in which losses ``v``, weighted by ``w``, become the value, by Keras' names and one of TensorFlow 1.

    ``N`` is the number of losses (``ignore_class`` and omitted rows apart), an exact integer. Where a divisor
    is 0 the value is 0.0, as in Keras.
    """

    NONE = "none"
    """Each ``v * w``, in the losses' shape."""
    SUM = "sum"
    """``Σ v w``"""
    SUM_OVER_BATCH_SIZE = "sum_over_batch_size"
    """``Σ v w / N``: never divided by the weights."""
    MEAN = "mean"
    """Keras 3's other name of SUM_OVER_BATCH_SIZE."""
    AUTO = "auto"
    """Keras 2's other name of SUM_OVER_BATCH_SIZE."""
    MEAN_WITH_SAMPLE_WEIGHT = "mean_with_sample_weight"
    """``Σ v w / Σ w``, with w broadcast to the losses."""
    SUM_BY_NONZERO_WEIGHTS = "sum_by_nonzero_weights"
    """``Σ v w / #{w ≠ 0}``: the default of ``tf.compat.v1.losses``."""

    @classmethod
    def parse(cls, value: str | None) -> Reduction:
        """Return the reduction of a member, of Keras' string in any case, or of None (= NONE).

        Raises UnknownNameError.
        """
        if value is None:
            return cls.NONE
        try:
            return cls(str(value).lower())
        except ValueError:
            raise UnknownNameError("reduction", value, list(cls)) from None


@dataclass(frozen=True, slots=True)
class Interval:
    """An interval of allowed values; its ends are included unless they are open."""

    low: float = -math.inf
    high: float = math.inf
    low_open: bool = False
    high_open: bool = False

    @property
    def smallest(self) -> float:
        """Return the least float64 inside."""
        return math.nextafter(self.low, math.inf) if self.low_open else self.low

    @property
    def largest(self) -> float:
        """Return the greatest float64 inside."""
        return math.nextafter(self.high, -math.inf) if self.high_open else self.high

    @property
    def bounded(self) -> bool:
        """Return whether some float64 lies outside."""
        return (self.smallest, self.largest) != (-math.inf, math.inf)

    def __contains__(self, value: float) -> bool:
        return self.smallest <= value <= self.largest

    def __str__(self) -> str:
        left = "(" if self.low_open or math.isinf(self.low) else "["
        right = ")" if self.high_open or math.isinf(self.high) else "]"
        return f"{left}{self.low:g}, {self.high:g}{right}"


HALVES = ("float16", "bfloat16")
"""The names of the 16-bit floats, of which kernels read the bits."""

REAL = Interval()
UNIT = Interval(0.0, 1.0)


@dataclass(frozen=True, slots=True)
class Progress:
    """The argument of the ``progress`` callback, which is called after each block."""

    rows: int
    """The number of rows evaluated so far."""
    total: int
    """The number of rows of the whole evaluation."""
    seconds: float
    """The seconds since the evaluation began."""
    bytes: int = 0
    """The bytes of the arrays' rows evaluated so far, as they are in memory."""
    loss: str = ""
    """The name of the first loss, which `value` is of."""
    compute: Callable[[], float] | None = field(default=None, repr=False, compare=False)
    """Computes `value`."""

    @property
    def value(self) -> float | None:
        """The mean of the first loss over the rows so far, the weighted one with weights; None where it is not known.

        It is computed where it is asked for.
        """
        return None if self.compute is None else self.compute()

    def to_dict(self) -> dict[str, Any]:
        """Return the numbers for JSON, such as for a line of a log."""
        known = {"rows": self.rows, "total": self.total, "seconds": self.seconds, "bytes": self.bytes}
        return {**known, "loss": self.loss, "value": self.value}
