"""The command line. Only click is imported here, so that ``streamloss --help`` answers at once."""

from __future__ import annotations

import io
import os
import shutil
import sys
import textwrap
import traceback
from typing import Any

import click

from ..core.text import printable
from ..core.types import EXECUTORS
from ..core.version import __version__
from ..errors import MachineError, StreamlossError, UnknownNameError
from .completion import complete_file, complete_loss, complete_name
from .options import DTYPE, FLOATS, comparison_options, data_options, forms, gates, report

DEFECT = 70
"""The exit code of an unexpected exception: EX_SOFTWARE of sysexits.h."""

EPILOG = """\b
Exit codes:
  0    done
  1    a --fail-if gate failed
  2    wrong usage: an argument, a setting, a name; a budget of memory too small;
       an output that exists, or would replace what is not ours
  3    wrong data: shapes or values without a loss; an array that is not found or
       cannot be read, missing chunks; a state that cannot be read or merged
  4    a result of some rows only, as `merge --partial` asks for
  5    the environment: an output, state or checkpoint that cannot be written or
       is in use; no scheduler, no GPU, a missing package
  70   a defect of streamloss
  75   stopped by SIGTERM, with a checkpoint: the same command goes on
  130  interrupted; losses already written are valid
"""


class _Commands(click.Group):
    def resolve_command(self, ctx: click.Context, args: list[str]) -> Any:
        if self.get_command(ctx, args[0]) is None and not args[0].startswith("-"):
            raise UnknownNameError("command", args[0], self.commands)
        return super().resolve_command(ctx, args)


@click.group(
    cls=_Commands, epilog=EPILOG, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100}
)
@click.version_option(__version__, prog_name="streamloss")
def cli() -> None:
    """Losses of predictions too large for memory: exact, fast, in bounded memory.

    The loss is the one Keras defines; sums are exact, so chunks, threads and order never change a digit.

    \b
    streamloss evaluate --loss mse --y-true y.npy --y-pred preds.zarr/model
    """


@cli.command()
@data_options
@click.option(
    "--reduction", metavar="NAME", help="For all losses: sum, sum_over_batch_size, mean_with_sample_weight, none."
)
@click.option(
    "--out",
    metavar="URI",
    help="A Zarr group for the losses of rows, or x.parquet, a folder with a column for each loss.",
)
@click.option("--overwrite", is_flag=True, default=None, help="Replace what --out names.")
@click.option(
    "--nan-policy",
    type=click.Choice(["raise", "omit", "propagate"]),
    help="For rows whose loss is NaN; default: raise.",
)
@click.option(
    "--clip-probabilities", is_flag=True, default=None, help="Take finite probabilities outside [0, 1] as 0 or 1."
)
@click.option(
    "--executor",
    type=click.Choice(EXECUTORS),
    help="How blocks are run; default: auto, which is threads, or dask where a scheduler is named.",
)
@click.option("--scheduler", metavar="ADDRESS", help="Dask's: tcp://HOST:8786, tls://HOST:8786, processes, threads.")
@click.option("--scheduler-file", metavar="FILE", help="What Dask's scheduler writes by its option of this name.")
@click.option("--shard", metavar="I/N", help="The I-th of N parts, from 0; see `streamloss merge`.")
@click.option("--state", metavar="FILE", help="Where the exact state goes; for --shard by default states/I-of-N.state.")
@click.option("--checkpoint", metavar="DIR", help="Save progress there, and go on from what is there.")
@click.option("--copies", is_flag=True, default=None, help="Inputs may be copies of those of --checkpoint's progress.")
@report
@gates
@click.option("-q", "--quiet", is_flag=True, help="No progress on stderr.")
def evaluate(quiet: bool, form: str | None, fail_if: tuple[str, ...], **given: Any) -> None:
    """Evaluate losses: from flags, from CONFIG (TOML), or from both.

    \b
    streamloss evaluate configs/flights.toml
    streamloss evaluate --loss sparse_categorical_crossentropy:from_logits=true \\
        --y-true labels.npy --y-pred logits.zarr/model --out losses.zarr
    """
    from .commands import run_evaluate

    run_evaluate(quiet, form, fail_if, **given)


