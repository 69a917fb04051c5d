"""Errors as people meet them: in a notebook, and where a name is a slip."""

import linecache
import traceback

import pytest

import streamloss as sl
from streamloss.errors import StreamlossError, UsageError

CELL = """\
def score(y):
    return sl.evaluate("mse", y, [1.0, 2.0, 3.0])

score([1.0, 2.0])
"""


def raised(source, filename):
    """Return the error of a source, whose lines tracebacks find."""
    linecache.cache[filename] = (len(source), None, source.splitlines(keepends=True), filename)
    try:
        exec(compile(source, filename, "exec"), {"sl": sl})
    except StreamlossError as error:
        return error
    raise AssertionError("nothing was raised")


@pytest.mark.parametrize("filename", ["<ipython-input-3-0a1b2c>", "/tmp/ipykernel_71/2718281828.py"])
def test_a_notebook_shows_the_callers_lines_and_the_message(filename):
    error = raised(CELL, filename)
    lines = error._render_traceback_()
    first = lines.index("cell, line 4: score([1.0, 2.0])")  # behind the frame of this test
    assert lines[first + 1] == 'cell, line 2 in score: return sl.evaluate("mse", y, [1.0, 2.0, 3.0])'
    assert lines[first + 2 : first + 4] == ["", "ShapeError"]
    assert " ".join(lines[first + 4 :]) == str(error)
    assert all(len(line) <= 100 for line in lines[first + 4 :])
    assert not any("streamloss/planning" in line for line in lines)
    assert "streamloss/planning" in "".join(traceback.format_exception(error)), "which a program still shows in whole"


def test_a_file_is_named_and_lines_of_a_message_stay_lines():
    error = raised("import streamloss\nraise streamloss.errors.UsageError('one\\n  two')", "analysis.py")
    assert error._render_traceback_()[-5:] == [
        "analysis.py, line 2: raise streamloss.errors.UsageError('one\\n  two')",
        "",
        "UsageError",
        "one",
        "  two",
    ]


def test_an_error_that_was_never_raised_is_shown_too():
    assert UsageError("so")._render_traceback_() == ["", "UsageError", "so"]


def test_slips_of_the_names_of_losses():
    for slip, meant in (("Hubr", "Huber"), ("mean_square_error", "mean_squared_error")):
        with pytest.raises(AttributeError, match=f"has no loss {slip!r}. Did you mean {meant!r}?"):
            getattr(sl.losses, slip)
