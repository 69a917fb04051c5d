"""The option ``--report`` and the command ``report``."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import click

from ..api.comparison import Comparison
from ..api.report.files import try_report_target, write_report
from ..api.report.page import html_of
from ..api.result import Result
from ..errors import SourceError, StateError


def write(found: Result | Comparison, path: str | None) -> None:
    """Write the report of a result, where a file is named."""
    if path is not None:
        _write(found.to_dict(), Path(path), "the result")


def run_report(result: str, page: str | None) -> None:
    """Run ``streamloss report``."""
    source = Path(result)
    path = Path(page) if page is not None else source.with_suffix(".html")
    try_report_target(path, {"the result": result})
    _write(_document(source), path, repr(result))


def _write(document: Any, path: Path, name: str) -> None:
    write_report(path, html_of(document, name))
    click.echo(f"streamloss: the report is {path}.", err=True)


def _document(path: Path) -> Any:
    """Return the document of a file of JSON, or of a state. Raises SourceError and StateError."""
    try:
        document = json.loads(path.read_bytes())
    except OSError as error:
        raise SourceError(f"cannot read the result {str(path)!r}: {error.strerror or error}.") from None
    except (ValueError, RecursionError) as error:
        raise SourceError(
            f"{str(path)!r} is no JSON ({error}); expected what `streamloss evaluate --json` writes, or a state."
        ) from None
    if not isinstance(document, dict) or "format" not in document:
        return document
    try:
        return Comparison.load(path).to_dict()
    except StateError:
        return Result.load(path).to_dict()
