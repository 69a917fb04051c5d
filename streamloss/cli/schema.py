"""The schema of a configuration: its keys, and what each of them may be."""

from __future__ import annotations

import ast
import inspect
from typing import Any, Literal, get_args

from pydantic import Field, field_validator, model_validator

from ..core.types import ExecutorName
from .entries import KeyConfig, LossConfig, Strict
from .values import parse_key, parse_loss, parse_rows, parse_shard

Policy = Literal["error", "warn", "fill"]
Role = Literal["y_true", "y_pred", "sample_weight", "mask"]


def _is_role(role: Any) -> bool:
    return role in get_args(Role) or role == "cluster" or str(role).startswith("by.")


class Config(Strict):
    """All settings of ``streamloss evaluate``."""

    losses: list[LossConfig] = Field(min_length=1)
    """The losses: a name, a list of names (`["mse", "bce:from_logits=true"]`), or `[[losses]]` tables, which
    hold `loss`, `name` and the parameters of the loss."""
    y_true: str
    """Labels: a path or a URI."""
    y_pred: str
    """Predictions: a path or a URI."""
    sample_weight: str | float | None = None
    """Weights of rows: a path or a URI, or one number for all rows."""
    mask: str | None = None
    """Booleans, or 0 and 1, that say whether a row counts: a path or a URI."""
    class_weight: dict[int, float] | list[float] | None = None
    """Weights of labels: a list, in the order of the labels from 0 on, or a table `{"3" = 0.5}` of some of them."""
    reduction: str | None = None
    """The reduction of all losses, in place of their own: `"sum"`, `"sum_over_batch_size"`, `"none"`, ..."""
    out: str | None = None
    """A Zarr group to which the losses of rows are written, one array for each loss, or `"x.parquet"`, a folder of
    Parquet files with a column for each."""
    overwrite: bool = False
    """Whether `out` may replace what is there."""
    executor: ExecutorName = "auto"
    """Runs the blocks: `"threads"`, one thread (`"inline"`), `"dask"` or a GPU (`"cuda"`); `"auto"` is threads, or Dask
    where a scheduler is named."""
    scheduler: str | None = None
    """The address of Dask's scheduler, or `"processes"` or `"threads"`."""
    scheduler_file: str | None = None
    """The file that `dask scheduler --scheduler-file` writes."""
    memory: int | str = "1GiB"
    """The most memory that the process may take: bytes, or a size such as `"600MB"`."""
    workers: int | None = Field(default=None, ge=1)
    """Threads; by default as many as there are processors."""
    rows: str | None = None
    """Only these rows of the first axis, as `"1000:2000"`."""
    shard: str | None = None
    """Only this part of the rows: `"3/100"` is the fourth of a hundred."""
    state: str | None = None
    """The file to which the exact state of the result is written."""
    report: str | None = None
    """The file to which a report is written, one page of HTML with charts of what the result holds."""
    checkpoint: str | None = None
    """A folder in which progress is saved, and from which the same command goes on."""
    copies: bool = False
    """Whether inputs may be copies of those that a checkpoint or other shards have read."""
    nan_policy: Literal["raise", "omit", "propagate"] = "raise"
    """Rows whose loss is NaN are refused (`"raise"`), left out and counted (`"omit"`), or let through
    (`"propagate"`)."""
    clip_probabilities: bool = False
    """Whether finite probabilities outside [0, 1] are taken as 0 or 1."""
    missing_chunks: Policy | dict[str, Policy] | None = None
    """Chunks that were never written are refused (`"error"`), or read as their fill value, with a warning (`"warn"`) or
    without (`"fill"`); for all arrays, or in a table by role. By default `"error"` for predictions and masks, else
    `"warn"`."""
    storage_options: dict[str, Any] | None = None
    """Options of object stores, for all URIs, or tables of them by role."""
    dtypes: dict[str, str] | None = None
    """Dtypes of arrays that hold bits as integers, by role: `{y_pred = "bfloat16"}`."""
    by: dict[str, KeyConfig] | None = None
    """Keys of groups by name: URIs, or tables `{array = URI, unit = "M"}` or `{array = URI, bins = [0, 10]}`."""
    keep: list[int | str] | None = None
    """The axes of the losses that are not reduced, by number or name."""
    stats: list[str] | None = None
    """Statistics of the same pass: `["stderr", "histogram", "worst=20"]`, or a table `{worst = 20}`."""
    cluster: KeyConfig | None = None
    """The key that dependent rows share, as those of `by`: standard errors are then those of clusters."""
    max_groups: int | None = Field(default=None, ge=1)
    """The most groups, or clusters; by default 100,000."""
    models: dict[str, str] | None = None
    """For `streamloss compare`: the predictions of several models by name."""
    baseline: str | None = None
    """For `streamloss compare`: the model that others are compared with; by default the first."""

    @model_validator(mode="before")
    @classmethod
    def _predictions_of_the_baseline(cls, value: Any) -> Any:
        """Fill in `y_pred`, which `models` makes needless, and read models of the texts ``NAME=URI``."""
        if not isinstance(value, dict) or value.get("models") is None:
            return value
        models = value["models"]
        if isinstance(models, list | tuple):
            models = dict(map(parse_key, models))
        if not isinstance(models, dict) or not models:
            raise ValueError("models: expected URIs by name, such as {old = 'old.zarr', new = 'new.zarr'}")
        first = value.get("baseline") if value.get("baseline") in models else next(iter(models))
        return {**value, "models": models, "y_pred": value.get("y_pred") or models[first]}

    @field_validator("dtypes", mode="before")
    @classmethod
    def _dtypes_by_role(cls, value: Any) -> Any:
        """Return dtypes as they are, or those of the texts ``ROLE=DTYPE``, as flags give them."""
        if isinstance(value, str | list | tuple):
            return dict(map(parse_key, [value] if isinstance(value, str) else value))
        return value

    @field_validator("by", mode="before")
    @classmethod
    def _keys_by_name(cls, value: Any) -> Any:
        """Return keys as they are, or those of the texts ``NAME=URI``, as flags give them."""
        if isinstance(value, str | list | tuple):
            value = [value] if isinstance(value, str) else value
            named = [parse_key(text) for text in value]
            if len(dict(named)) < len(named):
                raise ValueError("two keys have one name; expected NAME=URI, each name once")
            return dict(named)
        return value

    @field_validator("keep", "stats", mode="before")
    @classmethod
    def _several(cls, value: Any) -> Any:
        """Return a list: of one text its parts between commas, of a table ``name=number``."""
        if isinstance(value, dict):
            return [f"{name}={number}" for name, number in value.items()]
        if isinstance(value, str):
            value = [part.strip() for part in value.split(",")]
            return [int(part) if part.lstrip("-").isdigit() else part for part in value]
        return [value] if isinstance(value, int) else value

    @field_validator("missing_chunks", mode="before")
    @classmethod
    def _one_policy_or_one_for_each_role(cls, value: Any) -> Any:
        """Refuse what is neither in one line; pydantic's own says for each alternative why it is not that one."""
        policies = value if isinstance(value, dict) else dict.fromkeys(get_args(Role), value)
        known = all(_is_role(role) and policy in get_args(Policy) for role, policy in policies.items())
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
            "dtypes": self.dtypes,
            "by": None if self.by is None else {name: key.to_key() for name, key in self.by.items()},
            "keep": self.keep,
            "stats": self.stats,
            "cluster": None if self.cluster is None else self.cluster.to_key(),
        }

    def compare_arguments(self) -> dict[str, Any]:
        """Return the arguments of :func:`streamloss.compare`."""
        shared = self.arguments() | ({"max_groups": self.max_groups} if self.max_groups is not None else {})
        given = {key: value for key, value in shared.items() if key not in ("y_pred", "dtypes", "keep", "stats")}
        return given | {
            "y_preds": self.models or {},
            "baseline": self.baseline,
            "executor": self.executor,
            "scheduler": self.scheduler,
            "nan_policy": self.nan_policy,
            "clip_probabilities": self.clip_probabilities,
        }

    def part(self) -> tuple[int, int] | None:
        """Return the shard; (0, 1), all rows, where a state is to be written without a shard."""
        whole = (0, 1) if self.state is not None and self.checkpoint is None else None
        return parse_shard(self.shard) or whole

    def run_arguments(self) -> dict[str, Any]:
        """Return the arguments of :func:`streamloss.evaluate`."""
        given: dict[str, Any] = {"reduction": self.reduction} if self.reduction is not None else {}
        given |= {"max_groups": self.max_groups} if self.max_groups is not None else {}
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


def descriptions() -> dict[str, str]:
    """Return what each key of a configuration is for: the docstrings of the fields, in their order."""
    fields = ast.parse(inspect.getsource(Config)).body[0]
    assert isinstance(fields, ast.ClassDef)
    described: dict[str, str] = {}
    for field, doc in zip(fields.body, fields.body[1:], strict=False):
        if isinstance(field, ast.AnnAssign) and isinstance(field.target, ast.Name) and isinstance(doc, ast.Expr):
            described[field.target.id] = " ".join(str(ast.literal_eval(doc.value)).split())
    return described
