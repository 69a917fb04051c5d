"""Write the pages of docs/reference/ that repeat what the code says: losses, configuration, command line, errors.

python docs/_generate/pages.py
"""

import inspect
import re
import textwrap
import types
import typing
from pathlib import Path

import click
from pydantic_core import PydanticUndefined

from streamloss import errors
from streamloss.cli import EPILOG, cli
from streamloss.cli.schema import Config, LossConfig, descriptions
from streamloss.cli.show import KINDS, in_a_cell, kind_of
from streamloss.formulas._registry import declarations

REFERENCE = Path(__file__).parents[1] / "reference"
WRITTEN = "<!-- Written by docs/_generate/pages.py: write it anew, never edit it. -->\n"

LOSSES = """\
# All losses

A class for each loss, with its parameters, its formula and an example. Each is also a function, under every name that
the page lists: `sl.losses.mean_squared_error(y_true, y_pred)`, or `sl.losses.mse(y_true, y_pred)`, returns the losses
of the rows, not reduced. [The table](../losses.md) has all of them at a glance.
"""

CONFIGURATION = """\
# Configuration

An evaluation is described by a TOML file, whose keys are those of this page; `streamloss evaluate FILE` runs it. Each
key is also a setting of the command line and of the environment. A setting is taken from the first place that has it:

1. flags, such as `--memory 600MB`;
2. `-s KEY=VALUE`, which reaches every key: `-s memory=600MB`, `-s losses.0.epsilon=0`;
3. the environment: `STREAMLOSS_MEMORY=600MB`;
4. the file;
5. the defaults.

A key that is unknown is an error that names the nearest one, and where it was set. TOML has no null: where a parameter
of a loss may be None, `"none"` stands for it (`axis = "none"`).

`streamloss init --y-true URI --y-pred URI` writes such a file, with a comment for every key, and suggests losses for
the arrays. The demo's file, `configs/flights.toml`:

```toml
--8<-- "configs/flights.toml"
```

## Keys

| key | values | default | meaning |
|---|---|---|---|
"""

OF_A_LOSS = """
A `[[losses]]` table has these keys, and the [parameters of its loss](../losses.md):

| key | meaning |
|---|---|
| `loss` | any name of the loss: `"mse"`, `"BinaryCrossentropy"` |
| `name` | its name in results; by default its own |

## Other variables

Two variables of the environment are no settings of an evaluation: `STREAMLOSS_CACHE_DIR` names the folder of compiled
kernels, and `STREAMLOSS_CACHE=0` keeps none ([compiled kernels](../cluster.md#compiled-kernels)).
"""

COMMANDS = """\
# Command line

`streamloss COMMAND --help` prints what this page says, and `streamloss --version` the version. Results go to stdout, as
a table on a terminal and as JSON elsewhere; everything else goes to stderr. [Exit codes](errors.md#exit-codes) tell how
a command ended. [Completion](../how-to/completion.md) is there for bash, zsh and fish.
"""

ERRORS = """\
# Errors and exit codes

Every error that streamloss raises on purpose is a `StreamlossError`. Its message says what was wrong, what was
expected, what was received, where (the array, the row, the chunk), and what to do. On the command line the message goes
to stderr, without a traceback, and the command ends with an exit code. A notebook shows your own lines that led there,
and the message; `%debug` goes through the frames of the package, too.

## Exit codes

| exit code | meaning |
|---|---|
"""

EXCEPTIONS = """
## Exceptions

The names in brackets are the exceptions of Python that each also is, so that `except ValueError` catches it. The number
is the exit code. All are in `streamloss.errors`.

```text
"""

WARNINGS = """```

`StreamlossWarning`, a `UserWarning`, is given for a value that needs an explanation, such as weights that add up to 0.
"""


