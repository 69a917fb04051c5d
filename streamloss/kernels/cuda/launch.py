"""The GPU's loop over a block, as `streamloss.kernels.cpu` has the processor's: copy, kernels, sums back."""

from __future__ import annotations

import math
import warnings
from dataclasses import dataclass
from functools import cache
from typing import Any, NamedTuple

import numpy as np

from ...aggregation.accumulator import SIZE
from ...core.cuda_compiler import SIMULATED, WARP, Launcher
from ...core.cuda_memory import DeviceMemory, Pinned, free_bytes, is_out_of_memory
from ...errors import MachineError, StreamlossWarning
from ...formulas._kinds import Elementwise, LabelSequence, Parametric
from ..base import KernelKey, Operands, Output, Settings
from ..summation_order import ONE_ELEMENT
from .accumulate import NO_ROW, Gathered, ThreadSums, gatherer
from .classes import LANES, classes, team_of
from .elementwise import elementwise, parametric
from .kernel import Launch, Team
from .loads import Form, form_of
from .segment import lanes_of

MOST_BLOCKS = 2 if SIMULATED else 1056  # a multiple of what the largest GPUs run at once; limbs are one set to each
FEWEST_BLOCKS = 1 if SIMULATED else 128  # numba-cuda warns of fewer; those without rows cost next to nothing
GATHERING = 1 if SIMULATED else WARP
"""Threads for each integer that is gathered from the blocks."""
SHARE = 0.8
"""The share of the GPU's free memory that all threads together may fill."""
FEWEST_ROWS = 32
"""The number of rows for which a GPU has to have memory."""

Array = np.ndarray[Any, Any]


@dataclass(frozen=True, slots=True)
class StoredArray:
    """Labels or predictions, on the host or on the device, contiguous."""

    array: Any
    halves: str = ""
    """"float16" or "bfloat16" for the bits of such floats, as uint16."""


class Piece(NamedTuple):
    """Some rows of a block: flat arrays, on the host or on the device."""

    y_true: Any
    y_pred: Any
    weight: Any
    mask: Any


class Accumulators(NamedTuple):
    """The arrays that kernels add to, on the device; zeros at first and after each gathering."""

    limbs: Any
    """int64 (MOST_BLOCKS, sums, SIZE): of each block of threads."""
    counts: Any
    first_bad: Any
    gathered: Any
    """int64 (ThreadSums.gathered,): all of it, in the order of :class:`.accumulate.ThreadSums`."""
    on_host: Array
    """The same in pinned memory of the host."""


@cache
def kernel_of(key: KernelKey, true: Form, pred: Form, team: Team) -> Launcher:
    """Return the kernel for arrays of these forms; see :func:`.kernel.rows_kernel`."""
    formula, single, accumulation = key.formula, key.single, key.accumulation
    assert not isinstance(formula, LabelSequence)
    if isinstance(formula, Parametric):
        return parametric(formula, single, true, pred, accumulation)
    if isinstance(formula, Elementwise) and key.layout == ONE_ELEMENT:
        return elementwise(formula, single, true, pred, accumulation)
    return classes(formula, single, true, pred, team, accumulation)


