"""Statistics by name: each public file of this folder declares one as ``STATISTIC``, and is found by itself."""

import importlib
import pkgutil
from collections.abc import Sequence
from functools import cache
from typing import Any

from ..accumulation import Accumulation, Statistic
from ..state import State


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
        chosen = [known()[name] for name in ("totals", *statistics)]
        made = Accumulation(
            tuple(total for statistic in chosen for total in statistic.sums),
            tuple(held for statistic in chosen for held in statistic.counts),
        )
        _accumulations.setdefault(statistics, made)
    return _accumulations[statistics]


def values_of(state: State, statistics: Sequence[str]) -> dict[str, Any]:
    """Return the values that statistics derive from a merged state, by name."""
    return {name: derive(state) for chosen in statistics for name, derive in known()[chosen].derived.items()}
