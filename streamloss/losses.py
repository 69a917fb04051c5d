"""The losses, named and shaped as in Keras: ``streamloss.losses.MeanSquaredError()``, ``mean_squared_error``, ``mse``.

The classes and functions are generated from the declarations in :mod:`streamloss.formulas`. Names are resolved on
first use, because formulas load NumPy; ``losses.pyi`` has all of them, with their types, for editors and type checkers
(written by ``python tests/support/losses_stub.py``).
"""

from typing import Any

from .core.types import Reduction  # noqa: F401  # one of the names

_BESIDE = ("Loss", "Reduction", "deserialize", "get", "is_categorical_crossentropy", "serialize", "to_categorical")
"""The names beside those of losses."""


def __getattr__(name: str) -> Any:
    if name == "__all__":
        return __dir__()
    if name.startswith("_"):
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from .api import interop, loss

    if name == "Loss":
        return loss.Loss
    if name in _BESIDE:
        return getattr(interop, name)
    if name in loss.class_names():
        return loss.loss_class(name)
    if name in loss.function_names():
        return loss.loss_function(name)
    from .errors import nearest
    from .formulas._foreign_names import explanation, same_loss

    if (meant := same_loss(name)) is not None:
        return loss.loss_function(meant)
    near = nearest(name, __dir__())
    advice = explanation(name) or (f"Did you mean {near[0]!r}?" if near else "dir() of it has all names.")
    raise AttributeError(f"module {__name__!r} has no loss {name!r}. {advice}")


def __dir__() -> list[str]:
    from .api import loss

    return [*_BESIDE, *loss.class_names(), *loss.function_names()]
