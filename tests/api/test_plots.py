"""Plots: that axes hold the numbers of the result."""

import numpy as np
import pytest

import streamloss as sl
from streamloss.errors import MissingExtraError, UnknownNameError, UsageError

matplotlib = pytest.importorskip("matplotlib")
matplotlib.use("agg")
from matplotlib import pyplot  # noqa: E402

ROWS = 2000
RNG = np.random.default_rng(4)
LABELS, CHANCES, KEYS = RNG.integers(0, 2, ROWS), RNG.random(ROWS).astype("f4"), RNG.integers(0, 4, ROWS)


@pytest.fixture(scope="module")
def result():
    stats = ["stderr", "histogram", "running=20", "calibration=10"]
    return sl.evaluate("bce", LABELS, CHANCES, by={"key": KEYS}, stats=stats)


@pytest.fixture(autouse=True)
def closed():
    yield
    pyplot.close("all")


def points(axes):
    """Return the data of the line that is marked by dots."""
    (found,) = [line for line in axes.lines if line.get_marker() == "o"]
    return found.get_xdata(), found.get_ydata()


def test_groups(result):
    axes = result.plot.groups()
    rows = sorted(result.groups, key=lambda of: -of["share"])[::-1]
    assert list(points(axes)[0]) == [of["mean"] for of in rows]
    assert [label.get_text() for label in axes.get_yticklabels()] == [str(of["key"]) for of in rows]
    drawn = [tuple(line.get_xdata()) for line in axes.lines if line.get_linewidth() == 4]
    assert drawn == [(of["low"], of["high"]) for of in rows]


def test_a_histogram_has_all_rows(result):
    axes = result.plot.histogram()
    assert sum(bar.get_height() for bar in axes.patches) == ROWS
    assert axes.get_xscale() == "log"


def test_reliability_and_running(result):
    _, shares = points(result.plot.reliability())
    assert list(shares) == result["bce"].calibration.column("accuracy")
    (line,) = [line for line in result.plot.running().lines if line.get_linestyle() == "-"]
    assert list(line.get_ydata()) == result["bce"].running.column("mean")


def test_a_comparison():
    found = sl.compare("bce", LABELS, {"a": CHANCES, "b": CHANCES / 2}, by={"key": KEYS})
    axes = found.plot.comparison()
    rows = [of for of in [*found.table, *found.groups] if of["model"] == "b"][::-1]
    assert list(points(axes)[0]) == [of["difference"] for of in rows]


def test_axes_that_are_passed_are_drawn_into(result):
    figure, axes = pyplot.subplots()
    assert result.plot.groups(ax=axes) is axes
    assert len(figure.axes) == 1


def test_what_there_is_not_names_what_to_pass(result):
    bare = sl.evaluate(["mse", "mae"], CHANCES, CHANCES)
    with pytest.raises(UsageError, match="name one"):
        bare.plot.groups()
    for name, missing in (
        ("groups", "by="),
        ("histogram", "histogram"),
        ("reliability", "calibration"),
        ("running", "ru"),
    ):
        with pytest.raises(UsageError, match=missing):
            getattr(bare.plot, name)("mean_squared_error")
    with pytest.raises(UnknownNameError):
        result.plot.groups("mae")
    with pytest.raises(UsageError, match=r"sl\.compare"):
        result.plot.comparison()


def test_without_matplotlib_the_extra_is_named(result, monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "matplotlib", None)
    with pytest.raises(MissingExtraError, match=r"streamloss\[plot\]"):
        result.plot.groups()
