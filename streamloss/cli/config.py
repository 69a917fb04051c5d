"""The TOML configuration of an evaluation: its schema, and where each setting comes from.

A setting is taken from the first place that has it: command-line flags, ``-s key=value``, the environment
(``STREAMLOSS_MEMORY``, ...), the file, the defaults of :func:`streamloss.evaluate`.
"""

from __future__ import annotations

import difflib
import re
import tomllib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

from ..errors import ConfigError

ENVIRONMENT = "STREAMLOSS_"


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class LossConfig(BaseModel):
    """One ``[[losses]]`` table; its other keys are the loss' own parameters and are checked by the loss."""

    model_config = ConfigDict(extra="allow", frozen=True)

    loss: str
    """Any of its names: "mse", "BinaryCrossentropy"."""
    name: str | None = None
    """In the results; by default the loss' own."""

    def to_loss(self) -> Any:
        from ..api.loss import loss_class

        given = {key: None if _is_none(value) else value for key, value in (self.model_extra or {}).items()}
        return loss_class(self.loss)(name=self.name, **given)


class Config(_Strict):
    """Everything ``streamloss evaluate`` needs to know."""

    losses: list[LossConfig] = Field(min_length=1)
    y_true: str
    y_pred: str
    sample_weight: str | float | None = None
    mask: str | None = None
    class_weight: dict[int, float] | None = None
    reduction: str | None = None
    out: str | None = None
    overwrite: bool = False
    executor: Literal["auto", "inline", "threads", "dask", "cuda"] = "auto"
    scheduler: str | None = None
    scheduler_file: str | None = None
    memory: int | str = "1GiB"
    workers: int | None = Field(default=None, ge=1)
    rows: str | None = None
    shard: str | None = None
    state: str | None = None
    checkpoint: str | None = None
    nan_policy: Literal["raise", "omit", "propagate"] = "raise"
    missing_chunks: Literal["error", "warn", "fill"] | None = None

    @field_validator("losses", mode="before")
    @classmethod
    def _names_are_losses(cls, value: Any) -> Any:
        """``losses = "mse"`` and ``losses = ["mse", "bce:from_logits=true"]`` are short for tables."""
        values = [value] if isinstance(value, str) else value
        return (
            [parse_loss(v) if isinstance(v, str) else v for v in values] if isinstance(values, list | tuple) else values
        )

    @field_validator("sample_weight", mode="before")
    @classmethod
    def _weight_is_a_number_or_a_place(cls, value: Any) -> Any:
        """Flags and the environment give numbers as text."""
        if isinstance(value, bool) or not isinstance(value, str | float | int | None):
            raise ValueError(f"expected a number or a URI, received {value!r}")
        try:
            return value if value is None else float(value)
        except ValueError:
            return value

    @field_validator("memory", mode="before")
    @classmethod
    def _memory_is_a_size(cls, value: Any) -> Any:
        if isinstance(value, bool) or not isinstance(value, str | int):
            raise ValueError(f"expected bytes or a size such as '600MB' or '1GiB', received {value!r}")
        return value

    @field_validator("rows")
    @classmethod
    def _rows_are_a_range(cls, value: str | None) -> str | None:
        parse_rows(value)
        return value

    @field_validator("shard")
    @classmethod
    def _shard_is_a_part(cls, value: str | None) -> str | None:
        parse_shard(value)
        return value

    def arguments(self) -> dict[str, Any]:
        """For :func:`streamloss.plan`; all that decides what is read."""
        return {
            "losses": [loss.to_loss() for loss in self.losses],
            "y_true": self.y_true,
            "y_pred": self.y_pred,
            "sample_weight": self.sample_weight,
            "mask": self.mask,
            "class_weight": self.class_weight,
            "memory": self.memory,
            "workers": self.workers,
            "rows": parse_rows(self.rows),
            "missing_chunks": self.missing_chunks,
        }

    def part(self) -> tuple[int, int] | None:
        """The shard; a state that is to be written of no shard is of all rows."""
        whole = (0, 1) if self.state is not None and self.checkpoint is None else None
        return parse_shard(self.shard) or whole

    def run_arguments(self) -> dict[str, Any]:
        """For :func:`streamloss.evaluate`."""
        given = {"reduction": self.reduction} if self.reduction is not None else {}
        return self.arguments() | given | {
            "out": self.out,
            "overwrite": self.overwrite,
            "executor": self.executor,
            "scheduler": self.scheduler,
            "scheduler_file": self.scheduler_file,
            "shard": self.part(),
            "checkpoint": self.checkpoint,
            "nan_policy": self.nan_policy,
        }  # fmt: skip


