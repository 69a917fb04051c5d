"""Additions to numba-cuda's simulator: shuffles, for full warps whose lanes all take part, and faster calls."""

import threading

from numba import cuda
from numba.cuda.simulator import kernel, kernelapi

from waiting import HANG

WARP = 32


class Warp:
    def __init__(self):
        self.everyone = threading.Barrier(WARP)
        self.values = [None] * WARP


_lock = threading.Lock()


def shfl_xor_sync(block, mask, value, lane_mask):
    """Return another lane's value. `block` is the simulator's stand-in for the module ``numba.cuda``, one a launch."""
    thread = threading.current_thread().thread_id
    lane = thread % WARP
    with _lock:
        warp = block.__dict__.setdefault("warps", {}).setdefault(thread // WARP, Warp())
    warp.values[lane] = value
    warp.everyone.wait(HANG)
    other = warp.values[lane ^ lane_mask]
    warp.everyone.wait(HANG)
    return other


kernelapi.FakeCUDAModule.shfl_xor_sync = shfl_xor_sync


def called_at_once(self, *args, called=kernel.FakeCUDAKernel.__call__):
    """Call a device function without exchanging ``cuda`` in its module each time, which took most of the time."""
    return self.fn(*args) if self._device else called(self, *args)


kernel.FakeCUDAKernel.__call__ = called_at_once
cuda.__getattr__ = lambda name: getattr(kernel._get_kernel_context(), name)
