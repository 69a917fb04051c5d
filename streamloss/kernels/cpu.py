"""The processor's loop over the rows of a block: on the calling thread, or on all cores at once, without the GIL."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any, NamedTuple, cast

import numpy as np

from ..core.all_cores import run_on_all_cores
from ..core.arguments import Flattened
from ..core.jit import no_alloc
from ..core.loop import Loop, loop
from ..core.primitives import take_next
from ..formulas._kinds import Overlap
from . import whole_data
from .accumulate import NUM_SPARE, accumulate_tile_of, accumulate_weighted_of, weigh
from .base import IGNORED, KEPT, TILE, Kernel, KernelKey, Operands, Output, Settings, Totals
from .build import build
from .workspace import empty

ELEMENTS_PER_THREAD = 1 << 16  # take 40 microseconds or more, ten times what it takes to start a thread
PIECES = 64  # pieces of rows for all cores: enough to balance them, few enough that their totals are small

Array = np.ndarray[Any, Any]


class Workspace(NamedTuple):
    """The arrays that a thread's loop over tiles writes to."""

    values: Any
    """float64 (TILE,): the losses of a tile, as are the next two"""
    weights: Any
    one_weight: Any
    """The weight that all rows have."""
    spare: Any
    """float64 (NUM_SPARE, TILE)"""
    status: Any
    """int8 (TILE,)"""
    of_kernel: Any


class _Compiled(NamedTuple):
    loop: Loop
    """``loop(operands, settings, output, totals, first_bad, next_piece, workspace)`` takes pieces of the rows, the next
    one that no other thread has, as long as there are any. ``totals`` and ``first_bad`` have an entry for each piece;
    ``next_piece`` int64 (1,) is shared by all threads."""
    new_workspace: Callable[[Operands], Any]

    def workspace(self, operands: Operands) -> Flattened:
        """Return the calling thread's work space for rows like these: that of its last call, if it will do."""
        y_true, y_pred = operands.y_true, operands.y_pred
        about = self.loop, y_true.shape[1:], y_pred.shape[1:], y_pred.dtype
        if getattr(_own, "about", None) != about:
            _own.workspace = Flattened(self.new_workspace(operands))
            _own.about = about
        workspace: Flattened = _own.workspace
        return workspace


_own = threading.local()
"""The last work space of each thread."""


def serial(key: KernelKey) -> Callable[[Operands, Settings, Output, Totals], int]:
    """Return ``run(operands, settings, output, totals)``, which returns the first bad row, or -1.

    The arguments are the records of :mod:`.base`. It runs on the calling thread.
    """
    compiled = _compiled(key)

    def run(operands: Operands, settings: Settings, output: Output, totals: Totals) -> int:
        first_bad, next_piece = np.full(1, -1), np.zeros(1, np.int64)
        of_piece = Totals(totals.limbs[np.newaxis], totals.counts[np.newaxis])
        compiled.loop(operands, settings, output, of_piece, first_bad, next_piece, compiled.workspace(operands))
        return int(first_bad[0])

    return run


