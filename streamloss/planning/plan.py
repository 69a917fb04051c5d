"""The plan of an evaluation: everything that is decided before anything is read."""

from __future__ import annotations

import html
import json
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from ..aggregation.identity import StateIdentity
from ..aggregation.statistics import collected
from ..aggregation.tables.cuts import Cut
from ..core.blocks import Block, Grid
from ..core.machine import mib
from ..core.text import printable
from ..formulas._kinds import Formula
from ..formulas._registry import LossSpec
from ..storage.sources.base import Source
from .alignment import Alignment, Shape, View
from .request import Sources

COMPILER = 224 << 20
"""The bytes that compiling kernels, and the libraries' own pools, add to a process (measured: up to 190 MiB)."""


@dataclass(frozen=True, slots=True)
class PlannedLoss:
    """One loss of an evaluation, and how the arrays' axes meet in it."""

    name: str
    """Its name in the result."""
    spec: LossSpec
    dtype: np.dtype[Any]
    """The dtype of the losses of rows: float32 or float64."""
    precision: str | None
    """"float16" or "bfloat16" where labels and predictions are rounded to it first."""
    alignment: Alignment
    identity: StateIdentity
    """The identity of the loss' states."""
    model: str = ""
    """The name of the predictions that it is of, where there are several."""
    baseline: str | None = None
    """The name of the loss that its losses of rows are compared with."""

    @property
    def formula(self) -> Formula:
        return self.spec.formula


@dataclass(frozen=True, slots=True)
class PlannedKey:
    """A key of groups or clusters, and how its array's axes meet the losses'."""

    cut: Cut
    source: Source
    view: View


