"""A loss is one declaration: what follows from it, what it refuses, and that a new file is enough for a new loss."""

import json
import math
import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import streamloss as sl
from streamloss.errors import ShapeError, UnknownNameError, UsageError
from streamloss.formulas._registry import declarations

ROOT = Path(__file__).parents[2]

DROPPED = '''
from ._kinds import Elementwise
from ._registry import declare


def quartic(y: float, p: float) -> float:
    error = y - p
    return error * error * (error * error)


declare(
    "mean_quartic_error",
    "MeanQuarticError",
    formula=Elementwise(quartic),
    peer="nobody",
    doc="""
    Mean of fourth powers of errors: ``mean((y_true - y_pred)**4)``.

    Source: a test.
    """,
)
'''


def test_a_new_file_is_a_new_loss_everywhere(tmp_path):
    """In the command's list, the documentation's table, the API and the property tests, with nothing to register."""
    ignore = shutil.ignore_patterns("__pycache__", ".venv", ".git", "data")
    shutil.copytree(ROOT / "streamloss", tmp_path / "streamloss", ignore=ignore)
    shutil.copytree(ROOT / "tests", tmp_path / "tests", ignore=ignore)
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    (tmp_path / "streamloss" / "formulas" / "dropped.py").write_text(DROPPED)
    environment = {**os.environ, "PYTHONPATH": str(tmp_path)}

    def python(*arguments):
        done = subprocess.run(
            [sys.executable, *arguments], cwd=tmp_path, env=environment, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    assert "mean_quartic_error" in [loss["name"] for loss in json.loads(python("-m", "streamloss", "losses", "--json"))]
    assert "| `MeanQuarticError`<br>`mean_quartic_error` |" in python("-m", "streamloss", "losses", "--markdown")
    code = "import streamloss as sl; print(sl.losses.mean_quartic_error([1.0], [3.0]), sl.losses.MeanQuarticError())"
    assert python("-c", code).split() == ["[16.]", "MeanQuarticError()"]
    laws = ["-m", "pytest", "-q", "-p", "no:xdist", "-p", "no:cacheprovider", "tests/test_laws.py", "-k", "quartic"]
    assert "4 passed" in python(*laws)


NUMBERS = [
    pytest.param(declaration, name, parameter, id=f"{declaration.name}-{name}")
    for declaration in declarations()
    for name, parameter in declaration.parameters.items()
    if parameter.interval is not None
]


@pytest.mark.parametrize(("declaration", "name", "parameter"), NUMBERS)
def test_numbers_beyond_a_parameters_range_are_refused_with_the_range(declaration, name, parameter):
    make = getattr(sl.losses, declaration.class_name)
    interval, whole = parameter.interval, float not in parameter.types
    beyond = []
    if interval.low > -math.inf:
        beyond.append(math.floor(interval.smallest) - 1 if whole else math.nextafter(interval.smallest, -math.inf))
    if interval.high < math.inf:
        beyond.append(math.floor(interval.largest) + 2**12 if whole else math.nextafter(interval.largest, math.inf))
    for value in beyond:
        with pytest.raises(UsageError, match=rf"{declaration.class_name}: {name} must lie in [\[(]"):
            make(**{name: value})
    with pytest.raises(UsageError, match=f"{name} must be"):
        make(**{name: "x"})
    if not whole:
        for value in (math.nan, math.inf):
            with pytest.raises(UsageError, match=f"{name} must be finite"):
                make(**{name: value})


@pytest.mark.parametrize("declaration", declarations(), ids=lambda d: d.name)
def test_reductions_and_dtypes_are_checked_at_construction(declaration):
    make = getattr(sl.losses, declaration.class_name)
    with pytest.raises(UnknownNameError, match="Did you mean 'sum'"):
        make(reduction="summ")
    with pytest.raises(UnknownNameError, match="Did you mean 'bfloat16'"):
        make(dtype="bfloat")


def test_lists_have_one_entry_for_each_class():
    y, p = np.eye(3), np.full((3, 3), 1 / 3)
    focal = sl.losses.CategoricalFocalCrossentropy
    equal, listed = focal(alpha=0.5, reduction=None)(y, p), focal(alpha=[0.5, 0.5, 0.5], reduction=None)(y, p)
    assert listed.tobytes() == equal.tobytes()
    by_class = focal(alpha=np.array([0.0, 0.5, 1.0]), reduction=None)(y, p)
    assert by_class.tolist() == [0.0, equal[1], 2 * equal[2]]
    with pytest.raises(UsageError, match="alpha has 2 entries, but y_pred has 3 classes"):
        focal(alpha=[0.5, 0.5])(y, p)
    with pytest.raises(UsageError, match=r"alpha\[1\] must lie in \[0, inf\); received -1"):
        focal(alpha=[0.5, -1.0, 0.0])
    with pytest.raises(UsageError, match="alpha must be float or int, or a list of these; received 'x'"):
        focal(alpha="x")


def test_weights_of_positive_labels_by_class():
    y, x = np.array([[1.0, 1.0], [0.0, 1.0]]), np.zeros((2, 2))
    loss = sl.losses.WeightedCrossEntropyWithLogits(pos_weight=[1.0, 3.0], reduction=None)
    np.testing.assert_allclose(loss(y, x), [2 * math.log(2), 2 * math.log(2)], rtol=1e-15)


def test_a_distribution_needs_its_parameters():
    with pytest.raises(ShapeError, match="whose axis 1 has 3 entries; expected 2: mean and variance"):
        sl.losses.GaussianNLL()([0.0], [[0.0, 1.0, 2.0]])
    with pytest.raises(sl.errors.ValueRangeError, match=r"y_pred\[0, 1\] is -1; expected .* It is the variance"):
        sl.losses.GaussianNLL()([0.0], [[0.0, -1.0]])
    first = sl.losses.GaussianNLL(axis=0, reduction=None)([1.0, 0.0], [[0.0, 0.0], [1.0, 4.0]])
    assert first.tolist() == sl.losses.GaussianNLL(reduction=None)([1.0, 0.0], [[0.0, 1.0], [0.0, 4.0]]).tolist()


@pytest.mark.parametrize("name", ["circle", "Circle"])
def test_circle_is_refused_with_the_reason(name):
    with pytest.raises(UsageError, match=f"'{name}' is refused. Circle pairs every sample of a batch"):
        sl.losses.get(name)


@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
def test_narrow_dtypes_round_the_inputs(dtype):
    ml_dtypes = pytest.importorskip("ml_dtypes")
    narrow = np.float16 if dtype == "float16" else ml_dtypes.bfloat16
    rng = np.random.default_rng(14)
    special = [0.0, -0.0, 1e-8, 1e-40, 1.0 + 2**-8, 1.0 + 2**-9, 1.0 + 3 * 2**-9, np.inf, -np.inf]
    x = np.concatenate([rng.normal(size=991) * 100, special]).astype(np.float32).reshape(-1, 4)
    labels = rng.integers(0, 4, len(x))
    loss = sl.losses.SparseCategoricalCrossentropy(from_logits=True, dtype=dtype, reduction=None)
    usable = np.isfinite(x).all(axis=1)
    got = loss(labels[usable], x[usable])
    expected = sl.losses.SparseCategoricalCrossentropy(from_logits=True, reduction=None)(
        labels[usable], x[usable].astype(narrow)
    )
    assert got.dtype == np.float32
    assert got.tobytes() == expected.tobytes()
