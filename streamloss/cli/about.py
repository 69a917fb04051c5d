"""The command ``info``: versions, machine and optional packages, for a bug report."""

from __future__ import annotations

import importlib.metadata
import os
import platform

import click

from ..core import cache_folder
from ..core.machine import DEFAULT_MEMORY, available_cpus, megabytes
from ..core.version import __version__
from ..errors import MissingExtraError, StreamlossError
from .terminal import hanging

REQUIRED = ("click", "dask", "llvmlite", "numba", "numcodecs", "numpy", "pydantic", "rich", "zarr")
OPTIONAL = {
    "pyarrow": ("parquet", "Parquet, and tables of other libraries"),
    "h5py": ("hdf5", "HDF5"),
    "xarray": ("xarray", "variables of NetCDF and Zarr"),
    "h5netcdf": ("xarray", "NetCDF 4"),
    "scipy": ("xarray", "NetCDF 3"),
    "obstore": ("remote", "s3://, gs://, az://, https://"),
    "fsspec": ("remote", "any other scheme"),
    "pandas": ("pandas", "results as data frames"),
    "matplotlib": ("plot", "plots of results"),
    "distributed": ("distributed", "Dask's clusters"),
    "numba-cuda": ("cuda", "GPUs"),
    "torch": ("torch", "files that torch.save wrote"),
    "ml-dtypes": ("cuda", "arrays of bfloat16"),
}
"""The optional packages, with the extra that installs each, and what it is for."""
OF_OTHERS = ("jax", "cupy", "polars", "duckdb", "netCDF4", "s3fs", "safetensors")
"""The packages that no extra installs, but whose arrays, tables or files are met."""
MISSING = "not installed"


def show_info() -> None:
    """Print a line for each fact and package."""
    facts = {
        "streamloss": __version__,
        "python": f"{platform.python_version()} on {platform.platform()}, {platform.machine()}",
        "processors": str(available_cpus()),
        "memory": f"{DEFAULT_MEMORY} unless --memory says otherwise",
        "GPU": _gpus(),
        "kernels": _kernel_cache(),
    }
    packages = {name: _version(name) for name in REQUIRED}
    versions = {name: _version(name) for name in OPTIONAL}
    shown = max(map(len, versions.values()))
    optional = {name: f"{versions[name]:<{shown}}  {_what_for(name, versions[name])}" for name in OPTIONAL}
    others = {name: version for name in OF_OTHERS if (version := _version(name)) != MISSING}
    width = max(map(len, (*facts, *packages, *optional, *others))) + 2
    for lines in (facts, packages, optional, others):
        for name, text in lines.items():
            # what continues a package's line stands below its purpose
            click.echo(hanging(f"{name:<{width}}{text}", width + (shown + 2) * (lines is optional)))
        click.echo()


def _version(package: str) -> str:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return MISSING


def _what_for(package: str, version: str) -> str:
    extra, purpose = OPTIONAL[package]
    return f"{purpose}: pip install 'streamloss[{extra}]'" if version == MISSING else purpose


def _gpus() -> str:
    """Return the names of the GPUs that CUDA can use, or why there are none."""
    try:
        from ..core.cuda_compiler import SIMULATED, cuda, require_gpu

        if SIMULATED:
            return "simulated (NUMBA_ENABLE_CUDASIM)"
        require_gpu()
        names = (device.name for device in cuda.gpus)
        return ", ".join(name.decode() if isinstance(name, bytes) else str(name) for name in names)
    except MissingExtraError:
        return "not looked for, without numba-cuda"
    except StreamlossError as error:
        return str(error).partition(". ")[0]


def _kernel_cache() -> str:
    """Return where compiled kernels are kept, how much there is, and of what use it was."""
    where, usage = cache_folder.folder(), cache_folder.usage()
    if where is None:
        off = os.environ.get(cache_folder.SWITCH)
        return f"not kept: {f'{cache_folder.SWITCH}={off}' if off else 'no folder that only you can write to'}"
    return (
        f"{where}: {usage.files:,} files, {megabytes(usage.size)} of {megabytes(cache_folder.LIMIT)}; "
        f"{usage.found:,} found, {usage.compiled:,} compiled"
    )
