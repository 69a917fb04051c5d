"""NetCDF files by their paths: ``file.nc::group/variable``, decoded as xarray does it.

Of NetCDF 4, which is HDF5, h5py reads the numbers, so that chunks that were never written are known; of the older
formats xarray does.
"""

from __future__ import annotations

import warnings
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from ...errors import DataError, MissingExtraError, SourceError
from ..uris import Address
from .base import Source
from .cf_decoding import Decoded, xarray_for
from .containers import chosen, file_and_member, refuse_no_file, unreadable_file
from .encoding import attributes_of, meanings
from .foreign_files import explain_file
from .sliced import SlicedSource

CLASSIC = b"CDF"
"""The bytes that files of the formats before NetCDF 4 begin with."""


def open_netcdf(address: Address, role: str, missing_chunks: str) -> Source:
    """Open a variable of a local NetCDF file: the one that is named, or the only one that is no coordinate.

    Raises SourceError where there is none, and MissingExtraError without xarray, or what it reads such files with.
    """
    file, member = file_and_member(address)
    refuse_no_file(role, file)
    xarray = xarray_for("reading NetCDF files")
    engine = _engine(file)
    group, _, variable = member.strip("/").rpartition("/")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of variables that were not asked for
            dataset = xarray.open_dataset(
                file,
                engine=engine,
                group=group or None,
                mask_and_scale=False,
                decode_times=False,
                decode_coords="all",
                cache=False,
                create_default_indexes=False,
            )
        if variable not in dataset.variables:
            listed = {name: f"{tuple(of.sizes.items())} {of.dtype}" for name, of in dataset.data_vars.items()}
            variable = chosen(role, file, variable, listed)
        return _opened(dataset, file, group, variable, role, missing_chunks)
    except (DataError, MemoryError):
        raise
    except Exception as error:  # each engine has its own
        other = explain_file(file, role)
        raise SourceError(other) if other else unreadable_file(role, file, "NetCDF", error) from error


def _engine(file: Path) -> str:
    """Return the library that xarray is to open a file with. Raises MissingExtraError where there is none."""
    with open(file, "rb") as opened:
        classic = opened.read(3) == CLASSIC
    engines = {"netcdf4": "netCDF4", "scipy": "scipy"} if classic else {"h5netcdf": "h5netcdf", "netcdf4": "netCDF4"}
    for engine, module in engines.items():
        if find_spec(module) is not None:
            return engine
    raise MissingExtraError("reading NetCDF files", "xarray")


def _opened(dataset: Any, file: Path, group: str, name: str, role: str, missing_chunks: str) -> Source:
    variable = dataset[name]
    stored = _stored_in_hdf5(file, f"/{group}/{name}" if group else f"/{name}", variable.shape)
    packed = SlicedSource(variable if stored is None else stored, role, missing_chunks, packed=True)
    packed.where = f"{file}::{group}/{name}" if group else f"{file}::{name}"
    packed.dimensions = tuple(map(str, variable.dims))
    if meanings(attributes_of(variable), packed.dtype):
        return Decoded(packed, variable.attrs, packed.dimensions)
    return packed


def _stored_in_hdf5(file: Path, name: str, shape: tuple[int, ...]) -> Any:
    """Return the dataset of HDF5 that has a variable's numbers; None where h5py cannot tell."""
    try:
        import h5py

        found = h5py.File(file, "r").get(name)
    except (ImportError, OSError):  # an older format
        return None
    return found if isinstance(found, h5py.Dataset) and found.shape == shape else None
