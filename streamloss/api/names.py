"""The names that a loss of an evaluation answers to: its own in the result, and those of the loss that it is."""

from __future__ import annotations

from collections.abc import Mapping

from ..errors import UnknownLossError, UsageError, nearest
from ..formulas._registry import find


def loss_named(name: str, losses: Mapping[str, str], what: str = "loss") -> str:
    """Return the name in the result of the loss that is meant by `name`: by that name, or else by any name of the loss
    that it is, as "mse" means "mean_squared_error".

    `losses` are the canonical names of the losses by their names in the result, `what` says in errors what was looked
    for. Raises UnknownLossError, with the names there are and the nearest, also where a name means several.
    """
    if name in losses:
        return name
    meant = _canonical(name)
    if len(found := [own for own, canonical in losses.items() if canonical == meant]) == 1:
        return found[0]
    if found:
        raise UnknownLossError(what, name, advice=f"{name} is what {' and '.join(found)} are; name one of them.")
    known = {spelling: own for own, canonical in losses.items() for spelling in (own, *_spellings(canonical))}
    near = nearest(str(name), known)
    guess = f"Did you mean {near[0]!r}? " if near else ""
    raise UnknownLossError(what, name, advice=f"{guess}Known: {', '.join(losses)}.")


def _canonical(name: str) -> str | None:
    """Return the canonical name of a declared loss; None for a name that is none."""
    try:
        return find(name).name if isinstance(name, str) else None
    except UsageError:
        return None


def _spellings(canonical: str) -> tuple[str, ...]:
    declaration = find(canonical)
    return (declaration.name, declaration.class_name, *declaration.aliases)
