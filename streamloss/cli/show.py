"""``losses`` and ``info``."""

from __future__ import annotations

import importlib.metadata
import json
import platform
import sys

import click
from rich.text import Text

from .. import __version__
from ..evaluation import DEFAULT_MEMORY
from ..losses._registry import Declaration, declarations, find
from ..planning import available_cpus
from .table import hanging, new_table, stdout


def show_losses(name: str | None, form: str | None) -> None:
    chosen = declarations() if name is None else [find(name)]
    if form == "json":
        described = [_describe(d) for d in chosen]
        click.echo(json.dumps(described if name is None else described[0], indent=2))
    elif name is None:
        _list(chosen)
    else:
        _show(chosen[0])


def _list(chosen: list[Declaration]) -> None:
    table = new_table("class, names", "parameters and defaults")
    for declaration in chosen:
        names = ", ".join([declaration.name, *declaration.aliases])
        defaults = ", ".join(f"{k}={p.default!r}" for k, p in declaration.parameters.items())
        if sys.stdout.isatty():
            table.add_row(f"{declaration.class_name}\n{names}\n", defaults)
        else:
            table.add_row(f"{declaration.class_name}, {names}", defaults)
    stdout().print(table)
    click.echo("Describe one: streamloss losses NAME")


def _show(declaration: Declaration) -> None:
    names = ", ".join([declaration.name, *declaration.aliases])
    click.echo(f"{declaration.class_name}, also {names}\n")
    for paragraph in declaration.doc.split("\n\n"):
        example = paragraph.startswith(">>>")
        click.echo(paragraph if example else hanging(" ".join(paragraph.split()).replace("``", "`"), 0))
        click.echo()
    table = new_table("parameter", "default", "")
    for name, parameter in declaration.parameters.items():
        interval = f", in {parameter.interval}" if parameter.interval else ""
        table.add_row(name, repr(parameter.default), Text(parameter.doc.replace("``", "`") + interval))
    stdout().print(table)
    click.echo(hanging("Every loss also takes reduction (a name or 'none'), name (its name in results) and dtype.", 0))
    click.echo()
    first = next(iter(declaration.parameters.items()), None)
    given = "" if first is None else f":{first[0]}={first[1].default!r}"
    click.echo(f"streamloss evaluate --loss {declaration.name}{given} \\\n    --y-true URI --y-pred URI")


def show_info() -> None:
    click.echo(f"streamloss {__version__}")
    click.echo(f"python     {platform.python_version()} on {platform.platform()}, {platform.machine()}")
    click.echo(f"processors {available_cpus()}")
    click.echo(f"memory     {DEFAULT_MEMORY} unless --memory says otherwise")
    for package in ("numba", "llvmlite", "numpy", "zarr", "numcodecs", "click", "rich", "pydantic"):
        try:
            version = importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            version = "not installed"
        click.echo(f"{package:<10} {version}")


def _describe(declaration: Declaration) -> dict[str, object]:
    return {
        "class_name": declaration.class_name,
        "name": declaration.name,
        "aliases": list(declaration.aliases),
        "parameters": {k: p.default for k, p in declaration.parameters.items()},
        "doc": declaration.doc,
    }
