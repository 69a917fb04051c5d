"""Tables of a result: groups, worst rows, bins. They are short texts at a prompt, and become DataFrames."""

from __future__ import annotations

import html
import importlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from ..core.text import printable
from ..errors import MissingExtraError, UnknownNameError
from .output import json_of

SHOWN = 20
"""The most rows that the text of a table shows."""
MISSING = "missing"
"""The coordinate of a missing key, whose column's other keys are then text, too."""


class Table(Sequence[Mapping[str, Any]]):
    """Rows of one kind, each a mapping from the columns' names to values: numbers, text, or None."""

    def __init__(
        self, columns: Sequence[str], rows: Iterable[Sequence[Any]], what: str = "rows", keys: int = 0
    ) -> None:
        """`keys` is the number of the first columns that tell rows apart."""
        self.columns = tuple(columns)
        self._rows = tuple(map(tuple, rows))
        self._what, self._keys = what, keys

    def __len__(self) -> int:
        return len(self._rows)

    def __getitem__(self, index: Any) -> Any:
        """Return a row as a mapping; for a slice, a table."""
        if isinstance(index, slice):
            return Table(self.columns, self._rows[index], self._what, self._keys)
        return dict(zip(self.columns, self._rows[index], strict=True))

    def __iter__(self) -> Iterator[dict[str, Any]]:
        return (dict(zip(self.columns, row, strict=True)) for row in self._rows)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Table) and (self.columns, self._rows) == (other.columns, other._rows)

    __hash__ = None  # type: ignore[assignment]  # rows may hold what has no hash

    def column(self, name: str) -> list[Any]:
        """Return the values of one column. Raises UnknownNameError for a name that is none."""
        if name not in self.columns:
            raise UnknownNameError("column", name, self.columns)
        position = self.columns.index(name)
        return [row[position] for row in self._rows]

    def select(self, *names: str) -> Table:
        """Return the table of some columns. Raises UnknownNameError for a name that is none."""
        return Table(names, list(zip(*map(self.column, names), strict=True)), self._what, self._keys)

    def sort(self, by: str, descending: bool = True) -> Table:
        """Return the table sorted by a column: the largest first, what is missing or NaN last."""
        position = self.columns.index(by) if by in self.columns else len(self.column(by))

        def order(row: Sequence[Any]) -> Any:
            value = row[position]
            absent = value is None or value != value
            return (absent != descending, 0 if absent else value)

        return Table(self.columns, sorted(self._rows, key=order, reverse=descending), self._what, self._keys)

    def to_dict(self) -> list[dict[str, Any]]:
        """Return the rows for JSON."""
        return [dict(zip(self.columns, row, strict=True)) for row in self._rows]

    def to_json(self, indent: int | None = 2) -> str:
        """Return the rows as valid JSON: numbers that are not finite become "NaN", "Infinity" and "-Infinity"."""
        return json_of(self.to_dict(), indent)

    def to_pandas(self) -> Any:
        """Return a pandas.DataFrame with the same columns. Raises MissingExtraError without pandas."""
        pandas = _module("pandas", "to_pandas")
        return pandas.DataFrame.from_records(list(self._rows), columns=list(self.columns))

    def to_polars(self) -> Any:
        """Return a polars.DataFrame with the same columns. Raises MissingExtraError without Polars."""
        polars = _module("polars", "to_polars")
        return polars.DataFrame({name: self.column(name) for name in self.columns}, strict=False)

    def to_arrow(self) -> Any:
        """Return a pyarrow.Table with the same columns. Raises MissingExtraError without pyarrow."""
        arrow = _module("pyarrow", "to_arrow", "parquet")
        return arrow.table({name: self.column(name) for name in self.columns})

    def to_xarray(self) -> Any:
        """Return an xarray.Dataset with the keys as dimensions, NaN where a combination has no row.

        Raises MissingExtraError without pandas and xarray.
        """
        _module("xarray", "to_xarray")
        frame, keys = self.to_pandas(), list(self.columns[: max(1, self._keys)])
        for name in keys:  # an index without a value is no coordinate
            if None in (values := self.column(name)):
                frame[name] = [MISSING if value is None else str(value) for value in values]
        return frame.set_index(keys).to_xarray()

    def __repr__(self) -> str:
        shown = [list(map(cell_text, row)) for row in self._rows[:SHOWN]]
        right = [all(is_number(row[i]) for row in self._rows[:SHOWN]) for i in range(len(self.columns))]
        widths = [max(len(cell) for cell in column) for column in zip(self.columns, *shown, strict=True)]
        lines = [
            "  ".join(
                cell.rjust(width) if is_number else cell.ljust(width)
                for cell, width, is_number in zip(row, widths, right, strict=True)
            ).rstrip()
            for row in [list(self.columns), *shown]
        ]
        return "\n".join([*lines, *self._more()])

    def _repr_html_(self) -> str:
        head = "".join(f"<th>{html.escape(name)}</th>" for name in self.columns)
        body = "".join(
            "<tr>" + "".join(f"<td>{html.escape(cell_text(value))}</td>" for value in row) + "</tr>"
            for row in self._rows[:SHOWN]
        )
        more = "".join(f"<p>{html.escape(line)}</p>" for line in self._more())
        return f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>{more}"

    def _more(self) -> list[str]:
        rest = len(self._rows) - SHOWN
        return [f"... and {rest:,} more {self._what}"] if rest > 0 else []


def _module(name: str, method: str, extra: str | None = None) -> Any:
    try:
        return importlib.import_module(name)
    except ImportError as error:
        raise MissingExtraError(method, extra or name) from error


def cell_text(value: Any) -> str:
    """Return a value as a table shows it."""
    if value is None:
        return "-"
    if isinstance(value, float):
        return f"{value:.6g}"
    if isinstance(value, tuple):
        return f"({', '.join(map(cell_text, value))})"
    return f"{value:,}" if isinstance(value, int) and not isinstance(value, bool) else printable(str(value))


def is_number(value: Any) -> bool:
    return value is None or isinstance(value, int | float)
