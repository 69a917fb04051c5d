"""Draw the picture of README.md, docs/billion.svg, from results/*/billion.json: seconds and memory of a billion rows.

python bench/picture.py
"""

from __future__ import annotations

import json
from html import escape
from pathlib import Path
from typing import Any

from timing import OF_PARQUET, OURS, RESULTS

PICTURE = Path(__file__).parents[1] / "docs" / "billion.svg"
WIDTH, LEFT, BAR, GAP, TOP = 830, 320, 22, 12, 52
STYLE = """\
text { font: 14px system-ui, sans-serif; fill: #24292f } .title { font-weight: 600 } .note { fill: #57606a }
.ours { fill: #3f51b5 } .theirs { fill: #8c959f }
@media (prefers-color-scheme: dark) {
  text { fill: #e6edf3 } .note { fill: #9198a1 } .ours { fill: #8c9eff } .theirs { fill: #6e7681 }
}"""


def draw(billion: dict[str, Any]) -> str:
    """Return the picture: a bar for each candidate, as long as it took, with its seconds and its peak memory."""
    runs = {name: run for name, run in billion["runs"].items() if run["seconds"] is not None}
    longest = max(run["seconds"] for run in runs.values())
    room = WIDTH - LEFT - 150
    height = TOP + len(runs) * (BAR + GAP) + 30
    machine = billion["machine"]
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" width="{WIDTH}" height="{height}">',
        f"<style>\n{STYLE}\n</style>",
        f'<text class="title" x="0" y="18">Binary cross-entropy of {billion["rows"]:,} rows on disk</text>',
        '<text class="note" x="0" y="38">seconds of a whole process, and its peak memory; shorter is better</text>',
    ]
    for place, (name, run) in enumerate(runs.items()):
        y, length = TOP + place * (BAR + GAP), room * run["seconds"] / longest
        kind = "ours" if name.startswith(OURS) else "theirs"
        parts += [
            f'<text x="{LEFT - 10}" y="{y + 16}" text-anchor="end">{escape(label(name))}</text>',
            f'<rect class="{kind}" x="{LEFT}" y="{y}" width="{length:.1f}" height="{BAR}" rx="3"/>',
            f'<text x="{LEFT + length + 8:.1f}" y="{y + 16}">{run["seconds"]:.1f} s, '
            f"{run['peak_memory'] / 2**20:,.0f} MiB</text>",
        ]
    where = f"{machine['processor']}, {machine['threads']} threads"
    parts += [f'<text class="note" x="0" y="{height - 6}">{escape(where)}; python bench/billion.py</text>', "</svg>"]
    return "\n".join(parts) + "\n"


def label(name: str) -> str:
    """Return the candidate with the kind of file that it read."""
    kind = "Zarr" if name.startswith(OURS) and name != OF_PARQUET else "Parquet"
    return f"{name.removesuffix(', of Parquet')} ({kind})"


def results() -> dict[str, Any]:
    """Return the results of the first processor that has some."""
    return json.loads(min(RESULTS.glob("*/billion.json")).read_text(encoding="utf-8"))


def write() -> None:
    PICTURE.write_text(draw(results()), encoding="utf-8")


if __name__ == "__main__":
    write()
