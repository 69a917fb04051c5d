"""``losses`` and ``info``."""

from __future__ import annotations

import importlib.metadata
import json
import platform

import click
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table

from .. import __version__
from ..evaluation import DEFAULT_MEMORY
from ..loss import loss_class
from ..losses._registry import Declaration, declarations, find
from ..planning import available_cpus


def show_losses(name: str | None, form: str | None) -> None:
    if name is not None:
        click.echo(f"{find(name).class_name}\n\n{loss_class(name).__doc__}")
    elif form == "json":
        click.echo(json.dumps([_describe(d) for d in declarations()], indent=2))
    else:
        table = Table(box=SIMPLE_HEAD, pad_edge=False)
        for title in ("class", "name and aliases", "parameters"):
            table.add_column(title, overflow="fold")
        for declaration in declarations():
            names = ", ".join([declaration.name, *declaration.aliases])
            defaults = ", ".join(f"{k}={p.default!r}" for k, p in declaration.parameters.items())
            table.add_row(declaration.class_name, names, defaults)
        Console(highlight=False).print(table)


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
