"""Losses of rows in a GPU's memory, returned as an array of the predictions' library."""

from __future__ import annotations

import math
import sys
from collections.abc import Iterable
from typing import Any

import numpy as np

from ...core.blocks import Block
from ...core.cuda_compiler import cuda
from ...core.cuda_memory import is_out_of_memory
from ...core.machine import mib
from ...errors import MachineError
from ..sources.gpu import GpuSource, library_of


class GpuSink:
    """The losses of rows in the memory of the predictions' GPU.

    Raises MachineError where that memory does not suffice.
    """

    where = "on the GPU"

    def __init__(self, shape: tuple[int, ...], dtype: np.dtype[Any], source: GpuSource) -> None:
        self._source = source
        with cuda.gpus[source.device]:
            try:
                self._losses = cuda.device_array(shape, dtype)
            except Exception as error:
                if not is_out_of_memory(error):
                    raise
                raise MachineError(
                    f"the GPU has no memory left for the losses of {math.prod(shape):,} rows "
                    f"({mib(math.prod(shape) * dtype.itemsize)}). Free some (torch.cuda.empty_cache() gives back what "
                    "PyTorch keeps), or let evaluate(..., out='losses.zarr') write them."
                ) from error

    def memory(self, block: Block) -> Any:
        """Return the memory of a block's losses, flat; None where it is not contiguous."""
        view = self._losses[block.slices]
        return view.reshape(-1) if view.is_c_contiguous() else None

    def write(self, block: Block, losses: Any) -> None:
        """Copy losses that were computed on the host; those on the GPU were computed in place."""
        if isinstance(losses, np.ndarray):
            self._losses[block.slices] = losses

    def sync(self, blocks: Iterable[Block]) -> None:
        pass

    def array(self) -> Any:
        library = library_of(self._source.like)
        if library == "torch":
            return sys.modules["torch"].as_tensor(self._losses, device=self._source.like.device)
        if library == "cupy":
            return sys.modules["cupy"].asarray(self._losses)
        if library == "jax":
            copied = sys.modules["jax"].numpy.array(self._losses, copy=True)  # a view would not keep the memory
            return copied.block_until_ready()
        return self._losses
