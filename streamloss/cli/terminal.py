"""The terminal: its width, and texts and tables that fit it."""

from __future__ import annotations

import sys
import textwrap

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table

UNLIMITED = 1000
"""The width in columns where stdout is no terminal: lines are for grep, and are not wrapped."""


def stdout() -> Console:
    return Console(highlight=False, soft_wrap=False, width=None if sys.stdout.isatty() else UNLIMITED)


def hanging(line: str, indent: int) -> str:
    """Return a line wrapped to the terminal, its continuations indented."""
    width = max(stdout().width, indent + 20)
    return textwrap.fill(line, width, subsequent_indent=" " * indent, break_long_words=False, break_on_hyphens=False)


def new_table(*titles: str) -> Table:
    table = Table(box=SIMPLE_HEAD, pad_edge=False)
    for title in titles:
        table.add_column(title, overflow="fold")
    return table
