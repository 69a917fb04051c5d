"""Blocks on a GPU: each of a few threads reads one into pinned memory while the others' are copied and evaluated.

Arrays that are on the GPU already are evaluated where they are.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

import numpy as np

from ..core.cuda_compiler import cuda, current_device, require_gpu
from ..core.cuda_memory import Pinned
from ..core.types import HALVES, Block
from ..errors import UsageError
from ..kernels import cpu
from ..kernels.cuda.launch import Lane, Operand
from ..planning.alignment import View
from ..planning.gpu import GPU_WEIGHTS, gpu_reads, why_not_on_gpu
from ..planning.plan import Plan, PlannedLoss
from ..storage.sinks import Sink
from ..storage.sources import Source
from .backends import empty_sums, host_labels, host_predictions, key_of, refuse_what_gpus_cannot
from .block import BlockResult, CpuBackend, Run, run_block
from .inputs import BlockInputs, BufferPool
from .threads import ThreadsExecutor

Array = np.ndarray[Any, Any]


class CudaExecutor(ThreadsExecutor):
    """Raises MissingExtraError without numba-cuda, and NoGpuError where there is no GPU.

    ``strict``: the GPU was asked for by name, so what it cannot evaluate is refused, and not evaluated on the CPU.
    """

    name = "cuda"

    def __init__(self, strict: bool = True) -> None:
        require_gpu()
        self._strict = strict
        self._pinned = Pinned()
        self._device = current_device()  # the caller's, for arrays of the host

    def run(self, task: Run, done: Callable[[BlockResult], None]) -> None:
        if self._strict:
            refuse_what_gpus_cannot(task.plan)
        if task.plan.workers > 1:
            super().run(task, done)
            return
        # small calls on arrays that are there wait for no new memory; what is copied there may be large: it is not kept
        place = place_here(task.plan) if any(s.on_gpu for s in task.plan.sources) else self.new_backend(task)
        for block in task.blocks():
            done(BlockResult(block.index, block.index + 1, run_block(task, block, place)))

    def new_backend(self, task: Run) -> CpuBackend:
        return GpuBackend(task.plan, self._pinned, self._device)


_own = threading.local()


def place_here(plan: Plan) -> GpuBackend:
    """The calling thread's place on the GPU of a plan's arrays, or else its current one; kept for the plans to come,
    because pinned memory and streams take longer to make than a small loss.
    """
    require_gpu()
    device = _device_of(plan)
    device = current_device() if device is None else device
    places: dict[int, GpuBackend] = _own.__dict__.setdefault("places", {})
    if device not in places:
        places[device] = GpuBackend(plan, Pinned(), device)
    places[device].holds_arrays = _device_of(plan) is not None
    return places[device]


def _device_of(plan: Plan) -> int | None:
    """Where a plan's arrays are; None: none is on a GPU. Raises UsageError where they are on several."""
    devices = {source.role: source.device for source in plan.sources if source.on_gpu}  # type: ignore[attr-defined]
    if len(set(devices.values())) > 1:
        where = ", ".join(f"{role} on GPU {device}" for role, device in devices.items())
        raise UsageError(f"arrays on several GPUs: {where}; expected all on one. Copy them to one, or to the host.")
    return next(iter(devices.values()), None)


class GpuBackend(CpuBackend):
    """A stream of a GPU and its memory, for one thread."""

    def __init__(self, plan: Plan, pinned: Pinned, device: int) -> None:
        """`device` is for plans without arrays on a GPU."""
        super().__init__()
        own = _device_of(plan)
        self._device = device if own is None else own
        self.holds_arrays = own is not None
        with self.here():
            self.scratch = BufferPool(pinned.new)
            self._lane = Lane(pinned, plan.workers)

    def here(self) -> Any:
        return cuda.gpus[self._device]

    def weight_of(self, plan: Plan, rows: BlockInputs) -> Any:
        if plan.class_weight is None and plan.weight_view is not None and not isinstance(plan.sample_weight, float):
            assert plan.sample_weight is not None
            if plan.sample_weight.dtype.name in GPU_WEIGHTS:
                there = rows.in_place(plan.sample_weight, plan.weight_view)
                if there is not None:
                    return there
        return super().weight_of(plan, rows)

    def mask_of(self, plan: Plan, rows: BlockInputs) -> Any:
        if plan.mask is not None and plan.mask_view is not None and plan.mask.dtype == np.bool_:
            there = rows.in_place(plan.mask, plan.mask_view)
            if there is not None:
                return there
        return super().mask_of(plan, rows)

    def host(self, array: Any) -> Any:
        return array if array is None or isinstance(array, np.ndarray) else array.copy_to_host()

    def operands(self, plan: Plan, job: PlannedLoss, rows: BlockInputs) -> tuple[Any, Any]:
        if why_not_on_gpu(job) is not None:
            return super().operands(plan, job, rows)
        y_true = _as_stored(job, rows, plan.y_true, job.alignment.y_true)
        y_pred = _as_stored(job, rows, plan.y_pred, job.alignment.y_pred)
        return (
            Operand(host_labels(plan, job, rows)) if y_true is None else y_true,
            Operand(host_predictions(plan, job, rows)) if y_pred is None else y_pred,
        )

    def new_losses(self, sink: Sink, block: Block, dtype: np.dtype[Any]) -> Any:
        there = sink.memory(block) if hasattr(sink, "memory") else None
        return super().new_losses(sink, block, dtype) if there is None else there

    def run(
        self, job: PlannedLoss, formula: cpu.AnyFormula, operands: tuple[Any, Any, Any, Any], settings: tuple[Any, ...]
    ) -> tuple[Array, Array, int]:
        y_true, y_pred, weight, mask = operands
        if not isinstance(y_pred, Operand):
            on_host, out = (y_true, y_pred, self.host(weight), self.host(mask)), settings[-1]
            if isinstance(out, np.ndarray):
                return super().run(job, formula, on_host, settings)
            losses = np.empty(out.shape, out.dtype)
            found = super().run(job, formula, on_host, (*settings[:-1], losses))
            out.copy_to_device(losses)
            return found
        classes = int(np.prod(y_pred.array.shape[1:]))
        key: Any = key_of(job, formula, classes)
        weight = np.empty(0) if weight is None else weight
        mask = np.empty(0, np.bool_) if mask is None else mask
        (limbs,), (counts,) = empty_sums(1, 2)
        lane: Any = self._lane
        return limbs, counts, lane.run(key, y_true, y_pred, weight, mask, *settings, limbs, counts)


def _as_stored(job: PlannedLoss, rows: BlockInputs, source: Source, view: View) -> Operand | None:
    """What kernels read as it is: arrays on the GPU, and the bits of 16-bit floats. None: it is to be converted."""
    if not gpu_reads(job, source):
        return None
    halves = source.dtype.name if source.dtype.name in HALVES else ""
    there = rows.in_place(source, view)
    if there is not None:
        return Operand(there.view(np.uint8) if source.dtype == np.bool_ else there, halves)
    if not halves:
        return None
    stored = np.ascontiguousarray(rows.of(source, view), source.dtype.newbyteorder("="))
    return Operand(stored.view(np.uint16).reshape(rows.block.rows, -1), halves)
