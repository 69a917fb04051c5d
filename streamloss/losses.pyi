# Written by tests/support/losses_stub.py, from the declarations of the losses: write it anew, never edit it.
from collections.abc import Sequence
from typing import Any, Literal

from .api.interop import deserialize as deserialize
from .api.interop import get as get
from .api.interop import is_categorical_crossentropy as is_categorical_crossentropy
from .api.interop import serialize as serialize
from .api.interop import to_categorical as to_categorical
from .api.loss import Loss as Loss
from .core.types import Reduction as Reduction

__all__ = [
    "Loss",
    "Reduction",
    "deserialize",
    "get",
    "is_categorical_crossentropy",
    "serialize",
    "to_categorical",
    "BinaryCrossentropy",
    "BinaryFocalCrossentropy",
    "BrierScore",
    "CategoricalCrossentropy",
    "CategoricalFocalCrossentropy",
    "CategoricalGeneralizedCrossEntropy",
    "CategoricalHinge",
    "CosineSimilarity",
    "CTC",
    "Dice",
    "GammaDeviance",
    "GaussianNLL",
    "Hinge",
    "Huber",
    "KLDivergence",
    "LogCosh",
    "LogPoissonLoss",
    "MeanAbsoluteError",
    "MeanAbsolutePercentageError",
    "MeanSquaredError",
    "MeanSquaredLogarithmicError",
    "Pinball",
    "Poisson",
    "PoissonDeviance",
    "PoissonNLL",
    "SparseCategoricalCrossentropy",
    "SquaredHinge",
    "TopKError",
    "Tversky",
    "TweedieDeviance",
    "WeightedCrossEntropyWithLogits",
    "ZeroOneLoss",
    "binary_crossentropy",
    "bce",
    "BCE",
    "binary_focal_crossentropy",
    "brier_score",
    "categorical_crossentropy",
    "categorical_focal_crossentropy",
    "categorical_generalized_cross_entropy",
    "categorical_hinge",
    "cosine_similarity",
    "cosine",
    "cosine_proximity",
    "ctc",
    "ctc_loss",
    "dice",
    "gamma_deviance",
    "mean_gamma_deviance",
    "gaussian_nll",
    "gaussian_nll_loss",
    "hinge",
    "huber",
    "huber_loss",
    "kl_divergence",
    "kld",
    "KLD",
    "kullback_leibler_divergence",
    "log_cosh",
    "logcosh",
    "log_poisson_loss",
    "mean_absolute_error",
    "mae",
    "MAE",
    "mean_absolute_percentage_error",
    "mape",
    "MAPE",
    "mean_squared_error",
    "mse",
    "MSE",
    "mean_squared_logarithmic_error",
    "msle",
    "MSLE",
    "pinball",
    "mean_pinball_loss",
    "poisson",
    "poisson_deviance",
    "mean_poisson_deviance",
    "poisson_nll",
    "poisson_nll_loss",
    "sparse_categorical_crossentropy",
    "squared_hinge",
    "top_k_error",
    "tversky",
    "tweedie_deviance",
    "weighted_cross_entropy_with_logits",
    "zero_one_loss",
    "zero_one",
]

class BinaryCrossentropy(Loss):
    def __init__(
        self,
        from_logits: bool = False,
        label_smoothing: float = 0.0,
        axis: int | str | Sequence[int | str] | None = -1,
        reduction: str | None = "sum_over_batch_size",
        name: str | None = "binary_crossentropy",
        dtype: str | None = None,
        *,
        epsilon: float = 1e-07,
    ) -> None: ...

def binary_crossentropy(
    y_true: Any,
    y_pred: Any,
    from_logits: bool = False,
    label_smoothing: float = 0.0,
    axis: int | str | Sequence[int | str] | None = -1,
    *,
    epsilon: float = 1e-07,
) -> Any: ...

bce = binary_crossentropy
BCE = binary_crossentropy

class BinaryFocalCrossentropy(Loss):
    def __init__(
        self,
        apply_class_balancing: bool = False,
        alpha: float = 0.25,
        gamma: float = 2.0,
        from_logits: bool = False,
        label_smoothing: float = 0.0,
        axis: int | str | Sequence[int | str] | None = -1,
        reduction: str | None = "sum_over_batch_size",
        name: str | None = "binary_focal_crossentropy",
        dtype: str | None = None,
        *,
        epsilon: float = 1e-07,
    ) -> None: ...

