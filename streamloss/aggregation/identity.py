"""The identity of a state: only rows that were evaluated alike may be added up."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Self

_KEYS = ("loss", "parameters", "dtype", "weighted", "precision", "class_weight", "cells", "weight", "statistics", "by")
"""The keys of the JSON that this version knows."""


@dataclass(frozen=True, slots=True, eq=False)
class StateIdentity:
    """The loss of a state, and everything that decides which values were added up.

    Two identities are equal if their canonical JSON is.
    """

    loss: str
    parameters: Mapping[str, Any]
    dtype: str
    """The dtype of the losses of rows."""
    weighted: bool
    precision: str | None = None
    """"float16" or "bfloat16" where labels and predictions were rounded to it first."""
    class_weight: Mapping[str, float] | None = None
    """The weights by label, as text."""
    ratio_shape: tuple[int, ...] | None = None
    """For sums over the whole data: the shape of the ratios that they make."""
    weight: float | None = None
    """The one weight of all ratios; None where there are none."""
    statistics: tuple[str, ...] = ()
    """The statistics that are added up beside the totals."""
    by: tuple[Mapping[str, Any], ...] = ()
    """The keys of groups, clusters and kept axes, as :class:`.tables.cuts.Cut` writes them."""
    unknown: Mapping[str, Any] = field(default_factory=dict)
    """Keys that another version of streamloss wrote."""
    canonical: str = field(init=False, repr=False)
    """The canonical JSON."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "canonical", canonical_json(self.to_dict()))

    def to_dict(self) -> dict[str, Any]:
        """Return the identity for JSON; what does not apply is left out."""
        optional = {
            "precision": self.precision,
            "class_weight": self.class_weight,
            "cells": self.ratio_shape,
            "weight": self.weight,
            "statistics": self.statistics or None,
            "by": self.by or None,
        }
        return {
            **self.unknown,
            "loss": self.loss,
            "parameters": self.parameters,
            "dtype": self.dtype,
            "weighted": self.weighted,
            **{key: value for key, value in optional.items() if value is not None},
        }

    @classmethod
    def from_dict(cls, content: Mapping[str, Any]) -> Self:
        """Return the inverse of :meth:`to_dict`. Raises KeyError and TypeError for what is no identity."""
        cells = content.get("cells")
        return cls(
            content["loss"],
            dict(content["parameters"]),
            content["dtype"],
            content["weighted"],
            content.get("precision"),
            content.get("class_weight"),
            None if cells is None else tuple(cells),
            content.get("weight"),
            tuple(content.get("statistics", ())),
            tuple(content.get("by", ())),
            {key: value for key, value in content.items() if key not in _KEYS},
        )

    def __eq__(self, other: object) -> bool:
        return isinstance(other, StateIdentity) and (self is other or self.canonical == other.canonical)

    def __hash__(self) -> int:
        return hash(self.canonical)

    def __str__(self) -> str:
        return self.canonical


def canonical_json(content: Any) -> str:
    """Return one text for equal contents."""
    return json.dumps(content, sort_keys=True, separators=(",", ":"), allow_nan=False)
