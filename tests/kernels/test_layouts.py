"""The layouts of one formula have the same bits: loops across rows, across groups of rows and across classes."""

import numpy as np
import pytest

from kernel_calls import settings_of
from streamloss.formulas._registry import LossSpec
from streamloss.kernels.base import TILE, Ignore, Operands
from streamloss.kernels.dense import dense
from streamloss.kernels.sparse import sparse
from streamloss.kernels.summation_order import ACROSS_CLASSES, ACROSS_GROUPS, ACROSS_ROWS, GROUP, SEVERAL, rows_at_once

LOSSES = [
    ("sparse_categorical_crossentropy", {"from_logits": True}),
    ("sparse_categorical_crossentropy", {}),
    ("sparse_categorical_crossentropy", {"label_smoothing": 0.125, "from_logits": True}),
    ("sparse_categorical_crossentropy", {"label_smoothing": 0.125}),
    ("zero_one_loss", {}),
    ("categorical_crossentropy", {"from_logits": True}),
    ("categorical_focal_crossentropy", {"from_logits": True}),
    ("cosine_similarity", {}),
    ("poisson", {}),
    ("weighted_cross_entropy_with_logits", {}),
]


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize(("name", "given"), LOSSES, ids=lambda value: str(value))
def test_loops_across_rows_have_the_bits_of_loops_across_classes(name, given, dtype):
    rng = np.random.default_rng(16)
    spec, single = LossSpec.of(name, given), dtype == "float32"
    formula = spec.formula
    build = sparse if formula.integer_labels else dense
    kernels = [build(formula, single, layout) for layout in (ACROSS_ROWS, ACROSS_GROUPS, ACROSS_CLASSES)]
    for classes in (1, 2, 3, 7, 8, 31, SEVERAL):
        for rows in (1, 7, GROUP + 9, rows_at_once(classes) + 1, TILE):
            y_pred = rng.normal(size=(rows, classes)) * np.exp(rng.uniform(-3, 6, (rows, 1)))
            if formula.y_pred.bounded:
                y_pred = abs(y_pred) / abs(y_pred).sum(axis=1, keepdims=True)
            y_pred = y_pred.astype(np.float32)
            y_pred[rng.random(rows) < 0.1] = 0.25  # ties
            y_pred[rng.random(rows) < 0.05] = 7.0  # beyond a probability
            y_true = rng.random((rows, classes)).astype(np.float32)
            y_true[0] = 0.0
            labels = rng.integers(-2, classes + 1, rows)
            found = []
            for kernel in kernels:
                values, status = np.zeros(TILE), np.zeros(TILE, np.int8)
                operands = Operands(labels if formula.integer_labels else y_true, y_pred, None, None)
                kernel.rows(
                    operands.y_true,
                    y_pred,
                    settings_of(spec, dtype, classes)._replace(ignore=Ignore(1, -1)),
                    values,
                    status,
                    kernel.new_workspace(operands),
                )
                values[(status != 0) | np.isnan(values)] = np.nan  # NaNs have many bits
                found.append((values.tobytes(), status[:rows].tolist()))
            assert found[0] == found[1] == found[2]
