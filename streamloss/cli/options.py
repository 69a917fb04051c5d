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


def report(command: Callable[..., None]) -> Callable[..., None]:
    return click.option(
        "--report", metavar="FILE", help="Write a report, too: one page of HTML with charts, report.html."
    )(command)


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


OF_ONE_RESULT = ("--y-pred", "--dtype", "--keep", "--stats")
"""The options about one array of predictions, which comparisons do not have."""


def data_options(command: Callable[..., None]) -> Callable[..., None]:
    """Add the options that say what is evaluated."""
    return _decorated(command, _OPTIONS)


def comparison_options(command: Callable[..., None]) -> Callable[..., None]:
    """Add the same but for those of one array of predictions."""
    return _decorated(command, {name: option for name, option in _OPTIONS.items() if name not in OF_ONE_RESULT})


def _decorated(command: Callable[..., None], options: dict[str, Any]) -> Callable[..., None]:
    command = forms(command)
    for decorate in reversed(options.values()):
        command = decorate(command)
    return click.argument("config", required=False, type=click.Path(dir_okay=False))(command)


_OPTIONS = {
    "--loss": click.option(
        "--loss",
        "losses",
        multiple=True,
        metavar="NAME[:KEY=VALUE,...]",
        shell_complete=complete_loss,
        help="A loss; repeat for several. See `streamloss losses`.",
    ),
    "--y-true": click.option(
        "--y-true",
        shell_complete=complete_file,
        metavar="URI",
        help="Labels: a.npy, store.zarr/path, x.parquet::column, x.h5::/name, s3://...",
    ),
    "--y-pred": click.option("--y-pred", shell_complete=complete_file, metavar="URI", help="Predictions."),
    "--sample-weight": click.option(
        "--sample-weight", shell_complete=complete_file, metavar="URI|NUMBER", help="Weights: an array, or one for all."
    ),
    "--class-weight": click.option(
        "--class-weight", metavar="W0,W1,...", help="What rows of label 0, 1, ... count: 1,2,0.5."
    ),
    "--mask": click.option(
        "--mask", shell_complete=complete_file, metavar="URI", help="Booleans, or 0 and 1: whether a row counts."
    ),
    "--dtype": click.option(
        "--dtype",
        "dtypes",
        multiple=True,
        metavar="ROLE=DTYPE",
        help="Of an array that holds bits as integers: y_pred=bfloat16, float16, float8_e4m3fn, float8_e5m2.",
    ),
    "--by": click.option(
        "--by",
        multiple=True,
        metavar="NAME=URI[:unit=U|:bins=E,..]",
        help="Groups by a key, repeatable: times cut by a unit (Y, M, D, h), numbers into bins.",
    ),
    "--keep": click.option(
        "--keep", metavar="AXIS,...", help="Axes of the losses that are not reduced, by number or name."
    ),
    "--stats": click.option(
        "--stats",
        metavar="NAME[=N],...",
        help="Of the same pass: stderr, histogram (and quantiles), worst=20, running=100, calibration=15, confusion.",
    ),
    "--cluster": click.option(
        "--cluster", metavar="URI[:unit=U]", help="What dependent rows share: standard errors are of clusters."
    ),
    "--max-groups": click.option(
        "--max-groups", type=click.IntRange(min=1), help="The most groups or clusters; default: 100,000."
    ),
    "--rows": click.option("--rows", metavar="START:STOP", help="Only these rows."),
    "--memory": click.option(
        "--memory", metavar="SIZE", help="Peak memory of the process, such as 600MB; default 1GiB."
    ),
    "--workers": click.option(
        "--workers", type=click.IntRange(min=1), help="Threads; default: the processors there are."
    ),
    "--missing-chunks": click.option(
        "--missing-chunks",
        multiple=True,
        callback=_policies,
        metavar="[ROLE=]POLICY",
        help="error, warn or fill, for chunks never written; mask=fill for one array, repeatable; default: error "
        "in y_pred and mask, else warn.",
    ),
    "--set": click.option(
        "-s", "--set", "settings", multiple=True, metavar="KEY=VALUE", help="Override a configuration key."
    ),
}
