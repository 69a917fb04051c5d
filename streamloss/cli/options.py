"""The options that several commands share."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import click

from .completion import complete_file, complete_loss

DTYPE = click.Choice(
    ["bool", "int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64", "float16", "float32", "float64"]
)
FLOATS = click.Choice(["float16", "float32", "float64"])


def forms(command: Callable[..., None]) -> Callable[..., None]:
    option = click.option
    json = option("--json", "form", flag_value="json", help="JSON on stdout; the default off a terminal.")
    return json(
        option("--table", "form", flag_value="table", help="A table on stdout; the default on a terminal.")(command)
    )


def gates(command: Callable[..., None]) -> Callable[..., None]:
    return click.option(
        "--fail-if",
        multiple=True,
        metavar="[LOSS]>NUMBER",
        help="Exit with 1 if the value that the table shows first is beyond; also <, >=, <=, and LOSS.sum>NUMBER.",
    )(command)


def _policies(context: click.Context, parameter: click.Parameter, values: tuple[str, ...]) -> Any:
    """Return one policy for all arrays, or a mapping of arrays to policies; the configuration checks them."""
    named = dict(value.split("=", 1) for value in values if "=" in value)
    if len(named) < len(values) and len(values) > 1:
        raise click.BadParameter("give one policy for all arrays, or ROLE=POLICY for each array once.")
    return named or (values[0] if values else None)


def data_options(command: Callable[..., None]) -> Callable[..., None]:
    option = click.option
    options = [
        click.argument("config", required=False, type=click.Path(dir_okay=False)),
        option(
            "--loss",
            "losses",
            multiple=True,
            metavar="NAME[:KEY=VALUE,...]",
            shell_complete=complete_loss,
            help="A loss; repeat for several. See `streamloss losses`.",
        ),
        option(
            "--y-true",
            metavar="URI",
            shell_complete=complete_file,
            help="Labels: a.npy, store.zarr/path, x.parquet::column, x.h5::/name, s3://...",
        ),
        option("--y-pred", metavar="URI", shell_complete=complete_file, help="Predictions."),
        option(
            "--sample-weight",
            metavar="URI|NUMBER",
            shell_complete=complete_file,
            help="Weights: an array, or one for all.",
        ),
        option("--class-weight", metavar="W0,W1,...", help="What rows of label 0, 1, ... count: 1,2,0.5."),
        option(
            "--mask", metavar="URI", shell_complete=complete_file, help="Booleans, or 0 and 1: whether a row counts."
        ),
        option("--rows", metavar="START:STOP", help="Only these rows."),
        option("--memory", metavar="SIZE", help="Peak memory of the process, such as 600MB; default 1GiB."),
        option("--workers", type=click.IntRange(min=1), help="Threads; default: the processors there are."),
        option(
            "--missing-chunks",
            multiple=True,
            callback=_policies,
            metavar="[ROLE=]POLICY",
            help="error, warn or fill, for chunks never written; mask=fill for one array, repeatable; default: error "
            "in y_pred and mask, else warn.",
        ),
        option("-s", "--set", "settings", multiple=True, metavar="KEY=VALUE", help="Override a configuration key."),
    ]
    command = forms(command)
    for decorate in reversed(options):
        command = decorate(command)
    return command
