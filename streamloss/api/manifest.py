"""The manifest of an evaluation, from its plan and its options, and what it says of the plan."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from ..aggregation.manifest import InputManifest, LossManifest, Manifest
from ..core.version import __version__
from ..planning.plan import Plan
from ..planning.request import LossRequest
from ..storage.sources.base import nbytes
from ..storage.uris import redacted
from .request import Options


def manifest_of(plan: Plan, requests: Sequence[LossRequest], targets: Mapping[str, str], options: Options) -> Manifest:
    """Return what tells an evaluation from any other one, with the inputs' fingerprints where parts are to be merged
    or gone on with.
    """
    inputs = {
        source.role: InputManifest(
            source.where,
            source.shape,
            str(source.dtype),
            source.chunk_shape,
            nbytes(source.shape, source.dtype),
            source.fingerprint() if options.resumable else None,
        )
        for source in plan.sources
    }
    losses = tuple(
        LossManifest(loss.name, request.config, str(loss.dtype), str(request.reduction), _place(targets.get(loss.name)))
        for request, loss in zip(requests, plan.losses, strict=True)
    )
    return Manifest(
        version=__version__,
        inputs=inputs,
        losses=losses,
        sample_weight=plan.sample_weight if isinstance(plan.sample_weight, float) else None,
        class_weight={str(label): weight for label, weight in (plan.class_weight or {}).items()},
        start=plan.start,
        shape=plan.shape,
        block_shape=plan.block_shape,
        nan_policy=options.nan_policy,
        clip_probabilities=options.clip_probabilities,
        missing_chunks=dict(sorted(options.missing_chunks.items()))
        if isinstance(options.missing_chunks, Mapping)
        else options.missing_chunks,
        all_rows=plan.all_rows,
        statistics=tuple(sorted({text for loss in plan.losses for text in loss.identity.statistics})),
        by=plan.losses[0].identity.by,
    )


def _place(target: str | None) -> str | None:
    """Return where losses of rows go, without credentials."""
    return None if target is None else redacted(target)


def plan_of(manifest: Manifest) -> dict[str, Any]:
    """Return what is known of the plan of an evaluation that came in parts: what all parts have in common."""
    arrays = {role: array.to_dict() for role, array in manifest.inputs.items()}
    return {
        "losses": {loss.name: {"loss": loss.config["class_name"], "dtype": loss.dtype} for loss in manifest.losses},
        "arrays": {
            role: {key: array[key] for key in ("where", "shape", "dtype", "chunks")} for role, array in arrays.items()
        },
        "shape": list(manifest.shape),
        "rows": manifest.all_rows,
        "block_shape": list(manifest.block_shape),
        "blocks": manifest.grid.num_blocks,
    }
