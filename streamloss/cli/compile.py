"""The command ``compile``: a line for each kernel, and where they are."""

from __future__ import annotations

import time
from pathlib import Path

import click

from ..api.kernels import CompiledKernel, compile_kernels
from ..core import cache_folder
from ..core.machine import megabytes
from .config import load_losses


def run_compile(
    config: str | None,
    losses: tuple[str, ...],
    dtypes: tuple[str, ...],
    labels: tuple[str, ...],
    weights: tuple[str, ...],
    classes: tuple[int, ...],
) -> None:
    """Run ``streamloss compile``."""
    begin, found, compiled = time.perf_counter(), 0, 0
    chosen = load_losses(Path(config) if config else None, losses)
    weight_dtypes = [None if dtype == "none" else dtype for dtype in weights]
    for kernel in compile_kernels(chosen, dtypes, labels, weight_dtypes, classes):
        click.echo(_line(kernel), err=True)
        compiled += kernel.compiled
        found += not kernel.compiled
    usage = cache_folder.usage()
    click.echo(
        f"{compiled} compiled, {found} found, {time.perf_counter() - begin:.1f} s; "
        f"{cache_folder.folder()}: {usage.files:,} files, {megabytes(usage.size)}"
    )


def _line(kernel: CompiledKernel) -> str:
    weighted = "" if kernel.sample_weight is None else f", weights {kernel.sample_weight}"
    classes = "1 output" if kernel.classes == 1 else f"{kernel.classes:,} classes"
    how = f"compiled in {kernel.seconds:.1f} s" if kernel.compiled else "found"
    return f"{kernel.loss}: labels {kernel.y_true}, predictions {kernel.y_pred}{weighted}, {classes}: {how}"
