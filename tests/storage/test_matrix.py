"""Every role, from every source, with every defect: the right number, or an error that names role, place and cure.

A cell is one array of an evaluation whose other arrays are sound and in memory. Cells that cannot exist are named with
the reason, so that none is left to chance.
"""

from __future__ import annotations

import itertools
import json
import warnings
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import dask.array as da
import h5py
import netCDF4
import numpy as np
import pytest
import xarray
import zarr

import streamloss as sl
from streamloss.cli import run
from streamloss.errors import (
    MissingChunkError,
    ShapeError,
    SourceError,
    StreamlossError,
    StreamlossWarning,
    ValueRangeError,
)

pytestmark = [
    pytest.mark.filterwarnings("ignore:Consolidated metadata is currently not part"),
    pytest.mark.filterwarnings("ignore:The data type"),
]

ROLES = ("y_true", "y_pred", "sample_weight", "mask")
SHAPE, SQUARE, CHUNKS = (6, 4, 2), (4, 4, 2), (3, 2, 2)
DIMENSIONS = ("row", "column", "output")


class Stored(NamedTuple):
    """An array as a source stores it."""

    values: Any
    dimensions: tuple[str, ...]
    attributes: dict[str, Any]
    absent: str = "none"

    @property
    def chunks(self) -> tuple[int, ...]:
        """Return the lengths of chunks, which no axis is shorter than."""
        return tuple(max(1, min(c, n)) for c, n in zip(CHUNKS, self.values.shape, strict=False))


def of_role(role: str) -> Stored:
    """Return the sound array of a role. No value is 0, so that a chunk that is read as zeros shows."""
    rng = np.random.default_rng(ROLES.index(role))
    values = rng.uniform(0.1, 0.9, SHAPE if role in ("y_true", "y_pred") else SHAPE[:2])
    if role == "mask":
        values = (values > 0.3).astype("i1")
    return Stored(values, DIMENSIONS[: values.ndim], {})


# ---------------------------------------------------------------------------------------------------------------------
# Sources: each writes an array into a directory and returns what is passed to `evaluate`.


def memory(path: Path, stored: Stored) -> Any:
    return stored.values


def npy(path: Path, stored: Stored) -> Any:
    np.save(path / "a.npy", stored.values)
    return str(path / "a.npy")


def memmap(path: Path, stored: Stored) -> Any:
    return np.load(npy(path, stored), mmap_mode="r")


def _write(path: Path, stored: Stored, zarr_format: int, shards: tuple[int, ...] | None = None) -> Path:
    array = zarr.create_array(
        path,
        name="a",
        shape=stored.values.shape,
        chunks=stored.chunks,
        shards=shards,
        dtype=stored.values.dtype,
        zarr_format=zarr_format,
        fill_value=None if zarr_format == 2 else 0,
        dimension_names=stored.dimensions if zarr_format == 3 else None,
        config={"write_empty_chunks": True},
    )
    array.attrs.update(stored.attributes)
    if zarr_format == 2:
        array.attrs["_ARRAY_DIMENSIONS"] = list(stored.dimensions)
    if stored.absent in ("none", "one", "shard"):
        array[...] = stored.values
    if stored.absent in ("one", "shard"):
        first = ".".join("0" * array.ndim) if zarr_format == 2 else "/".join("c" + "0" * array.ndim)
        (path / "a" / first).unlink()
    if stored.absent == "inner":  # what is never written is absent inside its shard
        array[stored.chunks[0] :] = stored.values[stored.chunks[0] :]
        array[:, stored.chunks[1] :] = stored.values[:, stored.chunks[1] :]
    return path


def zarr2(path: Path, stored: Stored) -> Any:
    return str(_write(path / "a.zarr", stored, 2) / "a")


def zarr3(path: Path, stored: Stored) -> Any:
    return str(_write(path / "a.zarr", stored, 3) / "a")


def sharded(path: Path, stored: Stored) -> Any:
    stored = stored._replace(absent="shard") if stored.absent == "one" else stored
    shards = tuple(2 * c if i == 1 else c for i, c in enumerate(stored.chunks))
    return str(_write(path / "a.zarr", stored, 3, shards) / "a")


