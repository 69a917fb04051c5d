"""Evaluate the predictions of three models for 226,349 real flights, and print a table.

    make demo                  (or: pip install 'streamloss[demo]', then python examples/demo.py)

For each model it evaluates the log loss of five delay classes (sparse categorical cross-entropy), unweighted and
weighted by the flights' distance; the losses of single flights go to a Zarr array. It shows the loss by carrier, and
whether the trained models differ, as if flights were independent and by day. Then it computes the means again by
scikit-learn and the sums by math.fsum, and exits with 1 where they disagree. The first run builds the data by
flights.py. Everything is written to data/ in the current directory.
"""

from __future__ import annotations

import math
import resource
import sys
import time
from pathlib import Path

import numpy as np
import zarr
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table

import flights
import streamloss as sl

DATA = Path("data/flights.zarr")
OUT = Path("data/flights-losses.zarr")
MODELS = ("prior", "logistic", "boosting")


def main() -> None:
    begin = time.perf_counter()
    flights.build(DATA)
    console = Console(highlight=False)
    table = Table(box=SIMPLE_HEAD, pad_edge=False)
    for title, justify in (
        ("model", "left"),
        ("weights", "left"),
        ("weighted\nmean", "right"),  # MEAN_WITH_SAMPLE_WEIGHT, which without weights is the mean
        ("SUM_OVER\n_BATCH_SIZE", "right"),
        ("SUM", "right"),
    ):
        table.add_column(title, justify=justify, no_wrap=True)
    table.add_column("Mrows/s", justify="right", no_wrap=True)
    for model in MODELS:
        for weight in (None, DATA / "distance"):
            # each run twice: the first compiles the kernel
            result = max((evaluate(model, weight) for _ in range(2)), key=lambda r: r.rows_per_second)
            loss = result["log_loss"]
            label = "none" if weight is None else "distance"
            speed = f"{result.rows_per_second / 1e6:.1f}"
            cells = (f"{loss.weighted_mean:.9g}", f"{loss.mean:.9g}", f"{loss.sum:.9g}")
            table.add_row(model, label, *cells, speed)
    console.print(f"\nlog loss of {result.rows:,} flights in 5 delay classes, read from {DATA}")
    console.print(table)
    by_carrier(console)
    compare(console)
    console.print(f"NONE           {OUT}/<model>, float32")
    check(console)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (2**20 if sys.platform == "darwin" else 2**10)
    console.print(f"peak memory    {peak:,.0f} MiB (with scikit-learn, and its training on the first run)")
    console.print(f"all of it took {time.perf_counter() - begin:.1f} s")


def evaluate(model: str, weight: Path | None) -> sl.Result:
    """Return the log loss of one model; write the losses of rows where they are unweighted."""
    loss = sl.losses.SparseCategoricalCrossentropy(name="log_loss")
    return sl.evaluate(
        loss,
        DATA / "y_true",
        DATA / "models" / model,
        weight,
        out={"log_loss": f"{OUT}/{model}"} if weight is None else None,
        overwrite=True,
    )


def by_carrier(console: Console) -> None:
    """Print where the loss comes from: each carrier's mean, with the interval of flights that share a day's weather."""
    carrier = zarr.open_array(DATA / "carrier", mode="r")
    names = np.array(carrier.attrs["names"])[carrier[:]]
    loss = sl.losses.SparseCategoricalCrossentropy(name="log_loss")
    arrays = DATA / "y_true", DATA / "models" / "logistic"
    result = sl.evaluate(loss, *arrays, by={"carrier": names}, cluster=DATA / "day")
    table = Table(box=SIMPLE_HEAD, pad_edge=False)
    for title in ("carrier", "flights", "log loss", "95 % from", "to", "share of the sum"):
        table.add_column(title, justify="left" if title == "carrier" else "right", no_wrap=True)
    for row in result.groups.sort("share"):
        mean, low, high = (f"{row[name]:.3f}" for name in ("mean", "low", "high"))
        table.add_row(row["carrier"], f"{row['count']:,}", mean, low, high, f"{row['share']:.1%}")
    console.print("log loss of logistic by carrier, flights of a day taken together")
    console.print(table)


def compare(console: Console) -> None:
    """Print whether one of the two trained models is better: as if flights were independent, and by day."""
    loss = sl.losses.SparseCategoricalCrossentropy(name="log_loss")
    models = {name: DATA / "models" / name for name in ("logistic", "boosting")}
    console.print("boosting less logistic: is it real?")
    for label, cluster in (("if flights were independent", None), ("flights of a day together", DATA / "day")):
        row = sl.compare(loss, DATA / "y_true", models, cluster=cluster)["boosting"]
        z = row["difference"] / row["stderr"]
        console.print(f"  {label:<28} {row['low']:+.4f} to {row['high']:+.4f}, z = {z:.1f}, p = {row['p_value']:.1g}")
    console.print()


def check(console: Console) -> None:
    """Compute the unweighted means again, by scikit-learn in float64, and the sums by math.fsum."""
    from sklearn.metrics import log_loss

    y_true = zarr.open_array(DATA / "y_true", mode="r")[:]
    worst = 0.0
    for model in MODELS:
        p = np.asarray(zarr.open_array(DATA / "models" / model, mode="r")[:], np.float64)
        losses_of_rows = zarr.open_array(OUT / model, mode="r")[:]
        result = evaluate(model, None)["log_loss"]
        expected = log_loss(y_true, p / p.sum(axis=1, keepdims=True), labels=range(5))
        worst = max(worst, abs(result.mean - expected) / expected)
        if result.sum != math.fsum(losses_of_rows):
            sys.exit(f"{model}: SUM is not the exact sum of the losses of rows")
    console.print(f"checked        SUM is math.fsum of NONE; mean is scikit-learn's to {worst:.0e}")
    if worst > 1e-7:
        sys.exit("the losses do not agree with scikit-learn's")


if __name__ == "__main__":
    main()
