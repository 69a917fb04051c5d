"""Progress: who sees it, what it says, and that it goes away."""

import sys
import threading
import types

import numpy as np
import pytest

import streamloss as sl
from streamloss.api import progress
from streamloss.core.types import Progress
from streamloss.errors import UsageError
from waiting import HANG, wait_until

Y, P = np.zeros(4), np.ones(4)


@pytest.fixture(autouse=True)
def at_once(monkeypatch):
    monkeypatch.setattr(progress, "DELAY", 0.0)
    monkeypatch.setattr(progress, "SILENCE", 0.02)
    monkeypatch.setenv("COLUMNS", "80")
    monkeypatch.setenv("TERM", "xterm")


def terminal(monkeypatch):
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)


def chosen(given):
    with progress.shown_progress(given) as shown:
        return type(shown)


def test_who_sees_what(monkeypatch):
    """Off a terminal only True says something; a dumb terminal has lines, as it cannot take a bar away."""
    nothing = type(None)
    for given, off, on, dumb in (
        ("auto", nothing, progress.TerminalBar, progress.Lines),
        (True, progress.Lines, progress.TerminalBar, progress.Lines),
        (False, nothing, nothing, nothing),
        (None, nothing, nothing, nothing),
    ):
        assert chosen(given) is off
        with monkeypatch.context() as patch:
            terminal(patch)
            assert chosen(given) is on
            patch.setenv("TERM", "dumb")
            assert chosen(given) is dumb


def test_other_settings_are_refused():
    with pytest.raises(UsageError, match="progress must be 'auto', True, False or a callable; received 'loud'"):
        sl.evaluate("mse", Y, P, progress="loud")


def test_a_callable_is_called_after_each_block_with_the_value_up_to_then():
    seen = []
    result = sl.evaluate("mse", Y, P, np.array([1.0, 2.0, 0.0, 1.0]), progress=seen.append)
    assert seen[-1].rows == seen[-1].total == 4
    assert seen[-1].value == result["mse"].weighted_mean
    assert seen[-1].loss == "mean_squared_error"
    assert seen[-1].bytes == result.bytes_read == 3 * 32
    assert len(repr(seen[-1])) < 150


def test_speeds_are_those_since_the_first_block():
    """The first block waits for the compiler."""
    speed = progress.Speed()
    seen = [Progress(100, 900, 9.0, 10), Progress(200, 900, 9.25, 20)]
    assert [speed.after(at) for at in seen] == [None, None], "too early to tell"
    assert speed.after(Progress(900, 900, 11.0, 110)) == (400.0, 50.0)


def shown(display):
    """The texts after a block at 1 s and one at 3 s."""
    display(Progress(1_000_000, 9_000_000, 1.0, 8_000_000))
    display(Progress(5_000_000, 9_000_000, 3.0, 40_000_000, "mse", lambda: 0.25))
    return display.texts()


def test_the_texts_of_a_run():
    display = progress.Lines()
    assert display.texts() == ["starting", "0:00"]
    with progress.counts.while_compiling():
        assert display.texts()[0] == "compiling"
    display.enter("reading labels")
    assert display.texts()[0] == "reading labels"
    display.enter("evaluating")
    assert shown(display) == [
        "evaluating", "55.6%", "0:00", "0:02 left", "mse 0.25", "2 M rows/s", "16 MB/s",
        "5,000,000 of 9,000,000 rows",
    ]  # fmt: skip
    assert progress._time(3725) == "1:02:05"


def test_lines_of_a_log(capsys):
    written = []

    def shows(text):
        written.append(capsys.readouterr().err)
        return text in "".join(written)

    with progress.shown_progress(True) as display:
        wait_until(lambda: shows("starting"))
        shown(display)
        wait_until(lambda: shows("55.6%"))
    text = "".join(written)
    assert "\x1b" not in text
    assert "\r" not in text
    assert threading.active_count() == 1 or "streamloss-progress" not in {t.name for t in threading.enumerate()}


@pytest.mark.parametrize("no_color", [False, True])
def test_the_bar_of_a_terminal_fits_and_disappears(monkeypatch, capsys, no_color):
    terminal(monkeypatch)
    if no_color:
        monkeypatch.setenv("NO_COLOR", "1")
    drawn = []

    def shows(text):
        drawn.append(capsys.readouterr().err)
        return text in "".join(drawn)

    with progress.shown_progress("auto") as display:
        wait_until(lambda: shows("starting"))
        display.enter("evaluating")
        shown(display)
        wait_until(lambda: shows("55.6%"))
    drawn.append(capsys.readouterr().err)
    text = "".join(drawn)
    assert "evaluating" in text
    assert text.rstrip().endswith("\x1b[2K") or text.endswith("\x1b[?25h"), "the line is erased, the cursor is back"
    for line in text.replace("\r", "\n").splitlines():
        assert len([c for c in line if c.isprintable() or c == " "]) <= 100
    assert capsys.readouterr().out == ""


def test_a_short_run_shows_nothing(monkeypatch, capsys):
    terminal(monkeypatch)
    monkeypatch.setattr(progress, "DELAY", HANG)
    sl.evaluate("mse", Y, P)
    assert capsys.readouterr() == ("", "")


def test_what_is_shown_goes_away_when_the_run_fails(monkeypatch):
    def fail(now):
        raise KeyboardInterrupt

    terminal(monkeypatch)
    with pytest.raises(KeyboardInterrupt), progress.shown_progress("auto"):
        fail(None)
    assert "streamloss-progress" not in {thread.name for thread in threading.enumerate()}


def test_a_notebook_has_a_bar_of_its_own(monkeypatch):
    pages = []

    class Handle:
        def update(self, page):
            pages.append(page)

    def display(page, display_id):
        assert display_id is True
        return Handle()

    module = types.ModuleType("IPython.display")
    module.HTML, module.display = str, display
    package = types.ModuleType("IPython")
    package.get_ipython = lambda: types.SimpleNamespace(kernel=object())
    monkeypatch.setitem(sys.modules, "IPython", package)
    monkeypatch.setitem(sys.modules, "IPython.display", module)
    with progress.shown_progress("auto") as shown_there:
        shown_there(Progress(1, 2, 1.0, 8, "<b>", lambda: 0.5))
        wait_until(lambda: any("50.0%" in page for page in pages))
    assert any('<progress value="0.5000" max="1">' in page for page in pages)
    assert not any("<b>" in page for page in pages), "escaped"
    assert any("&lt;b&gt;" in page for page in pages)
    assert pages[-1] == ""
