"""Names that other libraries have for losses and metrics, each with the loss of ours that has the same value.

A name is here because somebody would type it: from PyTorch, torchvision, torchmetrics, optax, scikit-learn, LightGBM,
XGBoost, CatBoost, Hugging Face, statsmodels, R. A few mean exactly one of our losses with its defaults, and find it;
the others are explained, because something differs: the sign, a root, logits, the order of arguments. Case and
separators do not count: ``CrossEntropyLoss``, ``cross_entropy_loss`` and ``cross-entropy loss`` are one name.
"""

from __future__ import annotations

import re
from functools import cache

_KERAS = re.compile(r"^(?:(?:tf|tensorflow)\.)?(?:keras|tf_keras)\.losses\.")
_LIBRARY = re.compile(
    r"^(?:(?:tf|tensorflow)\.)?(?:keras|tf_keras)\.(?:losses|metrics)\.|^(?:torch\.)?nn\.(?:functional\.)?"
    r"|^(?:F|optax|sklearn\.metrics|torchmetrics(?:\.\w+)*|torchvision\.ops)\."
)
"""The modules that a name may be written with."""

SAME = {
    "scce": "sparse_categorical_crossentropy",
    "cce": "categorical_crossentropy",
    "l1": "mean_absolute_error",
    "regression_l1": "mean_absolute_error",
    "reg:absoluteerror": "mean_absolute_error",
    "l2": "mean_squared_error",
    "regression_l2": "mean_squared_error",
}
"""The names with the meaning of one of our losses under its defaults."""

_SPARSE = "SparseCategoricalCrossentropy"
_FROM_LOGITS = (
    f"{_SPARSE}(from_logits=True) for integer labels (PyTorch's ignore_index is ignore_class=-100, and classes "
    "behind the first axis axis=1), CategoricalCrossentropy(from_logits=True) for labels of the predictions' shape"
)
_PROBABILITIES = (
    "'binary_crossentropy' for one column of probabilities, 'sparse_categorical_crossentropy' for class "
    "probabilities [N, C] with integer labels, 'categorical_crossentropy' for one-hot labels (epsilon=0 does not clip)"
)
_ELEMENTS = "has the same mean; 'none' and 'sum' of PyTorch are over elements, which axis=None gives"
_STACKED = "the class probabilities np.stack([1 - p, p], -1) for one column p"
_HARD = "of labels and predictions of 0 and 1"
_NO_ROWS = "is no mean of losses of rows, so no loss has its value"

