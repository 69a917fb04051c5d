"""Write the tables of docs/speed.md, for each processor, and table and picture of README.md, from results/*/*.json."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import picture
from timing import OF_PARQUET, OURS, RESULTS

ROOT = Path(__file__).parents[1]
BEGIN, END = "<!-- begin: written by bench/tables.py -->", "<!-- end -->"
SHORT = (
    "sparse cross-entropy from logits, 10 classes",
    "sparse cross-entropy from logits, 1,000 classes",
    "dense cross-entropy from logits, 1,000 classes",
    "binary cross-entropy",
    "mean squared error",
    "log loss, probabilities of two outcomes",
    "reading Zarr: Blosc (lz4)",
    "reading Zarr: Zstandard",
)

DOORS = {
    "parquet": "200 Parquet files of 50 million rows, weighted",
    "zarr": "packed Zarr of xarray, 200 hours of the globe, by latitude",
    "hdf5": "HDF5, 5 million rows of 10 classes",
    "logits": "bfloat16 logits of 16,384 tokens, 32,000 classes, padded",
}
"""What the files of each case of bench/doors.py hold."""


def write() -> None:
    processors = sorted(path.parent for path in RESULTS.glob("*/speed.json"))
    results = [{name: load(folder, name) for name in SECTIONS} for folder in processors]
    replace(ROOT / "README.md", short(results[0]["speed"]))
    picture.write()
    replace(ROOT / "docs" / "speed.md", "\n\n".join(long(measured) for measured in results))


def load(folder: Path, name: str) -> dict[str, Any] | None:
    path = folder / f"{name}.json"
    return json.loads(path.read_text(encoding="utf-8")) if path.exists() else None


def replace(path: Path, text: str) -> None:
    before, _, rest = path.read_text(encoding="utf-8").partition(BEGIN)
    path.write_text(f"{before}{BEGIN}\n{text}\n{END}{rest.partition(END)[2]}", encoding="utf-8")


def short(speed: dict[str, Any] | None) -> str:
    return "\n".join(comparison([row for row in (speed or {"rows": []})["rows"] if row["case"] in SHORT]))


def long(measured: dict[str, dict[str, Any] | None]) -> str:
    """Return a section for each result of a processor: its heading, the machine, and its tables."""
    sections = []
    for name, found in measured.items():
        if found:
            title, tables = SECTIONS[name]
            machine = found["machine"]
            heading = f"## {title.format(**machine)}"
            sections.append(
                "\n".join([heading, "", where(machine), *(line for table in tables(found) for line in ("", *table))])
            )
    return "\n\n".join(sections)


def where(machine: dict[str, Any]) -> str:
    versions = ", ".join(f"{name} {version}" for name, version in machine["versions"].items() if version)
    return f"{machine['processor']}, {machine['threads']} threads; Python {machine['python']}; {versions}."


def comparison(rows: list[dict[str, Any]]) -> list[str]:
    """Return a row for each case: our rate, then each other's, and the quotient of ours and theirs."""
    lines = ["| case | unit | streamloss | others: rate (ours is × times that) |", "|---|---|---|---|"]
    for row in rows:
        rates = row["rates"]
        mine = rates.get(OURS)
        others = [
            f"{name} {number(rate)}" + (f" (**{mine / rate:.2f}×**)" if mine else "")
            for name, rate in rates.items()
            if name != OURS
        ]
        lines.append(f"| {row['case']} | {row['unit']} | {number(mine) if mine else ''} | {', '.join(others)} |")
    return lines


def one_run(billion: dict[str, Any]) -> list[str]:
    """Return a row for each candidate's process."""
    lines = [f"| {billion['rows']:,} rows, binary cross-entropy | seconds | million rows/s | peak memory |"]
    lines.append("|---|---|---|---|")
    for name, run in billion["runs"].items():
        of_zarr = name.startswith(OURS) and name != OF_PARQUET
        shown = f"{name.removesuffix(', of Parquet')} ({'Zarr, Blosc' if of_zarr else 'Parquet, Snappy'})"
        if run["seconds"] is None:
            lines.append(f"| {shown} | failed | | |")
            continue
        rate = billion["rows"] / run["seconds"] / 1e6
        lines.append(f"| {shown} | {run['seconds']:.1f} | {rate:,.0f} | {mib(run['peak_memory'])} |")
    return lines


def by_groups(groups: dict[str, Any]) -> list[str]:
    """Return a row for each candidate's process, of the loss of all rows and of that by key."""
    lines = [f"| {groups['rows']:,} rows, {groups['keys']:,} integer keys | seconds | million rows/s | peak memory |"]
    lines.append("|---|---|---|---|")
    for name, run in groups["runs"].items():
        rate = groups["rows"] / run["seconds"] / 1e6
        lines.append(f"| {name} | {run['seconds']:.1f} | {rate:,.0f} | {mib(run['peak_memory'])} |")
    return lines


def statistics(groups: dict[str, Any]) -> list[str]:
    lines = ["| standard error, histogram and 20 worst rows, 100 classes | seconds, of those without |", "|---|---|"]
    return lines + [f"| {case} | {ratio:.2f} |" for case, ratio in groups["statistics"].items()]


def of_doors(measured: dict[str, Any]) -> list[str]:
    """Return a row for each door and candidate: what it took, beside the library that wrote the files."""
    lines = ["| files | size | candidate | loss | seconds | peak memory |", "|---|---|---|---|---|---|"]
    for name, door in measured["doors"].items():
        size = f"{door['bytes'] / 1e6:,.0f} MB"
        for candidate, run in door["runs"].items():
            shown = f"{run['value']:.9f} | {run['seconds']:.2f} | {mib(run['peak_memory'])}"
            lines.append(f"| {DOORS[name]} | {size} | {candidate} | {shown} |")
    return lines


def scaling(billion: dict[str, Any]) -> list[str]:
    lines = ["| rows | seconds, start-up included | peak memory |", "|---|---|---|"]
    for run in billion["scaling"]:
        lines.append(f"| {run['rows']:,} | {run['seconds']:.1f} | {mib(run['peak_memory'])} |")
    return lines


def number(rate: float) -> str:
    return f"{rate:,.0f}" if rate >= 100 else f"{rate:.3g}"


def mib(size: int) -> str:
    return f"{size / 2**20:,.0f} MiB"


SECTIONS: dict[str, tuple[str, Callable[[dict[str, Any]], Sequence[list[str]]]]] = {
    "speed": ("{processor}", lambda found: [comparison(found["rows"])]),
    "billion": ("A billion rows on {processor}", lambda found: [one_run(found), scaling(found)]),
    "groups": ("A billion rows by key on {processor}", lambda found: [by_groups(found), statistics(found)]),
    "doors": ("Files as they are found, on {processor}", lambda found: [of_doors(found)]),
}
"""The heading and the tables of each kind of results, by the name of its file."""


if __name__ == "__main__":
    write()
