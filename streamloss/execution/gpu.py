"""Blocks on a GPU: each of a few threads reads one into pinned memory while the others' are copied and evaluated.

Arrays that are on the GPU already are evaluated where they are.
"""

from __future__ import annotations

import math
import threading
from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Any

import numpy as np

from ..aggregation.block_result import BlockResult
from ..core.blocks import Block
from ..core.cuda_compiler import cuda, current_device, require_gpu
from ..core.cuda_memory import Pinned
from ..core.types import HALVES
from ..errors import UsageError
from ..kernels.base import KernelKey, Operands, Output, Settings
from ..kernels.cuda.launch import Lane, StoredArray
from ..planning.alignment import View
from ..planning.gpu import GPU_WEIGHTS, gpu_reads, refuse_what_gpus_cannot, why_not_on_gpu
from ..planning.plan import Plan, PlannedLoss
from ..storage.sinks import Sink
from ..storage.sources import Source
from . import convert
from .backends import Backend, CpuBackend, KernelResult, empty_totals, or_empty, sums_of, weight_and_mask
from .block import Run, run_block
from .inputs import BlockInputs, BufferPool, host_labels, host_mask, host_predictions, host_weight
from .probabilities import Slacks
from .threads import ThreadsExecutor

Array = np.ndarray[Any, Any]


class CudaExecutor(ThreadsExecutor):
    """Evaluates blocks on the GPU of this process.

    ``strict``: the GPU was asked for by name, so what it cannot evaluate is refused, and not evaluated on the CPU.
    Raises MissingExtraError without numba-cuda, and NoGpuError where there is no GPU.
    """

    name = "cuda"

    def __init__(self, strict: bool = True) -> None:
        require_gpu()
        self._strict = strict
        self._pinned = Pinned()
        self._device = current_device()  # the caller's, for arrays of the host

    def run(self, run: Run, done: Callable[[BlockResult], None]) -> None:
        if self._strict:
            refuse_what_gpus_cannot(run.plan)
        if run.plan.workers > 1:
            super().run(run, done)
            return
        # small calls on arrays that are there wait for no new memory; what is copied there may be large: it is not kept
        on_gpu = any(source.on_gpu for source in run.plan.sources)
        backend = backend_here(run.plan) if on_gpu else self.new_backend(run)
        for block in run.blocks():
            done(BlockResult.of_range(block.index, block.index + 1, run_block(run, block, backend)))

    def new_backend(self, run: Run) -> Backend:
        return GpuBackend(run.plan, self._pinned, self._device)


_of_thread = threading.local()


def backend_here(plan: Plan) -> GpuBackend:
    """Return the calling thread's backend on the GPU of a plan's arrays, or else on its current one.

    It is kept for the plans to come, because pinned memory and streams take longer to make than a small loss.
    """
    require_gpu()
    device = _device_of(plan)
    device = current_device() if device is None else device
    backends: dict[int, GpuBackend] = _of_thread.__dict__.setdefault("backends", {})
    if device not in backends:
        backends[device] = GpuBackend(plan, Pinned(), device)
    backends[device].holds_arrays = _device_of(plan) is not None
    return backends[device]


def _device_of(plan: Plan) -> int | None:
    """Return where a plan's arrays are; None: none is on a GPU. Raises UsageError where they are on several."""
    devices = {source.role: source.device for source in plan.sources if source.device is not None}
    if len(set(devices.values())) > 1:
        where = ", ".join(f"{role} on GPU {device}" for role, device in devices.items())
        raise UsageError(f"arrays on several GPUs: {where}; expected all on one. Copy them to one, or to the host.")
    return next(iter(devices.values()), None)


