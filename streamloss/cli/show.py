"""The command ``losses``."""

from __future__ import annotations

import dataclasses
import html
import json
import re
import textwrap

import click
from rich.text import Text

from ..formulas._parameters import Parameter
from ..formulas._registry import Declaration, declarations, find
from .terminal import hanging, new_table, stdout


def show_losses(name: str | None, form: str | None) -> None:
    chosen = declarations() if name is None else [find(name)]
    if form == "markdown":
        click.echo(_markdown(chosen))
    elif form == "json":
        described = [_describe(d) for d in chosen]
        click.echo(json.dumps(described if name is None else described[0], indent=2))
    elif name is None:
        _list(chosen)
    else:
        _show(chosen[0])


KINDS = {
    "crossentropy": "two classes",
    "categorical": "several classes",
    "focal": "two classes, one of them rare",
    "categorical_focal": "several classes, some of them rare",
    "ctc": "sequences",
    "regression": "numbers",
    "likelihood": "forecasts of distributions",
    "deviance": "counts and amounts",
    "divergence": "distributions",
    "margin": "margins",
    "overlap": "overlap of regions",
    "scoring": "scores of predicted classes",
    "similarity": "directions",
}
"""The kinds of losses by the file that declares them, in the order of the list."""


WIDE = 110
"""The columns from which the list has room for another name of each loss."""


def _list(chosen: list[Declaration]) -> None:
    """Print a line for each loss: its class, the shortest of its other names, and its summary; grouped by kind."""
    width = max(len(d.class_name) for d in chosen)
    short = {d.name: min((d.name, *d.aliases), key=len) for d in chosen}
    names = max(map(len, short.values()))
    by_kind: dict[str, list[Declaration]] = {}
    for declaration in chosen:
        by_kind.setdefault(kind_of(declaration), []).append(declaration)
    order, limit = list(KINDS), stdout().width
    for kind in sorted(by_kind, key=lambda kind: order.index(kind) if kind in order else len(order)):
        click.echo(f"\n{KINDS.get(kind, kind)}")
        for declaration in by_kind[kind]:
            other = f"{short[declaration.name]:<{names}}  " if limit >= WIDE else ""
            line = f"  {declaration.class_name:<{width}}  {other}{purpose(declaration)}"
            click.echo(line if len(line) <= limit else f"{line[: limit - 1].rstrip()}…")
    click.echo("\nDescribe one: streamloss losses NAME, by any of its names")


def kind_of(declaration: Declaration) -> str:
    """Return the file of `streamloss.formulas` that has the loss."""
    formula = next(iter(declaration.formulas.values()))
    function = next(getattr(formula, field.name) for field in dataclasses.fields(formula))
    return str(getattr(function, "__module__", "")).rpartition(".")[2]


def purpose(declaration: Declaration) -> str:
    """Return the few words that say what a loss is for, or else its summary."""
    return declaration.brief or " ".join(declaration.doc.split("\n\n")[0].split()).replace("``", "`")


def _markdown(chosen: list[Declaration]) -> str:
    """Return the page of the documentation with a row for each loss."""
    lines = [
        "# Losses",
        "",
        "Written by `streamloss losses --markdown`; `streamloss losses NAME` describes one with an example. Every loss "
        "also takes `reduction`, `name` and `dtype`. Where we differ from Keras: [semantics](semantics.md).",
        "",
        "| class, and its other names | value | parameters | as in |",
        "|---|---|---|---|",
    ]
    for declaration in chosen:
        names = " ".join(f"`{name}`" for name in (declaration.name, *declaration.aliases))
        value = " ".join(declaration.doc.partition("Source:")[0].split()).replace("``", "`")
        cells = (f"`{declaration.class_name}`<br>{names}", value, _parameters(declaration), declaration.peer)
        lines.append(f"| {' | '.join(map(in_a_cell, cells))} |")
    return "\n".join(lines)


def in_a_cell(text: str) -> str:
    """Return a text as Markdown has it in the cell of a table. Code with a bar becomes HTML, as not all that read
    Markdown take a backslash before a bar in code.
    """

    def code(match: re.Match[str]) -> str:
        return f"<code>{html.escape(match[1], quote=False)}</code>" if "|" in match[1] else match[0]

    return re.sub(r"`([^`]*)`", code, text).replace("|", "&#124;")


def _parameters(declaration: Declaration) -> str:
    described = []
    for name, parameter in declaration.parameters.items():
        where = ", ".join(parameter.choices) or _range(parameter)
        several = " or a list" if parameter.several else ""
        described.append(f"`{name}={parameter.default!r}`{f' {where}' if where else ''}{several}")
    return "<br>".join(described)


def _code(line: str) -> str:
    """Return a line of an example, continued as a prompt of Python does where the terminal is too narrow."""
    if not line.startswith(">>> "):
        return line
    return textwrap.fill(
        line, stdout().width, subsequent_indent="...     ", break_long_words=False, break_on_hyphens=False
    )


def _range(parameter: Parameter) -> str:
    """Return the interval of a number as text; nothing for any integer."""
    interval = parameter.interval
    return "" if interval is None or interval.low <= -(2.0**63) else f"in {interval}"


def _show(declaration: Declaration) -> None:
    names = ", ".join([declaration.name, *declaration.aliases])
    click.echo(f"{declaration.class_name}, also {names}\n")
    for paragraph in declaration.doc.split("\n\n"):
        example = paragraph.startswith(">>>")
        text = " ".join(paragraph.split()).replace("``", "`")
        click.echo("\n".join(map(_code, paragraph.splitlines())) if example else hanging(text, 0))
        click.echo()
    table = new_table("parameter", "default", "")
    for name, parameter in declaration.parameters.items():
        where = _range(parameter)
        table.add_row(name, repr(parameter.default), Text(parameter.doc.replace("``", "`") + (where and f", {where}")))
    if declaration.parameters:
        stdout().print(table)
    click.echo(hanging("Every loss also takes reduction (a name or 'none'), name (its name in results) and dtype.", 0))
    click.echo()
    first = next(iter(declaration.parameters.items()), None)
    given = "" if first is None else f":{first[0]}={first[1].default!r}"
    click.echo(f"streamloss evaluate --loss {declaration.name}{given} \\\n    --y-true URI --y-pred URI")


def _describe(declaration: Declaration) -> dict[str, object]:
    return {
        "class_name": declaration.class_name,
        "name": declaration.name,
        "aliases": list(declaration.aliases),
        "brief": declaration.brief,
        "parameters": {k: p.default for k, p in declaration.parameters.items()},
        "doc": declaration.doc,
    }
