"""Stopping an evaluation by a signal, so that the same command goes on from its checkpoint."""

from __future__ import annotations

import contextlib
import signal
from collections.abc import Iterator
from typing import Any

import click

from ..errors import StoppedError


class _Terminated(KeyboardInterrupt):
    """SIGTERM: like an interrupt from the keyboard, but for the exit code."""


@contextlib.contextmanager
def stopped_by_signals(checkpoint: str | None) -> Iterator[None]:
    """Let SIGTERM stop as Ctrl-C does, if there is a checkpoint: finished blocks are saved.

    Raises StoppedError for SIGTERM.
    """
    if checkpoint is None:
        yield
        return

    def terminate(*_: Any) -> None:
        raise _Terminated

    before = signal.signal(signal.SIGTERM, terminate)
    try:
        yield
    except _Terminated:
        raise StoppedError(f"stopped; the same command goes on from what {checkpoint!r} holds.") from None
    except KeyboardInterrupt:
        click.echo(f"streamloss: the same command goes on from what {checkpoint!r} holds.", err=True)
        raise
    finally:
        signal.signal(signal.SIGTERM, before)