def losses() -> str:
    """Return the page of all losses, whose docstrings mkdocstrings puts in."""
    lines = []
    for kind, title in KINDS.items():
        lines.append(f"\n## {title[0].upper()}{title[1:]}\n")
        lines += [f"\n::: streamloss.losses.{d.class_name}\n" for d in declarations() if kind_of(d) == kind]
    return WRITTEN + LOSSES + "".join(lines)


def configuration() -> str:
    """Return the page of the keys of a TOML file."""
    assert list(LossConfig.model_fields) == ["loss", "name"], "OF_A_LOSS has the keys of a loss"
    rows = []
    for name, text in descriptions().items():
        field = Config.model_fields[name]
        default = "" if field.default is None else f"`{_toml(field.default)}`"
        default = "required" if field.default is PydanticUndefined else default
        rows.append(f"| `{name}` | {_values(field.annotation)} | {default} | {_cell(text)} |\n")
    return WRITTEN + CONFIGURATION + "".join(rows) + OF_A_LOSS


def _toml(value: object) -> str:
    return str(value).lower() if isinstance(value, bool) else f'"{value}"' if isinstance(value, str) else str(value)


WORDS = {str: "text", int: "number", float: "number", bool: "`true` or `false`"}


def _values(annotation: typing.Any) -> str:
    """Return the types of a key's values in words."""
    union = typing.get_origin(annotation) in (typing.Union, types.UnionType)
    found: dict[str, None] = {}
    for part in typing.get_args(annotation) if union else (annotation,):
        if typing.get_origin(part) is typing.Literal:
            found[", ".join(f'`"{choice}"`' for choice in typing.get_args(part))] = None
        elif part is not type(None):
            found[WORDS.get(part) or ("list" if typing.get_origin(part) is list else "table")] = None
    return ", or ".join(found)


def command_line() -> str:
    """Return the page of all commands with their options, from the parser."""
    lines = [WRITTEN + COMMANDS]
    context = click.Context(cli, info_name="streamloss")
    for name, command in cli.commands.items():
        within = click.Context(command, info_name=name, parent=context)
        usage = command.get_usage(within).removeprefix("Usage: ")
        lines += [f"## streamloss {name}", "", "```text", usage, "```", "", *_help(command.help or ""), ""]
        options = [option for option in command.params if isinstance(option, click.Option)]
        lines += ["| option | meaning |", "|---|---|"] if options else []
        for option in options:
            flags, meaning = option.get_help_record(within) or ("", "")
            flags = _cell(f"`{flags}`")
            lines.append(f"| {flags} | {_cell(meaning)} |")
        lines += [""] if options else []
    return "\n".join(lines)


def _help(text: str) -> list[str]:
    """Return the paragraphs of a help text; those that click does not wrap are commands."""
    lines: list[str] = []
    for paragraph in inspect.cleandoc(text).split("\n\n"):
        if paragraph.startswith("\b"):
            lines += ["", "```text", paragraph.removeprefix("\b\n"), "```"]
        else:
            lines += ["", " ".join(paragraph.split())]
    return lines[1:]


def errors_page() -> str:
    """Return the page of exit codes and exceptions."""
    codes: list[list[str]] = []
    for line in EPILOG.splitlines():
        if match := re.match(r"  (\d+) +(.*)", line):
            codes.append([match[1], match[2]])
        elif codes and line.strip():
            codes[-1][1] += f" {line.strip()}"
    rows = [f"| {code} | {_cell(text)} |\n" for code, text in codes]
    tree = (inspect.getdoc(errors) or "").partition("::\n\n")[2].partition("\n\nand ")[0]
    return WRITTEN + ERRORS + "".join(rows) + EXCEPTIONS + textwrap.dedent(tree) + "\n" + WARNINGS


def _cell(text: str) -> str:
    return in_a_cell(" ".join(text.split()))


PAGES = {
    "losses.md": losses,
    "configuration.md": configuration,
    "command-line.md": command_line,
    "errors.md": errors_page,
}


if __name__ == "__main__":
    for file, page in PAGES.items():
        (REFERENCE / file).write_text(page())
