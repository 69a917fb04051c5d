"""The Keras-shaped losses: a class and a function for each declaration, called on arrays."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from functools import cache
from typing import Any, ClassVar

from ..core.types import Reduction
from ..errors import UnknownNameError, UsageError
from ..formulas._registry import Declaration, LossSpec, declarations, find
from ..planning.request import LossRequest
from .inputs import Inputs
from .loss_docs import annotation, class_doc, function_doc, signature
from .run import call

DTYPES = ("float32", "float64", "float16", "bfloat16")


class Loss:
    """A loss with its parameters and reduction; the base of every class in ``streamloss.losses``."""

    _declaration: ClassVar[Declaration]

    def __init__(
        self,
        *,
        reduction: str | None = "sum_over_batch_size",
        name: str | None = None,
        dtype: str | None = None,
        **parameters: Any,
    ) -> None:
        self.spec = LossSpec.of(self._declaration.name, parameters)
        self.reduction = Reduction.parse(reduction)
        self.name = name or self._declaration.name
        if dtype is not None and str(dtype) not in DTYPES:
            raise UnknownNameError("dtype", dtype, DTYPES)
        self.dtype = None if dtype is None else str(dtype)

    @property
    def precision(self) -> str | None:
        """The dtype that labels and predictions are rounded to first, whose losses are float32; None: they are not."""
        return self.dtype if self.dtype in ("float16", "bfloat16") else None

    def __call__(
        self,
        y_true: Any,
        y_pred: Any,
        sample_weight: Any = None,
        *,
        mask: Any = None,
        class_weight: Mapping[int, float] | Sequence[float] | None = None,
    ) -> Any:
        """Return the reduced loss as a float64 scalar or, for the reduction NONE, the array of losses of rows.

        Parameters
        ----------
        y_true : array_like
            Labels, of the shape the class describes: integers, booleans or floats.
        y_pred : array_like
            Predictions: any real dtype; float64 makes losses float64, anything else float32.
            Arrays on a GPU (PyTorch, CuPy, JAX, Numba) are evaluated there, and losses of rows are given back as
            an array of that library.
        sample_weight : array_like or float, optional
            At least 0: a scalar, the losses' shape, or their rank with 1s.
        mask : array_like of bool, optional
            Of the losses' shape, or their rank with 1s: rows where it is False have no loss, and are 0 for NONE.
        class_weight : mapping of int to float, or sequence of float, optional
            What rows of a label count; other labels count 1. A sequence has the weights of 0, 1, .... Multiplies
            `sample_weight`. Labels are integers, or one-hot.

        Raises
        ------
        ShapeError
            Where the arrays do not align.
        ValueRangeError
            For a label, prediction or weight that has no loss; the message names it.

        """
        request = LossRequest(self.name, self.spec, self.dtype, self.precision, self.reduction)
        return call(request, Inputs(y_true, y_pred, sample_weight, mask), class_weight)

    def get_config(self) -> dict[str, Any]:
        """Return Keras' configuration of this loss, which ``deserialize`` and ``from_config`` take."""
        return {"name": self.name, "reduction": str(self.reduction), "dtype": self.dtype, **self.spec.parameters}

    @classmethod
    def from_config(cls, config: Mapping[str, Any]) -> Loss:
        return cls(**config)

    def __repr__(self) -> str:
        changed = {
            name: value
            for name, value in self.spec.parameters.items()
            if value != self._declaration.parameters[name].default
        }
        if self.reduction is not Reduction.SUM_OVER_BATCH_SIZE:
            changed["reduction"] = str(self.reduction)
        if self.dtype is not None:
            changed["dtype"] = self.dtype
        return f"{type(self).__name__}({', '.join(f'{k}={v!r}' for k, v in changed.items())})"


@cache
def loss_class(name: str) -> type[Loss]:
    """Return the class of a loss, by any of its names."""
    declaration = find(name)
    if name != declaration.name:
        return loss_class(declaration.name)
    positional = _positions(declaration)
    namespace = {
        "__doc__": class_doc(declaration),
        "__module__": "streamloss.losses",
        "__signature__": class_signature(declaration),
        "_declaration": declaration,
        "__init__": _positional_init(declaration.class_name, positional),
    }
    return type(declaration.class_name, (Loss,), namespace)


def class_signature(declaration: Declaration) -> inspect.Signature:
    """Return the signature of a constructor."""
    defaults = {k: p.default for k, p in declaration.parameters.items()}
    defaults |= {"reduction": "sum_over_batch_size", "name": declaration.name, "dtype": None}
    types = {k: annotation(p) for k, p in declaration.parameters.items()}
    types |= dict.fromkeys(("reduction", "name", "dtype"), str | None)
    return signature(_positions(declaration), defaults, types)


def function_signature(declaration: Declaration) -> inspect.Signature:
    """Return the signature of the function form."""
    empty = inspect.Parameter.empty
    defaults = {"y_true": empty, "y_pred": empty, **{k: p.default for k, p in declaration.parameters.items()}}
    types = {k: annotation(p) for k, p in declaration.parameters.items()}
    return signature(("y_true", "y_pred", *_function_positions(declaration)), defaults, types)


def _positions(declaration: Declaration) -> tuple[str, ...]:
    """Return what a constructor takes by position: what Keras' does, in most losses with `name` and `dtype` last."""
    return tuple(dict.fromkeys((*declaration.positional, "name", "dtype")))


def _positional_init(class_name: str, names: tuple[str, ...]) -> Callable[..., None]:
    """Return a constructor that takes the parameters `names` by position, too, as Keras' do."""

    def init(self: Loss, *args: Any, **kwargs: Any) -> None:
        Loss.__init__(self, **_by_name(class_name, names, args, kwargs))

    init.__name__, init.__qualname__ = "__init__", f"{class_name}.__init__"
    return init


def _by_name(what: str, names: tuple[str, ...], args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> dict[str, Any]:
    """Return all arguments by name. Raises UsageError where Python would raise TypeError."""
    if len(args) > len(names):
        raise UsageError(f"{what} takes {len(names)} arguments by position ({', '.join(names)}); received {len(args)}.")
    by_position = dict(zip(names, args, strict=False))
    if twice := by_position.keys() & kwargs.keys():
        raise UsageError(f"{what} received {', '.join(sorted(twice))} twice.")
    return {**by_position, **kwargs}


@cache
def loss_function(name: str) -> Callable[..., Any]:
    """Return Keras' function form of a loss, which returns the losses of rows, unreduced."""
    declaration = find(name)
    if name != declaration.name:
        return loss_function(declaration.name)
    names = _function_positions(declaration)

    def function(y_true: Any, y_pred: Any, *args: Any, **kwargs: Any) -> Any:
        parameters = _by_name(declaration.name, names, args, kwargs)
        return loss_class(declaration.name)(reduction="none", **parameters)(y_true, y_pred)

    function.__name__ = function.__qualname__ = declaration.name
    function.__module__ = "streamloss.losses"
    function.__doc__ = function_doc(declaration)
    function.__signature__ = function_signature(declaration)  # type: ignore[attr-defined]
    return function


def _function_positions(declaration: Declaration) -> tuple[str, ...]:
    """Return what the function form takes by position behind the arrays."""
    return tuple(name for name in declaration.positional if name not in ("reduction", "name"))


def class_names() -> list[str]:
    return [d.class_name for d in declarations()]


def function_names() -> list[str]:
    """Return the canonical names and the other ones: all are names of functions."""
    return [name for d in declarations() for name in (d.name, *d.aliases)]
