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
    for item in filter(None, (part.strip() for part in re.split(r",(?![^\[\](]*[\])])", parameters))):
        key, separator, value = item.partition("=")
        if not separator:
            advice = " A list is written in brackets, as in axis=[1,2]." if len(table) > 1 else ""
            raise ValueError(f"expected NAME[:parameter=value,...], received {text!r}.{advice}")
        table[key.strip()] = parse_value(value.strip())
    return table


_CUT = re.compile(r"^(?P<array>.+?):(?P<how>unit|bins)=(?P<value>[^:]+)$")


def parse_cut(text: str) -> dict[str, Any]:
    """Return the table of a key such as ``times.npy:unit=M`` or ``age.npy:bins=18,65``; other texts are URIs.

    Raises ValueError for bins that are no numbers.
    """
    match = _CUT.match(text)
    if match is None:
        return {"array": text}
    value: Any = match["value"]
    if match["how"] == "bins":
        try:
            value = [float(edge) for edge in value.split(",")]
        except ValueError:
            raise ValueError(f"expected bins=EDGE,EDGE,... with numbers that ascend, received {text!r}") from None
    return {"array": match["array"], match["how"]: value}


def parse_key(text: Any) -> tuple[str, Any]:
    """Return the name and the rest of ``NAME=URI``. Raises ValueError for another form."""
    name, separator, rest = str(text).partition("=")
    if not separator or not name.strip() or not rest or "::" in name or "/" in name:
        raise ValueError(f"expected NAME=URI, such as carrier=flights.parquet::carrier, received {text!r}")
    return name.strip(), rest


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
    """Return the value of a text that is a TOML value, or Python's True, False or tuple; else the text itself."""
    if text in ("True", "False"):
        return text == "True"
    if text.startswith("(") and text.endswith(")"):
        text = f"[{text[1:-1]}]"
    try:
        return tomllib.loads(f"value = {text}")["value"]
    except tomllib.TOMLDecodeError:
        return text


def is_none(value: Any) -> bool:
    """Return whether a setting means None: TOML has no null, so ``axis = "none"`` stands for it."""
    return isinstance(value, str) and value.lower() == "none"