def load(
    file: Path | None, environment: Mapping[str, str], settings: Sequence[str], flags: Mapping[str, Any]
) -> Config:
    """The configuration from all places. Raises ConfigError that names every wrong key at once."""
    content: dict[str, Any] = _read(file) if file is not None else {}
    origin = dict.fromkeys(content, str(file))
    for variable, text in sorted(environment.items()):
        if variable.startswith(ENVIRONMENT) and text:
            key = variable.removeprefix(ENVIRONMENT).lower()
            content[key], origin[key] = _value(text), variable
    if flags.get("losses") not in (None, ()):  # before the settings, which may change the losses' parameters
        content["losses"], origin["losses"] = _losses(flags["losses"]), "--loss"
    for setting in settings:
        origin[_set(content, setting)] = f"-s {setting}"
    for key, value in flags.items():
        if key != "losses" and value not in (None, ()):
            content[key] = value
            origin[key] = f"--{key.replace('_', '-')}"
    try:
        return Config.model_validate(content)
    except ValidationError as error:
        lines = [_explain(e, origin) for e in error.errors()]
        raise ConfigError("\n".join(["the configuration does not fit:", *lines])) from None


def _losses(given: Any) -> Any:
    """The tables that --loss means; what means none stays, for the schema to refuse."""
    try:
        return [parse_loss(text) for text in given]
    except (ValueError, TypeError, AttributeError):
        return given


def parse_loss(text: str) -> dict[str, Any]:
    """``bce:from_logits=true,label_smoothing=0.1`` -> a ``[[losses]]`` table."""
    loss, _, parameters = text.partition(":")
    table: dict[str, Any] = {"loss": loss.strip()}
    for item in filter(None, (part.strip() for part in re.split(r",(?![^\[\]]*\])", parameters))):
        key, separator, value = item.partition("=")
        if not separator:
            raise ValueError(f"expected NAME[:parameter=value,...], received {text!r}")
        table[key.strip()] = _value(value.strip())
    return table


def parse_rows(text: str | None) -> slice | None:
    """``1000:2000``, ``:2000`` or ``1000:`` -> a slice."""
    if text is None:
        return None
    match = re.fullmatch(r"\s*(-?\d+)?\s*:\s*(-?\d+)?\s*", text)
    if match is None:
        raise ValueError(f"expected START:STOP, such as 1000:2000, :2000 or 1000:, received {text!r}")
    first, last = match.groups()
    return slice(None if first is None else int(first), None if last is None else int(last))


def parse_shard(text: str | None) -> tuple[int, int] | None:
    """``3/7`` -> (3, 7)."""
    if text is None:
        return None
    match = re.fullmatch(r"\s*(\d+)\s*/\s*(\d+)\s*", text)
    if match is None or int(match[1]) >= int(match[2]):
        raise ValueError(f"expected I/N with I from 0 to N - 1, such as 0/4 for the first of four, received {text!r}")
    return int(match[1]), int(match[2])


def _read(file: Path) -> dict[str, Any]:
    try:
        with file.open("rb") as stream:
            return tomllib.load(stream)
    except OSError as error:
        raise ConfigError(f"cannot read the configuration {str(file)!r}: {error.strerror or error}.") from None
    except ValueError as error:  # also bytes that are no text
        raise ConfigError(f"{str(file)!r} is not valid TOML: {error}.") from None


def _value(text: str) -> Any:
    """A TOML value where the text is one, Python's True and False too, else the text itself."""
    if text in ("True", "False"):
        return text == "True"
    try:
        return tomllib.loads(f"value = {text}")["value"]
    except tomllib.TOMLDecodeError:
        return text


def _is_none(value: Any) -> bool:
    """TOML has no null, but ``axis = "none"`` has to be said."""
    return isinstance(value, str) and value.lower() == "none"


def _set(content: dict[str, Any], setting: str) -> str:
    """Apply ``memory=2GiB`` or ``losses.0.epsilon=0``; returns the top-level key."""
    path, separator, value = setting.partition("=")
    if not separator:
        raise ConfigError(f"-s takes key=value; received {setting!r}.")
    keys = path.strip().split(".")
    place: Any = content
    try:
        for key in keys[:-1]:
            place = place[int(key)] if isinstance(place, list) else place.setdefault(key, {})
        last = keys[-1]
        place[int(last) if isinstance(place, list) else last] = _value(value.strip())
    except (IndexError, ValueError, TypeError, AttributeError):
        raise ConfigError(f"-s {setting}: the configuration has no place {path.strip()!r}.") from None
    return keys[0]


def _explain(error: Any, origin: Mapping[str, str]) -> str:
    """One line for one wrong key: which, from where, what is wrong."""
    path = ".".join(str(part) for part in error["loc"])
    top = str(error["loc"][0])
    found = f"{path} ({origin[top]})" if top in origin else path
    match error["type"]:
        case "extra_forbidden":
            near = difflib.get_close_matches(path, Config.model_fields, n=1)
            guess = f"did you mean {near[0]!r}?" if near else f"known keys: {', '.join(Config.model_fields)}"
            return f"  {found}: unknown key; {guess}"
        case "missing" if path != top:  # losses.0.loss
            return f"  {found}: required; the name of a loss, such as 'mse'"
        case "missing":
            flag = "--loss" if path == "losses" else f"--{path.replace('_', '-')}"
            return f"  {found}: required; set it in the file or pass {flag}"
        case "value_error":  # ours: it says what was received
            return f"  {found}: {error['msg'].removeprefix('Value error, ')}"
    message = error["msg"][0].lower() + error["msg"][1:]
    return f"  {found}: {message}; received {error['input']!r}"