class Lane:
    """The means of one thread to evaluate blocks on a GPU: memory, a stream, and the arrays that kernels add to."""

    def __init__(self, pinned: Pinned, lanes: int = 1) -> None:
        """`lanes` is the number of threads that share the GPU's memory."""
        self._pinned = pinned
        self._memory = DeviceMemory(pinned)
        self._most_bytes = int(free_bytes() * SHARE / lanes)
        self._most_rows = 1 << 62
        self._accumulators: dict[ThreadSums, Accumulators] = {}

    def run(
        self, key: KernelKey, operands: Operands, settings: Settings, output: Output, limbs: Array, counts: Array
    ) -> int:
        """Evaluate rows, add to `limbs` and `counts`, and return the first bad row or -1, as the loops of
        `streamloss.kernels.cpu` do.

        Labels and predictions are :class:`StoredArray`; weights, masks and the output may be on the device, too. Rows
        go there in as many pieces as its memory asks for.
        """
        y_true, y_pred = operands.y_true, operands.y_pred
        rows, num_classes = y_pred.array.shape[0], math.prod(y_pred.array.shape[1:])
        arrays = Piece(y_true.array.reshape(-1), y_pred.array.reshape(-1), operands.weight, operands.mask)
        of_row = [array.size // max(1, rows) for array in arrays]  # elements; 0 where all rows have one
        to_copy = [k * a.dtype.itemsize for k, a in zip(of_row, arrays, strict=True) if isinstance(a, np.ndarray)]
        out_bytes = output.losses.dtype.itemsize if output.wanted and isinstance(output.losses, np.ndarray) else 0
        row_bytes = sum(to_copy) + out_bytes
        start = 0
        while start < rows:
            most = min(self._most_rows, self._most_bytes // max(1, row_bytes))
            stop = min(rows, start + max(FEWEST_ROWS, most))
            piece = Piece(*(a[start * k : stop * k] if k else a for k, a in zip(of_row, arrays, strict=True)))
            halves = y_true.halves, y_pred.halves
            losses = output.losses[start:stop] if output.wanted else output.losses
            try:
                found = self._run_piece(
                    key, piece, halves, stop - start, num_classes, settings, Output(output.wanted, losses)
                )
            except BaseException as error:
                self._accumulators.clear()  # kernels may have added to them
                if not (isinstance(error, Exception) and is_out_of_memory(error)):
                    raise
                self._less_than(stop - start, row_bytes)
                continue
            if found.first_bad != NO_ROW:
                return start + found.first_bad
            limbs += found.limbs
            counts += found.counts
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

    def _run_piece(
        self,
        key: KernelKey,
        piece: Piece,
        halves: tuple[str, str],
        n: int,
        num_classes: int,
        settings: Settings,
        output: Output,
    ) -> Gathered:
        """Return what was found of some rows."""
        memory, sums = self._memory, ThreadSums.of(key.accumulation)
        totals = self._accumulators_of(sums)
        on_device = Piece(
            *(
                memory.copy(role, array) if isinstance(array, np.ndarray) else array
                for role, array in zip(Piece._fields, piece, strict=True)
            )
        )
        to_host = isinstance(output.losses, np.ndarray)
        losses = output.losses
        if to_host:
            losses = memory.empty("losses", (n if output.wanted else 0,), output.losses.dtype)
        one_element = key.layout == ONE_ELEMENT
        run = 0 if one_element else num_classes  # elements that lie together; 0 is a multiple of every width
        true, pred = (form_of(array, half, run) for array, half in zip(on_device[:2], halves, strict=True))
        team = LANES if one_element else team_of(num_classes, on_device.y_pred.dtype.itemsize)
        lanes, threads = 1 if one_element else lanes_of(num_classes), team.threads
        blocks = max(FEWEST_BLOCKS, min(MOST_BLOCKS, n if team.whole else -(-n * lanes // threads)))
        arguments = Launch(
            *on_device,
            n=n,
            classes=num_classes,
            lanes=lanes,
            ignore=tuple(settings.ignore),
            arguments=settings.arguments,
            per_class=memory.copy("per_class", settings.per_class),
            nan_policy=settings.nan_policy,
            wanted=output.wanted,
            losses=losses,
            limbs=totals.limbs,
            counts=totals.counts,
            first_bad=totals.first_bad,
        )
        kernel_of(key, true, pred, team).launch(blocks, threads, memory.stream, *arguments)
        gather = -(-sums.gathered * GATHERING // WARP), WARP, memory.stream
        gatherer(sums).launch(
            *gather, blocks, GATHERING, totals.limbs, totals.counts, totals.first_bad, totals.gathered
        )
        totals.gathered.copy_to_host(totals.on_host, stream=memory.stream)
        if output.wanted and to_host:
            losses.copy_to_host(output.losses, stream=memory.stream)
        memory.wait()
        return sums.split(totals.on_host)

    def _accumulators_of(self, sums: ThreadSums) -> Accumulators:
        if sums not in self._accumulators:
            zeros = (
                np.zeros((MOST_BLOCKS, sums.num_sums, SIZE), np.int64),
                np.zeros((MOST_BLOCKS, sums.num_counts), np.int64),
                np.full(1, NO_ROW),
                np.zeros(sums.gathered, np.int64),
            )
            limbs, counts, first_bad, gathered = (self._memory.copy((sums, k), zero) for k, zero in enumerate(zeros))
            on_host = self._pinned.new(8 * sums.gathered).view(np.int64)
            self._accumulators[sums] = Accumulators(limbs, counts, first_bad, gathered, on_host)
        return self._accumulators[sums]
