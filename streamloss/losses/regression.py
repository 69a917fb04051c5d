"""Losses between two real numbers."""

from ._registry import MEAN_AXIS, Elementwise, declare


def squared_error(y: float, p: float) -> float:
    error = p - y
    return error * error


declare(
    "mean_squared_error",
    "MeanSquaredError",
    "mse",
    "MSE",
    formula=Elementwise(squared_error),
    parameters={"axis": MEAN_AXIS},
    doc="""
    Mean of squared errors: ``mean((y_true - y_pred)**2, axis)``.

    Source: Keras 3, ``mean_squared_error``.

    >>> import streamloss as sl
    >>> loss = sl.losses.MeanSquaredError()
    >>> loss([[0.0, 1.0], [0.0, 0.0]], [[1.0, 1.0], [1.0, 0.0]])
    np.float64(0.5)
    """,
)
