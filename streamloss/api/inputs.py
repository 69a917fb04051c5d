"""The arrays of an evaluation: as they were passed, and opened."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from ..errors import UsageError, ValueRangeError
from ..planning.request import Sources
from ..storage.sources import MISSING_CHUNKS, Source, open_source
from ..storage.sources.dask import LazyArray
from ..storage.sources.stated_dtypes import with_stated_dtype
from .grouping import NO_GROUPING, Grouping, role_of

ROLES = ("y_true", "y_pred", "sample_weight", "mask")
"""The arrays of every evaluation; keys of groups have names of their own."""


def role_of_model(name: str) -> str:
    """Return the name that errors give to the predictions of one of several models."""
    return f"y_pred.{name}"


@dataclass(frozen=True, slots=True)
class Inputs:
    """The arrays of an evaluation, not yet opened."""

    y_true: Any
    y_pred: Any
    sample_weight: Any = None
    mask: Any = None
    grouping: Grouping = NO_GROUPING
    """The keys of groups and clusters, and the statistics."""
    dtypes: Mapping[str, str] = field(default_factory=dict)
    """The dtypes of arrays that hold bits, by role, as the user states them."""
    others: Mapping[str, Any] = field(default_factory=dict)
    """The predictions of other models than that of `y_pred`, by name."""
    lazy: bool = False
    """Whether they are Dask arrays, all of them; see :func:`prepare_inputs`."""
    described: Mapping[str, LazyArray] = field(default_factory=dict)
    """The Dask arrays by role, with what Dask does not know of them."""

    def by_role(self) -> dict[str, Any]:
        """Return the arrays by the names that errors give them."""
        return {
            "y_true": self.y_true,
            "y_pred": self.y_pred,
            "sample_weight": self.sample_weight,
            "mask": self.mask,
            **self.grouping.arrays(),
            **{role_of_model(name): array for name, array in self.others.items()},
        }

    def with_arrays(self, arrays: Mapping[str, Any]) -> Inputs:
        """Return the inputs with other arrays for some roles."""
        of_inputs = {role: array for role, array in arrays.items() if role in ROLES}
        others = {name: arrays.get(role_of_model(name), array) for name, array in self.others.items()}
        return replace(self, **of_inputs, grouping=self.grouping.with_arrays(arrays), others=others)


def open_inputs(inputs: Inputs, missing_chunks: str | Mapping[str, str] | None) -> Sources:
    """Return the opened arrays. By default a missing chunk of `y_pred` or `mask` is an error, and one of the others is
    warned about.

    Raises SourceError where there is no array, UsageError and ValueRangeError for what is no weight or mask.
    """
    policies = policies_of(missing_chunks, inputs.grouping)
    for role in inputs.dtypes:
        if role not in policies:
            raise UsageError(f"dtypes has {role!r}; expected roles of {', '.join(policies)}.")

    def opener(array: Any, role: str, policy: str) -> Source:
        opened = inputs.described[role].open(role) if inputs.lazy else open_source(array, role, policy)
        return with_stated_dtype(opened, inputs.dtypes.get(role))

    return Sources(
        opener(inputs.y_true, "y_true", policies["y_true"]),
        opener(inputs.y_pred, "y_pred", policies["y_pred"]),
        _open_weight(inputs.sample_weight, policies["sample_weight"], opener),
        _open_mask(inputs.mask, policies["mask"], opener),
        tuple((cut, opener(key, role_of(cut), policies[role_of(cut)])) for cut, key in inputs.grouping.keys),
        inputs.grouping.keep,
        {name: opener(array, role_of_model(name), policies["y_pred"]) for name, array in inputs.others.items()},
        inputs.lazy,
    )


def policies_of(
    missing_chunks: str | Mapping[str, str] | None, grouping: Grouping, lazy: bool = False
) -> dict[str, str]:
    """Return the policy for each role: one for all, or the defaults but for the roles that are named.

    `lazy` says whether Dask reads the arrays: its tasks return no counts to warn of, so "error" is the default for all.
    """
    default = {"y_true": "warn", "y_pred": "error", "sample_weight": "warn", "mask": "error"}
    default |= dict.fromkeys(grouping.arrays(), "error")
    if lazy:
        default = dict.fromkeys(default, "error")
    if missing_chunks is None:
        return default
    named = missing_chunks if isinstance(missing_chunks, Mapping) else dict.fromkeys(default, missing_chunks)
    for role, policy in named.items():
        if role not in default:
            raise UsageError(f"missing_chunks has {role!r}: {policy!r}; expected roles of {', '.join(default)}.")
        if policy not in MISSING_CHUNKS:
            raise UsageError(
                f"missing_chunks must be one of {', '.join(MISSING_CHUNKS)}, or a mapping of roles to these; received "
                f"{missing_chunks!r}."
            )
    return {**default, **named}


def is_number(role: str, array: Any) -> bool:
    """Return whether it is one weight for all rows."""
    if role != "sample_weight":
        return False
    if isinstance(array, int | float | np.number):
        return True
    kind = getattr(getattr(array, "dtype", None), "kind", "f")  # the dtypes of torch and others have none
    return getattr(array, "shape", None) == () and kind in "biuf"


def _open_weight(
    sample_weight: Any, missing_chunks: str, opener: Callable[[Any, str, str], Source]
) -> Source | float | None:
    if sample_weight is None:
        return None
    if is_number("sample_weight", sample_weight):
        weight = float(np.asarray(sample_weight))  # of a library whose numbers are no floats, too
        if not 0.0 <= weight < np.inf:
            raise ValueRangeError(f"sample_weight is {weight:g}; expected a finite weight of at least 0.")
        return weight
    return opener(sample_weight, "sample_weight", missing_chunks)


def _open_mask(mask: Any, missing_chunks: str, opener: Callable[[Any, str, str], Source]) -> Source | None:
    if mask is None:
        return None
    source = opener(mask, "mask", missing_chunks)
    if source.dtype.kind not in "biu":
        raise ValueRangeError(
            f"mask has dtype {source.dtype}; expected booleans, or integers 0 and 1: whether a row counts."
        )
    return source
