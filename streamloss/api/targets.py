"""The targets of losses of rows: by name, checked and created before anything is read."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from contextlib import ExitStack, closing
from pathlib import PurePosixPath
from typing import Any

import numpy as np

from ..aggregation.reductions import ratio_losses
from ..aggregation.state import State
from ..core.blocks import Block, Ranges
from ..core.types import Reduction
from ..errors import StateError, UsageError
from ..planning.plan import Plan, PlannedLoss
from ..planning.request import LossRequest
from ..storage.sinks import Sink, StoredSink
from ..storage.sinks.parquet import check_parquet_target, folder_of, is_parquet_target
from ..storage.uris import Address, StorageOptions, address_of, is_remote_uri, overlap
from .names import loss_named
from .request import Options

FILES = frozenset((
    ".npy", ".npz", ".csv", ".tsv", ".feather", ".arrow", ".h5", ".hdf5", ".nc", ".json", ".jsonl", ".zip",
    ".pkl", ".pickle", ".pt", ".mat", ".state",
))  # fmt: skip
"""The endings of files that are no Zarr group, by which one is named by mistake."""


def targets_by_name(out: str | Mapping[str, str] | None, losses: Mapping[str, str]) -> dict[str, str]:
    """Return the URIs that losses of rows are written to, by the loss' name; `losses` are canonical names by name.

    Raises UnknownLossError for a name in `out` that no loss has, and UsageError for what is no place of a group, and
    for names of losses that would be other places than below it.
    """
    if out is None:
        return {}
    for uri in out.values() if isinstance(out, Mapping) else [out]:
        if not isinstance(uri, str | os.PathLike):
            raise UsageError(f"out: expected a path or URI, such as 'losses.zarr'; received {uri!r}.")
    if isinstance(out, Mapping):
        targets = {loss_named(name, losses, "loss in out"): str(uri) for name, uri in out.items()}
        if len(targets) < len(out):
            raise UsageError(f"out names one loss twice: {', '.join(map(repr, out))}; expected each loss once.")
        for name, uri in targets.items():
            if is_parquet_target(uri):
                targets[name] = uri if address_of(uri).member else f"{uri}::{name}"
            else:
                _refuse_place(uri, "array")
        return targets
    if is_parquet_target(str(out)):
        return {name: f"{out}::{name}" for name in losses}
    _refuse_place(str(out), "group")
    for name in losses:
        if not name or name.startswith(".") or name == "zarr.json" or any(c in name for c in "/\\\0"):
            raise UsageError(
                f"out: the loss' name {name!r} cannot serve as the name of an array in {str(out)!r}; expected one "
                "without separators that does not begin with a dot. Give the loss another name."
            )
    return {name: f"{str(out).rstrip('/')}/{name}" for name in losses}


def _refuse_place(uri: str, kind: str) -> None:
    if not uri or "\0" in uri:
        raise UsageError(f"out: {uri!r} is no path; expected one such as losses.zarr.")
    place = PurePosixPath(uri)
    for part in (place, *place.parents):
        if (suffix := part.suffix.lower()) in FILES and (part == place or not os.path.exists(part)):
            raise UsageError(
                f"out: {uri!r} names a {suffix} file{' above it' * (part != place)}, and out is a Zarr {kind}; "
                "expected a path such as losses.zarr."
            )


def refuse_targets(plan: Plan, requests: Sequence[LossRequest], targets: Mapping[str, str], options: Options) -> None:
    """Raise UsageError for losses of rows without a target, and for targets that shards could not share."""
    sharded = options.shard is not None
    for request, loss in zip(requests, plan.losses, strict=True):
        if request.reduction is Reduction.NONE and loss.name not in targets:
            raise UsageError(
                f"{loss.name}: reduction 'none' needs a place for the losses of rows: pass out='losses.zarr' (--out)."
            )
        if sharded and loss.name in targets and loss.alignment.ratio_shape is not None:
            raise UsageError(
                f"{loss.name}: out: ratios over the whole data are known when all shards are merged, so no shard can "
                "write them. Leave it out of out=; the merged result has their sum and mean."
            )
    if sharded and targets and options.overwrite:
        raise UsageError(
            "overwrite with shard: each shard would remove what the others wrote; expected a place where nothing is. "
            "Remove what is there, then start the shards."
        )


def open_sinks(
    plan: Plan,
    configs: Mapping[str, Any],
    targets: Mapping[str, str],
    overwrite: bool,
    keys: Sequence[str] = (),
    begun: Ranges | None = None,
    options: StorageOptions | None = None,
    *,
    held: ExitStack,
) -> dict[str, StoredSink]:
    """Create the targets and return the sinks by the loss' name; none is created if one is refused.

    `keys` tell the evaluation from others, for parts that write to one array: an array that has one of them is gone on
    with, a new one gets the last; `options` are those of object stores. What was written of the blocks that were
    `begun` before must be there. `held` closes the sinks. Raises UsageError for a target that is read from or written
    twice, and StateError for one that is gone.
    """
    if not targets:
        return {}
    from ..storage.sinks.zarr import ZarrSink, check_target

    folders = _parquet_folders(plan, targets)
    taken = {f"{source.role} is read from": source.where for source in plan.sources if not source.in_memory}
    for name, uri in targets.items():
        for use, place in taken.items():
            if overlap(uri, place):
                raise UsageError(
                    f"out: {uri!r} is where {use}, or above or below it ({place}); write to another place."
                )
        if name in folders.get(address_of(uri).place, {}):
            check_parquet_target(address_of(uri).place, overwrite, keys)
        elif not is_remote_uri(uri):
            taken[f"{name} is written"] = uri
            check_target(uri, overwrite, keys)
    sinks: dict[str, StoredSink] = {}
    for columns in folders.values():
        about = {address.member: configs[name] for name, address in columns.items()}
        sinks.update(folder_of(columns, plan.num_blocks, about, overwrite, keys))

    def open_sink(loss: PlannedLoss) -> StoredSink:
        shape, chunks, dtype = plan.shape, plan.block_shape, loss.dtype
        if loss.alignment.ratio_shape is not None:
            shape, chunks, dtype = loss.alignment.ratio_shape, loss.alignment.ratio_shape, np.dtype(np.float64)
        attributes = {"loss": configs[loss.name], "rows_from": plan.start}
        uri, about = targets[loss.name], (shape, chunks, dtype, attributes, overwrite, keys)
        if loss.name in sinks:
            opened = sinks[loss.name]
        elif is_remote_uri(uri):
            from ..storage.sinks.zarr_remote import RemoteZarrSink

            opened = RemoteZarrSink(uri, *about, options)
        else:
            opened = ZarrSink(uri, *about)
        sink = held.enter_context(closing(opened))
        if begun and not sink.joined:
            raise StateError(
                f"out: the checkpoint says that rows were written to {targets[loss.name]!r}, which is not there; "
                "expected the array as it was. Restore it, or remove the checkpoint, and this array, to begin anew."
            )
        if begun and loss.alignment.ratio_shape is None:
            sink.check(map(plan.grid.block, begun))
        return sink

    return {loss.name: open_sink(loss) for loss in plan.losses if loss.name in targets}


def _parquet_folders(plan: Plan, targets: Mapping[str, str]) -> dict[str, dict[str, Address]]:
    """Return the losses that go to folders of Parquet files: by folder and by name. Raises UsageError for losses that
    are no column.
    """
    folders: dict[str, dict[str, Address]] = {}
    for loss in plan.losses:
        uri = targets.get(loss.name, "")
        if not uri or not is_parquet_target(uri):
            continue
        if loss.alignment.ratio_shape is not None or len(plan.shape) != 1:
            what = "one ratio over the whole data" if loss.alignment.ratio_shape is not None else f"shape {plan.shape}"
            raise UsageError(
                f"{loss.name}: out: {uri!r}: a column of Parquet holds one loss for each row; these losses have "
                f"{what}. Write Zarr (out='losses.zarr'), which has as many axes as losses have."
            )
        folders.setdefault(address_of(uri).place, {})[loss.name] = address_of(uri)
    return folders


def write_ratios(plan: Plan, states: Iterable[State], sinks: Mapping[str, Sink]) -> None:
    """Write the ratios over the whole data, which are known at the end only."""
    for loss, state in zip(plan.losses, states, strict=True):
        if loss.alignment.ratio_shape is not None and loss.name in sinks:
            block = Block(0, (0,) * len(loss.alignment.ratio_shape), loss.alignment.ratio_shape)
            sinks[loss.name].write(block, ratio_losses(state, weighted=True))


def check_sinks(plan: Plan, written: Ranges, sinks: Mapping[str, StoredSink]) -> None:
    """Raise UnwritableOutputError where what was written is no longer there."""
    for loss in plan.losses:
        if loss.name in sinks:
            of_rows = loss.alignment.ratio_shape is None
            sinks[loss.name].check(map(plan.grid.block, written) if of_rows else ())