@cli.command(short_help="Compare the losses of several models on the same rows.")
@comparison_options
@click.option(
    "--model", "models", multiple=True, metavar="NAME=URI", help="The predictions of a model; repeat for each."
)
@click.option("--baseline", metavar="NAME", help="The model that others are compared with; default: the first.")
@click.option("--nan-policy", type=click.Choice(["raise", "omit", "propagate"]), help="As of evaluate.")
@click.option(
    "--clip-probabilities", is_flag=True, default=None, help="Take finite probabilities outside [0, 1] as 0 or 1."
)
@click.option("--executor", type=click.Choice(EXECUTORS), help="As of evaluate.")
@click.option("--scheduler", metavar="ADDRESS", help="As of evaluate.")
@report
@click.option("-q", "--quiet", is_flag=True, help="No progress on stderr.")
def compare(quiet: bool, form: str | None, **given: Any) -> None:
    """Compare the losses of several models on the same rows, and say whether they differ.

    The labels are read once. Below 0 a difference is in favour of the model; --cluster judges it by days, users or
    documents, whose rows are not independent.

    \b
    streamloss compare --loss bce --y-true rows.parquet::y \\
        --cluster rows.parquet::day --model old=old.npy --model new=new.npy
    """
    from .commands import run_compare

    run_compare(quiet, form, **given)


@cli.command()
@click.argument("states", nargs=-1, required=True, metavar="STATES...", shell_complete=complete_file)
@click.option("--partial", is_flag=True, help="Rows may be missing: a result of the others, and exit code 4.")
@click.option("--copies", is_flag=True, help="Shards may have read copies of the inputs, at other places.")
@click.option("--state", metavar="FILE", help="Write the merged state, too.")
@report
@gates
@forms
def merge(**given: Any) -> None:
    """Merge the states of shards or checkpoints into one result.

    It is that of one run, to the last bit.

    \b
    streamloss evaluate configs/job.toml --shard 0/2    # ... and 1/2, elsewhere
    streamloss merge states/*.state
    """
    from .commands import run_merge

    run_merge(**given)


@cli.command("report", short_help="Write a page with charts of a result.")
@click.argument("result", shell_complete=complete_file, metavar="RESULT")
@click.argument("page", required=False, metavar="[FILE.html]", type=click.Path(dir_okay=False))
def write_report(result: str, page: str | None) -> None:
    """Write the report of a result: one page of HTML with charts, by default beside it.

    RESULT is JSON that `evaluate` or `compare` gave with --json, or a state that --state wrote.

    \b
    streamloss evaluate configs/job.toml --json > result.json
    streamloss report result.json
    """
    from .reports import run_report

    run_report(result, page)


@cli.command()
@data_options
def plan(form: str | None, **given: Any) -> None:
    """What `evaluate` would read, in which pieces, in how much memory. Reads no data."""
    from .commands import run_plan

    run_plan(form, **given)


@cli.command(short_help="Write a configuration with comments, suited to your arrays.")
@click.argument("file", default="streamloss.toml", type=click.Path(dir_okay=False))
@click.option("--y-true", metavar="URI", shell_complete=complete_file, help="Labels.")
@click.option("--y-pred", metavar="URI", shell_complete=complete_file, help="Predictions.")
@click.option("--sample-weight", metavar="URI", shell_complete=complete_file, help="Weights of rows.")
@click.option("--mask", metavar="URI", shell_complete=complete_file, help="Booleans: whether a row counts.")
def init(**given: Any) -> None:
    """Write a configuration with comments to FILE, by default streamloss.toml.

    Of arrays that are named it looks at the first elements, and suggests losses for them.

    \b
    streamloss init --y-true labels.npy --y-pred scores.zarr/model
    streamloss evaluate streamloss.toml
    """
    from .init import run_init

    run_init(**given)