def parallel(key: KernelKey) -> Callable[[Operands, Settings, Output, Totals, Array], None]:
    """Return ``run(operands, settings, output, totals, first_bad)``: the same over all cores.

    ``totals`` holds an array of limbs and counts for each of PIECES pieces of the rows, to be added up by the caller;
    ``first_bad`` int64 (PIECES,) takes each piece's first bad row or -1.
    """
    compiled = _compiled(key)

    def run(operands: Operands, settings: Settings, output: Output, totals: Totals, first_bad: Array) -> None:
        shared = [Flattened(value) for value in (operands, settings, output, totals, first_bad, np.zeros(1, np.int64))]
        worth_starting = max(1, operands.y_pred.size // ELEMENTS_PER_THREAD)
        threads = min(first_bad.size, worth_starting)
        run_on_all_cores(compiled.loop, shared, lambda: compiled.workspace(operands), threads)

    return run


def _compiled(key: KernelKey) -> _Compiled:
    """Return the loop of a kernel, one for all threads: whoever comes first compiles it."""
    return _loops.get(key) or _loops.setdefault(key, _declared(key))


_loops: dict[KernelKey, _Compiled] = {}


def _declared(key: KernelKey) -> _Compiled:
    if key.accumulation.per_ratio:
        rows_of_piece = whole_data.sums_over_rows(cast(Overlap, key.formula), key.accumulation)
        return _Compiled(_loop_over_pieces(rows_of_piece), whole_data.new_workspace)
    kernel = build(key.formula, key.single, key.layout)

    def new_workspace(operands: Operands) -> Workspace:
        spare, status = empty((NUM_SPARE, TILE)), empty(TILE, np.int8)
        return Workspace(empty(TILE), empty(TILE), empty(TILE), spare, status, kernel.new_workspace(operands))

    return _Compiled(_loop_over_pieces(losses_of_rows(key, kernel)), new_workspace)


def _loop_over_pieces(rows_of_piece: Callable[..., int]) -> Loop:
    @loop
    def loop_over_pieces(
        operands: Any, settings: Any, output: Any, totals: Any, first_bad: Any, next_piece: Any, workspace: Any
    ) -> int:
        n, pieces = operands.y_pred.shape[0], first_bad.size
        size = (n + pieces - 1) // pieces
        piece = take_next(next_piece)
        while piece < pieces:
            of_piece = Totals(totals.limbs[piece], totals.counts[piece])
            a, b = min(piece * size, n), min((piece + 1) * size, n)
            first_bad[piece] = rows_of_piece(operands, settings, output, of_piece, workspace, a, b)
            piece = take_next(next_piece)
        return 0

    return loop_over_pieces


def losses_of_rows(key: KernelKey, kernel: Kernel) -> Callable[..., int]:
    """Return ``rows(operands, settings, output, totals, workspace, start, stop) -> int``, which evaluates some rows and
    returns the first bad one, or -1.
    """
    rows, single, accumulate_tile = kernel.rows, key.single, accumulate_tile_of(key.accumulation)
    accumulate_weighted = accumulate_weighted_of(key.accumulation, single)

    @no_alloc
    def rows_of_piece(
        operands: Any, settings: Any, output: Any, totals: Any, workspace: Any, start: int, stop: int
    ) -> int:
        y_true, y_pred, weight, mask = operands.y_true, operands.y_pred, operands.weight, operands.mask
        nan_policy, out = settings.nan_policy, output.losses
        values, weights, one_weight = workspace.values, workspace.weights, workspace.one_weight
        status, spare = workspace.status, workspace.spare
        for r in range(TILE):  # where one weight is for all rows
            one_weight[r] = weight[0] if weight.size == 1 else 1.0
        for a in range(start, stop, TILE):
            b = min(a + TILE, stop)
            m = b - a
            odd = rows(y_true[a:b], y_pred[a:b], settings, values, status, workspace.of_kernel)
            if (
                odd == 0
                and mask.size == 0
                and weight.size > 1
                and accumulate_weighted(values[:m], weight[a:b], spare, totals)
            ):
                if output.wanted:
                    losses = out[a:b]
                    for r in range(m):
                        losses[r] = spare[0, r]
                continue
            if odd == 0 and (mask.size > 0 or weight.size > 0):
                status[:m] = KEPT
            if mask.size > 0:
                for r in range(m):
                    status[r] = status[r] if mask[a + r] else IGNORED
                odd = 1
            improper = 0
            if weight.size > 1:
                improper = weigh(values, status, weight[a:b], weights)
            elif weight.size == 1:
                improper = weigh(values, status, one_weight[:m], weights)
            used = weights[: m if weight.size > 0 else 0]
            clean = odd == 0 and improper == 0
            bad = accumulate_tile(values[:m], status, used, clean, nan_policy, single, spare, totals)
            if bad >= 0:
                return a + bad
            if output.wanted:
                losses = out[a:b]
                for r in range(m):
                    losses[r] = values[r]
        return -1

    return rows_of_piece
