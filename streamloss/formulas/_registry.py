"""Declaring a loss, and finding it by name. Kinds of formulas: `_kinds`; parameters: `_parameters`."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from ..errors import UnknownNameError, UsageError, nearest
from ._foreign_names import explanation, known_names, plain, same_loss, without_keras
from ._kinds import Formula
from ._parameters import FOREIGN, FROM_LOGITS, Parameter

REFUSED = {
    "circle": "Circle pairs every sample of a batch with every other one, so its value depends on how the data is cut "
    "into batches: it has no value over a stream of rows. Evaluate it batch by batch in Keras.",
}
"""The losses of Keras that cannot be evaluated over a stream of rows, by name in lower case, with the reason."""


@dataclass(frozen=True, slots=True, eq=False)  # one object for each loss: identity is equality
class Declaration:
    """A loss as its family's file states it; everything else is derived from this."""

    name: str
    """Keras' function name."""
    class_name: str
    aliases: tuple[str, ...]
    doc: str
    parameters: Mapping[str, Parameter]
    formulas: Mapping[Any, Formula]
    """The formulas by the value of the parameter `selector`; a loss with one formula has it under None."""
    selector: str | None
    smoothed: Mapping[Any, Formula]
    """The formulas for a ``label_smoothing`` above 0, of a loss that has others then; else none."""
    squared: Mapping[Any, Formula]
    """The formulas for a ``gamma`` of 2, of a loss that has others then; else none."""
    positional: tuple[str, ...]
    """The parameters that Keras' constructor takes by position, before `name` and `dtype`; all others are keywords."""
    peer: str
    """The library that defines the loss: "Keras", "TensorFlow", "PyTorch", "scikit-learn"."""
    listed: bool = True
    """Whether lists of losses have it."""
    brief: str = ""
    """The data that it is for, in a few words: up to 42 letters, which leave a line of 80 room for the name."""

    @property
    def variants(self) -> list[dict[str, Any]]:
        """Return the parameters that choose each of the formulas, the default formula first."""
        if self.selector is None:
            return [{}]
        default = self.parameters[self.selector].default
        chosen = [{}, *({self.selector: value} for value in self.formulas if value != default)]
        if self.smoothed:
            chosen += [{"label_smoothing": 0.125, **given} for given in chosen]
        return chosen + [{"gamma": 1.5, **given} for given in chosen] if self.squared else chosen

    def check(self, given: Mapping[str, Any]) -> dict[str, Any]:
        """Return all parameters: the given ones checked, the others by default. Raises UsageError."""
        for name in given:
            if name not in self.parameters:
                advice = FOREIGN.get(name)
                raise UnknownNameError(f"parameter of {self.class_name}", name, self.parameters, advice=advice)
        return {
            name: parameter.check(self.class_name, name, given.get(name, parameter.default))
            for name, parameter in self.parameters.items()
        }


@dataclass(frozen=True, slots=True)
class LossSpec:
    """A loss with its parameters: small, picklable, enough for any process to rebuild the kernel."""

    name: str
    parameters: Mapping[str, Any] = field(default_factory=dict)

    @classmethod
    def of(cls, name: str, given: Mapping[str, Any]) -> LossSpec:
        declaration = find(name)
        return cls(declaration.name, declaration.check(given))

    @property
    def declaration(self) -> Declaration:
        return find(self.name)

    @property
    def formula(self) -> Formula:
        declaration = self.declaration
        smooth = bool(declaration.smoothed) and self.parameters["label_smoothing"] > 0
        formulas = declaration.smoothed if smooth else declaration.formulas
        if declaration.squared and self.parameters["gamma"] == 2.0:
            formulas = declaration.squared
        return formulas[self.parameters[declaration.selector] if declaration.selector else None]

    @property
    def recorded_parameters(self) -> dict[str, Any]:
        """Return the parameters as states hold them: see ``Parameter.added_later``."""
        known = self.declaration.parameters
        return {k: v for k, v in self.parameters.items() if not known[k].added_later or v != known[k].default}

    @property
    def axis(self) -> int | tuple[int, ...] | None:
        axis: int | tuple[int, ...] | None = self.parameters.get("axis", -1)
        return axis

    @property
    def both_conventions(self) -> bool:
        """Return whether the labels' convention ({0, 1} or {-1, 1}) depends on all labels of the whole data."""
        return bool(self.parameters.get("labels") == "auto")

    def arguments(self, dtype: np.dtype[Any], **given: float) -> tuple[float, ...]:
        """Return the formula's arguments after its data, by name; `given` ones take precedence over the parameters.

        ``lower`` and ``upper`` are the clip bounds that ``epsilon`` means in the result dtype
        (float32: 1 - 2**-23, not 1 - 1e-7); ``binary`` is 1.0 where labels are declared to be 0 and 1.
        """
        known = dict(self.parameters)
        if "epsilon" in known:
            epsilon = dtype.type(known["epsilon"])
            known |= {"lower": epsilon, "upper": dtype.type(1) - epsilon}
        if "labels" in known:
            known["binary"] = known["labels"] == "01"
        known |= given
        return tuple(float(known[name]) for name in self.formula.argument_names)

    def per_class(self, classes: int) -> np.ndarray[Any, Any]:
        """Return the parameter that has a value for each class, as float64 (classes,); empty where there is none.

        Raises UsageError where it is a list of another length.
        """
        formula = self.formula
        if formula.per_class is None:
            return np.empty(0)
        values = self.parameters[formula.per_class]
        if isinstance(values, tuple) and len(values) != classes:
            raise UsageError(
                f"{self.name}: {formula.per_class} has {len(values)} entries, but y_pred has {classes} classes; "
                "expected a number, or one for each class."
            )
        return np.broadcast_to(np.asarray(values, np.float64), (classes,)).copy()


