"""Formulas whose text is unchanged, but that call other functions: cheaper ones, or those of a special case."""

from __future__ import annotations

import dis
from collections.abc import Callable, Mapping
from types import CellType, FunctionType
from typing import Any

from ..core.jit import scalar


def substituted(function: Callable[..., Any], others: Mapping[Any, Any]) -> Callable[..., Any]:
    """Return a formula that calls ``others[f]`` in place of each f in `others`, as do the formulas' helpers that it
    calls; the function itself where nothing changes.
    """
    if function in others:
        found: Callable[..., Any] = others[function]
        return found
    text = getattr(function, "py_func", function)
    loaded = {i.argval for i in dis.get_instructions(text) if i.opname == "LOAD_GLOBAL"}
    names = {name: text.__globals__[name] for name in loaded if name in text.__globals__}
    cells = [cell.cell_contents for cell in text.__closure__ or ()]
    changed = {name: substituted(value, others) for name, value in names.items() if _is_ours(value)}
    inner = [substituted(value, others) if _is_ours(value) else value for value in cells]
    if all(names[name] is value for name, value in changed.items()) and all(
        a is b for a, b in zip(cells, inner, strict=True)
    ):
        return function
    twin = FunctionType(
        text.__code__,
        {**text.__globals__, **changed},
        text.__name__,
        text.__defaults__,
        tuple(CellType(value) for value in inner),
    )
    return scalar(twin) if text is not function else twin


def _is_ours(value: Any) -> bool:
    """Return whether what a formula names is a function of this folder, whose text may call elementary functions."""
    text = getattr(value, "py_func", value)
    return isinstance(text, FunctionType) and text.__module__.startswith(f"{__package__}.")
