"""The argument ``class_weight``: weights of rows by their label."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from ..errors import UsageError


def checked_class_weight(class_weight: Mapping[int, float] | Sequence[float] | None) -> dict[int, float] | None:
    """Return the weights by label; None where no class has a weight. Raises UsageError for what is no class or no
    weight.
    """
    if class_weight is None:
        return None
    if isinstance(class_weight, list | tuple | np.ndarray) and np.ndim(class_weight) == 1:
        class_weight = dict(enumerate(class_weight))
    if not isinstance(class_weight, Mapping):
        raise UsageError(
            "class_weight must map labels to weights, as {0: 1.0, 1: 5.0}, or list the weights of 0, 1, ...; "
            f"received {class_weight!r}."
        )
    for label, weight in class_weight.items():
        if isinstance(label, bool) or not isinstance(label, int | np.integer):
            raise UsageError(f"class_weight: {label!r} is no label; expected an integer.")
        if abs(int(label)) >= 2**63:
            raise UsageError(f"class_weight: {label} is no label; expected an integer of 64 bits.")
        if not isinstance(weight, int | float | np.number) or not 0.0 <= weight < np.inf:
            raise UsageError(f"class_weight[{label}] is {weight!r}; expected a finite weight of at least 0.")
    return {int(label): float(weight) for label, weight in class_weight.items()} or None