def binary_focal_crossentropy(
    y_true: Any,
    y_pred: Any,
    apply_class_balancing: bool = False,
    alpha: float = 0.25,
    gamma: float = 2.0,
    from_logits: bool = False,
    label_smoothing: float = 0.0,
    axis: int | str | Sequence[int | str] | None = -1,
    *,
    epsilon: float = 1e-07,
) -> Any: ...

class BrierScore(Loss):
    def __init__(
        self,
        scale_by_half: bool = False,
        reduction: str | None = "sum_over_batch_size",
        name: str | None = "brier_score",
        dtype: str | None = None,
        *,
        ignore_class: int | None = None,
        axis: int | str = -1,
    ) -> None: ...

def brier_score(
    y_true: Any,
    y_pred: Any,
    scale_by_half: bool = False,
    *,
    ignore_class: int | None = None,
    axis: int | str = -1,
) -> Any: ...

class CategoricalCrossentropy(Loss):
    def __init__(
        self,
        from_logits: bool = False,
        label_smoothing: float = 0.0,
        axis: int | str = -1,
        reduction: str | None = "sum_over_batch_size",
        name: str | None = "categorical_crossentropy",
        dtype: str | None = None,
        *,
        epsilon: float = 1e-07,
    ) -> None: ...

def categorical_crossentropy(
    y_true: Any,
    y_pred: Any,
    from_logits: bool = False,
    label_smoothing: float = 0.0,
    axis: int | str = -1,
    *,
    epsilon: float = 1e-07,
) -> Any: ...

class CategoricalFocalCrossentropy(Loss):
    def __init__(
        self,
        alpha: float | Sequence[float] = 0.25,
        gamma: float = 2.0,
        from_logits: bool = False,
        label_smoothing: float = 0.0,
        axis: int | str = -1,
        reduction: str | None = "sum_over_batch_size",
        name: str | None = "categorical_focal_crossentropy",
        dtype: str | None = None,
        *,
        epsilon: float = 1e-07,
    ) -> None: ...

def categorical_focal_crossentropy(
    y_true: Any,
    y_pred: Any,
    alpha: float | Sequence[float] = 0.25,
    gamma: float = 2.0,
    from_logits: bool = False,
    label_smoothing: float = 0.0,
    axis: int | str = -1,
    *,
    epsilon: float = 1e-07,
) -> Any: ...

class CategoricalGeneralizedCrossEntropy(Loss):
    def __init__(
        self,
        q: float = 0.5,
        reduction: str | None = "sum_over_batch_size",
        name: str | None = "categorical_generalized_cross_entropy",
        dtype: str | None = None,
        *,
        axis: int | str = -1,
    ) -> None: ...

def categorical_generalized_cross_entropy(
    y_true: Any,
    y_pred: Any,
    q: float = 0.5,
    *,
    axis: int | str = -1,
) -> Any: ...

class CategoricalHinge(Loss):
    def __init__(
        self,
        reduction: str | None = "sum_over_batch_size",
        name: str | None = "categorical_hinge",
        dtype: str | None = None,
        *,
        axis: int | str = -1,
    ) -> None: ...

def categorical_hinge(
    y_true: Any,
    y_pred: Any,
    *,
    axis: int | str = -1,
) -> Any: ...

class CosineSimilarity(Loss):
    def __init__(
        self,
        axis: int | str = -1,
        reduction: str | None = "sum_over_batch_size",
        name: str | None = "cosine_similarity",
        dtype: str | None = None,
    ) -> None: ...

def cosine_similarity(
    y_true: Any,
    y_pred: Any,
    axis: int | str = -1,
) -> Any: ...

cosine = cosine_similarity
cosine_proximity = cosine_similarity

class CTC(Loss):
    def __init__(
        self,
        reduction: str | None = "sum_over_batch_size",
        name: str | None = "ctc",
        dtype: str | None = None,
    ) -> None: ...

def ctc(
    y_true: Any,
    y_pred: Any,
) -> Any: ...

ctc_loss = ctc

