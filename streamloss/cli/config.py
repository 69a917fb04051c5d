"""The TOML configuration of an evaluation: its schema, and the places that settings come from.

A setting is taken from the first place that has it: command-line flags, ``-s key=value``, the environment
(``STREAMLOSS_MEMORY``, ...), the file, the defaults of :func:`streamloss.evaluate`.
"""

from __future__ import annotations

import difflib
import re
import tomllib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, get_args

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

from ..core import cache_folder
from ..core.types import ExecutorName
from ..errors import ConfigError
from ..storage.stores import is_secret
from .values import is_none, parse_loss, parse_rows, parse_shard, parse_value

ENVIRONMENT = "STREAMLOSS_"
INJECTED = re.compile(r"_SERVICE_(HOST|PORT(_\w+)?)$|_PORT(_\d+_(TCP|UDP|SCTP)(_(ADDR|PORT|PROTO))?)?$")
"""The ends of variables that Kubernetes sets for each service, such as STREAMLOSS_SCHEDULER_PORT of one that is called
streamloss-scheduler: no setting ends so, so none of these is taken for one."""
Policy = Literal["error", "warn", "fill"]
Role = Literal["y_true", "y_pred", "sample_weight", "mask"]


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class LossConfig(BaseModel):
    """One ``[[losses]]`` table; its other keys are the loss' own parameters, which the loss checks."""

    model_config = ConfigDict(extra="allow", frozen=True)

    loss: str
    """Any name of the loss: "mse", "BinaryCrossentropy"."""
    name: str | None = None
    """The loss' name in results; by default its own."""

    def to_loss(self) -> Any:
        from ..api.loss import loss_class

        given = {key: None if is_none(value) else value for key, value in (self.model_extra or {}).items()}
        return loss_class(self.loss)(name=self.name, **given)


class Config(_Strict):
    """All settings of ``streamloss evaluate``."""

    losses: list[LossConfig] = Field(min_length=1)
    y_true: str
    y_pred: str
    sample_weight: str | float | None = None
    mask: str | None = None
    class_weight: dict[int, float] | list[float] | None = None
    reduction: str | None = None
    out: str | None = None
    overwrite: bool = False
    executor: ExecutorName = "auto"
    scheduler: str | None = None
    scheduler_file: str | None = None
    memory: int | str = "1GiB"
    workers: int | None = Field(default=None, ge=1)
    rows: str | None = None
    shard: str | None = None
    state: str | None = None
    checkpoint: str | None = None
    copies: bool = False
    nan_policy: Literal["raise", "omit", "propagate"] = "raise"
    clip_probabilities: bool = False
    missing_chunks: Policy | dict[Role, Policy] | None = None
    storage_options: dict[str, Any] | None = None

    @field_validator("missing_chunks", mode="before")
    @classmethod
    def _one_policy_or_one_for_each_role(cls, value: Any) -> Any:
        """Refuse what is neither in one line; pydantic's own says for each alternative why it is not that one."""
        policies = value if isinstance(value, dict) else dict.fromkeys(get_args(Role), value)
        known = all(role in get_args(Role) and policy in get_args(Policy) for role, policy in policies.items())
        if value is not None and not known:
            raise ValueError(
                f"expected 'error', 'warn' or 'fill', or a table of these by role ({', '.join(get_args(Role))}); "
                f"received {value!r}"
            )
        return value

    @field_validator("losses", mode="before")
    @classmethod
    def _names_are_losses(cls, value: Any) -> Any:
        """Replace texts by tables: ``losses = "mse"`` and ``losses = ["mse", "bce:from_logits=true"]`` are allowed."""
        values = [value] if isinstance(value, str) else value
        return (
            [parse_loss(v) if isinstance(v, str) else v for v in values] if isinstance(values, list | tuple) else values
        )

    @field_validator("sample_weight", mode="before")
    @classmethod
    def _weight_is_a_number_or_a_place(cls, value: Any) -> Any:
        """Return a number, which flags and the environment give as text, or the URI."""
        if isinstance(value, bool) or not isinstance(value, str | float | int | None):
            raise ValueError(f"expected a number or a URI, received {value!r}")
        try:
            return value if value is None else float(value)
        except ValueError:
            return value

    @field_validator("class_weight", mode="before")
    @classmethod
    def _weights_by_label_or_in_their_order(cls, value: Any) -> Any:
        """Return weights as they are, or those of the text ``1,2,0.5``, as flags and the environment give them."""
        values = [value] if isinstance(value, int | float) and not isinstance(value, bool) else value
        try:
            values = [float(part) for part in values.split(",")] if isinstance(values, str) else values
        except ValueError:
            values = False
        if values is not None and not isinstance(values, dict | list):
            raise ValueError(f"expected weights in the order of the labels, such as 1,2,0.5; received {value!r}")
        return values

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
        """Return the arguments of :func:`streamloss.plan`: all that determine what is read."""
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
            "storage_options": self.storage_options,
        }

    def part(self) -> tuple[int, int] | None:
        """Return the shard; (0, 1), all rows, where a state is to be written without a shard."""
        whole = (0, 1) if self.state is not None and self.checkpoint is None else None
        return parse_shard(self.shard) or whole

    def run_arguments(self) -> dict[str, Any]:
        """Return the arguments of :func:`streamloss.evaluate`."""
        given = {"reduction": self.reduction} if self.reduction is not None else {}
        return self.arguments() | given | {
            "out": self.out,
            "overwrite": self.overwrite,
            "executor": self.executor,
            "scheduler": self.scheduler,
            "scheduler_file": self.scheduler_file,
            "shard": self.part(),
            "checkpoint": self.checkpoint,
            "copies": self.copies,
            "nan_policy": self.nan_policy,
            "clip_probabilities": self.clip_probabilities,
        }  # fmt: skip


