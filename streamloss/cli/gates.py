"""Gates: with ``--fail-if LOSS>NUMBER`` a command exits with 1 if a value is beyond a bound."""

from __future__ import annotations

import operator
import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import click

from ..api.names import loss_named
from ..api.result import Result
from ..core.types import Reduction
from ..errors import UsageError

FAILED = 1
"""The exit code of a command with a failed gate."""
_COMPARE: dict[str, Callable[[Any, Any], Any]] = {
    ">": operator.gt,
    ">=": operator.ge,
    "<": operator.lt,
    "<=": operator.le,
}
_GATE = re.compile(r"^\s*(?P<loss>[^<>=]*?)\s*(?P<op>>=|<=|>|<)\s*(?P<bound>[^\s<>=]+)\s*$")


QUANTITIES = ("value", "sum", "mean", "weighted_mean")
"""The values of a loss that a gate may name behind a dot, as results have them."""


@dataclass(frozen=True, slots=True)
class Gated:
    """A loss that gates may be for."""

    name: str
    """Its name in results."""
    loss: str
    """Keras' function name of the loss that it is."""
    reduction: Reduction


@dataclass(frozen=True, slots=True)
class Gate:
    """A bound for the values of losses."""

    text: str
    """The gate as it was given."""
    losses: tuple[str, ...]
    """The names of the losses that it holds for."""
    op: str
    """The comparison that fails the gate: ">", ">=", "<" or "<="."""
    bound: float
    quantity: str | None = None
    """The value that is compared; None for the one that tables show first."""

    @classmethod
    def parse(cls, text: str, evaluated: Sequence[Gated]) -> Gate:
        """Parse ``log_loss>1.2``, ``log_loss.sum>1e6``, or ``>1.2`` for all losses.

        A loss is named as in results, or by any name of the loss that it is. Raises UsageError for another form and for
        losses without a value, UnknownLossError for an unknown loss.
        """
        match = _GATE.match(text)
        try:
            bound = float(match["bound"]) if match else None
        except ValueError:
            bound = None
        if match is None or bound is None or bound != bound:
            raise UsageError(
                f"--fail-if takes [LOSS]>NUMBER with >, >=, < or <=, such as 'mse>0.5'; received {text!r}."
            )
        name, quantity = match["loss"], None
        of, _, last = name.rpartition(".")
        if of and last in QUANTITIES and name not in {loss.name for loss in evaluated}:
            name, quantity = of, last
        losses = [_named(name, evaluated, text)] if name else list(evaluated)
        for loss in losses:
            if loss.reduction is Reduction.NONE and quantity in (None, "value"):
                raise UsageError(
                    f"--fail-if {text!r}: {loss.name} has the reduction 'none', so there is no value to compare. "
                    f"Name another loss, give this one a reduction, or compare {loss.name}.mean."
                )
        return cls(text, tuple(loss.name for loss in losses), match["op"], bound, quantity)

    def failures(self, result: Result) -> list[str]:
        """Return the values that are beyond the bound, as ``log_loss is 1.25``. NaN is beyond every bound."""
        failed = []
        for name in self.losses:
            quantity = self.quantity or result[name].headline
            value: Any = getattr(result[name], quantity)
            if _COMPARE[self.op](value, self.bound) or value != value:
                failed.append(f"{name}{'' if quantity == 'value' else f'.{quantity}'} is {value:.10g}")
        return failed


def _named(name: str, evaluated: Sequence[Gated], text: str) -> Gated:
    """Return the loss of that name, or else the one that is the loss which is called so. Raises UnknownLossError."""
    own = loss_named(name, {loss.name: loss.loss for loss in evaluated}, f"loss in --fail-if {text!r}:")
    return next(loss for loss in evaluated if loss.name == own)


def exit_if_any_fails(gates: Iterable[Gate], result: Result) -> None:
    """Name the failed gates on stderr, with the values that failed them, and exit if there are any."""
    failed = [(gate.text, failures) for gate in gates if (failures := gate.failures(result))]
    for text, failures in failed:
        click.echo(f"streamloss: the gate {text!r} failed: {', '.join(failures)}.", err=True)
    if failed:
        raise click.exceptions.Exit(FAILED)
