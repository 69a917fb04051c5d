"""Write the tables of docs/speed.md, for each processor, and table and picture of README.md, from results/*/*.json."""

from __future__ import annotations

import json
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


def write() -> None:
    processors = sorted(path.parent for path in RESULTS.glob("*/speed.json"))
    results = [(load(folder, "speed"), load(folder, "billion")) for folder in processors]
    replace(ROOT / "README.md", short(results[0][0]))
    picture.write()
    replace(ROOT / "docs" / "speed.md", "\n\n".join(long(*measured) for measured in results))


def load(folder: Path, name: str) -> dict[str, Any] | None:
    path = folder / f"{name}.json"
    return json.loads(path.read_text(encoding="utf-8")) if path.exists() else None


def replace(path: Path, text: str) -> None:
    before, _, rest = path.read_text(encoding="utf-8").partition(BEGIN)
    path.write_text(f"{before}{BEGIN}\n{text}\n{END}{rest.partition(END)[2]}", encoding="utf-8")


def short(speed: dict[str, Any] | None) -> str:
    return "\n".join(comparison([row for row in (speed or {"rows": []})["rows"] if row["case"] in SHORT]))


def long(speed: dict[str, Any] | None, billion: dict[str, Any] | None) -> str:
    lines = []
    if speed:
        lines += [f"## {speed['machine']['processor']}", "", where(speed["machine"]), "", *comparison(speed["rows"])]
    if billion:
        lines += [
            "",
            f"## A billion rows on {billion['machine']['processor']}",
            "",
            where(billion["machine"]),
            "",
            *one_run(billion),
            "",
            *scaling(billion),
        ]
    return "\n".join(lines)


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


def scaling(billion: dict[str, Any]) -> list[str]:
    lines = ["| rows | seconds, start-up included | peak memory |", "|---|---|---|"]
    for run in billion["scaling"]:
        lines.append(f"| {run['rows']:,} | {run['seconds']:.1f} | {mib(run['peak_memory'])} |")
    return lines


def number(rate: float) -> str:
    return f"{rate:,.0f}" if rate >= 100 else f"{rate:.3g}"


def mib(size: int) -> str:
    return f"{size / 2**20:,.0f} MiB"


if __name__ == "__main__":
    write()
