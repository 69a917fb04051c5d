"""Statistics by name: each public file of this folder declares one as ``STATISTIC``, and is found by itself."""

import importlib
import pkgutil
from collections.abc import Sequence
from functools import cache
from typing import Any

from ..accumulation import Accumulation
from ..state import State
from ..statistic import Chosen, Statistic, chosen


@cache
def known() -> dict[str, Statistic]:
    """Return every declared statistic by its name."""
    names = [module.name for module in pkgutil.iter_modules(__path__) if not module.name.startswith("_")]
    modules = [importlib.import_module(f"{__name__}.{name}") for name in names]
    return {module.STATISTIC.name: module.STATISTIC for module in modules}


_accumulations: dict[tuple[str, ...], Accumulation] = {}


def accumulation_of(statistics: tuple[str, ...] = ()) -> Accumulation:
    """Return what is added up for a loss of rows: the totals that every evaluation has, and those of `statistics`.

    There is one object for each choice, also if threads ask for it at once, so that kernels made for it are found
    again. Raises KeyError for an unknown name.
    """
    if statistics not in _accumulations:
        asked = [chosen(text, known()).statistic for text in ("totals", *statistics)]
        made = Accumulation(
            tuple(total for statistic in asked for total in statistic.sums),
            tuple(held for statistic in asked for held in statistic.counts),
        )
        _accumulations.setdefault(statistics, made)
    return _accumulations[statistics]


def values_of(state: State, statistics: Sequence[str]) -> dict[str, Any]:
    """Return the values that statistics derive from a merged state, by name."""
    asked = [chosen(text, known()).statistic for text in statistics]
    return {name: derive(state) for statistic in asked for name, derive in statistic.derived.items()}


def collected(statistics: Sequence[str]) -> list[Chosen]:
    """Return those of some statistics that collect rows after their losses are known."""
    asked = [chosen(text, known()) for text in statistics]
    return [one for one in asked if one.statistic.collect is not None]