EXPLAINED: dict[tuple[str, ...], str] = {
    # cross-entropies
    ("CrossEntropyLoss", "cross_entropy", "CE", "xent"): (
        f"From logits it is {_FROM_LOGITS}; from probabilities, and for LightGBM's cross_entropy, {_PROBABILITIES}."
    ),
    ("softmax_cross_entropy_with_logits", "softmax_cross_entropy", "softmax_loss"): (
        f"It takes logits: {_FROM_LOGITS}. sl.nn has TensorFlow's functions."
    ),
    (
        "sparse_softmax_cross_entropy_with_logits",
        "sparse_softmax_cross_entropy",
        "softmax_cross_entropy_with_integer_labels",
        "ForCausalLMLoss",
        "causal_lm_loss",
    ): f"It takes logits: {_SPARSE}(from_logits=True); a label that is ignored is ignore_class=-100.",
    ("NLLLoss", "nll_loss"): (
        f"It takes log-probabilities, and {_SPARSE}(from_logits=True) has its value: log-probabilities are logits. "
        "PyTorch's ignore_index is ignore_class=-100."
    ),
    ("nll", "negative_log_likelihood"): (
        "Of classes it is 'sparse_categorical_crossentropy' (from log-probabilities with from_logits=True); of numbers "
        "'gaussian_nll' or 'poisson_nll'."
    ),
    ("log_loss", "logLoss", "mnLogLoss", "mn_log_loss", "MultiLogLoss", "deviance", "binomial_deviance"): (
        f"It takes probabilities: {_PROBABILITIES}."
    ),
    ("neg_log_loss",): f"Its negative, from probabilities, is {_PROBABILITIES}.",
    ("binary:logistic", "binary_logloss", "binary", "logistic", "logistic_loss", "xentropy"): (
        "It is 'binary_crossentropy' of predicted probabilities, BinaryCrossentropy(from_logits=True) of raw scores."
    ),
    ("binary:logitraw", "reg:logistic"): (
        "It is BinaryCrossentropy(from_logits=True) of raw scores, 'binary_crossentropy' of probabilities."
    ),
    ("multi:softprob", "mlogloss", "multi_logloss", "multiclass", "MultiClass", "multinomial"): (
        f"It is 'sparse_categorical_crossentropy' of class probabilities [N, C], {_SPARSE}(from_logits=True) of raw "
        "scores."
    ),
    ("multi:softmax",): "It predicts labels; of them no loss is left but 'zero_one_loss': predict by multi:softprob.",
    ("multiclassova", "MultiClassOneVsAll", "binary_relevance"): (
        "It is 'binary_crossentropy' of one-hot labels and probabilities [N, C], averaged over the classes."
    ),
    ("BCELoss", "binary_cross_entropy"): (
        "From probabilities it is 'binary_crossentropy', called as loss(y_true, y_pred): PyTorch has the prediction "
        "first. PyTorch limits logarithms to -100; ours clips probabilities to epsilon=1e-7, or not, with epsilon=0."
    ),
    (
        "BCEWithLogitsLoss",
        "binary_cross_entropy_with_logits",
        "sigmoid_binary_cross_entropy",
        "sigmoid_cross_entropy_with_logits",
        "sigmoid_cross_entropy",
        "MultiLabelSoftMarginLoss",
        "multilabel_soft_margin_loss",
    ): (
        "It is BinaryCrossentropy(from_logits=True), called as loss(y_true, y_pred); with pos_weight it is "
        "WeightedCrossEntropyWithLogits(pos_weight=...); axis=None gives the losses of elements."
    ),
    ("SoftMarginLoss", "soft_margin_loss"): (
        "It is BinaryCrossentropy(from_logits=True) of the labels (y_true + 1) / 2, which are 0 and 1."
    ),
    ("sigmoid_focal_loss", "focal_loss", "FocalLoss", "sigmoid_focal_crossentropy"): (
        "For one score it is BinaryFocalCrossentropy(from_logits=True, apply_class_balancing=True, alpha=0.25, "
        "gamma=2.0), with axis=None for the losses of elements; for one-hot labels CategoricalFocalCrossentropy."
    ),
    ("perplexity", "ppl"): (
        f"It is exp of the mean of {_SPARSE}(from_logits=True) over the tokens (ignore_class=-100 for padding)."
    ),
    ("bits_per_byte", "bits_per_character", "bpc"): (
        f"It is the sum of {_SPARSE}(from_logits=True) divided by log(2) and by the number of bytes or characters."
    ),
    # errors of numbers
    ("MSELoss", "mse_loss"): f"'mean_squared_error' {_ELEMENTS}.",
    ("squared_error", "reg:squarederror", "regression", "gaussian", "SquaredError"): (
        "The mean of squared errors is 'mean_squared_error'; some libraries minimise half of it, or report its root."
    ),
    ("neg_mean_squared_error",): "It is minus the value of 'mean_squared_error'.",
    ("l2_loss", "half_squared_error", "sse"): (
        "The sum of squared errors is MeanSquaredError(axis=None, reduction='sum'); l2_loss is half of it (in optax of "
        "each element)."
    ),
    ("rmse", "RootMeanSquaredError", "root_mean_squared_error", "l2_root"): (
        "It is the square root of the value of 'mean_squared_error'."
    ),
    ("neg_root_mean_squared_error",): "It is minus the square root of the value of 'mean_squared_error'.",
    ("L1Loss", "l1_loss", "abs_error"): f"'mean_absolute_error' {_ELEMENTS}.",
    ("absolute_error", "meanabs"): "The mean of absolute errors is 'mean_absolute_error'.",
    ("neg_mean_absolute_error",): "It is minus the value of 'mean_absolute_error'.",
    ("neg_mean_absolute_percentage_error",): (
        "It is minus a hundredth of MeanAbsolutePercentageError(epsilon=2.220446049250313e-16), which is in percent."
    ),
    ("mean_squared_log_error", "squared_log_error", "reg:squaredlogerror"): (
        "It is MeanSquaredLogarithmicError(epsilon=0)."
    ),
    ("neg_mean_squared_log_error",): "It is minus the value of MeanSquaredLogarithmicError(epsilon=0).",
    ("rmsle", "root_mean_squared_log_error", "neg_root_mean_squared_log_error"): (
        "It is the square root of the value of MeanSquaredLogarithmicError(epsilon=0); minus that for neg_."
    ),
    ("SmoothL1Loss", "smooth_l1_loss", "smooth_l1"): (
        "With PyTorch's beta it is the value of Huber(delta=beta) divided by beta; for beta=1, 'huber'."
    ),
    ("quantile", "quantile_loss", "QuantileLoss", "reg:quantileerror", "pinball_loss", "check_loss"): (
        "It is Pinball(quantile=q). Name q: it is 0.5 by default here, 0.9 in LightGBM."
    ),
    ("reg:pseudohubererror", "mphe", "fair", "expectile", "smape", "mase", "MedianAbsoluteError"): (
        "We have no loss with its value. Near ones: 'huber', 'log_cosh', 'pinball', 'mean_absolute_percentage_error'."
    ),
    # likelihoods and deviances
    ("GaussianNLLLoss",): (
        "It is GaussianNLL, whose predictions are one array: np.stack([mean, variance], axis=-1)."
    ),
    ("PoissonNLLLoss",): "It is PoissonNLL; axis=None gives the losses of elements.",
    ("count:poisson", "poisson-nloglik", "poisson_log_loss"): (
        "Without terms that no prediction changes it is PoissonNLL(log_input=False) of predicted means, PoissonNLL() "
        "of their logarithms."
    ),
    ("neg_mean_poisson_deviance",): "It is minus the value of 'poisson_deviance'.",
    ("neg_mean_gamma_deviance",): "It is minus the value of 'gamma_deviance'.",
    ("mean_tweedie_deviance", "tweedie", "reg:tweedie", "tweedie_loss"): (
        "It is TweedieDeviance(power=p). Name p: it is 1.5 by default here, 0 in scikit-learn's mean_tweedie_deviance, "
        "which is 'mean_squared_error'."
    ),
    ("reg:gamma", "gamma", "gamma-nloglik"): (
        "Without terms that no prediction changes it is half of 'gamma_deviance', of predicted means."
    ),
    ("KLDivLoss", "kl_div", "kldiv", "kullback_leibler"): (
        "It is KLDivergence(epsilon=0) of probabilities, called as loss(y_true, y_pred); PyTorch takes log-"
        "probabilities, so pass exp of them. Our mean is over rows: PyTorch's 'batchmean', not its 'mean'."
    ),
    # scores of classes
    ("accuracy", "acc", "accuracy_score", "sparse_categorical_accuracy", "multiclass_accuracy", "MulticlassAccuracy"): (
        f"It is 1 minus the mean of 'zero_one_loss' of integer labels and scores [N, C], or {_STACKED}."
    ),
    ("categorical_accuracy",): (
        "It is 1 minus the mean of 'zero_one_loss' of the integer labels y_true.argmax(-1) and scores [N, C]."
    ),
    ("binary_accuracy", "BinaryAccuracy"): f"It is 1 minus the mean of 'zero_one_loss' of {_STACKED}.",
    ("error_rate", "merror", "multi_error", "binary_error", "classification_error", "misclassification"): (
        f"It is the mean of 'zero_one_loss' of integer labels and scores [N, C], or {_STACKED}."
    ),
    ("hamming_loss",): f"For one label a row it is 'zero_one_loss'; {_HARD} 'mean_squared_error'.",
    (
        "top_k_accuracy",
        "top_k_accuracy_score",
        "TopKCategoricalAccuracy",
        "SparseTopKCategoricalAccuracy",
        "top_k_categorical_accuracy",
        "sparse_top_k_categorical_accuracy",
    ): "It is 1 minus the mean of TopKError(k=k) of integer labels; k is 5 in Keras, 2 in scikit-learn.",
    ("iou", "jaccard", "jaccard_score", "jaccard_index", "JaccardIndex", "BinaryIoU"): (
        f"It is 1 minus Tversky(alpha=1, beta=1, epsilon=0) {_HARD}, or soft of probabilities."
    ),
    ("jaccard_loss", "iou_loss"): "It is Tversky(alpha=1, beta=1).",
    ("MeanIoU", "miou", "mean_iou"): (
        "It is 1 minus the mean of Tversky(alpha=1, beta=1, epsilon=0, axis=...) of one-hot labels and predictions, "
        "with all axes but that of the classes in axis."
    ),
    ("dice_loss", "DiceLoss", "soft_dice_loss"): "It is 'dice', over the whole data; axis=... gives one for each row.",
    ("dice_score", "dice_coefficient", "dice_coef"): "It is 1 minus the value of 'dice'.",
    ("f1", "f1_score", "F1Score"): f"It is 1 minus Dice(epsilon=0) {_HARD}.",
    ("precision", "precision_score"): f"It is 1 minus Tversky(alpha=1, beta=0, epsilon=0) {_HARD}.",
    ("recall", "recall_score", "sensitivity"): f"It is 1 minus Tversky(alpha=0, beta=1, epsilon=0) {_HARD}.",
    ("brier_score_loss", "brier", "neg_brier_score", "brier_class"): (
        "For one column of probabilities it is 'mean_squared_error', for class probabilities [N, C] and integer labels "
        "'brier_score'; minus that for neg_."
    ),
    ("hinge_loss", "binary:hinge"): (
        "For one score a row it is 'hinge'; scikit-learn's for several classes is not 'categorical_hinge', whose other "
        "scores count as at least 0."
    ),
    ("cosine_distance", "CosineDistance"): "It is 1 plus the value of 'cosine_similarity', negative here.",
    ("CTCLoss",): (
        "It is 'ctc', of logits (rows, time, classes), with the blank as class 0, and labels padded with 0; PyTorch "
        "has time first, and divides each row by its number of labels."
    ),
    # no loss at all
    ("auc", "roc_auc", "roc_auc_score", "auroc", "average_precision", "ndcg", "map", "lambdarank", "rank:pairwise"): (
        f"It compares rows with each other, and {_NO_ROWS}."
    ),
    ("r2", "r2_score", "R2Score", "rsq", "explained_variance"): (
        "It is 1 minus the value of 'mean_squared_error' divided by the variance of the labels."
    ),
    ("balanced_accuracy", "cohen_kappa", "matthews_corrcoef", "mcc", "fbeta", "bleu", "wer"): (
        f"It {_NO_ROWS}."
    ),
    (
        "TripletMarginLoss",
        "MarginRankingLoss",
        "CosineEmbeddingLoss",
        "HingeEmbeddingLoss",
        "MultiMarginLoss",
        "MultiLabelMarginLoss",
        "ContrastiveLoss",
        "InfoNCE",
        "jensen_shannon",
    ): "We have no loss with its value; compute it batch by batch in the library that has it.",
}  # fmt: skip
"""The other names, those with one meaning together, and what to write here instead."""


def without_keras(name: str) -> str:
    """Return a name without Keras' module, such as ``tf.keras.losses.``: the rest means here what it means there."""
    return _KERAS.sub("", name)


def plain(name: str) -> str:
    """Return the letters and digits of a name, in lower case and without its module, by which names are compared."""
    return re.sub(r"[\W_]+", "", _LIBRARY.sub("", name)).lower()


def same_loss(name: str) -> str | None:
    """Return the loss of ours that a foreign name means exactly; None for any other name."""
    return _same().get(plain(name))


def explanation(name: str) -> str | None:
    """Return what to write here instead of a foreign name; None for a name that is not known."""
    return _explained().get(plain(name))


def is_foreign(name: str) -> bool:
    return same_loss(name) is not None or explanation(name) is not None


def known_names() -> list[str]:
    """Return all foreign names, as their libraries spell them."""
    return [*SAME, *(name for names in EXPLAINED for name in names)]


@cache
def _same() -> dict[str, str]:
    return {plain(name): loss for name, loss in SAME.items()}


@cache
def _explained() -> dict[str, str]:
    return {plain(name): text for names, text in EXPLAINED.items() for name in names}