@cli.command()
@click.argument("name", required=False, shell_complete=complete_name)
@click.option("--json", "form", flag_value="json", help="JSON on stdout.")
@click.option("--markdown", "form", flag_value="markdown", help="The table of the documentation, on stdout.")
def losses(name: str | None, form: str | None) -> None:
    """List the losses, or describe one of them."""
    from .show import show_losses

    show_losses(name, form)


@cli.command("compile", short_help="Compile kernels ahead of time, and keep them on disk.")
@click.argument("config", required=False, type=click.Path(dir_okay=False))
@click.option(
    "--loss",
    "losses",
    multiple=True,
    metavar="NAME[:KEY=VALUE,...]",
    shell_complete=complete_loss,
    help="A loss; repeat for several.",
)
@click.option(
    "--dtype",
    "dtypes",
    multiple=True,
    type=FLOATS,
    default=["float32"],
    show_default=True,
    help="Of predictions, as are the next ones: repeat for several.",
)
@click.option("--labels", multiple=True, type=DTYPE, metavar="DTYPE", help="Of labels; int64 for classes, or --dtype.")
@click.option(
    "--weights",
    multiple=True,
    type=click.Choice(["none", "float32", "float64"]),
    default=["none"],
    show_default=True,
    help="Of weights.",
)
@click.option(
    "--classes", multiple=True, type=click.IntRange(min=1), help="Numbers of classes; default: all that differ."
)
def compile_ahead(**given: Any) -> None:
    """Compile kernels ahead of time, of --loss or of the losses in CONFIG (TOML), and keep them on disk.

    For the image of a container, or for workers that share a folder: STREAMLOSS_CACHE_DIR names it.

    \b
    STREAMLOSS_CACHE_DIR=/opt/kernels streamloss compile --loss mse
    """
    from .compile import run_compile

    run_compile(**given)


@cli.command()
def info() -> None:
    """Versions and machine, for a bug report."""
    from .about import show_info

    show_info()


def main(arguments: list[str] | None = None) -> None:
    """Run the command line and exit with its code."""
    sys.exit(run(arguments))


def _say(message: str) -> None:
    """Print a message on stderr, wrapped between words if it is a terminal."""
    for line in map(printable, message.split("\n")):
        width = max(40, shutil.get_terminal_size().columns)
        indent = " " * (len(line) - len(line.lstrip()) + 2)
        wrapped = textwrap.wrap(line, width, subsequent_indent=indent, break_long_words=False, break_on_hyphens=False)
        click.echo("\n".join(wrapped) if sys.stderr.isatty() else line, err=True)


def run(arguments: list[str] | None = None) -> int:
    """Run a command and return its exit code. Our own errors are one message on stderr, without a traceback."""
    for name in ("stdout", "stderr"):
        if getattr(sys, name) is None:  # it was closed: what is computed is still saved
            setattr(sys, name, open(os.devnull, "w", encoding="utf-8"))  # noqa: SIM115 (as long as the process)
    try:
        return cli.main(arguments, prog_name="streamloss", standalone_mode=False) or 0
    except StreamlossError as error:
        _say(f"streamloss: {error}")
        return error.exit_code
    except click.exceptions.Exit as stop:
        return stop.exit_code
    except click.ClickException as error:
        shown = io.StringIO()
        error.show(shown)
        _say(shown.getvalue().rstrip())
        return error.exit_code
    except (KeyboardInterrupt, click.Abort) as error:
        if isinstance(error.__cause__, EOFError):  # click takes it for the end of the terminal's input
            traceback.print_exc()
            return DEFECT
        _say("streamloss: interrupted; what --out holds by now is valid.")
        return 130
    except OSError as error:  # such as a full disk under stdout
        _say(f"streamloss: {error}")
        return MachineError.exit_code
    except Exception:  # a defect of ours must not look like a failed gate
        traceback.print_exc()
        return DEFECT