def consolidated(path: Path, stored: Stored) -> Any:
    root = _write(path / "a.zarr", stored, 2)
    zarr.consolidate_metadata(root, zarr_format=2)
    for name in (".zarray", ".zattrs"):
        (root / "a" / name).unlink()
    return str(root / "a")


def zipped(path: Path, stored: Stored) -> Any:
    root = _write(path / "a.zarr", stored, 3)
    with zipfile.ZipFile(path / "a.zarr.zip", "w") as archive:
        for file in sorted(root.rglob("*")):
            if file.is_file():
                archive.write(file, file.relative_to(root))
    return str(path / "a.zarr.zip" / "a")


def opened(path: Path, stored: Stored) -> Any:
    return zarr.open_array(zarr3(path, stored), mode="r")


def dask(path: Path, stored: Stored) -> Any:
    return da.from_array(stored.values, chunks=stored.chunks)


def of_h5py(path: Path, stored: Stored) -> Any:
    dataset = h5py.File(path / "a.h5", "w").create_dataset(
        "a", data=stored.values, chunks=stored.chunks if stored.values.size else None
    )
    dataset.attrs.update(stored.attributes)
    for axis, name in zip(dataset.dims, stored.dimensions, strict=True):
        axis.label = name
    return dataset


def of_netcdf4(path: Path, stored: Stored) -> Any:
    dataset = netCDF4.Dataset(path / "a.nc", "w")
    for name, length in zip(stored.dimensions, stored.values.shape, strict=True):
        dataset.createDimension(name, length)
    fill = stored.attributes.get("_FillValue")
    variable = dataset.createVariable("a", stored.values.dtype, stored.dimensions, fill_value=fill)
    variable.set_auto_maskandscale(False)
    variable[:] = stored.values
    variable.setncatts({name: value for name, value in stored.attributes.items() if name != "_FillValue"})
    variable.set_auto_maskandscale(True)
    return variable


def of_xarray(path: Path, stored: Stored) -> Any:
    return xarray.DataArray(stored.values, dims=stored.dimensions, attrs=stored.attributes)


def of_xarray_dask(path: Path, stored: Stored) -> Any:
    return of_xarray(path, stored._replace(values=dask(path, stored)))


ZARR_2 = (zarr2, consolidated)
PATHS = (npy, zarr2, zarr3, sharded, consolidated, zipped)
SOURCES = (memory, memmap, dask, opened, of_h5py, of_netcdf4, of_xarray, of_xarray_dask, *PATHS)
ZARR = (zarr2, zarr3, sharded, consolidated, zipped, opened)
WITH_NAMES = (*ZARR, of_h5py, of_netcdf4, of_xarray, of_xarray_dask)


def masked(s: Stored) -> Stored:
    values = np.ma.masked_array(s.values, np.zeros(s.values.shape, bool))
    values[(4, 3, 1)[: values.ndim]] = np.ma.masked
    return s._replace(values=values)


def with_nan(s: Stored) -> Stored:
    values = s.values.astype("f8")
    values[(4, 3, 1)[: values.ndim]] = np.nan
    return s._replace(values=values)


def with_attributes(dtype: str | None = None, **attributes: Any) -> Callable[[Stored], Stored]:
    def change(s: Stored) -> Stored:
        return s._replace(values=s.values.astype(dtype) if dtype else s.values, attributes=attributes)

    return change


DEFECTS: dict[str, Callable[[Stored], Stored]] = {
    "none": lambda s: s,
    "masked": masked,
    "nan": with_nan,
    "short": lambda s: s._replace(values=s.values[:-1]),
    "long": lambda s: s._replace(values=np.concatenate([s.values, s.values[:1]])),
    "empty": lambda s: s._replace(values=s.values[:0]),
    "other order": lambda s: s._replace(
        values=np.swapaxes(s.values, 0, 1), dimensions=(s.dimensions[1], s.dimensions[0], *s.dimensions[2:])
    ),
    "other order of a square": lambda s: s._replace(
        values=np.resize(s.values, (4, 4, 2)[: s.values.ndim]),
        dimensions=(s.dimensions[1], s.dimensions[0], *s.dimensions[2:]),
    ),
    "packed": with_attributes("i2", scale_factor=0.01, add_offset=3.0),
    "unsigned": with_attributes("i1", _Unsigned="true"),
    "sentinel": with_attributes("i2", _FillValue=0),
    "nothing to decode": with_attributes(None, scale_factor=1.0, add_offset=0.0, long_name="a"),
    "text": lambda s: s._replace(values=s.values.astype("S4")),
    "complex": lambda s: s._replace(values=s.values.astype("c16")),
    "one chunk absent": lambda s: s._replace(absent="one"),
    "one inner chunk absent": lambda s: s._replace(absent="inner"),
    "all chunks absent": lambda s: s._replace(absent="all"),
}

