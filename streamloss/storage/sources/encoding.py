"""The attributes that change what stored numbers mean (CF conventions, as xarray and netCDF4 write them).

Zarr, HDF5 and netCDF store numbers with attributes beside them: packed integers with a scale and an offset, numbers
that stand for missing data, signed integers that are meant as unsigned ones, integers that are the bits of floats, and
units. A reader that does not know them takes codes for values, or compares kelvins with degrees. Every source that has
attributes asks this module, whatever its container.
"""

from __future__ import annotations

import base64
import math
import re
from collections.abc import Mapping
from typing import Any

import numpy as np

from ...errors import SourceError

FILL_VALUES = ("_FillValue", "missing_value")
"""The attributes that name numbers which stand for missing data."""


def attributes_of(array: Any) -> Mapping[str, Any]:
    """Return the attributes that an array carries: of h5py, netCDF4, xarray and pandas; none of other arrays."""
    if callable(getattr(array, "ncattrs", None)):
        return {name: array.getncattr(name) for name in array.ncattrs()}
    attributes = getattr(array, "attrs", None)
    return attributes if isinstance(attributes, Mapping) else {}


def meanings(attributes: Mapping[str, Any], dtype: np.dtype[Any], fill_value: Any = None) -> dict[str, Any]:
    """Return the attributes that change what stored numbers mean.

    `fill_value` is a number that stands for missing data and is kept elsewhere than in the attributes, as xarray keeps
    it in Zarr's format 2; None where there is none. Attributes that change nothing, such as a scale of 1, an offset of
    0, and NaN for missing floats, are let through.
    """
    found = {key: attributes[key] for key in attributes if _changes_meaning(key, attributes[key], dtype)}
    if fill_value is not None and not (dtype.kind == "f" and _is_nan(fill_value)):
        found["fill_value"] = fill_value
    return found


def refuse_encoded(
    role: str,
    where: str,
    attributes: Mapping[str, Any],
    dtype: np.dtype[Any],
    fill_value: Any = None,
    variable: str | None = None,
) -> None:
    """Raise SourceError for an array whose attributes change what its stored numbers mean; see :func:`meanings`.

    `variable` is the name under which they are decoded, where there is one.
    """
    if found := meanings(attributes, dtype, fill_value):
        raise SourceError(
            f"{role}: {where} has the attributes {found}, which change what its numbers mean. {_cure(found, variable)}"
        )


def refuse_masked(place: str, values: Any, cure: str) -> None:
    """Raise SourceError for a masked array that masks an element, which holds no data; `place` names the array."""
    if not isinstance(values, np.ma.MaskedArray) or not np.ma.is_masked(values):
        return
    masked = np.ma.getmaskarray(values)
    first = ", ".join(str(int(i)) for i in np.unravel_index(int(masked.argmax()), masked.shape))
    count = int(masked.sum())
    raise SourceError(
        f"{place} has {count:,} masked element{'s' * (count > 1)}, the first at [{first}]: they hold no data. Pass "
        f"{cure}, with NaN and nan_policy='omit' to leave those rows out; of a mask or weights, with 0."
    )


def _cure(found: Mapping[str, Any], variable: str | None) -> str:
    if any(map(says_bfloat16, found.values())):
        return (
            "Its integers are the bits of bfloat16 numbers: store array.view(ml_dtypes.bfloat16).astype('float32'), or "
            "pass that view."
        )
    decoded = f"Name it {variable!r}, and it is decoded as xarray does it. Or: " if variable else ""
    return (
        f"{decoded}Store the unpacked values (xarray: decode and write as floats), or remove the attributes if no "
        "element is meant (format 2: fill_value null in .zarray)."
    )


def units_of(attributes: Mapping[str, Any]) -> str | None:
    """Return the units that attributes state; None where they state none."""
    units = attributes.get("units")
    if isinstance(units, bytes):  # as netCDF files of some writers have text
        units = units.decode("utf-8", "replace")
    text = str(units).strip() if units is not None else ""
    calendar = attributes.get("calendar")
    calendar = calendar.decode("utf-8", "replace") if isinstance(calendar, bytes) else calendar
    return (f"{text} ({calendar})" if " since " in text and isinstance(calendar, str) else text) or None


def calendar_of(units: str | None) -> tuple[str, str]:
    """Return the units of times, and the calendar, of what :func:`units_of` returned."""
    text, bracket, rest = (units or "").partition(" (")
    return text, rest.rstrip(")") if bracket else "standard"


def same_units(one: str, other: str) -> bool:
    """Return whether two texts name the same units, as far as ways of writing go: ``m s**-1``, ``m/s``, ``m s-1``."""
    return _plain_units(one) == _plain_units(other)


def _plain_units(units: str) -> str:
    powers = units.replace("**", "").replace("^", "").replace("*", " ").replace("\N{DEGREE SIGN}", "deg")
    products = re.sub(r"/\s*([A-Za-z]+)(\d*)", lambda match: f" {match[1]}-{match[2] or 1}", powers)
    plain = " ".join(products.split())
    bare = re.sub(r"^(degrees?|deg)?[ _]?", "", plain.lower())
    return {"k": "K", "kelvin": "K", "kelvins": "K", "c": "degC", "celsius": "degC", "f": "degF"}.get(bare, plain)


def _changes_meaning(key: str, value: Any, dtype: np.dtype[Any]) -> bool:
    if key == "scale_factor":
        return not _is_number(value, 1.0)
    if key == "add_offset":
        return not _is_number(value, 0.0)
    if key == "_Unsigned":
        return str(value).lower() == ("true" if dtype.kind == "i" else "false") and dtype.kind in "iu"
    if says_bfloat16(value):
        return dtype.kind in "iu" and dtype.itemsize == 2
    if key in FILL_VALUES:
        return not (dtype.kind == "f" and _is_nan(value))
    return False


def says_bfloat16(value: Any) -> bool:
    """Return whether an attribute's value is the name of bfloat16, as "torch.bfloat16"."""
    return isinstance(value, str) and value.strip().rpartition(".")[2].lower() == "bfloat16"


def _is_number(attribute: Any, number: float) -> bool:
    """Return whether an attribute, a number or an array of one, is `number`."""
    try:
        return bool(np.asarray(attribute, np.float64).reshape(-1).tolist() == [number])
    except (TypeError, ValueError):
        return False


def _is_nan(attribute: Any) -> bool:
    """Return whether an attribute is NaN, also as xarray writes it: a string, or the little-endian bytes in base64."""
    try:
        return bool(np.isnan(np.asarray(attribute, np.float64)).all())
    except (TypeError, ValueError):
        pass
    try:
        raw = base64.b64decode(attribute, validate=True)
        return math.isnan(np.frombuffer(raw, {4: "<f4", 8: "<f8"}[len(raw)])[0])
    except (TypeError, ValueError, KeyError):
        return False
