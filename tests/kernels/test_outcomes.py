"""The cheaper terms for labels that are 0 or 1 have the bits of the general ones."""

import numpy as np
import pytest

from kernel_calls import key_of, new_totals, settings_of
from streamloss.formulas._kinds import Elementwise
from streamloss.formulas._registry import LossSpec, declarations
from streamloss.kernels import cpu
from streamloss.kernels.base import TILE, Operands, Output

CASES = [
    (declaration, given)
    for declaration in declarations()
    for given in declaration.variants
    if isinstance(formula := LossSpec.of(declaration.name, given).formula, Elementwise) and formula.of_outcomes
]
EDGES = [0.0, -0.0, 1.0, 0.5, 1e-7, 1e-9, 1 - 1e-7, 1 - 2**-24, 5e-324, 1e-310, 1e-45, np.nan]


def losses_of(name, given, y_true, y_pred, dtype):
    spec = LossSpec.of(name, given)
    losses, key = np.empty(len(y_pred), dtype), key_of(spec, dtype, 1)
    operands = Operands(y_true[:, None], y_pred[:, None], np.empty(0), np.empty(0, np.bool_))
    settings = settings_of(spec, dtype, 1, "propagate")
    assert cpu.serial(key)(operands, settings, Output(True, losses), new_totals(key)) == -1
    return losses


def test_there_are_such_terms():
    assert {declaration.name for declaration, _ in CASES} >= {"binary_crossentropy", "binary_focal_crossentropy"}


@pytest.mark.parametrize("epsilon", [1e-7, 0.0, 1e-310])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize(("declaration", "given"), CASES, ids=lambda value: getattr(value, "name", str(value)))
def test_labels_of_0_and_1_have_the_same_losses_beside_another_label(declaration, given, dtype, epsilon):
    rng = np.random.default_rng(5)
    others = [{"alpha": 0.3, "apply_class_balancing": True}] if "alpha" in declaration.parameters else []
    for more in ({}, {"label_smoothing": 0.25}, *others):
        rows = TILE - 1
        y_pred = np.concatenate([EDGES, EDGES, rng.random(rows - 2 * len(EDGES))]).astype(dtype)
        y_true = np.repeat([0.0, 1.0, 0.0, 1.0], [len(EDGES), len(EDGES), 200, rows - 2 * len(EDGES) - 200])
        arguments = given | more | {"epsilon": epsilon}
        alone = losses_of(declaration.name, arguments, y_true, y_pred, dtype)
        beside = losses_of(declaration.name, arguments, np.append(y_true, 0.5), np.append(y_pred, y_pred[-1]), dtype)
        assert np.array_equal(alone, beside[:-1], equal_nan=True)
        numbers = ~np.isnan(alone)
        assert np.array_equal(np.signbit(alone[numbers]), np.signbit(beside[:-1][numbers]))
