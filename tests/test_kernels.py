"""Layouts of one formula have the same bits: rows side by side, and one by one."""

import numpy as np
import pytest

from streamloss.kernels import sparse
from streamloss.kernels.layout import TILE, WORK
from streamloss.losses._kinds import Sparse
from streamloss.losses._registry import declarations

FORMULAS = [
    pytest.param(formula, id=f"{declaration.name}-{choice}")
    for declaration in declarations()
    for choice, formula in declaration.formulas.items()
    if isinstance(formula, Sparse)
]


@pytest.mark.parametrize("formula", FORMULAS)
def test_few_classes_side_by_side_have_the_bits_of_rows_one_by_one(formula):
    rng = np.random.default_rng(16)
    one_by_one, side_by_side = sparse._one_by_one(formula), sparse._side_by_side(formula)
    for classes in (1, 2, 3, 7, 8, 31, sparse.FEW):
        for rows in (1, sparse.ABREAST - 1, sparse.ABREAST, TILE):
            y_pred = rng.normal(size=(rows, classes)) * np.exp(rng.uniform(-3, 6, (rows, 1)))
            if formula.y_pred.bounded:
                y_pred = abs(y_pred) / abs(y_pred).sum(axis=1, keepdims=True)
            y_pred = y_pred.astype(np.float32)
            y_pred[rng.random(rows) < 0.1] = 0.25  # ties
            y_pred[rng.random(rows) < 0.05] = 7.0  # beyond a probability
            labels = rng.integers(-2, classes + 1, rows)
            found = []
            for loop, space in ((one_by_one, (np.empty(WORK[1]), np.empty(WORK[1]))), (side_by_side, ())):
                work, status = np.zeros((3, TILE)), np.zeros(TILE, np.int8)
                loop(labels, y_pred, (1, -1), *work, status, *space)
                found.append((work[:, :rows].tobytes(), status[:rows].tolist()))
            assert found[0] == found[1]
