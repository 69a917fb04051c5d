"""Executors by name."""

from __future__ import annotations

from ..errors import UnknownNameError
from .base import Executor, States, Task

__all__ = ["EXECUTORS", "Executor", "States", "Task", "get_executor"]

EXECUTORS = ("auto", "inline", "threads")


def get_executor(executor: str | Executor, in_memory: bool) -> Executor:
    """``"auto"``: threads over blocks that are read, all cores on one block after the other for arrays in memory."""
    if not isinstance(executor, str):
        return executor
    if executor not in EXECUTORS:
        raise UnknownNameError("executor", executor, EXECUTORS)
    if executor == "inline" or (executor == "auto" and in_memory):
        from .inline import InlineExecutor

        return InlineExecutor(parallel=executor == "auto")
    from .threads import ThreadsExecutor

    return ThreadsExecutor()