_DECLARATIONS: dict[str, Declaration] = {}


def declare(
    name: str,
    class_name: str,
    *aliases: str,
    formula: Formula | None = None,
    logits: Formula | None = None,
    select: tuple[str | None, Mapping[Any, Formula]] | None = None,
    parameters: Mapping[str, Parameter] | None = None,
    smoothed: tuple[Formula, Formula] | None = None,
    squared: tuple[Formula, Formula] | None = None,
    positional: tuple[str, ...] = ("reduction",),
    peer: str = "Keras",
    listed: bool = True,
    brief: str = "",
    doc: str,
) -> Declaration:
    """Register a loss under its names, and return its declaration.

    The loss has one `formula`; or another one for `logits`, and then the parameter ``from_logits``; or one for each
    value of the parameter that `select` names. `smoothed` are those of probabilities and of logits with smooth labels,
    `squared` those with a ``gamma`` of 2. `brief` says what it is for. What is not `listed` is found by its name, and
    is in no list of losses.
    """
    known = dict(parameters or {})
    if logits is not None:
        assert formula is not None
        known = {"from_logits": FROM_LOGITS} | known
        select = ("from_logits", {False: formula, True: logits})
    if select is None:
        assert formula is not None, f"{name} has no formula"
        select = None, {None: formula}
    selector, formulas = select
    smooth, squares = (dict(zip((False, True), both or (), strict=False)) for both in (smoothed, squared))
    declaration = Declaration(
        name,
        class_name,
        aliases,
        inspect.cleandoc(doc),
        known,
        formulas,
        selector,
        smooth,
        squares,
        positional,
        peer,
        listed,
        brief,
    )
    for spelling in (name, class_name, *aliases):
        if spelling in _DECLARATIONS:
            raise ValueError(f"the loss name {spelling!r} is taken by {_DECLARATIONS[spelling].class_name}")
        _DECLARATIONS[spelling] = declaration
    return declaration


def _all() -> dict[str, Declaration]:
    from . import _families  # importing the families' files fills the registry

    _families.load()
    return _DECLARATIONS


def find(name: str) -> Declaration:
    """Return the loss of that name, class name or alias, or the one that another library's name means exactly.

    Raises UnknownNameError otherwise, which explains the other library's name or suggests a name that is nearly the
    same, and UsageError for a loss of ``REFUSED``.
    """
    if (declaration := _DECLARATIONS.get(name)) is not None:  # asked for each block
        return declaration
    known = _all()
    ours = without_keras(str(name))
    if (declaration := known.get(ours)) is not None:
        return declaration
    if (why := REFUSED.get(ours.lower())) is not None:
        raise UsageError(f"{name!r} is refused. {why}")
    if (meant := same_loss(ours)) is not None:
        return known[meant]
    known = {spelling: declaration for spelling, declaration in known.items() if declaration.listed}
    shown = {declaration.class_name for declaration in known.values()}
    raise UnknownNameError("loss", name, shown=shown, advice=_advice(ours, list(known)))


def _advice(name: str, ours: list[str]) -> str | None:
    """Return what to write instead of a name: the explanation of a foreign one, or else of the nearest name that
    anybody has; None where there is none.
    """
    if (text := explanation(name)) is not None:
        return text
    if same := [other for other in ours if plain(other) == plain(name)]:
        return f"Did you mean {(nearest(name, same) or same)[0]!r}?"
    near = nearest(name, [*ours, *known_names()])
    if not near:
        return None
    of_us = [other for other in near if other in ours or same_loss(other)]
    if len(of_us) == len(near):
        return f"Did you mean {of_us[0]!r}?"
    foreign = next(other for other in near if other not in of_us)
    either = " or ".join(repr(other) for other in [*of_us[:1], foreign])
    return f"Did you mean {either}? {foreign}: {explanation(foreign)}"


def declarations() -> list[Declaration]:
    """Return every listed loss once, sorted by name."""
    return sorted({declaration for declaration in _all().values() if declaration.listed}, key=lambda d: d.name)