NO_ATTRIBUTES = {memory, npy, memmap, dask}
NO_CHUNKS_TO_LOSE = set(SOURCES) - {*ZARR}
CANNOT_EXIST: dict[str, set[Callable[..., Any]]] = {
    "masked": set(SOURCES) - {memory, dask, of_xarray, of_xarray_dask},  # files hold numbers; see "sentinel"
    "packed": NO_ATTRIBUTES,
    "unsigned": {*NO_ATTRIBUTES, of_netcdf4},  # netCDF4 decodes it
    "sentinel": NO_ATTRIBUTES,
    "nothing to decode": NO_ATTRIBUTES,
    "text": {of_netcdf4},  # netCDF has none of a fixed length
    "complex": {of_netcdf4},
    "one chunk absent": NO_CHUNKS_TO_LOSE,
    "one inner chunk absent": set(SOURCES) - {sharded},
    "all chunks absent": NO_CHUNKS_TO_LOSE,
}


class Outcome(NamedTuple):
    """Hold what an evaluation must do: raise an error that has these words beside the role, or return the sum, perhaps
    with a warning.
    """

    error: type[StreamlossError] | None = None
    words: tuple[str, ...] = ()
    warning: str | None = None


NUMBER = Outcome()


def expected(defect: str, source: Callable[..., Any], role: str) -> Outcome:
    """Return the outcome of a cell that can exist."""
    data = role in ("y_true", "y_pred")
    if defect == "masked" and source in (memory, dask):
        return Outcome(SourceError, ("1 masked element", "[", "filled"))
    if defect in ("masked", "nan"):  # xarray makes NaN of what is masked
        if role == "mask":
            return Outcome(ValueRangeError, ("dtype float", "booleans"))
        place = "[4, 3, 1] is NaN" if data else "[4, 3] is NaN"
        return Outcome(ValueRangeError, (place, "nan_policy='omit'" if data else "A weight of 0 leaves a row out"))
    if defect in ("short", "long"):
        lengths, both = ("(5, 4", 5) if defect == "short" else ("(7, 4", 6)
        return Outcome(ShapeError, (lengths, f"rows=slice(0, {both}) (--rows 0:{both})"))
    if defect == "empty":
        return Outcome(ShapeError, ("(0, 4", "has no rows"))
    if defect == "other order":
        return Outcome(ShapeError, ("(4, 6", "in another order: pass"))
    if defect == "other order of a square" and source is of_xarray_dask:
        return Outcome(ShapeError, ("(column, row", "Transpose one of them"))
    if defect == "packed":
        return Outcome(SourceError, ("scale_factor", "add_offset", "unpacked"))
    if defect == "unsigned":
        return Outcome(SourceError, ("_Unsigned", "unpacked"))
    if defect == "sentinel":
        return Outcome(SourceError, ("_FillValue", "Store the unpacked values"))
    if defect in ("text", "complex"):
        return Outcome(SourceError, ("expected numbers", "dtype"))
    if defect.endswith("absent"):
        if defect.startswith("all"):
            return Outcome(MissingChunkError, ("missing_chunks=", "the fill value 0"))
        if role in ("y_pred", "mask"):
            return Outcome(
                MissingChunkError, ("0.0" if source in ZARR_2 else "c/0/0", "missing_chunks=", "the fill value 0", role)
            )
        return Outcome(warning="1 chunk of")
    return NUMBER


def cells() -> list[tuple[str, Callable[..., Any], str]]:
    """Return all cells that can exist."""
    every = itertools.product(DEFECTS, SOURCES, ROLES)
    return [(defect, source, role) for defect, source, role in every if source not in CANNOT_EXIST.get(defect, ())]


