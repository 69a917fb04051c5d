"""Measure speed against peers and limits; write results/PROCESSOR/speed.json, and tables in docs/speed.md and README.

    make bench                              (or: python bench/speed.py [--small])

Takes about ten minutes. ``--small`` runs everything once on little data, to see that it runs.
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

import in_memory
import reading
import tables
from timing import save


def main(small: bool) -> None:
    elements, rounds, rows = (1 << 14, 1, 2000) if small else (40_000_000, 7, 1_000_000)
    classes = (2, 10, 100) if small else in_memory.CLASSES
    results = in_memory.run(elements, rounds, classes)
    with tempfile.TemporaryDirectory() as folder:
        results += reading.run(Path(folder), rows, rounds)
        results += reading.shares(Path(folder), elements * 5 // 2, rounds)
    if not small:
        print("written:", save("speed", {"rows": results}))
        tables.write()


if __name__ == "__main__":
    main("--small" in sys.argv[1:])
