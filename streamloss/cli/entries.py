"""The tables inside a configuration: losses, and keys of groups."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, model_validator

from ..errors import UsageError
from .values import is_none, parse_cut


class Strict(BaseModel):
    """A table that has no other keys than those that are declared."""

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
        if "self" in given:  # as Python's own parameter it would be given twice
            raise UsageError(f"{self.loss} has no parameter 'self'.")
        return loss_class(self.loss)(name=self.name, **given)


class KeyConfig(Strict):
    """One key of groups, or that of clusters: a URI, or a table that says how its values are cut."""

    array: str
    unit: str | None = None
    bins: list[float] | None = None
    missing: Literal["group", "raise"] = "group"

    @model_validator(mode="before")
    @classmethod
    def _text_is_a_uri(cls, value: Any) -> Any:
        return parse_cut(value) if isinstance(value, str) else value

    def to_key(self) -> Any:
        from ..api.grouping import by

        return by(self.array, unit=self.unit, bins=self.bins, missing=self.missing)
