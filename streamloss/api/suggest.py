"""Suggest losses for labels and predictions, from their shapes, their dtypes and a look at their first elements."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from ..errors import ShapeError
from ..storage.sources.base import Source
from .inputs import Inputs, open_inputs
from .interop import loss_requests
from .loss import loss_class
from .request import Options, plan_request

MOST_ELEMENTS = 1 << 20
"""The elements of an array that are looked at."""


@dataclass(frozen=True, slots=True)
class Suggestion:
    """A loss, with those of its parameters that differ from the defaults."""

    loss: str
    why: str
    parameters: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Look:
    """The facts about an array: of its first elements, unless `whole`."""

    where: str
    shape: tuple[int, ...]
    dtype: str
    named: bool
    """Whether its axes have names."""
    first: np.ndarray[Any, Any]
    """The elements that were looked at, as float64."""
    whole: bool

    @property
    def finite(self) -> np.ndarray[Any, Any]:
        return self.first[np.isfinite(self.first)]

    @property
    def integers(self) -> bool:
        """Whether all numbers are whole, so that they may be classes."""
        return bool((self.finite == np.floor(self.finite)).all())

    @property
    def shares(self) -> bool:
        """Whether all numbers are in [0, 1], so that they may be probabilities."""
        return bool(((self.finite >= 0) & (self.finite <= 1)).all())

    @property
    def values(self) -> set[float]:
        """The few values that there are; empty where there are more than three."""
        values = np.unique(self.finite)
        return set(values.tolist()) if len(values) <= 3 else set()

    @property
    def has_nan(self) -> bool:
        return bool(np.isnan(self.first).any())

    def __str__(self) -> str:
        of = f"{self.dtype} of shape {self.shape}"
        if not self.finite.size:
            return f"{of}, without a finite number in the {self.first.size:,} elements that were looked at"
        kind = "whole numbers" if self.integers else "numbers"
        seen = "" if self.whole else f" in the first {self.first.size:,} elements"
        nan = ", and NaN" if self.has_nan else ""
        return f"{of}, {kind} from {self.finite.min():g} to {self.finite.max():g}{nan}{seen}"


def suggest(inputs: Inputs) -> tuple[list[Suggestion], dict[str, Look]]:
    """Return losses that these arrays can be evaluated with, and what was seen of each array, by role.

    Raises SourceError for arrays that cannot be read, and ShapeError where no loss takes both shapes.
    """
    sources = open_inputs(inputs, None)
    opened = {role: getattr(sources, role) for role in inputs.by_role()}
    looks = {role: _look(source) for role, source in opened.items() if hasattr(source, "read")}
    refused: ShapeError | None = None
    for candidate in _candidates(looks["y_true"], looks["y_pred"]):
        losses = [loss_class(one.loss)(**one.parameters) for one in candidate]
        try:
            plan_request(loss_requests(losses), inputs, Options())
        except ShapeError as error:
            refused = error
        else:
            return list(candidate), looks
    assert refused is not None, "the last candidate takes numbers of any kind"
    raise refused


def _look(source: Source) -> Look:
    """Read the first elements: whole rows of the last axis, as far as there is room."""
    left, counts = MOST_ELEMENTS, []
    for axis in reversed(range(len(source.shape))):
        counts.append(max(1, min(source.shape[axis], left)) if source.shape[axis] else 0)
        left //= max(1, counts[-1])
    counts.reverse()
    first = np.asarray(source.read(tuple(slice(0, count) for count in counts)), np.float64)
    named = bool(source.dimensions) and all(name and not name.startswith("dim_") for name in source.dimensions)
    return Look(source.where, source.shape, str(source.dtype), named, first, first.shape == source.shape)


def _candidates(labels: Look, predictions: Look) -> Iterator[Sequence[Suggestion]]:
    """Yield losses for arrays of such values, the most telling first; the shapes decide which of them fits."""
    scores = {} if predictions.shares else {"from_logits": True}
    what = "probabilities" if predictions.shares else "logits, as some are outside [0, 1]"
    if labels.integers:
        yield from _of_classes(labels, predictions, scores, what)
    if labels.values and labels.values <= {0.0, 1.0} and len(labels.shape) > 1 and _one_hot(labels):
        why = f"labels are one-hot, predictions {what}"
        yield [Suggestion("categorical_crossentropy", why, scores)]
    if labels.values and labels.values <= {0.0, 1.0} and not predictions.integers:
        yield [Suggestion("binary_crossentropy", f"labels are 0 and 1, predictions {what}", scores)]
    if labels.values == {-1.0, 1.0}:
        yield [Suggestion("hinge", "labels are -1 and 1", {"labels": "pm1"})]
    if predictions.shape[-1:] == (2,) and not predictions.shares and (predictions.first[..., 1] > 0).all():
        yield [Suggestion("gaussian_nll", "predictions may be a mean and a variance, which is positive")]
    each = {"axis": None} if predictions.named or len(predictions.shape) > 2 else {}
    why = "labels are numbers" + ("; each element is a sample" if each else "")
    yield [Suggestion("mean_squared_error", why, each), Suggestion("mean_absolute_error", why, each)]


def _of_classes(labels: Look, predictions: Look, scores: dict[str, Any], what: str) -> Iterator[Sequence[Suggestion]]:
    """Yield the losses of labels that number the classes along the last axis of the predictions, or along axis 1."""
    for axis in (-1, 1)[: 2 if len(predictions.shape) > 2 else 1]:
        classes = predictions.shape[axis] if len(predictions.shape) > 1 else 1
        outside = np.unique(labels.finite[(labels.finite < 0) | (labels.finite >= classes)])
        if classes < 2 or len(outside) > 1 or len(outside) == len(np.unique(labels.finite)):
            continue
        shared: dict[str, Any] = {"ignore_class": int(outside[0])} if len(outside) else {}
        shared |= {"axis": axis} if axis != -1 else {}
        ignored = f"; {int(outside[0])} is none of them, and not counted" if len(outside) else ""
        why = f"labels number {classes:,} classes, predictions are {what}{ignored}"
        yield [
            Suggestion("sparse_categorical_crossentropy", why, scores | shared),
            Suggestion("zero_one_loss", "the share of rows whose highest score is of another class", shared),
        ]


def _one_hot(labels: Look) -> bool:
    return labels.shape[-1] > 1 and bool((labels.first.sum(-1) == 1).all())
