"""The command ``init``: a configuration with comments, for the arrays that it is pointed at."""

from __future__ import annotations

import json
import textwrap
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import click
from pydantic_core import PydanticUndefined

from ..api.inputs import Inputs
from ..api.suggest import Look, Suggestion, suggest
from ..errors import OutputExistsError, UnwritableOutputError, UsageError
from .schema import Config, descriptions

EXAMPLES = {
    "y_true": "labels.npy",
    "y_pred": "predictions.npy",
    "sample_weight": "weights.npy",
    "mask": "mask.npy",
    "class_weight": [1.0, 2.0],
    "reduction": "sum",
    "out": "losses.zarr",
    "scheduler": "tcp://localhost:8786",
    "scheduler_file": "scheduler.json",
    "workers": 4,
    "rows": "0:1000",
    "shard": "0/4",
    "state": "result.state",
    "report": "report.html",
    "checkpoint": "progress",
    "missing_chunks": "error",
    "storage_options": {"region": "us-east-1"},
    "dtypes": {"y_pred": "bfloat16"},
    "by": {"carrier": "rows.parquet::carrier"},
    "keep": [0],
    "stats": ["stderr", "worst=20"],
    "cluster": "rows.parquet::time:unit=D",
    "max_groups": 1_000_000,
    "models": {"old": "old.npy", "new": "new.npy"},
    "baseline": "old",
}
"""Values for the keys that have no default, so that their lines show what is meant."""
REQUIRED = ("y_true", "y_pred")
WIDTH = 100


def run_init(file: str, **given: Any) -> None:
    """Run ``streamloss init``; `given` are the arrays by role."""
    named = {role: uri for role, uri in given.items() if uri is not None}
    if named and not named.keys() >= set(REQUIRED):
        raise UsageError(f"init needs both --y-true and --y-pred, or none of them; received {', '.join(named)}.")
    suggested, looks = suggest(Inputs(**given)) if named else ([], {})
    text = text_of(file, named, suggested, looks)
    try:
        with Path(file).open("x", encoding="utf-8") as stream:
            stream.write(text)
    except FileExistsError:
        raise OutputExistsError(f"{file!r} exists, and init replaces nothing. Name another file.") from None
    except OSError as error:
        raise UnwritableOutputError(f"{file!r} cannot be written: {error.strerror or error}.") from None
    for role, look in looks.items():
        click.echo(f"{role}: {look}", err=True)
    for one in suggested:
        click.echo(f"{one.loss}: {one.why}", err=True)
    click.echo(f"{file} is written. Look through it, then: streamloss evaluate {file}", err=True)


def text_of(file: str, named: Mapping[str, str], suggested: Sequence[Suggestion], looks: Mapping[str, Look]) -> str:
    """Return the file: the keys that are set, all others as comments with their defaults, and the losses."""
    lines = [
        f"# The settings of an evaluation: streamloss evaluate {file}",
        "#",
        *_comment(
            "A line that begins with # is a comment: take the # away to set the key. Its value is the default, or an "
            "example. A flag, such as --memory 600MB, counts more than the file. Paths are relative to the folder in "
            "which the command is run."
        ),
    ]
    for key, description in descriptions().items():
        if key == "losses":
            continue
        lines += ["", *_comment(description)]
        if key in looks:
            lines += _comment(f"{looks[key]}.")
        if key == "nan_policy" and any(look.has_nan for look in looks.values()):
            lines += _comment('There is NaN: choose "omit" to leave such rows out. It is refused otherwise.')
        used = key in named or key in REQUIRED
        value = named.get(key, _default(key))
        lines.append(f"{'' if used else '# '}{key} = {_toml(value)}")
    lines += [
        "",
        *_comment("The losses. `streamloss losses` lists all of them; with a name it describes one."),
    ]
    for one in suggested or [Suggestion("mean_squared_error", "as an example")]:
        lines += ["", *_comment(f"{one.why[0].upper()}{one.why[1:]}."), "[[losses]]", f"loss = {_toml(one.loss)}"]
        lines += [f"{name} = {_toml('none' if value is None else value)}" for name, value in one.parameters.items()]
    return "\n".join(lines) + "\n"


def _default(key: str) -> Any:
    default = Config.model_fields[key].default
    return EXAMPLES[key] if default is None or default is PydanticUndefined else default


def _comment(text: str) -> list[str]:
    text = text.replace("`", "")
    return textwrap.wrap(text, WIDTH, initial_indent="# ", subsequent_indent="# ", break_on_hyphens=False)


def _toml(value: Any) -> str:
    """Return a value as TOML has it; its texts are those of JSON, but for one character."""
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{key} = {_toml(of)}" for key, of in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(map(_toml, value)) + "]"
    return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")
