"""Report files: where one may be written, and what it is made of."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ...aggregation.state_files import unique_beside, write_whole
from ...errors import OutputExistsError, UnwritableOutputError, UsageError
from ...storage.uris import overlap
from .page import html_of

_MARK = b'name="generator" content="streamloss"'
_BEGINNING = 1000
"""The bytes of a file in which a report has its mark."""


def try_report_target(path: Path, inputs: Mapping[str, str]) -> None:
    """Raise OutputExistsError where a file is no report, UsageError for a place that is read or no page, and
    UnwritableOutputError where no file can be made there. `inputs` are the places that are read, by what they are.
    """
    if path.suffix.lower() not in (".html", ".htm"):
        raise UsageError(f"the report {str(path)!r} is a page of HTML; expected a name such as report.html.")
    for use, place in inputs.items():
        if overlap(str(path), place):
            raise UsageError(f"the report {str(path)!r} is {use} ({place}), which is read; name another file.")
    if path.exists() and not _is_report(path):
        raise OutputExistsError(
            f"the report {str(path)!r} exists and is no report of streamloss, so it is not replaced; name another file."
        )
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        trial = unique_beside(path)
        trial.touch(exist_ok=False)
        trial.unlink()
    except OSError as error:
        raise UnwritableOutputError(f"{str(path)!r} cannot be written: {error.strerror or error}.") from error


def report_of(document: Mapping[str, Any], path: str | os.PathLike[str] | None) -> str:
    """Return the report of a result's document, written to a file where one is named. Raises as its checks do."""
    if path is not None:
        try_report_target(Path(path), {})
    page = html_of(document)
    if path is not None:
        write_report(Path(path), page)
    return page


def write_report(path: Path, page: str) -> None:
    """Write a report, as a whole or not at all. Raises UnwritableOutputError."""
    try:
        write_whole(path, page.encode())
    except OSError as error:
        raise UnwritableOutputError(f"{str(path)!r} cannot be written: {error.strerror or error}.") from error


def _is_report(path: Path) -> bool:
    try:
        with open(path, "rb") as file:
            return _MARK in file.read(_BEGINNING)
    except OSError:  # a folder, too
        return False
