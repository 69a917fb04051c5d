"""The memory that a GPU reads and writes: pinned memory of the host, memory of the device, other libraries' arrays."""

from __future__ import annotations

import ctypes
import math
import threading
from collections.abc import Hashable
from contextlib import nullcontext
from importlib import import_module
from typing import Any

import numpy as np

from ..errors import MachineError
from .cuda_compiler import SIMULATED, cuda
from .machine import mib

Array = np.ndarray[Any, Any]

LEGACY_STREAM = 1  # the number in DLPack and the CUDA array interface of the stream that waits for all others
STAGING = 8 << 20
"""The bytes of each of the two pieces of pinned memory through which memory that is not pinned is copied."""


def is_out_of_memory(error: Exception) -> bool:
    """Return whether an error says that the GPU is out of memory; numba-cuda and cuda-core have an error each."""
    return type(error).__module__.partition(".")[0] in ("numba", "cuda") and "OUT_OF_MEMORY" in str(error)


def free_bytes() -> int:
    """Return the free memory of the current GPU in bytes."""
    return 1 << 30 if SIMULATED else int(cuda.current_context().get_memory_info()[0])


class Pinned:
    """Pinned memory of the host, from which the GPU copies while the processor does something else."""

    def __init__(self) -> None:
        self._ranges: list[tuple[int, int]] = []
        self._lock = threading.Lock()

    def new(self, size: int) -> Array:
        """Return `size` bytes. Raises MachineError where the system pins no more memory."""
        try:
            memory: Array = cuda.pinned_array(max(1, size), np.uint8)
        except Exception as error:
            if not is_out_of_memory(error):
                raise
            raise MachineError(
                f"the system pins no {mib(size)} of memory more, from which a GPU could copy ({error}). Use smaller "
                "blocks (memory=), fewer workers, or executor='threads', which evaluates on the CPU."
            ) from error
        with self._lock:
            self._ranges.append((memory.ctypes.data, memory.ctypes.data + size))
        return memory[:size]

    def holds(self, array: Array) -> bool:
        """Return whether an array lies in memory that was pinned here."""
        low, high = np.lib.array_utils.byte_bounds(array)
        return any(start <= low and high <= stop for start, stop in self._ranges)


class DeviceMemory:
    """Memory of a GPU that one thread uses again for each of its blocks, and the stream of its work there.

    After :meth:`wait`, memory that is copied to the GPU may be overwritten, and memory that is copied back may be read.
    """

    def __init__(self, pinned: Pinned) -> None:
        self.stream = cuda.stream()
        self._pinned = pinned
        self._held: dict[Hashable, Any] = {}
        self._staging: list[tuple[Array, Any]] = []

    def empty(self, key: Hashable, shape: tuple[int, ...], dtype: np.dtype[Any]) -> Any:
        """Return an array that is valid until the next one of the same key."""
        size = math.prod(shape) * dtype.itemsize
        if size == 0:
            return cuda.device_array(shape, dtype)
        if key not in self._held or self._held[key].size < size:
            self._held.pop(key, None)  # release memory before more is allocated
            self._held[key] = cuda.device_array(size, np.uint8)
        return self._held[key][:size].view(dtype).reshape(shape)

    def copy(self, key: Hashable, array: Array) -> Any:
        """Return a copy of a contiguous array on the device; the array must not change until :meth:`wait`."""
        target = self.empty(key, array.shape, array.dtype)
        if array.size == 0:
            return target
        if self._pinned.holds(array):
            target.copy_to_device(_writable(array), stream=self.stream)
            return target
        source, there = array.reshape(-1).view(np.uint8), self._held[key]
        for turn, start in enumerate(range(0, source.size, STAGING)):
            piece = source[start : start + STAGING]
            staged, copied = self._stage(turn % 2)
            copied.synchronize()
            staged[: piece.size] = piece
            there[start : start + piece.size].copy_to_device(staged[: piece.size], stream=self.stream)
            copied.record(self.stream)
        return target

    def wait(self) -> None:
        """Wait for everything on the stream."""
        self.stream.synchronize()

    def release(self) -> None:
        """Release all memory on the device."""
        self.wait()
        self._held.clear()
        if not SIMULATED:
            cuda.current_context().memory_manager.deallocations.clear()

    def _stage(self, which: int) -> tuple[Array, Any]:
        """Return a piece of pinned memory, and the event after which it may be overwritten."""
        while len(self._staging) <= which:
            self._staging.append((self._pinned.new(STAGING), cuda.event()))
        return self._staging[which]


def _writable(array: Array) -> Array:
    """Return the same memory as a writable array; of a read-only one numba-cuda would first make a copy, in memory that
    is not pinned.
    """
    if array.flags.writeable:
        return array
    return _at(array.ctypes.data, array.nbytes).view(array.dtype).reshape(array.shape)


def _at(address: int, size: int) -> Array:
    """Return `size` bytes of the host's memory as an array."""
    memory: Any = (ctypes.c_ubyte * size).from_address(address)
    return np.frombuffer(memory, np.uint8)


def same_memory(array: Any, dtype: np.dtype[Any]) -> tuple[Any, int]:
    """Return a GPU array of any library as Numba's array in the same memory, and the number of its GPU.

    `dtype` is NumPy's name of the array's; for bfloat16, which Numba does not have, the result is of uint16. Pending
    writes of the library are finished when this returns. Raises what the library raises.
    """
    dtype = np.dtype(np.uint16) if dtype.name == "bfloat16" else dtype
    device = array.__dlpack_device__()[1] if hasattr(array, "__dlpack_device__") else None
    if 0 in array.shape:
        return cuda.device_array(tuple(array.shape), dtype), device or 0
    if SIMULATED:
        return _simulated(array, dtype), device or 0
    driver, arrays = (import_module(f"numba.cuda.cudadrv.{name}") for name in ("driver", "devicearray"))
    view: Any = import_module("cuda.core.utils").StridedMemoryView
    with cuda.gpus[device] if device is not None else nullcontext():  # libraries export to the GPU that is current
        seen = view.from_any_interface(array, stream_ptr=LEGACY_STREAM)
    with cuda.gpus[seen.device_id]:
        cuda.synchronize()
        shape = tuple(seen.shape)
        strides = tuple(step * dtype.itemsize for step in seen.strides) if seen.strides else _c_strides(shape, dtype)
        size = driver.memory_size_from_info(shape, strides, dtype.itemsize)
        address = driver.binding.CUdeviceptr(seen.ptr)
        pointer = driver.MemoryPointer(cuda.current_context(), address, size=size, owner=seen)
        return arrays.DeviceNDArray(shape, strides, dtype, gpu_data=pointer), seen.device_id


def _c_strides(shape: tuple[int, ...], dtype: np.dtype[Any]) -> tuple[int, ...]:
    return tuple(dtype.itemsize * math.prod(shape[i + 1 :]) for i in range(len(shape)))


def _simulated(array: Any, dtype: np.dtype[Any]) -> Any:
    """Return the simulator's array in the same memory: its device is the host, and its pointers are its own."""
    interface = array.__cuda_array_interface__
    shape = tuple(interface["shape"])
    strides = interface.get("strides") or _c_strides(shape, dtype)
    span = dtype.itemsize + sum(step * (n - 1) for step, n in zip(strides, shape, strict=True))
    memory: Any = _at(interface["data"][0], span)
    fake: Any = import_module("numba.cuda.simulator.cudadrv.devicearray").FakeCUDAArray
    view = fake(np.ndarray(shape, dtype, memory, strides=strides))
    view.owner = array
    return view
