"""Record every message that a test session provokes, to compare two versions of the code.

    RECORDED_MESSAGES=before PYTHONPATH=tests/support pytest -p record_messages
    python tests/support/record_messages.py before after     # what is said no more, and what is new

As a plugin of pytest, each process writes the texts of the errors and warnings of streamloss made in it to a file
in the directory that RECORDED_MESSAGES names. Temporary paths, sizes of the process and addresses are left out.
"""

from __future__ import annotations

import os
import re
import sys
import warnings
from pathlib import Path

VARIABLE = [
    (re.compile(r"(?:/tmp/|TMP)?pytest-of-\w+/pytest-\d+/(?:popen-gw\d+/)?\w+"), "TMP"),
    (re.compile(r"/tmp/\w+"), "TMP"),
    (re.compile(r"memory://\d+"), "memory://N"),
    (re.compile(r"(Stored|Computed): b(['\"]).*?\2(?=\.)"), r"\1: BYTES"),
    (re.compile(r"\d[\d,]* MiB"), "N MiB"),
    (re.compile(r"\d+MiB"), "NMiB"),
    (re.compile(r"tcp://[\w.:]+"), "ADDRESS"),
    (re.compile(r"0x[0-9a-f]+"), "0xN"),
]
"""Patterns of text that differs from run to run, with their stand-ins."""


def normalised(text: str) -> str:
    for pattern, name in VARIABLE:
        text = pattern.sub(name, text)
    return text


seen: set[str] = set()


def pytest_sessionfinish() -> None:
    folder = Path(os.environ["RECORDED_MESSAGES"])
    folder.mkdir(parents=True, exist_ok=True)
    (folder / f"{os.getpid()}.txt").write_text("\n".join(repr(text) for text in sorted(seen)))


def pytest_configure() -> None:
    from streamloss.errors import StreamlossError, StreamlossWarning

    make, warn = StreamlossError.__init__, warnings.warn

    def recorded(self: Exception, *arguments: object) -> None:
        make(self, *arguments)  # type: ignore[arg-type]
        seen.add(f"{type(self).__name__}: {normalised(' '.join(map(str, arguments)))}")

    def warned(message: object, category: object = None, *arguments: object, **options: object) -> None:
        if category is StreamlossWarning:
            seen.add(f"StreamlossWarning: {normalised(str(message))}")
        options["stacklevel"] = int(options.get("stacklevel", 1)) + 1  # type: ignore[call-overload]
        warn(message, category, *arguments, **options)  # type: ignore[call-overload]

    StreamlossError.__init__ = recorded  # type: ignore[method-assign, assignment]
    warnings.warn = warned  # type: ignore[assignment]


def main(before: str, after: str) -> int:
    old, new = (
        {normalised(line) for path in Path(folder).glob("*.txt") for line in path.read_text().splitlines()}
        for folder in (before, after)
    )
    for line in sorted(old - new):
        print(f"- {line}")
    for line in sorted(new - old):
        print(f"+ {line}")
    print(f"{len(old)} messages before, {len(new)} after; {len(old - new)} gone, {len(new - old)} new")
    return 1 if old != new else 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
