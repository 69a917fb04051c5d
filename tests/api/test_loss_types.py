"""What editors and type checkers know of the losses, and what ``help`` shows of them."""

import doctest
import pydoc
import subprocess
import sys
from pathlib import Path

import pytest

import losses_stub
import streamloss as sl
from streamloss.formulas._registry import declarations

STUB = Path(sl.__file__).parent / "losses.pyi"


def test_the_stub_is_what_the_declarations_say():
    assert STUB.read_text(encoding="utf-8") == losses_stub.stub(), (
        "write it anew: python tests/support/losses_stub.py > streamloss/losses.pyi"
    )


def test_type_checkers_know_the_losses(tmp_path):
    code = """\
import streamloss as sl
from streamloss.losses import mse, Huber

huber = Huber(delta=2.0, reduction="sum", axis=None)
reveal_type(huber)
reveal_type(sl.losses.Tversky(axis=[0, 1]).name)
mse([0.0], [1.0], axis=None)
sl.losses.huber_loss([0.0], [1.0], 2.0)
sl.losses.Hinge(labels="01")
sl.losses.Huber(delta="wide")
sl.losses.Huber(gamma=1.0)
sl.losses.Hinge(labels="0 and 1")
sl.losses.hubber
"""
    (tmp_path / "snippet.py").write_text(code, encoding="utf-8")
    command = [
        sys.executable,
        "-m",
        "mypy",
        "--strict",
        "--no-error-summary",
        "--cache-dir",
        str(tmp_path),
        "snippet.py",
    ]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False, env=environment())
    lines = done.stdout.splitlines()
    errors = [int(line.split(":")[1]) for line in lines if ": error: " in line]
    assert errors == [10, 11, 12, 13], done.stdout + done.stderr
    revealed = [line.partition('"')[2].strip('"') for line in lines if "Revealed type" in line]
    assert revealed == ["streamloss.losses.Huber", "str"], done.stdout


def environment():
    import os

    return os.environ | {"MYPYPATH": str(STUB.parents[1])}


@pytest.mark.parametrize("name", ["huber", "Huber", "Dice", "sparse_categorical_crossentropy", "mse"])
def test_help_shows_the_sections_and_the_signature(name):
    text = pydoc.plain(pydoc.render_doc(getattr(sl.losses, name)))
    for part in ("Parameters", "Raises", "References", "Keras 3", ">>> import streamloss as sl", "axis"):
        assert part in text
    if name == "huber":
        several = "collections.abc.Sequence[int | str]"
        assert f"huber(y_true, y_pred, delta: float = 1.0, *, axis: int | str | {several} | None = -1)" in text


@pytest.mark.parametrize("declaration", declarations(), ids=lambda d: d.name)
def test_the_examples_of_docstrings_run(declaration):
    for name in (declaration.class_name, declaration.name):
        doc = getattr(sl.losses, name).__doc__
        examples = doctest.DocTestParser().get_doctest(doc, {}, name, None, None)
        assert examples.examples
        assert doctest.DocTestRunner(optionflags=doctest.NORMALIZE_WHITESPACE).run(examples).failed == 0
