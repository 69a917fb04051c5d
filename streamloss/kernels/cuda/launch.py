"""The GPU's loop over a block, as `streamloss.kernels.cpu` has the CPU's: copy, kernels, sums back."""

from __future__ import annotations

import math
import warnings
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np

from ...aggregation.accumulator import SIZE
from ...core.cuda_compiler import SIMULATED, WARP, Launcher
from ...core.cuda_memory import DeviceMemory, Pinned, free_bytes, is_out_of_memory
from ...errors import MachineError, StreamlossWarning
from ...formulas._kinds import Elementwise, Formula, LabelSequence, Parametric
from ..accumulate import NUM_COUNTS
from ..summation_order import ALONE
from .accumulate import NO_ROW, STATE, gatherer
from .classes import LANES, groups, team_of
from .elementwise import elements, parameters
from .kernel import Team
from .loads import Form, form_of
from .segment import lanes_of

MOST_BLOCKS = 2 if SIMULATED else 1056  # a multiple of what the largest GPUs run at once; limbs are one set to each
FEWEST_BLOCKS = 1 if SIMULATED else 128  # numba-cuda warns of fewer; those without rows cost next to nothing
GATHERING = 1 if SIMULATED else WARP
"""Threads for each integer that is gathered from the blocks."""
SHARE = 0.8
"""Of the GPU's free memory that all threads may fill together."""
FEWEST_ROWS = 32
"""That a GPU has to have memory for."""

Array = np.ndarray[Any, Any]


@dataclass(frozen=True, slots=True)
class Operand:
    """Labels or predictions, on the host or on the device, contiguous."""

    array: Any
    halves: str = ""
    """"float16" or "bfloat16" for the bits of such floats, as uint16."""


@cache
def kernel_of(formula: Formula, single: bool, layout: str, true: Form, pred: Form, team: Team) -> Launcher:
    """See :func:`.rows.rows_kernel`."""
    assert not isinstance(formula, LabelSequence)
    if isinstance(formula, Parametric):
        return parameters(formula, single, true, pred)
    if isinstance(formula, Elementwise) and layout == ALONE:
        return elements(formula, single, true, pred)
    return groups(formula, single, true, pred, team)


