"""Results as valid JSON, and as tables of pandas."""

from __future__ import annotations

import importlib
import json
import math
from collections.abc import Mapping
from typing import Any

from ..errors import MissingExtraError


def json_of(content: Any, indent: int | None) -> str:
    """Return valid JSON: numbers that are not finite become the strings "NaN", "Infinity" and "-Infinity"."""
    return json.dumps(_finite(content), indent=indent, allow_nan=False)


def pandas() -> Any:
    """Return the module. Raises MissingExtraError where it is not installed."""
    try:
        return importlib.import_module("pandas")
    except ImportError as error:
        raise MissingExtraError("to_pandas", "pandas") from error


def _finite(content: Any) -> Any:
    if isinstance(content, float) and not math.isfinite(content):
        return "NaN" if math.isnan(content) else "Infinity" if content > 0 else "-Infinity"
    if isinstance(content, Mapping):
        return {key: _finite(value) for key, value in content.items()}
    if isinstance(content, list | tuple):
        return [_finite(value) for value in content]
    return content