@dataclass(frozen=True, slots=True)
class Plan:
    """The losses, blocks, workers and memory of an evaluation, decided before it begins; ``print(plan)`` shows them."""

    losses: tuple[PlannedLoss, ...]
    equal_losses: tuple[tuple[PlannedLoss, ...], ...]
    """The same losses, those together that differ only in name: each tuple is evaluated once."""
    y_true: Source
    y_pred: Source
    sample_weight: Source | float | None
    weight_view: View | None
    mask: Source | None
    mask_view: View | None
    class_weight: Mapping[int, float] | None
    clip_probabilities: bool
    """Whether numbers outside [0, 1] are taken as 0 or 1 where a loss takes probabilities."""
    shape: Shape
    """The losses' shape, for the rows evaluated."""
    start: int
    """The arrays' first row evaluated."""
    block_shape: Shape
    workers: int
    block_bytes: int
    """An upper bound of what one worker holds while it evaluates a block."""
    baseline_bytes: int
    """The memory that the process held when the plan was made."""
    memory_bytes: int
    """The budget: what the evaluation may add to `baseline_bytes`."""
    notes: tuple[str, ...]
    keys: tuple[PlannedKey, ...] = ()
    """The keys of groups and clusters that arrays hold."""
    kept: tuple[Cut, ...] = ()
    """The axes that are not reduced."""
    table_bytes: int = 0
    """An upper bound of what the tables by key take in the result, while others are merged into them."""
    others: Mapping[str, Source] = field(default_factory=dict)
    """The predictions of other models than that of `y_pred`, by name."""

    def predictions(self, planned: PlannedLoss) -> Source:
        """Return the predictions that a loss is of."""
        return self.others[planned.model] if planned.model else self.y_pred

    @property
    def collected(self) -> bool:
        """Whether losses of rows are handed to collectors."""
        return any(collected(loss.identity.statistics) for loss in self.losses)

    @property
    def baselines(self) -> frozenset[str]:
        """The names of the losses that others are compared with."""
        return frozenset(loss.baseline for loss in self.losses if loss.baseline is not None)

    @property
    def added_bytes(self) -> int:
        """An upper bound of what the evaluation adds to the process."""
        return COMPILER + self.table_bytes + self.workers * self.block_bytes

    @property
    def projected_bytes(self) -> int:
        """An upper bound of the process' peak memory."""
        return self.baseline_bytes + self.added_bytes

    @property
    def rows(self) -> int:
        return math.prod(self.shape)

    @property
    def all_rows(self) -> int:
        """The number of rows of the arrays, those that are not evaluated among them."""
        axes = self.losses[0].alignment.y_pred.axes
        return math.prod(n for n, axis in zip(self.y_pred.shape, axes, strict=True) if axis >= 0)

    @property
    def sources(self) -> tuple[Source, ...]:
        """All arrays that there are; a weight that is a number is none."""
        of_keys = tuple((key.cut, key.source) for key in self.keys)
        return Sources(self.y_true, self.y_pred, self.sample_weight, self.mask, of_keys, others=self.others).arrays

    def with_sources(self, sources: Mapping[str, Source]) -> Plan:
        """Return the plan with other sources for some roles."""
        keys = tuple(replace(key, source=sources.get(key.source.role, key.source)) for key in self.keys)
        of_keys = {key.source.role for key in self.keys}
        others: dict[str, Any] = {role: source for role, source in sources.items() if role not in of_keys}
        return replace(self, keys=keys, **others)

    @property
    def views(self) -> tuple[tuple[Source, View], ...]:
        """All arrays that are read, each with how a loss sees it, once."""
        found: dict[tuple[str, View], Source] = {}
        for loss in self.losses:
            found[self.y_true.role, loss.alignment.y_true] = self.y_true
            predictions = self.predictions(loss)
            found[predictions.role, loss.alignment.y_pred] = predictions
        for source, view in ((self.sample_weight, self.weight_view), (self.mask, self.mask_view)):
            if source is not None and not isinstance(source, float) and view is not None:
                found[source.role, view] = source
        for key in self.keys:
            found[key.source.role, key.view] = key.source
        return tuple((source, view) for (_, view), source in found.items())

    @property
    def weighted(self) -> bool:
        return self.sample_weight is not None or self.class_weight is not None

    @property
    def grid_shape(self) -> Shape:
        """The number of blocks along each axis of the losses."""
        return self.grid.grid_shape

    @property
    def grid(self) -> Grid:
        """The blocks by number."""
        return Grid(self.shape, self.block_shape)

    @property
    def num_blocks(self) -> int:
        return self.grid.num_blocks

    def blocks(self) -> Iterator[Block]:
        """Yield all blocks in row-major order."""
        return self.grid.blocks()

    def to_dict(self) -> dict[str, Any]:
        """Return the same facts as ``str(plan)``, for JSON."""
        return {
            "losses": {loss.name: {"loss": loss.spec.name, "dtype": str(loss.dtype)} for loss in self.losses},
            "arrays": {
                s.role: {"where": s.where, "shape": s.shape, "dtype": str(s.dtype), "chunks": s.chunk_shape}
                for s in self.sources
            },
            "shape": self.shape,
            "rows": self.rows,
            "block_shape": self.block_shape,
            "blocks": self.num_blocks,
            "workers": self.workers,
            "memory_bytes": self.memory_bytes,
            "block_bytes": self.block_bytes,
            "baseline_bytes": self.baseline_bytes,
            "projected_bytes": self.projected_bytes,
            "notes": self.notes,
        }

    def to_json(self, indent: int | None = 2) -> str:
        """Return :meth:`to_dict` as JSON."""
        return json.dumps(self.to_dict(), indent=indent)

    def __repr__(self) -> str:
        return str(self)

    def _repr_html_(self) -> str:
        rows = "".join(
            "<tr>" + "".join(f'<td style="text-align: left">{html.escape(cell)}</td>' for cell in line) + "</tr>"
            for line in self._lines()
        )
        return f"<table><tbody>{rows}</tbody></table>"

    def __str__(self) -> str:
        return "\n".join(f"{title:<9} {printable(text)}" for title, text in self._lines())

    def _lines(self) -> list[tuple[str, str]]:
        """Return the titles and texts of what a person reads of it."""
        held, blocks = f"{mib(self.baseline_bytes)} held now", f"{self.workers} x {mib(self.block_bytes)} for blocks"
        groups = [f"{mib(self.table_bytes)} for groups"] if self.table_bytes else []
        parts = ", ".join([held, f"{mib(COMPILER)} for the compiler", *groups, blocks])
        return [
            ("losses", ", ".join(f"{loss.name} ({loss.dtype})" for loss in self.losses)),
            *(
                (
                    source.role.removeprefix("sample_"),
                    f"{source.where}: {source.shape} {source.dtype}"
                    + (f", chunks of {source.chunk_shape}" if max(source.chunk_shape, default=1) > 1 else ""),
                )
                for source in self.sources
            ),
            ("rows", f"{self.rows:,} of shape {self.shape}" + (f", from row {self.start:,}" if self.start else "")),
            ("blocks", f"{self.num_blocks:,} of {self.block_shape}, {self.workers} at a time"),
            (
                "memory",
                f"at most {mib(self.projected_bytes)} of {mib(self.baseline_bytes + self.memory_bytes)}: {parts}",
            ),
            *(("note", note) for note in self.notes),
        ]
