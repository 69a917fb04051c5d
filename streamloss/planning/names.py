"""Axes by name: where all axes of two arrays have names, the names say which of them meet.

Labels, weights and masks whose dimensions are some of those of `y_pred`, in any order, are brought into its order;
those that they do not have are repeated, as xarray does it. Arrays without names meet by position.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from ..errors import ShapeError
from ..formulas._kinds import LabelLayout
from ..formulas._registry import LossSpec
from ..storage.sources.base import Source
from ..storage.sources.rearranged import Rearranged
from .alignment import row_axes
from .dimensions import meant_names, names_of
from .request import LossRequest, Sources

Names = tuple[str, ...]


def axes_by_name(requests: Sequence[LossRequest], y_pred: Source) -> list[LossRequest]:
    """Return the losses with numbers for the axes that are names of `y_pred`'s dimensions.

    Raises ShapeError for a name that is none of them.
    """
    return [
        replace(request, spec=_numbered(_numbered(request.spec, "axis", y_pred), "class_axis", y_pred))
        for request in requests
    ]


def _numbered(spec: LossSpec, parameter: str, y_pred: Source) -> LossSpec:
    asked = spec.parameters.get(parameter)
    each = asked if isinstance(asked, tuple) else (asked,)
    if not any(isinstance(axis, str) for axis in each):
        return spec
    numbers = []
    for axis in each:
        if isinstance(axis, str) and y_pred.dimensions.count(axis) != 1:
            has = f"has the dimensions {names_of(y_pred)}" if y_pred.dimensions else "has no names of dimensions"
            raise ShapeError(
                f"{spec.name}: {parameter}={axis!r} is the name of a dimension of y_pred, but y_pred ({y_pred.where}) "
                f"{has}; expected one of its names, or a number that counts axes."
            )
        numbers.append(y_pred.dimensions.index(axis) if isinstance(axis, str) else axis)
    number = tuple(numbers) if isinstance(asked, tuple) else numbers[0]
    return replace(spec, parameters={**spec.parameters, parameter: number})


def arranged_by_name(requests: Sequence[LossRequest], sources: Sources) -> Sources:
    """Return the arrays with their axes in the order of `y_pred`'s dimensions, where all are named.

    Raises ShapeError for a weight or mask of fewer axes than the losses, one of which has another name.
    """
    names = _all_names(sources.y_pred)
    if names is None or sources.lazy:
        return sources
    specs = [request.spec for request in requests]
    rows = {tuple(names[axis] for axis in row_axes(spec, sources.y_pred.shape)) for spec in specs}
    weight, mask, keys = sources.sample_weight, sources.mask, sources.keys
    if len(rows) == 1:
        (of_rows,) = rows
        keys = tuple((cut, _along(key, of_rows, names)) for cut, key in keys)
        weight = weight if isinstance(weight, float | None) else _along(weight, of_rows, names)
        mask = None if mask is None else _along(mask, of_rows, names)
    return replace(sources, y_true=_labels(sources, specs, names), sample_weight=weight, mask=mask, keys=keys)


def _along(source: Source, rows: Names, of_y_pred: Names) -> Source:
    """Return a weight, mask or key with an axis for each of the losses', of length 1 where it has none.

    `rows` are the names of the losses' axes, `of_y_pred` those of all axes of `y_pred`.
    """
    names = _all_names(source)
    if names is None or names == rows:
        return source
    if set(names) <= set(rows):
        return Rearranged(source, [names.index(name) if name in names else None for name in rows], [1] * len(rows))
    if averaged := [name for name in names if name in of_y_pred and name not in rows]:
        raise ShapeError(
            f"{source.role} ({source.where}) has the dimensions {names_of(source)}, but the losses "
            f"({', '.join(rows)}) have none along {', '.join(averaged)}, which the loss averages, or takes as classes; "
            f"expected dimensions of the losses. With axis=None, where a loss takes it, each element is a row, and "
            f"{source.role} holds for all that it meets."
        )
    if len(names) < len(rows):
        others = ", ".join(name for name in names if name not in rows)
        raise ShapeError(
            f"{source.role} ({source.where}) has the dimensions {names_of(source)}, but the losses "
            f"({', '.join(rows)}): {others} is none of theirs. Rename it if the name is wrong."
        )
    return source


def _labels(sources: Sources, specs: Sequence[LossSpec], names: Names) -> Source:
    """Return the labels in `y_pred`'s order, repeated along axes that they do not have."""
    y_true, y_pred = sources.y_true, sources.y_pred
    own = _all_names(y_true)
    wanted = {_names_of_labels(spec, own, y_pred.shape, names) for spec in specs} if own else set()
    if own is None or len(wanted) != 1 or not set(own) <= set(names):
        return y_true
    (order,) = wanted
    if order is None or order == own:
        return y_true
    shape = [y_pred.shape[names.index(name)] for name in order]
    return Rearranged(y_true, [own.index(name) if name in own else None for name in order], shape)


def _names_of_labels(spec: LossSpec, own: Names, y_pred: tuple[int, ...], names: Names) -> Names | None:
    """Return the names that labels must have, in their order; None where names do not decide."""
    match spec.formula.label_layout:
        case LabelLayout.SEQUENCE:
            return None
        case LabelLayout.PER_ELEMENT:
            classes = spec.parameters.get("class_axis", 0) % len(names)
            is_map = spec.formula.is_ratio and y_pred[classes] > 1 and names[classes] not in own
            return names[:classes] + names[classes + 1 :] if is_map else names
        case LabelLayout.PER_ROW:
            rows = row_axes(spec, y_pred)
            own_classes = any(name in own for axis, name in enumerate(names) if axis not in rows)
            return None if own_classes else tuple(names[axis] for axis in rows)


def _all_names(source: Source) -> Names | None:
    """Return the names of all axes; None where one has none, or two have the same, or the array is on a GPU."""
    names = tuple(name for name in meant_names(source) if name is not None)
    complete = names and len(names) == len(source.shape) == len(set(names)) and not source.on_gpu
    return names if complete else None
