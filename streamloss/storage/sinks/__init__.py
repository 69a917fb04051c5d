"""Targets for the losses of all rows (the reduction NONE): Zarr arrays, arrays in memory and on a GPU."""

from .base import MemorySink, Sink, StoredSink

__all__ = ["MemorySink", "Sink", "StoredSink"]
