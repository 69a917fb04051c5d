"""Losses by name, by configuration, and from Keras' own objects; and back again."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np

from ..core.types import Reduction
from ..errors import UsageError, ValueRangeError
from ..formulas import recorded
from ..formulas._foreign_names import without_keras
from ..formulas._registry import find
from ..planning.request import LossRequest
from .loss import Loss, loss_class, loss_function

KERAS_REDUCTIONS = ("none", "sum", "sum_over_batch_size", "mean", "mean_with_sample_weight")


def get(identifier: Any) -> Any:
    """Return a loss from its name, its config, a Keras loss, or itself.

    ``get("mse")`` is a function, as in Keras; ``get("MeanSquaredError")`` an instance with defaults;
    ``get({"class_name": ..., "config": {...}})`` an instance. A loss of Keras becomes ours, with its settings (read
    from the object: Keras is not imported). None and other callables come back as they are.

    Raises UnknownNameError with the nearest known name, and UsageError for a loss that cannot be, such as Circle.

    >>> import streamloss as sl
    >>> sl.losses.get({"class_name": "BinaryCrossentropy", "config": {"from_logits": True}})
    BinaryCrossentropy(from_logits=True)
    """
    if identifier is None:
        return None
    if isinstance(identifier, str):
        declaration = find(identifier)
        as_class = without_keras(identifier) == declaration.class_name
        return loss_class(declaration.name)() if as_class else loss_function(declaration.name)
    if isinstance(identifier, Mapping):
        return deserialize(identifier)
    if _is_of_keras(identifier):
        return _from_keras(identifier)
    if callable(identifier):
        return identifier
    raise UsageError(f"expected a loss, its name or its config; received {identifier!r}.")


def serialize(loss: Any) -> Any:
    """Return a config that ``deserialize`` turns into the loss again: a dict for an instance, a name for a function.

    Keras' ``deserialize`` takes it too, for a loss that Keras has, with settings that it has.
    """
    if isinstance(loss, Loss):
        config = loss.get_config()
        for_keras = _config_for_keras(loss)
        return {
            "module": "streamloss.losses" if for_keras is None else "keras.losses",
            "class_name": type(loss).__name__,
            "config": config if for_keras is None else for_keras,
            "registered_name": None,
        }
    name = getattr(loss, "__name__", None)
    if name is None:
        raise UsageError(f"expected a loss; received {loss!r}.")
    return find(name).name


def describe(loss: Loss) -> dict[str, Any]:
    """Return all settings of a loss, for results: also those that Keras does not have."""
    config, recorded = loss.get_config(), loss.spec.recorded_parameters
    settings = {key: value for key, value in config.items() if key not in loss.spec.parameters or key in recorded}
    return {**serialize(loss), "module": "streamloss.losses", "config": settings}


def deserialize(config: Any) -> Any:
    """Return the loss of a config, as :func:`serialize` or Keras writes it."""
    if isinstance(config, str):
        return get(config)
    if not isinstance(config, Mapping) or "class_name" not in config:
        raise UsageError(f"expected {{'class_name': ..., 'config': {{...}}}}; received {config!r}.")
    if config["class_name"] == "function":  # how Keras writes a loss in function form
        return get(config.get("config"))
    return loss_class(config["class_name"]).from_config(_plain_config(config.get("config") or {}))


def as_loss(identifier: Any) -> Loss:
    """Return what ``evaluate`` takes for a loss as an instance. Raises UsageError for what is none."""
    if isinstance(identifier, str):
        return loss_class(find(identifier).name)()
    if isinstance(identifier, type) and issubclass(identifier, Loss):
        return identifier()
    loss = get(identifier)
    if isinstance(loss, Loss):
        return loss
    name = getattr(loss, "__name__", None)
    if callable(loss) and getattr(loss, "__module__", None) == "streamloss.losses" and name:
        return loss_class(name)()
    raise UsageError(f"expected a loss, its name or its config; received {identifier!r}.")


def loss_requests(losses: Any, reduction: str | None = "") -> tuple[LossRequest, ...]:
    """Return what ``evaluate`` takes for losses as requests, each with the name that it has in the result.

    `reduction` is for all of them; "" leaves each loss its own. Raises UsageError where two losses have one name.
    """
    return tuple(
        LossRequest(
            name,
            loss.spec,
            loss.dtype,
            loss.precision,
            loss.reduction if reduction == "" else Reduction.parse(reduction),
            describe(loss),
        )
        for name, loss in _named_losses(losses).items()
    )


def _named_losses(losses: Any) -> dict[str, Loss]:
    if losses is None:  # losses of rows that were written before
        return {"recorded": loss_class(recorded.NAME)(axis=None)}
    if isinstance(losses, Mapping) and "class_name" not in losses:
        named = {str(name): as_loss(loss) for name, loss in losses.items()}
        if len(named) < len(losses):
            raise UsageError(f"two losses have one name: {', '.join(map(repr, losses))}; expected different texts.")
    else:
        single = isinstance(losses, str | Mapping | Loss) or callable(losses) or not isinstance(losses, Iterable)
        instances = [as_loss(loss) for loss in ([losses] if single else losses)]
        named = {loss.name: loss for loss in instances}
        if len(named) < len(instances):
            raise UsageError(
                f"two losses have one name: {', '.join(loss.name for loss in instances)}. Give them names: "
                "Loss(..., name='a'), or pass a mapping."
            )
    if not named:
        raise UsageError("no losses were given.")
    return named


def is_categorical_crossentropy(loss: Any) -> bool:
    """Return whether a loss, in any form, is categorical cross-entropy, which takes one-hot labels (Keras 1 and 2).

    >>> import streamloss as sl
    >>> sl.losses.is_categorical_crossentropy("categorical_crossentropy")
    True
    """
    try:
        return as_loss(loss).spec.name == "categorical_crossentropy"
    except UsageError:
        return False


def to_categorical(x: Any, num_classes: int | None = None) -> np.ndarray[Any, Any]:
    """Return integer labels as one-hot rows: float32, the classes last; a trailing axis of 1 is dropped, as in Keras.

    `num_classes` is by default the largest label and 1. Raises ValueRangeError for a label that is none.

    >>> import streamloss as sl
    >>> sl.losses.to_categorical([0, 2])
    array([[1., 0., 0.],
           [0., 0., 1.]], dtype=float32)
    """
    array = np.asarray(x)
    with np.errstate(invalid="ignore"):  # what is no integer is refused below
        labels = array.astype(np.int64)
    if labels.ndim > 1 and labels.shape[-1] == 1:
        array, labels = array[..., 0], labels[..., 0]
    classes = int(labels.max(initial=-1)) + 1 if num_classes is None else num_classes
    wrong = (labels < 0) | (labels >= classes) | (labels != array)
    if wrong.any():
        at = tuple(int(i) for i in np.argwhere(wrong)[0])
        raise ValueRangeError(f"x{list(at)} is {array[at]}; expected an integer label from 0 to {classes - 1}.")
    return np.eye(classes, dtype=np.float32)[labels]


def _is_of_keras(loss: Any) -> bool:
    module = getattr(loss, "__module__", None) or type(loss).__module__
    return str(module).partition(".")[0] in ("keras", "tf_keras")


def _from_keras(loss: Any) -> Any:
    """Return our loss for one of Keras, whose ``get_config`` leaves out arguments that it holds in some versions."""
    if isinstance(loss, type):
        return loss_class(loss.__name__)()
    if not hasattr(loss, "get_config"):
        return loss_function(getattr(loss, "__name__", type(loss).__name__))
    parameters = find(type(loss).__name__).parameters
    held = {k: v for k, v in (getattr(loss, "_fn_kwargs", None) or {}).items() if k in parameters}
    dtype = getattr(loss, "dtype", None)  # which get_config leaves out, too; float32 is what Keras calls no dtype
    asked = {} if dtype in (None, "float32") else {"dtype": dtype}
    return deserialize({"class_name": type(loss).__name__, "config": {**held, **asked, **loss.get_config()}})


def _plain_config(config: Mapping[str, Any]) -> dict[str, Any]:
    """Return a config with a plain dtype: Keras writes dtypes as policies."""
    plain = dict(config)
    dtype = plain.get("dtype")
    if isinstance(dtype, Mapping):
        plain["dtype"] = dtype.get("config", {}).get("name")
    return plain


def _config_for_keras(loss: Loss) -> dict[str, Any] | None:
    """Return the config as Keras writes it; None for a loss that Keras could not read."""
    declaration = find(loss.spec.name)
    ours = {k: v for k, v in loss.spec.parameters.items() if k not in declaration.positional}
    if declaration.peer != "Keras" or any(value != declaration.parameters[k].default for k, value in ours.items()):
        return None
    reduction = Reduction.SUM_OVER_BATCH_SIZE if loss.reduction is Reduction.AUTO else loss.reduction
    if reduction not in KERAS_REDUCTIONS:
        return None
    theirs = {k: v for k, v in loss.get_config().items() if k not in ours}
    return {k: list(v) if isinstance(v, tuple) else v for k, v in theirs.items()} | {"reduction": str(reduction)}
