"""Values of flags and settings, parsed from text."""

from __future__ import annotations

import re
import tomllib
from typing import Any

from ..formulas._foreign_names import is_foreign


def parse_loss(text: str) -> dict[str, Any]:
    """Return the ``[[losses]]`` table of a text such as ``bce:from_logits=true,label_smoothing=0.1``.

    Raises ValueError for another form.
    """
    if is_foreign(text):  # XGBoost's have a colon: binary:logistic
        return {"loss": text.strip()}
    loss, _, parameters = text.partition(":")
    table: dict[str, Any] = {"loss": loss.strip()}
    for item in filter(None, (part.strip() for part in re.split(r",(?![^\[\]]*\])", parameters))):
        key, separator, value = item.partition("=")
        if not separator:
            raise ValueError(f"expected NAME[:parameter=value,...], received {text!r}")
        table[key.strip()] = parse_value(value.strip())
    return table


def parse_rows(text: str | None) -> slice | None:
    """Return the slice of ``1000:2000``, ``:2000`` or ``1000:``. Raises ValueError for another form."""
    if text is None:
        return None
    match = re.fullmatch(r"\s*(-?\d+)?\s*:\s*(-?\d+)?\s*", text)
    if match is None:
        raise ValueError(f"expected START:STOP, such as 1000:2000, :2000 or 1000:, received {text!r}")
    first, last = match.groups()
    return slice(None if first is None else int(first), None if last is None else int(last))


def parse_shard(text: str | None) -> tuple[int, int] | None:
    """Return (3, 7) for ``3/7``. Raises ValueError for another form."""
    if text is None:
        return None
    match = re.fullmatch(r"\s*(\d+)\s*/\s*(\d+)\s*", text)
    if match is None or int(match[1]) >= int(match[2]):
        raise ValueError(f"expected I/N with I from 0 to N - 1, such as 0/4 for the first of four, received {text!r}")
    return int(match[1]), int(match[2])


def parse_value(text: str) -> Any:
    """Return the value of a text that is a TOML value, or Python's True or False; else the text itself."""
    if text in ("True", "False"):
        return text == "True"
    try:
        return tomllib.loads(f"value = {text}")["value"]
    except tomllib.TOMLDecodeError:
        return text


def is_none(value: Any) -> bool:
    """Return whether a setting means None: TOML has no null, so ``axis = "none"`` stands for it."""
    return isinstance(value, str) and value.lower() == "none"
