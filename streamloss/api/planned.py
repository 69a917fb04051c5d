"""The public function ``plan``."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from ..core.machine import DEFAULT_MEMORY
from ..errors import UsageError
from ..planning.plan import Plan
from ..storage.sources.dask import is_lazy
from .grouping import grouping_of
from .inputs import Inputs
from .interop import loss_requests
from .request import Options, plan_request
from .storage_options import with_options


def plan(
    losses: Any,
    y_true: Any,
    y_pred: Any,
    sample_weight: Any = None,
    *,
    mask: Any = None,
    by: Mapping[str, Any] | None = None,
    keep: int | str | Sequence[int | str] | None = None,
    stats: str | Sequence[str] | Mapping[str, Any] | None = None,
    cluster: Any = None,
    class_weight: Mapping[int, float] | Sequence[float] | None = None,
    memory: int | str = DEFAULT_MEMORY,
    workers: int | None = None,
    rows: slice | None = None,
    missing_chunks: str | Mapping[str, str] | None = None,
    dtypes: Mapping[str, str] | None = None,
    storage_options: Mapping[str, Any] | None = None,
) -> Plan:
    """Return what :func:`evaluate` would do with the same arguments: blocks, workers, projected memory. Reads no data.

    Parameters
    ----------
    losses, y_true, y_pred, sample_weight, mask, by, keep, stats, cluster, class_weight, memory, workers, rows, \
missing_chunks, dtypes, storage_options
        As in :func:`evaluate`.

    Returns
    -------
    Plan
        It is printed as a table; ``projected_bytes`` is the memory that the process would take at most.

    Raises
    ------
    UsageError, DataError, MachineError
        As `evaluate` before its first block; UsageError also for Dask arrays.

    Examples
    --------
    >>> import numpy as np
    >>> import streamloss as sl
    >>> sl.plan("mse", np.zeros((1000, 3)), np.zeros((1000, 3))).shape
    (1000,)

    """
    grouping = grouping_of(by, keep, cluster, stats)
    inputs = with_options(Inputs(y_true, y_pred, sample_weight, mask, grouping, dtypes or {}), storage_options)
    if any(map(is_lazy, inputs.by_role().values())):
        raise UsageError(
            "plan received Dask arrays, whose chunks, and how many of them are in memory at a time, Dask decides; "
            "expected arrays that are read block by block. See array.chunks, or store them (array.to_zarr)."
        )
    options = Options(
        class_weight=class_weight, memory=memory, workers=workers, rows=rows, missing_chunks=missing_chunks
    )
    return plan_request(loss_requests(losses), inputs, options)
