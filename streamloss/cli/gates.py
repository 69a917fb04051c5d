"""Gates: with ``--fail-if LOSS>NUMBER`` a command exits with 1 if a value is beyond a bound."""

from __future__ import annotations

import operator
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import click

from ..api.result import Result
from ..core.types import Reduction
from ..errors import UnknownNameError, UsageError

FAILED = 1
"""The exit code of a command with a failed gate."""
_COMPARE: dict[str, Callable[[Any, Any], Any]] = {
    ">": operator.gt,
    ">=": operator.ge,
    "<": operator.lt,
    "<=": operator.le,
}
_GATE = re.compile(r"^\s*(?P<loss>[^<>=]*?)\s*(?P<op>>=|<=|>|<)\s*(?P<bound>[^\s<>=]+)\s*$")


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

    @classmethod
    def parse(cls, text: str, reductions: Mapping[str, Reduction]) -> Gate:
        """Parse ``log_loss>1.2``, or ``>1.2`` for all losses. `reductions` are those of the losses, by name.

        Raises UsageError for another form and for losses without a value, UnknownNameError for an unknown loss.
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
        name = match["loss"]
        if name and name not in reductions:
            raise UnknownNameError(f"loss in --fail-if {text!r}:", name, reductions)
        losses = (name,) if name else tuple(reductions)
        for loss in losses:
            if reductions[loss] is Reduction.NONE:
                raise UsageError(
                    f"--fail-if {text!r}: {loss} has the reduction 'none', so there is no value to compare. "
                    "Name another loss, or give this one a reduction."
                )
        return cls(text, losses, match["op"], bound)

    def fails(self, result: Result) -> bool:
        """Return whether a value of the result is beyond the bound. A value that is NaN fails every gate."""
        values: list[Any] = [result[loss].value for loss in self.losses]
        return any(_COMPARE[self.op](value, self.bound) or value != value for value in values)


def exit_if_any_fails(gates: Iterable[Gate], result: Result) -> None:
    """Name the failed gates on stderr, and exit if there are any."""
    failed = [gate.text for gate in gates if gate.fails(result)]
    for text in failed:
        click.echo(f"streamloss: the gate {text!r} failed.", err=True)
    if failed:
        raise click.exceptions.Exit(FAILED)
