"""Times as netCDF conventions (CF) store them: numbers since a date, in units that an attribute names."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

Array = np.ndarray[Any, Any]

UNITS = {
    "D": ("day", "d"),
    "h": ("hour", "hr", "h"),
    "m": ("minute", "min"),
    "s": ("second", "sec", "s"),
    "ms": ("millisecond", "millisec", "msec", "ms"),
    "us": ("microsecond", "us"),
    "ns": ("nanosecond", "ns"),
}
"""The names that CF has for NumPy's units; each may have an s behind it."""

MICROSECONDS = {"D": 86.4e9, "h": 3.6e9, "m": 6e7, "s": 1e6, "ms": 1e3, "us": 1.0, "ns": 1e-3}

CALENDARS = ("standard", "gregorian", "proleptic_gregorian")
"""The calendars that are NumPy's, from their reform in 1582 on."""
REFORM = np.datetime64("1582-10-15")


def decoded_times(values: Array, attributes: Mapping[str, Any]) -> Array:
    """Return numbers that are times as datetime64, durations as timedelta64, and anything else as it is.

    Numbers since a date in another calendar become text with their unit, which tells them from those of another one.
    """
    units = _text(attributes.get("units"))
    if values.dtype.kind not in "iuf" or not units:
        return values
    unit, since, date = units.partition(" since ")
    if not since:  # of durations xarray reads whole words only: "m" are metres
        return _durations(values, _unit(units)) if units in {f"{names[0]}s" for names in UNITS.values()} else values
    numpys, begin = _unit(unit), _date(date)
    calendar = _text(attributes.get("calendar")) or "standard"
    if not numpys or begin is None or calendar not in CALENDARS or begin < REFORM:
        return np.array([f"{value} {units}, {calendar}" for value in values.tolist()], object)
    times: Array = begin + _durations(values, numpys)
    return times


def _unit(text: str) -> str:
    """Return NumPy's name of a unit; "" for one that it has not."""
    return {name + s: key for key, names in UNITS.items() for name in names for s in ("", "s")}.get(text.strip(), "")


def _durations(values: Array, unit: str) -> Array:
    if values.dtype.kind in "iu":
        return values.astype(np.int64).astype(f"m8[{unit}]")
    with np.errstate(over="ignore"):
        microseconds = values.astype(np.float64) * MICROSECONDS[unit]
    missing = ~(np.abs(microseconds) < 2.0**63)
    found = np.where(missing, 0, np.rint(microseconds)).astype(np.int64).astype("m8[us]")
    found[missing] = np.timedelta64("NaT")
    return found


def _date(text: str) -> np.datetime64 | None:
    """Return a date in universal time; None for one that is written otherwise than ISO does."""
    stripped = text.strip()
    for zone in ("Z", "UTC", "+00:00", "+0000", "+00"):
        stripped = stripped.removesuffix(zone).strip()
    try:
        return np.datetime64(stripped.replace(" ", "T", 1), "us") if stripped[:1].isdigit() else None
    except ValueError:
        return None


def _text(attribute: Any) -> str:
    return attribute.decode() if isinstance(attribute, bytes) else attribute if isinstance(attribute, str) else ""