class Dice(Loss):
    def __init__(
        self,
        reduction: str | None = "sum_over_batch_size",
        name: str | None = "dice",
        axis: int | str | Sequence[int | str] | None = None,
        dtype: str | None = None,
        *,
        epsilon: float = 1e-07,
        class_axis: int | str = -1,
        ignore_class: int | None = None,
    ) -> None: ...

def dice(
    y_true: Any,
    y_pred: Any,
    axis: int | str | Sequence[int | str] | None = None,
    *,
    epsilon: float = 1e-07,
    class_axis: int | str = -1,
    ignore_class: int | None = None,
) -> Any: ...

class GammaDeviance(Loss):
    def __init__(
        self,
        reduction: str | None = "sum_over_batch_size",
        name: str | None = "gamma_deviance",
        dtype: str | None = None,
        *,
        axis: int | str | Sequence[int | str] | None = -1,
    ) -> None: ...

def gamma_deviance(
    y_true: Any,
    y_pred: Any,
    *,
    axis: int | str | Sequence[int | str] | None = -1,
) -> Any: ...

mean_gamma_deviance = gamma_deviance

class GaussianNLL(Loss):
    def __init__(
        self,
        full: bool = False,
        reduction: str | None = "sum_over_batch_size",
        name: str | None = "gaussian_nll",
        dtype: str | None = None,
        *,
        axis: int | str = -1,
        epsilon: float = 1e-06,
    ) -> None: ...

def gaussian_nll(
    y_true: Any,
    y_pred: Any,
    full: bool = False,
    *,
    axis: int | str = -1,
    epsilon: float = 1e-06,
) -> Any: ...

gaussian_nll_loss = gaussian_nll

class Hinge(Loss):
    def __init__(
        self,
        reduction: str | None = "sum_over_batch_size",
        name: str | None = "hinge",
        dtype: str | None = None,
        *,
        labels: Literal["auto", "01", "pm1"] = "auto",
        axis: int | str | Sequence[int | str] | None = -1,
    ) -> None: ...

def hinge(
    y_true: Any,
    y_pred: Any,
    *,
    labels: Literal["auto", "01", "pm1"] = "auto",
    axis: int | str | Sequence[int | str] | None = -1,
) -> Any: ...

class Huber(Loss):
    def __init__(
        self,
        delta: float = 1.0,
        reduction: str | None = "sum_over_batch_size",
        name: str | None = "huber",
        dtype: str | None = None,
        *,
        axis: int | str | Sequence[int | str] | None = -1,
    ) -> None: ...

def huber(
    y_true: Any,
    y_pred: Any,
    delta: float = 1.0,
    *,
    axis: int | str | Sequence[int | str] | None = -1,
) -> Any: ...

huber_loss = huber

class KLDivergence(Loss):
    def __init__(
        self,
        reduction: str | None = "sum_over_batch_size",
        name: str | None = "kl_divergence",
        dtype: str | None = None,
        *,
        axis: int | str = -1,
        epsilon: float = 1e-07,
    ) -> None: ...

def kl_divergence(
    y_true: Any,
    y_pred: Any,
    *,
    axis: int | str = -1,
    epsilon: float = 1e-07,
) -> Any: ...

kld = kl_divergence
KLD = kl_divergence
kullback_leibler_divergence = kl_divergence

class LogCosh(Loss):
    def __init__(
        self,
        reduction: str | None = "sum_over_batch_size",
        name: str | None = "log_cosh",
        dtype: str | None = None,
        *,
        axis: int | str | Sequence[int | str] | None = -1,
    ) -> None: ...

def log_cosh(
    y_true: Any,
    y_pred: Any,
    *,
    axis: int | str | Sequence[int | str] | None = -1,
) -> Any: ...

logcosh = log_cosh

class LogPoissonLoss(Loss):
    def __init__(
        self,
        compute_full_loss: bool = False,
        reduction: str | None = "sum_over_batch_size",
        name: str | None = "log_poisson_loss",
        dtype: str | None = None,
        *,
        axis: int | str | Sequence[int | str] | None = -1,
    ) -> None: ...

def log_poisson_loss(
    y_true: Any,
    y_pred: Any,
    compute_full_loss: bool = False,
    *,
    axis: int | str | Sequence[int | str] | None = -1,
) -> Any: ...

class MeanAbsoluteError(Loss):
    def __init__(
        self,
        reduction: str | None = "sum_over_batch_size",
        name: str | None = "mean_absolute_error",
        dtype: str | None = None,
        *,
        axis: int | str | Sequence[int | str] | None = -1,
    ) -> None: ...

