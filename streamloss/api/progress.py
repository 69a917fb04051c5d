"""Progress while an evaluation runs: a bar on a terminal, the same in a notebook, lines in a log."""

from __future__ import annotations

import contextlib
import html
import importlib
import sys
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

from ..core.kernel_cache import counts
from ..core.types import Progress
from ..errors import UsageError

DELAY = 2.0
"""The seconds that a run takes before a bar appears: shorter ones show nothing."""
SILENCE = 5.0
"""The seconds between lines where there is no terminal."""
VALUE_EVERY = 2.0
"""The seconds between two looks at the value, which of thousands of ratios over the data takes a while."""
CELLS = 20
"""The width of the bar."""

Shown = bool | str | Callable[[Progress], None] | None
"""The values that ``progress=`` takes."""


@contextlib.contextmanager
def shown_progress(progress: Shown) -> Iterator[Callable[[Progress], None] | None]:
    """Yield the callback that shows progress; None if nothing is shown.

    "auto" shows a bar on a terminal and in a notebook, True also lines on stderr elsewhere, False nothing; a callable
    is taken as it is. Raises UsageError for anything else.
    """
    if callable(progress):
        yield progress
        return
    if progress not in (True, False, None, "auto"):
        raise UsageError(f"progress must be 'auto', True, False or a callable; received {progress!r}.")
    display = _display(lines=progress is True) if progress else None
    if display is None:
        yield None
        return
    with display:
        yield display


def _display(lines: bool) -> Display | None:
    if _in_notebook():
        return NotebookBar()
    if sys.stderr is not None and sys.stderr.isatty():
        from rich.console import Console

        console = Console(stderr=True)
        if not console.is_dumb_terminal:
            return TerminalBar(console)
        lines = True
    return Lines() if lines else None


def _in_notebook() -> bool:
    """Return whether a notebook shows what is displayed; IPython is not imported for it."""
    shell = getattr(sys.modules.get("IPython"), "get_ipython", lambda: None)()
    return getattr(shell, "kernel", None) is not None


class Speed:
    """The rows and bytes per second since the first block, and so without the time of the compiler."""

    def __init__(self) -> None:
        self._first: Progress | None = None

    def after(self, progress: Progress) -> tuple[float, float] | None:
        """Return both; None until they can be told."""
        self._first = self._first or progress
        seconds = progress.seconds - self._first.seconds
        if seconds <= 0.5:
            return None
        return (progress.rows - self._first.rows) / seconds, (progress.bytes - self._first.bytes) / seconds


class Display:
    """Shows the latest progress now and then, from a thread of its own: the run only leaves word of it."""

    delay, every = DELAY, 0.25

    def __init__(self) -> None:
        self.latest: Progress | None = None
        self.phase = "starting"
        self._begin = time.perf_counter()
        self._speed, self._rates = Speed(), None  # type: tuple[Speed, tuple[float, float] | None]
        self._value, self._looked = "", -VALUE_EVERY
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._show, name="streamloss-progress", daemon=True)

    def __call__(self, progress: Progress) -> None:
        self._rates, self.latest = self._speed.after(progress), progress

    def enter(self, phase: str) -> None:
        """Note what the run does now."""
        self.phase = phase

    def __enter__(self) -> Display:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self._thread.join()

    def _show(self) -> None:
        if self._ended.wait(self.delay):
            return
        self.start()
        try:
            self.draw()
            while not self._ended.wait(self.every):
                self.draw()
            self.draw()
        finally:
            self.stop()

    def start(self) -> None:
        """Begin to show."""

    def draw(self) -> None:
        """Show the present state."""

    def stop(self) -> None:
        """Take away what is shown."""

    @property
    def share(self) -> float:
        """The share of the rows that is evaluated."""
        return self.latest.rows / max(1, self.latest.total) if self.latest else 0.0

    def texts(self) -> list[str]:
        """Return the phase, the share, and the facts that are known, the most important first."""
        compiling = counts.compiling and (self.latest is None or self.latest.rows == 0)
        phase = "compiling" if compiling else self.phase
        texts = [phase, _time(time.perf_counter() - self._begin)]
        if (now := self.latest) is None:
            return texts
        texts = [phase, f"{self.share:.1%}", texts[1]]
        rows, size = self._rates or (0.0, 0.0)
        if rows > 0 and now.rows < now.total:
            texts.append(f"{_time((now.total - now.rows) / rows)} left")
        if value := self._running(now):
            texts.append(value)
        if rows > 0:
            texts += [f"{_short(rows)} rows/s", f"{_short(size)}B/s"]
        return [*texts, f"{now.rows:,} of {now.total:,} rows"]

    def _running(self, now: Progress) -> str:
        """Return the value of the rows up to now, which is looked at every `VALUE_EVERY` seconds."""
        if time.perf_counter() - self._looked >= VALUE_EVERY:
            value = now.value
            self._value = "" if value is None else f"{now.loss} {value:.6g}"
            self._looked = time.perf_counter()
        return self._value


class TerminalBar(Display):
    """One line at the bottom of a terminal, which disappears at the end."""

    def __init__(self, console: Any) -> None:
        super().__init__()
        self._console, self._live = console, None  # type: tuple[Any, Any]
        self.delay = DELAY

    def start(self) -> None:
        from rich.live import Live

        self._live = Live(console=self._console, auto_refresh=False, transient=True)
        self._live.start()

    def draw(self) -> None:
        from rich.text import Text

        width = self._console.width - 4  # leaves space for the terminal's ^C
        full, empty = ("━", "─") if "utf" in self._console.encoding.lower() else ("#", "-")
        done = round(self.share * CELLS)
        phase, *rest = self.texts()
        line = f"{phase} {full * done}{empty * (CELLS - done)}"
        for text in rest:  # whole facts only
            line = f"{line}  {text}" if len(line) + 2 + len(text) <= width else line
        self._live.update(Text(line[:width], no_wrap=True), refresh=True)

    def stop(self) -> None:
        self._live.stop()


class NotebookBar(Display):
    """A bar below the cell, which disappears at the end."""

    every = 0.5

    def __init__(self) -> None:
        super().__init__()
        self.delay = DELAY
        self._module: Any = importlib.import_module("IPython.display")
        self._handle: Any = None

    def start(self) -> None:
        self._handle = self._module.display(self._module.HTML(""), display_id=True)

    def draw(self) -> None:
        text = html.escape("  ".join(self.texts()))
        self._handle.update(self._module.HTML(f'<progress value="{self.share:.4f}" max="1"></progress> {text}'))

    def stop(self) -> None:
        self._handle.update(self._module.HTML(""))


class Lines(Display):
    """A line on stderr every `SILENCE` seconds."""

    def __init__(self) -> None:
        super().__init__()
        self.delay = self.every = SILENCE

    def draw(self) -> None:
        if not self._ended.is_set() and sys.stderr is not None:
            sys.stderr.write("  ".join(self.texts()) + "\n")
            sys.stderr.flush()


def _time(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"


def _short(number: float) -> str:
    """Return a number with three digits and its unit's prefix, a space between them."""
    for prefix in ("", "k", "M", "G"):
        if abs(number) < 999.5:
            return f"{number:.3g} {prefix}"
        number /= 1000
    return f"{number:.3g} T"
