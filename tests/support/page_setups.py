"""What pages of the documentation take for granted: files in the current folder, and names of their Python blocks.

Most pages make what they need, so that a reader can follow; these are about a reader's own files.
"""

import importlib
import shutil
import sys
import tempfile
from functools import cache
from pathlib import Path

import numpy as np

ROOT = Path(__file__).parents[2]


def flights():
    """The demo's data, and the configurations."""
    shutil.copytree(Path(_built_flights().name) / "data", "data")
    shutil.copytree(ROOT / "configs", "configs")
    return {}


@cache
def _built_flights():
    """Return a folder with the demo's data, which takes seconds to make; it is removed when the process ends."""
    folder = tempfile.TemporaryDirectory()
    sys.path.insert(0, str(ROOT / "examples"))
    try:
        importlib.import_module("flights").build(Path(folder.name) / "data" / "flights.zarr")
    finally:
        sys.path.remove(str(ROOT / "examples"))
    return folder


def sources():
    """A file of each kind."""
    import h5py
    import pyarrow as pa
    import pyarrow.parquet as pq
    import xarray as xr
    from safetensors.numpy import save_file

    rng = np.random.default_rng(0)
    p = rng.dirichlet(np.ones(3), 50)
    columns = {"label": rng.integers(0, 2, 50), "probability": rng.random(50), "weight": rng.random(50)}
    Path("run").mkdir()
    pq.write_table(pa.table(columns | {f"p{k}": p[:, k] for k in range(3)}), "run/part-0.parquet")
    np.save("tokens.npy", np.where(np.arange(50) < 40, rng.integers(0, 9, 50), -100))
    save_file({"logits": rng.normal(size=(50, 9)).astype("f4")}, "run.safetensors")
    with h5py.File("run.h5", "w") as file:
        file["labels"], file["model/scores"] = rng.random((2, 50))
    shape, dimensions = (4, 6, 8), ["time", "latitude", "longitude"]
    for name in ("era5.nc", "forecast.zarr"):
        data = xr.DataArray(rng.normal(size=shape), dims=dimensions, name="t2m").to_dataset()
        data.to_zarr(name, consolidated=False) if name.endswith("zarr") else data.to_netcdf(name)
    xr.DataArray(rng.random(6), dims=["latitude"], name="cos_latitude").to_dataset().to_netcdf("grid.nc")
    return {}


def cluster():
    """The job that commands name, and Dask arrays."""
    import dask.array as da

    import streamloss as sl

    rng = np.random.default_rng(0)
    np.save("y.npy", rng.integers(0, 3, 3000))
    np.save("p.npy", rng.random((3000, 3)).astype("f4"))
    Path("configs").mkdir()
    job = 'losses = "scce:from_logits=true"\ny_true = "y.npy"\ny_pred = "p.npy"\n'
    Path("configs/job.toml").write_text(job)
    y_true, y_pred = (da.from_array(np.load(name), chunks=1000) for name in ("y.npy", "p.npy"))
    return {"sl": sl, "y_true": y_true, "y_pred": y_pred, "client": "synchronous"}


SETUPS = {
    "docs/cluster.md": cluster,
    "docs/sources.md": sources,
    "docs/tutorials/flights.md": flights,
    "README.md": flights,
}
