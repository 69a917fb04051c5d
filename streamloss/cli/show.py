"""The commands ``losses`` and ``info``."""

from __future__ import annotations

import importlib.metadata
import json
import os
import platform
import sys

import click
from rich.text import Text

from ..core import cache_folder
from ..core.machine import DEFAULT_MEMORY, available_cpus, megabytes
from ..core.version import __version__
from ..formulas._parameters import Parameter
from ..formulas._registry import Declaration, declarations, find
from .table import hanging, new_table, stdout


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
        lines.append(f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in cells)} |")
    return "\n".join(lines)


def _parameters(declaration: Declaration) -> str:
    described = []
    for name, parameter in declaration.parameters.items():
        where = ", ".join(parameter.choices) or _range(parameter)
        several = " or a list" if parameter.several else ""
        described.append(f"`{name}={parameter.default!r}`{f' {where}' if where else ''}{several}")
    return "<br>".join(described)


def _range(parameter: Parameter) -> str:
    """Return the interval of a number as text; nothing for any integer."""
    interval = parameter.interval
    return "" if interval is None or interval.low <= -(2.0**63) else f"in {interval}"


def _show(declaration: Declaration) -> None:
    names = ", ".join([declaration.name, *declaration.aliases])
    click.echo(f"{declaration.class_name}, also {names}\n")
    for paragraph in declaration.doc.split("\n\n"):
        example = paragraph.startswith(">>>")
        click.echo(paragraph if example else hanging(" ".join(paragraph.split()).replace("``", "`"), 0))
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


def show_info() -> None:
    click.echo(f"streamloss {__version__}")
    click.echo(f"python     {platform.python_version()} on {platform.platform()}, {platform.machine()}")
    click.echo(f"processors {available_cpus()}")
    click.echo(f"memory     {DEFAULT_MEMORY} unless --memory says otherwise")
    click.echo(f"kernels    {_kernel_cache()}")
    for package in (
        "numba",
        "llvmlite",
        "numpy",
        "zarr",
        "numcodecs",
        "dask",
        "distributed",
        "click",
        "rich",
        "pydantic",
    ):
        try:
            version = importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            version = "not installed"
        click.echo(f"{package:<10} {version}")


def _kernel_cache() -> str:
    """Return where compiled kernels are kept, how much there is, and of what use it was."""
    where, usage = cache_folder.folder(), cache_folder.usage()
    if where is None:
        off = os.environ.get(cache_folder.SWITCH)
        return f"not kept: {f'{cache_folder.SWITCH}={off}' if off else 'no folder that only you can write to'}"
    return (
        f"{where}: {usage.files:,} files, {megabytes(usage.size)} of {megabytes(cache_folder.LIMIT)}; "
        f"{usage.found:,} found, {usage.compiled:,} compiled"
    )


def _describe(declaration: Declaration) -> dict[str, object]:
    return {
        "class_name": declaration.class_name,
        "name": declaration.name,
        "aliases": list(declaration.aliases),
        "parameters": {k: p.default for k, p in declaration.parameters.items()},
        "doc": declaration.doc,
    }
