"""Executors by name."""

from __future__ import annotations

from typing import Any

from ..core.types import EXECUTORS
from ..errors import UnknownNameError, UsageError
from .block import Executor, Run

__all__ = ["EXECUTORS", "Executor", "Run", "get_executor", "is_of_dask"]


def is_of_dask(executor: Any, scheduler: Any, scheduler_file: str | None) -> bool:
    """Return whether blocks are evaluated by a scheduler of Dask's."""
    named = scheduler is not None or scheduler_file is not None
    client = type(executor).__module__.partition(".")[0] == "distributed"
    return (isinstance(executor, str) and executor in ("dask", *(("auto", "cuda") if named else ()))) or client


def get_executor(
    executor: Any, in_memory: bool, scheduler: Any = None, scheduler_file: str | None = None, on_gpu: bool = False
) -> Executor:
    """Return the executor of a name, or `executor` itself where it is one.

    "auto" is threads over blocks that are read, all cores on one block after the other for arrays in memory, a GPU
    where an array is on one, and Dask where a scheduler is named. Raises UsageError for what is no executor.
    """
    if is_of_dask(executor, scheduler, scheduler_file):
        from .dask.executor import DaskExecutor

        gpu = isinstance(executor, str) and executor == "cuda"
        return DaskExecutor(scheduler if isinstance(executor, str) else executor, scheduler_file, gpu)
    if scheduler is not None or scheduler_file is not None:
        raise UsageError(f"a scheduler was named, but executor={executor!r} has none; expected executor='dask'.")
    if not isinstance(executor, str):
        if not hasattr(executor, "run"):
            raise UsageError(
                f"executor must be one of {', '.join(EXECUTORS)}, or a distributed.Client; received {executor!r}."
            )
        if missing := [member for member in ("name", "workers_used") if not hasattr(executor, member)]:
            raise UsageError(
                f"executor: {executor!r} has no {' and no '.join(missing)}; expected all members of "
                "streamloss.execution.Executor."
            )
        own: Executor = executor
        return own
    if executor not in EXECUTORS:
        raise UnknownNameError("executor", executor, EXECUTORS)
    if executor == "cuda" or (executor == "auto" and on_gpu):
        from .gpu import CudaExecutor

        return CudaExecutor(strict=executor == "cuda")
    if executor == "inline" or (executor == "auto" and in_memory):
        from .inline import InlineExecutor

        return InlineExecutor(parallel=executor == "auto")
    from .threads import ThreadsExecutor

    return ThreadsExecutor()