class Lane:
    """What one thread needs to evaluate blocks on a GPU: memory, a stream, and what kernels add to."""

    def __init__(self, pinned: Pinned, lanes: int = 1) -> None:
        """`lanes`: how many threads share the GPU's memory."""
        self._memory = DeviceMemory(pinned)
        self._most_bytes = int(free_bytes() * SHARE / lanes)
        self._most_rows = 1 << 62
        self._state: Array = pinned.new(8 * STATE).view(np.int64)
        self._own: tuple[Any, ...] | None = None

    def run(
        self,
        key: tuple[Formula, bool, str],
        y_true: Operand,
        y_pred: Operand,
        weight: Any,
        mask: Any,
        ignore: tuple[int, int],
        arguments: tuple[float, ...],
        each: Array,
        nan_policy: int,
        keep: bool,
        out: Any,
        limbs: Array,
        counts: Array,
    ) -> int:
        """As the function that `kernels.cpu.serial` gives; arrays may be on the device, `out` too, and weights and
        masks are (rows,), (1,) or empty. Rows go there in as many pieces as its memory asks for.
        """
        rows, classes = y_pred.array.shape[0], math.prod(y_pred.array.shape[1:])
        arrays = (y_true.array.reshape(-1), y_pred.array.reshape(-1), weight, mask)
        of_row = [array.size // max(1, rows) for array in arrays]  # elements; 0 where all rows have one
        to_come = [k * a.dtype.itemsize for k, a in zip(of_row, arrays, strict=True) if isinstance(a, np.ndarray)]
        row_bytes = sum(to_come) + (out.dtype.itemsize if keep and isinstance(out, np.ndarray) else 0)
        settings = ignore, arguments, each, nan_policy, keep
        start = 0
        while start < rows:
            most = min(self._most_rows, self._most_bytes // max(1, row_bytes))
            stop = min(rows, start + max(FEWEST_ROWS, most))
            piece = [a[start * k : stop * k] if k else a for k, a in zip(of_row, arrays, strict=True)]
            halves, written = (y_true.halves, y_pred.halves), out[start:stop] if keep else out
            try:
                found = self._piece(key, halves, piece, stop - start, classes, settings, written)
            except BaseException as error:
                self._own = None  # kernels may have added to it
                if not (isinstance(error, Exception) and is_out_of_memory(error)):
                    raise
                self._less_than(stop - start, row_bytes)
                continue
            if found[-1] != NO_ROW:
                return start + int(found[-1])
            limbs += found[: 2 * SIZE].reshape(2, SIZE)
            counts += found[2 * SIZE : -1]
            start = stop
        return -1

    def _less_than(self, rows: int, row_bytes: int) -> None:
        """After `rows` were too many."""
        self._memory.release()
        if row_bytes == 0:
            raise MachineError(
                "the GPU has no memory left for a few megabytes beside its arrays. Free some: PyTorch keeps what was "
                "freed, until torch.cuda.empty_cache()."
            )
        if rows <= FEWEST_ROWS:
            raise MachineError(
                f"the GPU has no memory left for {rows} rows of {row_bytes:,} bytes; expected room for that at least. "
                "Free some, or use executor='threads', which evaluates on the CPU, with the same bits."
            )
        self._most_rows = max(FEWEST_ROWS, rows // 2)
        warnings.warn(
            f"the GPU has no memory left for {rows:,} rows at a time ({rows * row_bytes / 2**20:,.0f} MiB); going on "
            f"with {self._most_rows:,}",
            StreamlossWarning,
            stacklevel=2,
        )

    def _piece(
        self,
        key: tuple[Formula, bool, str],
        halves: tuple[str, str],
        operands: list[Any],
        n: int,
        classes: int,
        settings: tuple[Any, ...],
        out: Any,
    ) -> Array:
        """The integers (STATE,) of some rows; see :mod:`.sums`. `settings` are `run`'s, from `ignore` to `keep`."""
        ignore, arguments, each, nan_policy, keep = settings
        memory = self._memory
        limbs, counts, first_bad, state = self._accumulators()
        there = [
            memory.copy(role, array) if isinstance(array, np.ndarray) else array
            for role, array in zip(("y_true", "y_pred", "weight", "mask"), operands, strict=True)
        ]
        own = memory.copy("each", each)
        losses = out if not isinstance(out, np.ndarray) else memory.empty("losses", (n if keep else 0,), out.dtype)
        formula, single, layout = key
        run = 0 if layout == ALONE else classes  # elements that lie together; 0 is a multiple of every width
        true, pred = (form_of(array, half, run) for array, half in zip(there[:2], halves, strict=True))
        team = LANES if layout == ALONE else team_of(classes, there[1].dtype.itemsize)
        kernel = kernel_of(formula, single, layout, true, pred, team)
        lanes, threads = 1 if layout == ALONE else lanes_of(classes), team.threads
        blocks = max(FEWEST_BLOCKS, min(MOST_BLOCKS, n if team.whole else -(-n * lanes // threads)))
        kernel.launch(
            blocks,
            threads,
            memory.stream,
            *there,
            n,
            classes,
            lanes,
            ignore,
            arguments,
            own,
            nan_policy,
            keep,
            losses,
            limbs,
            counts,
            first_bad,
        )
        gatherer().launch(
            -(-STATE * GATHERING // WARP), WARP, memory.stream, blocks, GATHERING, limbs, counts, first_bad, state
        )
        state.copy_to_host(self._state, stream=memory.stream)
        if keep and isinstance(out, np.ndarray):
            losses.copy_to_host(out, stream=memory.stream)
        memory.wait()
        return self._state

    def _accumulators(self) -> tuple[Any, ...]:
        """Limbs and counts of each block of threads, the first bad row, and where they are gathered: empty at first,
        and after each gathering.
        """
        if self._own is None:
            zeros = np.zeros((MOST_BLOCKS, 2, SIZE), np.int64), np.zeros((MOST_BLOCKS, NUM_COUNTS), np.int64)
            arrays = (*zeros, np.full(1, NO_ROW), np.zeros(STATE, np.int64))
            names = ("limbs", "counts", "first bad row", "state")
            self._own = tuple(self._memory.copy(name, array) for name, array in zip(names, arrays, strict=True))
        return self._own
