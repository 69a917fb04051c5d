"""Losses of predictions too large for memory: exact, fast, in bounded memory.

>>> import numpy as np
>>> import streamloss as sl
>>> loss = sl.losses.SparseCategoricalCrossentropy()
>>> loss(np.array([0, 1]), np.array([[0.9, 0.1], [0.2, 0.8]])).round(6)
np.float64(0.164252)

For arrays on disk, see :func:`evaluate`.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from .core.version import __version__ as __version__

if TYPE_CHECKING:
    from . import errors, losses, nn
    from .aggregation.state import State as State
    from .api.compare import compare as compare
    from .api.comparison import Comparison as Comparison
    from .api.evaluate import evaluate as evaluate
    from .api.evaluator import Evaluator as Evaluator
    from .api.grouping import by as by
    from .api.merge import merge as merge
    from .api.planned import plan as plan
    from .api.result import Result as Result
    from .api.result import load as load
    from .core.types import Reduction as Reduction
    from .planning.plan import Plan as Plan

__all__ = [
    "Comparison",
    "Evaluator",
    "Plan",
    "Reduction",
    "Result",
    "State",
    "by",
    "compare",
    "errors",
    "evaluate",
    "load",
    "losses",
    "merge",
    "nn",
    "plan",
]

# Modules are loaded on first use: NumPy, Numba and Zarr take a second to import, for which --help need not wait.
_WHERE = {
    "Comparison": "api.comparison",
    "compare": "api.compare",
    "Evaluator": "api.evaluator",
    "Plan": "planning.plan",
    "Reduction": "core.types",
    "Result": "api.result",
    "State": "aggregation.state",
    "by": "api.grouping",
    "evaluate": "api.evaluate",
    "load": "api.result",
    "merge": "api.merge",
    "plan": "api.planned",
}


def __getattr__(name: str) -> Any:
    if name in ("errors", "losses", "nn"):
        return import_module(f".{name}", __name__)
    if name in _WHERE:
        return getattr(import_module(f".{_WHERE[name]}", __name__), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return [*__all__, "__version__"]