class GpuBackend:
    """A stream of a GPU and its memory, for one thread. What a GPU cannot evaluate goes to the processor."""

    takes_pieces = False

    def __init__(self, plan: Plan, pinned: Pinned, device: int) -> None:
        """`device` is for plans without arrays on a GPU."""
        of_arrays = _device_of(plan)
        self._device = device if of_arrays is None else of_arrays
        self._cpu = CpuBackend()
        self.holds_arrays = of_arrays is not None
        with self.activate():
            self.buffers = BufferPool(pinned.new)
            self._lane = Lane(pinned, plan.workers)

    def activate(self) -> AbstractContextManager[Any]:
        context: AbstractContextManager[Any] = cuda.gpus[self._device]
        return context

    def weight_of(self, plan: Plan, inputs: BlockInputs) -> Any:
        if plan.class_weight is None and plan.weight_view is not None and not isinstance(plan.sample_weight, float):
            assert plan.sample_weight is not None
            if plan.sample_weight.dtype.name in GPU_WEIGHTS:
                on_device = inputs.on_device(plan.sample_weight, plan.weight_view)
                if on_device is not None:
                    return on_device
        return host_weight(plan, inputs)

    def mask_of(self, plan: Plan, inputs: BlockInputs) -> Any:
        if plan.mask is not None and plan.mask_view is not None and plan.mask.dtype == np.bool_:
            on_device = inputs.on_device(plan.mask, plan.mask_view)
            if on_device is not None:
                return on_device
        return host_mask(plan, inputs)

    def to_host(self, array: Any) -> Any:
        return array if array is None or isinstance(array, np.ndarray) else array.copy_to_host()

    def operands(self, plan: Plan, planned: PlannedLoss, inputs: BlockInputs, weight: Any, mask: Any) -> Operands:
        """Return labels and predictions as :class:`~streamloss.kernels.cuda.launch.StoredArray`; for a loss that the
        processor evaluates, arrays of the host.
        """
        if why_not_on_gpu(planned) is not None:
            return self._cpu.operands(plan, planned, inputs, self.to_host(weight), self.to_host(mask))
        y_true = _as_stored(planned, inputs, plan.y_true, planned.alignment.y_true)
        y_pred = _as_stored(planned, inputs, plan.predictions(planned), planned.alignment.y_pred)
        return Operands(
            StoredArray(host_labels(plan, planned, inputs)) if y_true is None else y_true,
            StoredArray(host_predictions(plan, planned, inputs)) if y_pred is None else y_pred,
            *or_empty(weight, mask),
        )

    def inside(self, operands: Operands, part: slice, slacks: Slacks) -> Operands:
        """Return rows whose labels and predictions come from the host, also where the arrays are on the GPU."""
        if not isinstance(operands.y_pred, StoredArray):
            return self._cpu.inside(operands, part, slacks)
        y_true, y_pred = (self._rows_on_host(stored, part) for stored in (operands.y_true, operands.y_pred))
        return Operands(
            StoredArray(slacks.y_true.inside(y_true)),
            StoredArray(slacks.y_pred.inside(y_pred)),
            *weight_and_mask(operands, part),
        )

    def _rows_on_host(self, stored: StoredArray, part: slice) -> Array:
        rows: Array = self.to_host(stored.array[part])
        return rows if not stored.halves else convert.widened(rows, stored.halves)

    def copy(self, losses: Array, out: Any) -> None:
        if isinstance(out, np.ndarray):
            self._cpu.copy(losses, out)
        else:
            out.copy_to_device(losses)

    def new_losses(self, sink: Sink, block: Block, dtype: np.dtype[Any]) -> Any:
        on_device = sink.memory(block)
        return self._cpu.new_losses(sink, block, dtype) if on_device is None else on_device

    def run(self, key: KernelKey, operands: Operands, settings: Settings, output: Output) -> KernelResult:
        if isinstance(operands.y_pred, StoredArray):
            totals = empty_totals(
                1, sums_of(key, math.prod(operands.y_pred.array.shape[1:])), key.accumulation.num_counts
            )
            limbs, counts = totals.limbs[0], totals.counts[0]
            return KernelResult(limbs, counts, self._lane.run(key, operands, settings, output, limbs, counts))
        if not output.wanted or isinstance(output.losses, np.ndarray):
            return self._cpu.run(key, operands, settings, output)
        losses = np.empty(output.losses.shape, output.losses.dtype)
        found = self._cpu.run(key, operands, settings, Output(True, losses))
        output.losses.copy_to_device(losses)
        return found


def _as_stored(planned: PlannedLoss, inputs: BlockInputs, source: Source, view: View) -> StoredArray | None:
    """Return what kernels read as it is: arrays on the GPU, and the bits of 16-bit floats. None: convert it."""
    if not gpu_reads(planned, source):
        return None
    halves = source.dtype.name if source.dtype.name in HALVES else ""
    on_device = inputs.on_device(source, view)
    if on_device is not None:
        return StoredArray(on_device.view(np.uint8) if source.dtype == np.bool_ else on_device, halves)
    if not halves:
        return None
    stored = np.ascontiguousarray(inputs.read(source, view), source.dtype.newbyteorder("="))
    return StoredArray(stored.view(np.uint16).reshape(inputs.block.rows, -1), halves)