def mean_absolute_error(
    y_true: Any,
    y_pred: Any,
    *,
    axis: int | str | Sequence[int | str] | None = -1,
) -> Any: ...

mae = mean_absolute_error
MAE = mean_absolute_error

class MeanAbsolutePercentageError(Loss):
    def __init__(
        self,
        reduction: str | None = "sum_over_batch_size",
        name: str | None = "mean_absolute_percentage_error",
        dtype: str | None = None,
        *,
        axis: int | str | Sequence[int | str] | None = -1,
        epsilon: float = 1e-07,
    ) -> None: ...

def mean_absolute_percentage_error(
    y_true: Any,
    y_pred: Any,
    *,
    axis: int | str | Sequence[int | str] | None = -1,
    epsilon: float = 1e-07,
) -> Any: ...

mape = mean_absolute_percentage_error
MAPE = mean_absolute_percentage_error

class MeanSquaredError(Loss):
    def __init__(
        self,
        reduction: str | None = "sum_over_batch_size",
        name: str | None = "mean_squared_error",
        dtype: str | None = None,
        *,
        axis: int | str | Sequence[int | str] | None = -1,
    ) -> None: ...

def mean_squared_error(
    y_true: Any,
    y_pred: Any,
    *,
    axis: int | str | Sequence[int | str] | None = -1,
) -> Any: ...

mse = mean_squared_error
MSE = mean_squared_error

class MeanSquaredLogarithmicError(Loss):
    def __init__(
        self,
        reduction: str | None = "sum_over_batch_size",
        name: str | None = "mean_squared_logarithmic_error",
        dtype: str | None = None,
        *,
        axis: int | str | Sequence[int | str] | None = -1,
        epsilon: float = 1e-07,
    ) -> None: ...

def mean_squared_logarithmic_error(
    y_true: Any,
    y_pred: Any,
    *,
    axis: int | str | Sequence[int | str] | None = -1,
    epsilon: float = 1e-07,
) -> Any: ...

msle = mean_squared_logarithmic_error
MSLE = mean_squared_logarithmic_error

class Pinball(Loss):
    def __init__(
        self,
        quantile: float = 0.5,
        reduction: str | None = "sum_over_batch_size",
        name: str | None = "pinball",
        dtype: str | None = None,
        *,
        axis: int | str | Sequence[int | str] | None = -1,
    ) -> None: ...

def pinball(
    y_true: Any,
    y_pred: Any,
    quantile: float = 0.5,
    *,
    axis: int | str | Sequence[int | str] | None = -1,
) -> Any: ...

mean_pinball_loss = pinball

class Poisson(Loss):
    def __init__(
        self,
        reduction: str | None = "sum_over_batch_size",
        name: str | None = "poisson",
        dtype: str | None = None,
        *,
        axis: int | str | Sequence[int | str] | None = -1,
        epsilon: float = 1e-07,
    ) -> None: ...

def poisson(
    y_true: Any,
    y_pred: Any,
    *,
    axis: int | str | Sequence[int | str] | None = -1,
    epsilon: float = 1e-07,
) -> Any: ...

class PoissonDeviance(Loss):
    def __init__(
        self,
        reduction: str | None = "sum_over_batch_size",
        name: str | None = "poisson_deviance",
        dtype: str | None = None,
        *,
        axis: int | str | Sequence[int | str] | None = -1,
    ) -> None: ...

def poisson_deviance(
    y_true: Any,
    y_pred: Any,
    *,
    axis: int | str | Sequence[int | str] | None = -1,
) -> Any: ...

mean_poisson_deviance = poisson_deviance

class PoissonNLL(Loss):
    def __init__(
        self,
        log_input: bool = True,
        full: bool = False,
        reduction: str | None = "sum_over_batch_size",
        name: str | None = "poisson_nll",
        dtype: str | None = None,
        *,
        axis: int | str | Sequence[int | str] | None = -1,
        epsilon: float = 1e-08,
    ) -> None: ...

def poisson_nll(
    y_true: Any,
    y_pred: Any,
    log_input: bool = True,
    full: bool = False,
    *,
    axis: int | str | Sequence[int | str] | None = -1,
    epsilon: float = 1e-08,
) -> Any: ...

