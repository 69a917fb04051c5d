"""Build the wheel and the sdist in dist/, and try the wheel in fresh environments.

python tests/support/built.py [VERSION ...]        # of Python: 3.11 3.12 3.13 and 3.11-oldest by default

"3.11-oldest" has the oldest release of each dependency that pyproject.toml allows, and "3.11-oldest-extras" those of
the extras, too. An interpreter that is not on this machine is named, and left out.
"""

import re
import shutil
import subprocess
import sys
import tarfile
import tempfile
import time
import tomllib
import zipfile
from pathlib import Path

ROOT = Path(__file__).parents[2]
DIST = ROOT / "dist"
ALL = ("3.11", "3.12", "3.13", "3.11-oldest", "3.11-oldest-extras")
EXTRAS = ("parquet", "hdf5", "xarray", "pandas", "remote", "distributed")
"""Extras that need neither a GPU nor a compiler."""

SMOKE = """
import subprocess, sys
import numpy as np
import streamloss as sl

rng = np.random.default_rng(0)
y, x = rng.integers(0, 5, 1000), rng.normal(size=(1000, 5))
expected = (np.log(np.exp(x).sum(1)) - x[np.arange(1000), y]).mean()
loss = sl.losses.SparseCategoricalCrossentropy(from_logits=True)
np.save("y.npy", y), np.save("x.npy", x)
assert abs(sl.evaluate(loss, "y.npy", "x.npy").value - expected) < 1e-12
import zarr
stored = zarr.create_array("x.zarr", shape=x.shape, chunks=(100, 5), dtype=x.dtype)
stored[:] = x
assert abs(sl.evaluate(loss, y, "x.zarr", out="losses.zarr").value - expected) < 1e-12
import dask.array as da
assert abs(float(loss(da.from_array(y, chunks=300), da.from_array(x, chunks=(300, 5)))) - expected) < 1e-12
assert sl.losses.Huber.__doc__ and sl.__file__.startswith(sys.prefix)
"""
SMOKE_OF_EXTRAS = """
import h5py, pyarrow as pa, pyarrow.parquet as pq, xarray as xr
pq.write_table(pa.table({"y": y, "x": x[:, 0]}), "t.parquet")
with h5py.File("t.h5", "w") as file:
    file["x"] = x[:, 0]
xr.Dataset({"x": ("row", x[:, 0])}).to_netcdf("t.nc")
places = ("t.parquet::x", "t.h5::/x", "t.nc::x", x[:, 0])
values = {sl.evaluate("mse", "t.parquet::y", place).value for place in places}
assert len(values) == 1, values
assert len(sl.evaluate("mse", y, x[:, 0]).to_pandas()) == 1
assert abs(sl.evaluate(loss, "y.npy", "x.zarr", scheduler="synchronous").value - expected) < 1e-12
"""


def main(wanted):
    begin = time.perf_counter()
    wheel = build()
    failed = []
    for name in wanted or ALL:
        python = interpreter(name.partition("-")[0])
        if python is None:
            print(f"{name}: no such interpreter here, left out")
            continue
        begun = time.perf_counter()
        try:
            print(f"{name}: passed, {try_wheel(wheel, python, name)}, {time.perf_counter() - begun:.0f} s", flush=True)
        except subprocess.CalledProcessError as error:
            failed.append(name)
            print(f"{name}: FAILED: {' '.join(map(str, error.cmd))[:200]}\n{error.stdout}{error.stderr}", flush=True)
    print(f"{time.perf_counter() - begin:.0f} s in all")
    return 1 if failed else 0


def build():
    """Build both files, look at what is in them, and return the wheel."""
    shutil.rmtree(DIST, ignore_errors=True)
    run(sys.executable, "-m", "build", "--outdir", DIST, ROOT)
    (wheel,), (sdist,) = DIST.glob("*.whl"), DIST.glob("*.tar.gz")
    inside = zipfile.ZipFile(wheel).namelist()
    for name in ("streamloss/py.typed", "streamloss/losses.pyi", "streamloss/cli/__init__.py"):
        assert name in inside, f"{wheel.name} has no {name}"
    assert not [name for name in inside if not name.startswith("streamloss")], "the wheel has only the package"
    with tarfile.open(sdist) as archive:
        names = {name.partition("/")[2] for name in archive.getnames()}
    for name in ("README.md", "CHANGELOG.md", "CITATION.cff", "LICENSE", "Makefile", "mkdocs.yml", "tests/conftest.py"):
        assert name in names, f"{sdist.name} has no {name}"
    print(f"{wheel.name}: {wheel.stat().st_size / 1e3:.0f} kB, {sdist.name}: {sdist.stat().st_size / 1e3:.0f} kB")
    return wheel


def try_wheel(wheel, python, name):
    """Install the wheel in an environment of its own, run it there, and return the versions that it met."""
    with tempfile.TemporaryDirectory() as folder:
        run(python, "-m", "venv", f"{folder}/venv")
        own = f"{folder}/venv/bin/python"
        extras = name.endswith("-extras")
        place = f"{wheel}[{','.join(EXTRAS)}]" if extras else str(wheel)
        constraints = Path(folder) / "constraints.txt"
        constraints.write_text("".join(oldest(EXTRAS if extras else ()) if "-oldest" in name else []))
        run(own, "-m", "pip", "install", "--quiet", "--constraint", constraints, place)
        version = run(f"{folder}/venv/bin/streamloss", "--version", cwd=folder).strip()
        assert version.endswith(wheel.name.split("-")[1]), version
        run(own, "-c", SMOKE + (SMOKE_OF_EXTRAS if extras else ""), cwd=folder)
        command = [f"{folder}/venv/bin/streamloss", "evaluate", "--loss", "scce:from_logits=true"]
        run(*command, "--y-true", "y.npy", "--y-pred", "x.npy", "--fail-if", "scce>5", cwd=folder)
        shown = run(own, "-m", "pip", "list", "--format=freeze").splitlines()
        return ", ".join(line.replace("==", " ") for line in shown if line.split("==")[0] in SHOWN)


SHOWN = ("numpy", "numba", "zarr", "numcodecs", "dask", "click", "rich", "pydantic", "pyarrow", "h5py", "xarray")


def oldest(extras):
    """Return constraints for the oldest release of each dependency: `numba>=0.61` is `numba==0.61`."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    stated = [*project["dependencies"], *(text for extra in extras for text in project["optional-dependencies"][extra])]
    bounds = (re.match(r"([\w-]+)(?:\[\w+\])?>=([\d.]+)", text) for text in stated)
    return [f"{bound[1]}=={bound[2]}\n" for bound in bounds if bound]


def interpreter(version):
    """Return the command of a Python that works, on the path or where pyenv and uv keep theirs; None for none."""
    kept = [Path.home() / ".pyenv/versions", Path.home() / ".local/share/uv/python"]
    found = [python for folder in kept for python in folder.glob(f"*{version}.*/bin/python{version}")]
    for candidate in [shutil.which(f"python{version}"), *found]:
        if candidate and subprocess.run([candidate, "-c", ""], capture_output=True, check=False).returncode == 0:
            return str(candidate)
    return None


def run(*command, cwd=None):
    return subprocess.run([str(c) for c in command], capture_output=True, text=True, check=True, cwd=cwd).stdout


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
