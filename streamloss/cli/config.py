"""The settings of an evaluation, and the places that they come from.

A setting is taken from the first place that has it: command-line flags, ``-s key=value``, the environment
(``STREAMLOSS_MEMORY``, ...), the file, the defaults of :func:`streamloss.evaluate`.
"""

from __future__ import annotations

import difflib
import re
import tomllib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from ..core import cache_folder
from ..errors import ConfigError
from ..storage.stores import is_secret
from .entries import LossConfig
from .schema import Config
from .values import parse_loss, parse_value

ENVIRONMENT = "STREAMLOSS_"
INJECTED = re.compile(r"_SERVICE_(HOST|PORT(_\w+)?)$|_PORT(_\d+_(TCP|UDP|SCTP)(_(ADDR|PORT|PROTO))?)?$")
"""The ends of variables that Kubernetes sets for each service, such as STREAMLOSS_SCHEDULER_PORT of one that is called
streamloss-scheduler: no setting ends so, so none of these is taken for one."""


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
    except RecursionError:
        raise ConfigError(f"{str(file)!r} is not valid TOML: its tables or lists are nested too deep.") from None
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
