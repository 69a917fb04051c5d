"""Dask: blocks as tasks of a scheduler, and losses of Dask arrays as lazy graphs."""