def load(
    file: Path | None, environment: Mapping[str, str], settings: Sequence[str], flags: Mapping[str, Any]
) -> Config:
    """Return the configuration from all places. Raises one ConfigError that names every wrong key."""
    content: dict[str, Any] = _read(file) if file is not None else {}
    origin = dict.fromkeys(content, str(file))
    for variable, text in sorted(environment.items()):
        if _is_setting(variable) and text:
            key = variable.removeprefix(ENVIRONMENT).lower()
            content[key], origin[key] = parse_value(text), variable
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


def _is_setting(variable: str) -> bool:
    ours = variable.startswith(ENVIRONMENT) and variable not in cache_folder.VARIABLES
    return ours and INJECTED.search(variable) is None


class _LossesAlone(BaseModel):
    model_config = ConfigDict(extra="ignore", frozen=True)

    losses: list[LossConfig] = Field(min_length=1)


def load_losses(file: Path | None, flags: Sequence[str]) -> list[Any]:
    """Return the losses of --loss, or else of a configuration. Raises ConfigError for wrong ones, and for none."""
    content = {"losses": _losses(flags)} if flags else _read(file) if file is not None else {}
    origin = dict.fromkeys(content, "--loss" if flags else str(file))
    try:
        return [loss.to_loss() for loss in _LossesAlone.model_validate(content).losses]
    except ValidationError as error:
        lines = [_explain(e, origin) for e in error.errors()]
        raise ConfigError("\n".join(["the losses do not fit:", *lines])) from None


def _losses(given: Any) -> Any:
    """Return the tables that --loss means; values that mean none are returned as they are, for the schema to refuse."""
    try:
        return [parse_loss(text) for text in given]
    except (ValueError, TypeError, AttributeError):
        return given


def _read(file: Path) -> dict[str, Any]:
    try:
        with file.open("rb") as stream:
            return tomllib.load(stream)
    except OSError as error:
        raise ConfigError(f"cannot read the configuration {str(file)!r}: {error.strerror or error}.") from None
    except ValueError as error:  # also bytes that are not text
        raise ConfigError(f"{str(file)!r} is not valid TOML: {error}.") from None


def _set(content: dict[str, Any], setting: str) -> str:
    """Apply ``memory=2GiB`` or ``losses.0.epsilon=0``; return the top-level key."""
    path, separator, value = setting.partition("=")
    if not separator:
        raise ConfigError(f"-s takes key=value; received {setting!r}.")
    keys = path.strip().split(".")
    if keys[0] == "storage_options" and is_secret(keys[-1]):
        raise ConfigError(
            f"-s {path.strip()}: a credential on a command line is seen by every user of the machine and kept in its "
            "history; set the provider's environment variables, such as AWS_SECRET_ACCESS_KEY, or [storage_options] "
            "in the file."
        )
    place: Any = content
    try:
        for key in keys[:-1]:
            place = place[int(key)] if isinstance(place, list) else place.setdefault(key, {})
        last = keys[-1]
        place[int(last) if isinstance(place, list) else last] = parse_value(value.strip())
    except (IndexError, ValueError, TypeError, AttributeError):
        raise ConfigError(f"-s {setting}: the configuration has no place {path.strip()!r}.") from None
    return keys[0]


def _explain(error: Any, origin: Mapping[str, str]) -> str:
    """Return one line about a wrong key: its name, the place it comes from, what is wrong."""
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
        case "value_error":  # raised here, with what was received
            return f"  {found}: {error['msg'].removeprefix('Value error, ')}"
    message = error["msg"][0].lower() + error["msg"][1:]
    return f"  {found}: {message}; received {error['input']!r}"
