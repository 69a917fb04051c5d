"""The sums of batches: what an evaluator holds, merges and saves."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Self

from ..aggregation.block_result import BlockResult
from ..aggregation.identity import StateIdentity, canonical_json
from ..aggregation.manifest import InputManifest, LossManifest, Manifest
from ..aggregation.snapshot import Snapshot
from ..aggregation.state import State, States, expect_count, merge_all
from ..core.blocks import Ranges
from ..core.version import __version__
from ..errors import ShapeError, StateError
from ..planning.alignment import CLASS_AXIS
from ..planning.plan import Plan
from ..planning.request import LossRequest
from ..storage.sources.base import nbytes
from .request import Options

FORMAT, VERSION = "streamloss.evaluator", 1


@dataclass(frozen=True, slots=True)
class BatchSums:
    """The states of the rows of some batches. A record never changes, so that whoever reads one has it whole."""

    settings: Mapping[str, Any]
    """Whatever decides which rows are added up, and is in no state's identity."""
    names: tuple[str, ...]
    states: States = ()
    """The states in the order of `names`; none before the first batch."""
    form: tuple[tuple[int, ...], ...] = ()
    """For each loss, the rank of predictions and their classes, which all batches have in common."""
    dtypes: Mapping[str, str] = field(default_factory=dict)
    """The dtypes of the first batch's arrays, by role."""
    sizes: Mapping[str, int] = field(default_factory=dict)
    """The bytes of all batches' arrays, by role."""
    rows: int = 0
    batches: int = 0
    seconds: float = 0.0

    @classmethod
    def none(cls, requests: Sequence[LossRequest], options: Options) -> Self:
        """Return the sums of no batches."""
        settings = {"nan_policy": options.nan_policy, "clip_probabilities": options.clip_probabilities}
        return cls(settings, tuple(request.name for request in requests))

    def of_batch(self, plan: Plan, states: States, seconds: float) -> BatchSums:
        """Return the sums of one batch alone, with the settings of these."""
        return replace(
            self,
            states=states,
            form=_form_of(plan),
            dtypes={source.role: str(source.dtype) for source in plan.sources},
            sizes={source.role: nbytes(source.shape, source.dtype) for source in plan.sources},
            rows=plan.rows,
            batches=1,
            seconds=seconds,
        )

    def merge(self, other: BatchSums) -> BatchSums:
        """Return the sums of the batches of both. Raises StateError and ShapeError where they are not of one kind."""
        self._refuse_other_settings(other)
        if not (self.states and other.states):
            return self if self.states else other
        if self.form != other.form:
            raise ShapeError(f"y_pred has {_shown(other.form)}; expected {_shown(self.form)}, as the batches before.")
        for mine, theirs in zip(self.states, other.states, strict=True):
            if mine.identity != theirs.identity:
                raise StateError(_difference(mine.identity, theirs.identity))
        return replace(
            self,
            states=merge_all(self.states, other.states),
            dtypes={**other.dtypes, **self.dtypes},
            sizes={role: self.sizes.get(role, 0) + other.sizes.get(role, 0) for role in {**self.sizes, **other.sizes}},
            rows=self.rows + other.rows,
            batches=self.batches + other.batches,
            seconds=self.seconds + other.seconds,
        )

    def _refuse_other_settings(self, other: BatchSums) -> None:
        if self.names != other.names:
            raise StateError(f"the other evaluator is of {', '.join(other.names)}; expected {', '.join(self.names)}.")
        for name, value in self.settings.items():
            if other.settings.get(name) != value:
                raise StateError(
                    f"the other evaluator has {name}={other.settings.get(name)!r}; expected {value!r}: rows that one "
                    "leaves out or changes, the other does not."
                )

    def snapshot(self, requests: Sequence[LossRequest]) -> Snapshot:
        """Return the sums as those of one evaluation whose rows lie one after the other, which results are made of."""
        shape, block = (self.rows,), (max(1, self.rows),)  # all rows are one block
        losses = tuple(
            LossManifest(request.name, request.config, state.identity.dtype, str(request.reduction))
            for request, state in zip(requests, self.states, strict=True)
        )
        inputs = {
            role: InputManifest("in memory", shape, dtype, (1,), self.sizes[role])
            for role, dtype in self.dtypes.items()
        }
        manifest = Manifest(
            version=__version__,
            inputs=inputs,
            losses=losses,
            sample_weight=None,
            class_weight=self.states[0].identity.class_weight or {},
            start=0,
            shape=shape,
            block_shape=block,
            nan_policy=self.settings["nan_policy"],
            missing_chunks=None,
            all_rows=self.rows,
            clip_probabilities=self.settings["clip_probabilities"],
        )
        covered = Ranges.of([(0, manifest.grid.num_blocks)])
        return Snapshot(manifest, BlockResult(covered, self.states, seconds=self.seconds))

    def to_bytes(self) -> bytes:
        """Return the sums as canonical JSON."""
        content = {
            "format": FORMAT,
            "version": VERSION,
            "settings": self.settings,
            "names": self.names,
            "states": [state.to_dict() for state in self.states],
            "form": self.form,
            "dtypes": self.dtypes,
            "sizes": self.sizes,
            "rows": self.rows,
            "batches": self.batches,
            "seconds": self.seconds,
        }
        return canonical_json(content).encode() + b"\n"

    @classmethod
    def from_bytes(cls, data: bytes, where: str) -> Self:
        """Return the inverse of :meth:`to_bytes`. Raises StateError, which says where the bytes are from."""
        try:
            content = json.loads(data)
            if (content["format"], content["version"]) != (FORMAT, VERSION):
                raise ValueError(f"its format is {content['format']!r}, version {content['version']!r}")
            return cls(
                dict(content["settings"]),
                tuple(content["names"]),
                tuple(State.from_bytes(canonical_json(state).encode()) for state in content["states"]),
                tuple(map(tuple, content["form"])),
                dict(content["dtypes"]),
                {role: expect_count(role, size) for role, size in content["sizes"].items()},
                expect_count("rows", content["rows"]),
                expect_count("batches", content["batches"]),
                float(content["seconds"]),
            )
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:  # StateError is one, too
            raise StateError(f"{where} is not what an Evaluator has saved: {error}.") from None


def _form_of(plan: Plan) -> tuple[tuple[int, ...], ...]:
    views = (loss.alignment.y_pred for loss in plan.losses)
    return tuple(
        (len(view.shape), *(size for axis, size in zip(view.axes, view.shape, strict=True) if axis == CLASS_AXIS))
        for view in views
    )


def _shown(form: tuple[tuple[int, ...], ...]) -> str:
    rank, *classes = form[0]
    of_classes = f", and {' x '.join(map(str, classes))} classes or entries" if classes else ""
    return f"{rank} ax{'i' if rank == 1 else 'e'}s{of_classes}"


def _difference(expected: StateIdentity, found: StateIdentity) -> str:
    """Return why states cannot be added, with the reason that they most often have."""
    if expected.loss == found.loss and expected.weighted != found.weighted:
        has, had = ("has", "had none") if found.weighted else ("has no", "had some")
        return f"{found.loss}: this batch {has} sample_weight; those before {had}. Pass weights of 1 to the others."
    if expected.loss == found.loss and expected.dtype != found.dtype:
        return (
            f"{found.loss}: losses of this batch are {found.dtype}; expected {expected.dtype}, as those before are. "
            "Pass predictions of one dtype, or a loss with dtype='float32' or 'float64'."
        )
    return f"{found.loss}: the batches are of different evaluations: {found}; expected {expected}."
