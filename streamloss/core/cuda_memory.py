"""Memory that a GPU reads from and writes to: pinned on the host, on the device, and other libraries' arrays."""

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

LEGACY_STREAM = 1  # as DLPack and the CUDA array interface call the stream that waits for all others
STAGING = 8 << 20
"""Bytes of each of the two pieces of pinned memory through which other memory goes."""


def is_out_of_memory(error: Exception) -> bool:
    """Whether the GPU, and nothing else, is short of memory; numba-cuda and cuda-core have an error each."""
    return type(error).__module__.partition(".")[0] in ("numba", "cuda") and "OUT_OF_MEMORY" in str(error)


def free_bytes() -> int:
    """Of the current GPU's memory."""
    return 1 << 30 if SIMULATED else int(cuda.current_context().get_memory_info()[0])


class Pinned:
    """Memory of the host that the GPU copies from while the processor does something else."""

    def __init__(self) -> None:
        self._ranges: list[tuple[int, int]] = []
        self._lock = threading.Lock()

    def new(self, size: int) -> Array:
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
        low, high = np.lib.array_utils.byte_bounds(array)
        return any(start <= low and high <= stop for start, stop in self._ranges)


class DeviceMemory:
    """Memory of a GPU that one thread uses again for one block after the other, and the stream of what it does there.

    What is copied is read, and what was copied back may be read, after :meth:`wait`.
    """

    def __init__(self, pinned: Pinned) -> None:
        self.stream = cuda.stream()
        self._pinned = pinned
        self._held: dict[Hashable, Any] = {}
        self._staging: list[tuple[Array, Any]] = []

    def empty(self, key: Hashable, shape: tuple[int, ...], dtype: np.dtype[Any]) -> Any:
        """An array that holds until the next one of the same key."""
        size = math.prod(shape) * dtype.itemsize
        if size == 0:
            return cuda.device_array(shape, dtype)
        if key not in self._held or self._held[key].size < size:
            self._held.pop(key, None)  # first give back, then ask for more
            self._held[key] = cuda.device_array(size, np.uint8)
        return self._held[key][:size].view(dtype).reshape(shape)

    def copy(self, key: Hashable, array: Array) -> Any:
        """The same on the device. `array` is contiguous, and stays as it is until :meth:`wait`."""
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
        self.stream.synchronize()

    def release(self) -> None:
        """Give everything on the device back."""
        self.wait()
        self._held.clear()
        if not SIMULATED:
            cuda.current_context().memory_manager.deallocations.clear()

    def _stage(self, which: int) -> tuple[Array, Any]:
        while len(self._staging) <= which:
            self._staging.append((self._pinned.new(STAGING), cuda.event()))
        return self._staging[which]


def _writable(array: Array) -> Array:
    """The same memory: numba-cuda copies what is read-only first, to memory that is not pinned."""
    if array.flags.writeable:
        return array
    return _at(array.ctypes.data, array.nbytes).view(array.dtype).reshape(array.shape)


def _at(address: int, size: int) -> Array:
    """So many bytes of the host's memory."""
    memory: Any = (ctypes.c_ubyte * size).from_address(address)
    return np.frombuffer(memory, np.uint8)


def same_memory(array: Any, dtype: np.dtype[Any]) -> tuple[Any, int]:
    """A GPU array of any library as an array of Numba's in the same memory, and its GPU. `dtype` is what NumPy calls
    the array's; for bfloat16, which Numba does not know, the result is of uint16.

    What its library has still to write, it will have written when this returns. Raises what the library raises.
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
    """The simulator's device is the host, and pointers are its own."""
    interface = array.__cuda_array_interface__
    shape = tuple(interface["shape"])
    strides = interface.get("strides") or _c_strides(shape, dtype)
    span = dtype.itemsize + sum(step * (n - 1) for step, n in zip(strides, shape, strict=True))
    memory: Any = _at(interface["data"][0], span)
    fake: Any = import_module("numba.cuda.simulator.cudadrv.devicearray").FakeCUDAArray
    view = fake(np.ndarray(shape, dtype, memory, strides=strides))
    view.owner = array
    return view
