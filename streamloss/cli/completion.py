"""Completion of a command line by the tab key: losses with their parameters, and files."""

from __future__ import annotations

import click
from click.shell_completion import CompletionItem


def complete_file(context: click.Context, parameter: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """Let the shell complete the name of a file or a folder, which a URI may be."""
    return [CompletionItem(incomplete, type="file")]


def complete_name(context: click.Context, parameter: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """Return the names of losses that begin so, each with what it is for; other names than the first only once they are
    asked for by a letter.
    """
    from ..formulas._registry import declarations
    from .show import purpose

    found = []
    for declaration in declarations():
        others = (*declaration.aliases, declaration.class_name) if incomplete else ()
        names = [name for name in (declaration.name, *others) if name.startswith(incomplete)]
        found += [CompletionItem(name, help=purpose(declaration)) for name in names]
    return found


def complete_loss(context: click.Context, parameter: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """Return what may come next in ``NAME:KEY=VALUE,KEY=VALUE``: names, then parameters of the loss, then values."""
    name, colon, given = incomplete.partition(":")
    if not colon:
        return complete_name(context, parameter, incomplete)
    from ..errors import UsageError
    from ..formulas._registry import find

    try:
        parameters = find(name).parameters
    except UsageError:
        return []
    before, comma, last = given.rpartition(",")
    prefix = f"{name}:{before}{comma}"
    key, equals, value = last.partition("=")
    if equals:
        known = parameters.get(key)
        choices = known.choices or (("true", "false") if isinstance(known.default, bool) else ()) if known else ()
        return [CompletionItem(f"{prefix}{key}={choice}") for choice in choices if choice.startswith(value)]
    set_before = {part.partition("=")[0] for part in before.split(",")}
    return [
        CompletionItem(f"{prefix}{other}=", help=f"{known.doc}; default {known.default!r}")
        for other, known in parameters.items()
        if other.startswith(key) and other not in set_before
    ]