poisson_nll_loss = poisson_nll

class SparseCategoricalCrossentropy(Loss):
    def __init__(
        self,
        from_logits: bool = False,
        ignore_class: int | None = None,
        reduction: str | None = "sum_over_batch_size",
        axis: int | str = -1,
        name: str | None = "sparse_categorical_crossentropy",
        dtype: str | None = None,
        *,
        label_smoothing: float = 0.0,
        epsilon: float = 1e-07,
    ) -> None: ...

def sparse_categorical_crossentropy(
    y_true: Any,
    y_pred: Any,
    from_logits: bool = False,
    ignore_class: int | None = None,
    axis: int | str = -1,
    *,
    label_smoothing: float = 0.0,
    epsilon: float = 1e-07,
) -> Any: ...

class SquaredHinge(Loss):
    def __init__(
        self,
        reduction: str | None = "sum_over_batch_size",
        name: str | None = "squared_hinge",
        dtype: str | None = None,
        *,
        labels: Literal["auto", "01", "pm1"] = "auto",
        axis: int | str | Sequence[int | str] | None = -1,
    ) -> None: ...

def squared_hinge(
    y_true: Any,
    y_pred: Any,
    *,
    labels: Literal["auto", "01", "pm1"] = "auto",
    axis: int | str | Sequence[int | str] | None = -1,
) -> Any: ...

class TopKError(Loss):
    def __init__(
        self,
        k: int = 5,
        reduction: str | None = "sum_over_batch_size",
        name: str | None = "top_k_error",
        dtype: str | None = None,
        *,
        ignore_class: int | None = None,
        axis: int | str = -1,
    ) -> None: ...

def top_k_error(
    y_true: Any,
    y_pred: Any,
    k: int = 5,
    *,
    ignore_class: int | None = None,
    axis: int | str = -1,
) -> Any: ...

class Tversky(Loss):
    def __init__(
        self,
        alpha: float = 0.5,
        beta: float = 0.5,
        reduction: str | None = "sum_over_batch_size",
        name: str | None = "tversky",
        axis: int | str | Sequence[int | str] | None = None,
        dtype: str | None = None,
        *,
        epsilon: float = 1e-07,
        class_axis: int | str = -1,
        ignore_class: int | None = None,
    ) -> None: ...

def tversky(
    y_true: Any,
    y_pred: Any,
    alpha: float = 0.5,
    beta: float = 0.5,
    axis: int | str | Sequence[int | str] | None = None,
    *,
    epsilon: float = 1e-07,
    class_axis: int | str = -1,
    ignore_class: int | None = None,
) -> Any: ...

class TweedieDeviance(Loss):
    def __init__(
        self,
        power: float = 1.5,
        reduction: str | None = "sum_over_batch_size",
        name: str | None = "tweedie_deviance",
        dtype: str | None = None,
        *,
        axis: int | str | Sequence[int | str] | None = -1,
    ) -> None: ...

def tweedie_deviance(
    y_true: Any,
    y_pred: Any,
    power: float = 1.5,
    *,
    axis: int | str | Sequence[int | str] | None = -1,
) -> Any: ...

class WeightedCrossEntropyWithLogits(Loss):
    def __init__(
        self,
        pos_weight: float | Sequence[float] = 1.0,
        reduction: str | None = "sum_over_batch_size",
        name: str | None = "weighted_cross_entropy_with_logits",
        dtype: str | None = None,
        *,
        axis: int | str | Sequence[int | str] | None = -1,
    ) -> None: ...

def weighted_cross_entropy_with_logits(
    y_true: Any,
    y_pred: Any,
    pos_weight: float | Sequence[float] = 1.0,
    *,
    axis: int | str | Sequence[int | str] | None = -1,
) -> Any: ...

class ZeroOneLoss(Loss):
    def __init__(
        self,
        reduction: str | None = "sum_over_batch_size",
        name: str | None = "zero_one_loss",
        dtype: str | None = None,
        *,
        ignore_class: int | None = None,
        axis: int | str = -1,
    ) -> None: ...

def zero_one_loss(
    y_true: Any,
    y_pred: Any,
    *,
    ignore_class: int | None = None,
    axis: int | str = -1,
) -> Any: ...

zero_one = zero_one_loss
