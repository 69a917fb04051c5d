"""The stored arrays behind a Dask array: those of `da.from_zarr` and `da.from_array`.

Dask knows nothing of attributes, of chunks that were never written, or of coordinates. Where its graph only reads,
slices and rechunks a stored array, what is refused of that array is refused of Dask's, too. Once a graph computes
anything, its numbers are the user's: they may be decoded.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

from ...errors import SourceError
from .encoding import attributes_of, refuse_encoded
from .recognition import is_of

READING = ("from-zarr", "array")
KEEPING = (
    *READING,
    *(f"original-{name}" for name in READING),
    *("getitem", "rechunk-merge", "rechunk-split", "transpose", "reshape", "squeeze", "astype"),
    *("concatenate", "stack"),
)
"""The names of layers that leave numbers as they are."""


class Behind(NamedTuple):
    """The stored arrays that a Dask array reads, if it does no more than that."""

    stored: tuple[Any, ...]
    """Arrays of zarr, h5py and netCDF4; none where there are others, or where something is computed."""
    is_all: bool
    """Whether the Dask array is the one of these, element by element."""


def behind(array: Any) -> Behind:
    """Return the stored arrays whose numbers a Dask array has."""
    layers = getattr(array.dask, "layers", {})
    if any(name.rpartition("-")[0] not in KEEPING for name in layers):
        return Behind((), False)
    stored = tuple(value for name, layer in layers.items() for value in _held(name, layer) if _is_stored(value))
    last = layers.get(array.name)
    reads = getattr(getattr(getattr(last, "task", None), "func", None), "__name__", "").startswith("getter")
    alone = len(stored) == 1 and reads and array.name.rpartition("-")[0] in READING
    return Behind(stored, alone and (stored[0].shape, stored[0].dtype) == (array.shape, array.dtype))


def refuse_encoded_behind(array: Any, role: str) -> None:
    """Raise SourceError where a Dask array has the numbers of a stored array whose attributes say they are codes, or of
    a netCDF4 variable, whose mask Dask drops.
    """
    for stored in behind(array).stored:
        where = f"the {type(stored).__module__.partition('.')[0]} array that the Dask array reads"
        attributes = stored.attrs.asdict() if is_of(stored, "zarr", "Array") else attributes_of(stored)
        try:
            refuse_encoded(role, where, attributes, stored.dtype)
        except SourceError as error:
            raise SourceError(f"{error} Numbers computed from it, such as array * scale, are not judged.") from None
        if is_of(stored, "netCDF4", "Variable") and stored.mask:
            raise SourceError(
                f"{role}: Dask drops the mask of {where} ({stored.name}), so elements without data would pass for "
                "numbers. Pass the variable itself, or open it with xarray.open_dataset(path, chunks={})."
            )


def _held(name: str, layer: Any) -> Iterator[Any]:
    """Yield the arrays that a layer holds: beside the layer that reads them, or inside of it."""
    if name.startswith("original-"):
        yield from layer.values()
    for operand in getattr(layer, "indices", ()):
        if isinstance(operand, tuple) and len(operand) == 2 and operand[1] is None:
            yield operand[0]


def _is_stored(value: Any) -> bool:
    return is_of(value, "zarr", "Array") or is_of(value, "h5py", "Dataset") or is_of(value, "netCDF4", "Variable")
