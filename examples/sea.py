"""Build data of sea temperatures: monthly analyses with two simple forecasts, on a grid with land left out.

    python examples/sea.py [PATH]

The temperatures are real (OSTIA, monthly means of 2006 to 2010 near the equator) and come from the PyPI package
iris-sample-data (`pip install --no-deps iris-sample-data`). `persistence` forecasts the last month's temperature,
`seasonal` that of the same month a year before.
"""

import importlib.util
import sys
from pathlib import Path

import numpy as np
import xarray as xr

FIRST = 12  # the first month that both forecasts have


def build(path: Path) -> Path:
    """Write the NetCDF file at `path`, unless it is there; return `path`."""
    if path.exists():
        return path
    spec = importlib.util.find_spec("iris_sample_data")
    if spec is None or not spec.submodule_search_locations:
        raise ModuleNotFoundError("The temperatures come from a package: pip install --no-deps iris-sample-data")
    source = Path(spec.submodule_search_locations[0]) / "sample_data" / "ostia_monthly.nc"
    with xr.open_dataset(source, decode_timedelta=False) as file:
        sea = file["surface_temperature"].load().drop_vars(["forecast_reference_time", "forecast_period"])
    data = xr.Dataset(
        {
            "truth": sea[FIRST:],
            "persistence": sea.shift(time=1)[FIRST:],
            "seasonal": sea.shift(time=12)[FIRST:],
            "area": np.cos(np.radians(sea.latitude)),
        }
    )
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f"{path.name}.partial")
    data.drop_encoding().to_netcdf(partial)
    return partial.rename(path)


if __name__ == "__main__":
    print(build(Path(sys.argv[1] if len(sys.argv) > 1 else "data/sea.nc")))
