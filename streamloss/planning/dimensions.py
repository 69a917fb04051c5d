"""Dimensions and labels: arrays that name their axes, or label their rows, agree about both.

Rows meet by position. Where two arrays say what a row is, they must say the same: numbers of other rows would give a
value that means nothing.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from ..errors import ShapeError
from ..storage.sources.base import Source
from ..storage.sources.labels import Difference, Labels, first_difference, unequal
from .alignment import CLASS_AXIS, View

MOST_SORTED = 1 << 20
"""The most labels that are sorted, to tell another order from other labels."""


def refuse_other_order(sources: Sequence[Source]) -> None:
    """Raise ShapeError for two arrays that name the same dimensions in another order.

    Their shapes may agree all the same, as those of square grids do. Arrays without names, and names that only one of
    the two has, say nothing.
    """
    for one, other in itertools.combinations(sources, 2):
        shared = set(one.dimensions) & set(other.dimensions) - {None}
        theirs, ours = ([name for name in source.dimensions if name in shared] for source in (one, other))
        if theirs != ours:
            raise ShapeError(
                f"{one.role} ({one.where}) has the dimensions {names_of(one)}, but {other.role} ({other.where}) "
                f"{names_of(other)}; expected one order. Transpose one of them, or rename its dimensions if the names "
                "are wrong."
            )


def refuse_other_labels(arrays: Sequence[tuple[Source, View]], start: int, stop: int) -> None:
    """Raise ShapeError for two arrays whose labels differ along an axis where they meet, or that meet along axes which
    name other dimensions.

    `start` and `stop` are the rows evaluated. An array without labels, as most have none, says nothing; an axis of
    length 1 has no order.
    """
    labels: dict[str, Mapping[int, Labels]] = {}
    for (one, view), (other, other_view) in itertools.combinations(arrays, 2):
        for axis, other_axis, is_rows in _meeting(view, other_view):
            _refuse_other_names(one, axis, other, other_axis)
            if one.role not in labels:
                labels[one.role] = one.labels()
            if axis not in labels[one.role]:
                continue
            if other.role not in labels:
                labels[other.role] = other.labels()
            if other_axis in labels[other.role]:
                first, last = (start, stop) if is_rows else (0, view.shape[axis])
                ours, theirs = labels[one.role][axis], labels[other.role][other_axis]
                difference = first_difference(ours, theirs, first, last)
                if difference is not None:
                    raise ShapeError(_message(one, ours, other, theirs, difference, (first, last)))


def _meeting(one: View, other: View) -> Iterator[tuple[int, int, bool]]:
    """Yield the axes along which two arrays meet, of each array, and whether they are the first axis of the losses."""
    for axis, follows in enumerate(one.axes):
        if follows >= 0 and follows in other.axes and one.shape[axis] > 1:
            yield axis, other.axes.index(follows), follows == 0
    classes = [[axis for axis, follows in enumerate(view.axes) if follows == CLASS_AXIS] for view in (one, other)]
    if len(classes[0]) == len(classes[1]):  # labels of sequences have no axis of time, and one number has no classes
        yield from ((a, b, False) for a, b in zip(*classes, strict=True) if one.shape[a] == other.shape[b] > 1)


def _refuse_other_names(one: Source, axis: int, other: Source, other_axis: int) -> None:
    """Raise ShapeError where an axis has the name of a dimension that the other array has elsewhere."""
    names = meant_names(one), meant_names(other)
    for first, second in ((0, 1), (1, 0)):
        sources, axes = (one, other), (axis, other_axis)
        name = names[first][axes[first]] if names[first] else None
        if name is not None and name in names[second] and names[second][axes[second]] != name:
            raise ShapeError(
                f"{one.role} ({one.where}) has the dimensions {names_of(one)}, and {other.role} ({other.where}) "
                f"{names_of(other)}: {name} of {sources[first].role} would meet "
                f"{names[second][axes[second]] or f'axis {axes[second]}'} of {sources[second].role}. Rename the "
                "dimensions if the names are wrong; if not, see the loss' axis=, which is the axis of classes."
            )


def meant_names(source: Source) -> tuple[str | None, ...]:
    """Return the names of the axes but those that xarray gives by default."""
    return tuple(None if re.fullmatch(r"dim_\d+", name or "") else name for name in source.dimensions)


def names_of(source: Source) -> str:
    """Return the names of an array's axes, for a message."""
    return f"({', '.join(map(str, source.dimensions))})"


def _message(
    one: Source, ours: Labels, other: Source, theirs: Labels, difference: Difference, where: tuple[int, int]
) -> str:
    name = ours.name if ours.name == theirs.name else f"{ours.name} and {theirs.name}"
    return (
        f"{one.role} ({one.where}) and {other.role} ({other.where}) have other labels along {name}: at "
        f"{difference.at:,}, {one.role} has {_shown(difference.one)} and {other.role} {_shown(difference.other)}; "
        f"expected equal labels, as rows meet by position. {_cure(one.role, ours, other.role, theirs, where)}"
    )


def _shown(label: Any) -> str:
    if isinstance(label, np.number):
        return repr(label.item())
    return str(label) if isinstance(label, np.generic) else repr(label)


def _cure(one: str, ours: Labels, other: str, theirs: Labels, where: tuple[int, int]) -> str:
    """Return what to do: bring the same labels into one order, keep those that both have, or take wrong ones off."""
    name, kinds = theirs.name, {ours.kind, theirs.kind}
    by_label = {"zarr": "xarray.open_zarr", "netCDF4": "xarray.open_dataset", "h5py": "xarray.open_dataset"}
    if kinds == {"pandas"} and name == "index":
        order, common = f"{other}.loc[{one}.index]", f"{one}.align({other}, join='inner', axis=0)"
        off = f"{other}.to_numpy(), or {one} and {other} after reset_index(drop=True)"
    elif kinds == {"pandas"}:
        order, common, off = f"{other}[{one}.columns]", "the columns that both have", f"{other}.to_numpy()"
    elif kinds <= {"xarray", *by_label}:
        opened = " and ".join(dict.fromkeys(by_label[kind] for kind in (ours.kind, theirs.kind) if kind in by_label))
        first = f"Open them with {opened}, which reads lazily, and pass " if opened else ""
        order = f"{first}{other}.sel({name}={one}.{name})"
        common = f"{first}xarray.align({one}, {other}, join='inner')"
        rewritten = " (or write the coordinate again)" if opened else ""
        off = f"{other}.drop_vars({name!r}){rewritten}"
    else:
        order, common, off = "both in one order", "the rows that both have", f"{other} without labels"
    cures = {"order": order, "common": common}
    told = [cures[relation] for relation in _relations(ours, theirs, where)]
    said = [text if text[0].isupper() else f"Pass {text}" for text in told]
    what = "the labels are wrong and rows are in one order already" if told else "rows are in one order all the same"
    return " ".join([*(f"{text}." for text in said), f"If {what}, pass {off}."])


def _relations(ours: Labels, theirs: Labels, where: tuple[int, int]) -> tuple[str, ...]:
    """Return what can be done with the labels of both: "order" where they are the same ones, "common" where they have
    some in common, both where there are too many to look at.
    """
    if where[1] - where[0] > MOST_SORTED:
        return "order", "common"
    a, b = ours.read(*where), theirs.read(*where)
    try:
        if not unequal(np.sort(a), np.sort(b)).any():
            return ("order",)
        return ("common",) if np.isin(a, b).any() else ()
    except (TypeError, ValueError):  # labels that have no order
        return ()