def sums_of(arrays: dict[str, Any]) -> float:
    """Return the sum of the squared errors' means, as NumPy sees the arrays."""
    losses = np.square(arrays["y_true"] - arrays["y_pred"]).mean(axis=-1)
    return float(np.sum(losses * arrays["sample_weight"] * arrays["mask"]))


def others_of(defect: str) -> dict[str, Stored]:
    """Return the sound arrays that an array with this defect meets."""
    sound = {role: of_role(role) for role in ROLES}
    if defect == "other order of a square":
        return {role: s._replace(values=np.resize(s.values, SQUARE[: s.values.ndim])) for role, s in sound.items()}
    return sound


def as_read(stored: Stored, source: Callable[..., Any]) -> Any:
    """Return the values that are read where a chunk is absent and its fill value, 0, is taken."""
    if stored.absent == "none":
        return stored.values
    values = stored.values.copy()
    rows, columns = stored.chunks[:2]
    values[:rows, : 2 * columns if source is sharded and stored.absent == "one" else columns] = 0
    return values


@pytest.mark.parametrize(("defect", "source", "role"), cells(), ids=lambda part: getattr(part, "__name__", part))
def test_a_cell_in_python(defect, source, role, tmp_path):
    given, outcome, numbers = prepare(defect, source, role, tmp_path)
    options = {"scheduler": "synchronous"} if source is dask else {"executor": "inline"}
    arguments = given.pop("y_true"), given.pop("y_pred")
    if outcome.error is not None:
        with pytest.raises(outcome.error) as caught:
            sl.evaluate("mse", *arguments, **given, **options)
        check(str(caught.value), role, outcome.words)
        return
    with warnings.catch_warnings(record=True) as seen:
        warnings.simplefilter("always", StreamlossWarning)
        result = sl.evaluate("mse", *arguments, **given, **options)["mean_squared_error"]
    assert result.sum == pytest.approx(numbers, rel=1e-14)
    messages = [str(message.message) for message in seen if issubclass(message.category, StreamlossWarning)]
    assert len(messages) == (outcome.warning is not None)
    if outcome.warning is not None:
        check(messages[0], role, (outcome.warning,))


@pytest.mark.parametrize(
    ("defect", "source", "role"),
    [cell for cell in cells() if cell[1] in PATHS],
    ids=lambda part: getattr(part, "__name__", part),
)
def test_a_cell_on_the_command_line(defect, source, role, tmp_path, capsys):
    given, outcome, numbers = prepare(defect, source, role, tmp_path)
    flags = []
    for name, array in given.items():
        if not isinstance(array, str):
            np.save(tmp_path / f"{name}.npy", array)
        flags += [f"--{name.replace('_', '-')}", array if isinstance(array, str) else str(tmp_path / f"{name}.npy")]
    code = run(["evaluate", "--loss", "mse", "--executor", "inline", "--json", *flags])
    out, err = capsys.readouterr()
    if outcome.error is not None:
        assert code == outcome.error.exit_code
        assert not out
        check(err, role, outcome.words)
        return
    assert code == 0
    assert json.loads(out)["losses"]["mean_squared_error"]["sum"] == pytest.approx(numbers, rel=1e-14)
    assert (outcome.warning or "") in err


def prepare(defect: str, source: Callable[..., Any], role: str, path: Path) -> tuple[dict[str, Any], Outcome, float]:
    """Return the arrays of an evaluation, what must become of them, and the sum where it is a number."""
    sound = others_of(defect)
    changed = DEFECTS[defect](sound[role])
    if defect == "other order of a square" and source in WITH_NAMES:  # names meet names
        given = {name: source(_folder(path / name), stored) for name, stored in sound.items() if name != role}
    else:
        given = {name: stored.values for name, stored in sound.items() if name != role}
    given[role] = source(_folder(path / role), changed)
    outcome = expected(defect, source, role)
    numbers = {name: stored.values for name, stored in sound.items()} | {role: as_read(changed, source)}
    if defect == "other order of a square" and source in WITH_NAMES:
        numbers[role] = np.swapaxes(numbers[role], 0, 1)
    return given, outcome, sums_of(numbers) if outcome.error is None else 0.0


def _folder(path: Path) -> Path:
    path.mkdir()
    return path


def check(message: str, role: str, words: tuple[str, ...]) -> None:
    """Check that a message names the role and holds these words."""
    for word in (role, *words):
        assert word in message
