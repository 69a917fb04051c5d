"""The declaration of what is added up over the rows of a loss, which kernels, states and results read.

An :class:`Accumulation` lists exact sums and counts by name. Kernels on the processor and on GPUs compile the scalar
functions of its members and add up what these give for each row that counts; :meth:`Accumulation.content_of` turns what
they added into the contents of a :class:`~streamloss.aggregation.state.State`, which merges by addition. Which sums
and counts there are is declared by :mod:`streamloss.aggregation.statistics`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from .exact_sum import ExactSum

OUTCOME_COUNTED, OUTCOME_OMITTED, OUTCOME_IGNORED, OUTCOME_REFUSED = 0, 1, 2, 3
"""The outcomes of a row: it is added up; it is left out because its loss is NaN (``nan_policy="omit"``); it is left out
by a mask or by ``ignore_class``; or the evaluation stops there. The first three are counted, at these positions."""
NUM_OUTCOMES = 3
BINARY = "_binary"
"""The ending of the names of sums under the convention that labels are 0 and 1, where all labels decide about it."""

Terms = Callable[[float, float], tuple[float, ...]]


def value_alone(value: float, weight: float) -> tuple[float]:
    """Return the value itself. Kernels add arrays of values without calling this."""
    return (value,)


def weight_alone(value: float, weight: float) -> tuple[float]:
    """Return the weight itself. Kernels add arrays of weights without calling this."""
    return (weight,)


@dataclass(frozen=True, slots=True, eq=False)
class RowSum:
    """A sum over the rows that count. It is exact, so that neither order nor chunking can change a bit of it."""

    name: str
    """Its key in ``State.sums``."""
    terms: Terms
    """``terms(value, weight)``: float64 numbers whose exact sum is what a row adds. `value` is the row's loss as NONE
    writes it (weighted, rounded to the result dtype), `weight` its weight, 1.0 where there are none. Scalar mathematics
    as in a formula; a product of two float64 is two terms, the rounded one and its error."""
    num_terms: int = 1
    of_weight_alone: bool = False
    """Whether `terms` reads the weight only. Without weights a row then adds 1, which is not computed row by row."""


@dataclass(frozen=True, slots=True, eq=False)
class RowCount:
    """The number of rows that count and for which a condition holds."""

    name: str
    """Its key in ``State.counts``."""
    holds: Callable[[float, float], bool]
    """``holds(value, weight)``, with the same arguments as ``RowSum.terms``."""
    of_weight_alone: bool = False
    """Whether it reads the weight only. Without weights it then holds for every row."""


@dataclass(frozen=True, slots=True, eq=False)
class Accumulation:
    """All that a kernel adds up for one loss, in the order in which its arrays hold it.

    ``limbs[k]`` of a kernel belongs to ``sums[k]``; its ``counts`` begin with the outcomes, and entry NUM_OUTCOMES + k
    belongs to ``counts[k]``. Sums over the whole data have `sums` for each ratio, one ratio after the other.
    """

    sums: tuple[RowSum, ...]
    counts: tuple[RowCount, ...] = ()
    counted: str = "count"
    """The name in ``State.counts`` of the rows that were added up."""
    per_ratio: bool = False
    """Whether `sums` are of labels and predictions, for each ratio over the whole data, instead of a row's loss."""

    @property
    def num_counts(self) -> int:
        return NUM_OUTCOMES + len(self.counts)

    def sum_names(self, ratios: int = 1) -> list[str]:
        """Return the names of a state's sums, in the order of ``limbs``."""
        if self.per_ratio:
            return [f"{total.name}/{ratio}" for ratio in range(ratios) for total in self.sums]
        return [total.name for total in self.sums]

    def content_of(self, limbs: Any, counts: Any, weighted: bool) -> tuple[dict[str, ExactSum], dict[str, int]]:
        """Return the sums and counts of a state by name.

        Parameters
        ----------
        limbs : int64 array (sums, SIZE)
            As kernels leave it; see :mod:`streamloss.aggregation.accumulator`.
        counts : int64 array (num_counts,)
            The outcomes, then the declared counts.
        weighted : bool
            Whether rows had weights. If not, each row has the weight 1.

        """
        count = int(counts[OUTCOME_COUNTED])
        sums = dict(zip(self.sum_names(len(limbs) // len(self.sums)), map(ExactSum.of_limbs, limbs), strict=True))
        named = {self.counted: count}
        named |= {held.name: int(n) for held, n in zip(self.counts, counts[NUM_OUTCOMES:], strict=True)}
        if not weighted and not self.per_ratio:
            sums |= {total.name: ExactSum.of_count(count) for total in self.sums if total.of_weight_alone}
            named |= {held.name: count for held in self.counts if held.of_weight_alone}
        named |= {"omitted": int(counts[OUTCOME_OMITTED]), "ignored": int(counts[OUTCOME_IGNORED])}
        return sums, named
