"""Names of losses in other libraries: each one finds the loss that has its value, or is told what has.

`TOLD` has names as their users write them, with the expression that the error must hold; where the libraries are
installed, `VALUES` compares the values of such expressions with theirs.
"""

import re

import numpy as np
import pytest

import streamloss as sl
from streamloss import cli
from streamloss.api.interop import as_loss
from streamloss.errors import UnknownNameError, nearest
from streamloss.formulas import _foreign_names
from streamloss.formulas._registry import declarations, find

LOGITS = "SparseCategoricalCrossentropy(from_logits=True)"
SPARSE, DENSE, BCE, MSE = (
    "'sparse_categorical_crossentropy'",
    "'categorical_crossentropy'",
    "'binary_crossentropy'",
    "'mean_squared_error'",
)

FOUND = {
    "scce": "sparse_categorical_crossentropy",
    "cce": "categorical_crossentropy",
    "l1": "mean_absolute_error",
    "regression_l1": "mean_absolute_error",
    "reg:absoluteerror": "mean_absolute_error",
    "L2": "mean_squared_error",
    "regression_l2": "mean_squared_error",
    "tf.keras.losses.MSE": "mean_squared_error",
    "keras.losses.KLDivergence": "kl_divergence",
    "kullback_leibler_divergence": "kl_divergence",
    "logcosh": "log_cosh",
    "cosine_proximity": "cosine_similarity",
    "huber_loss": "huber",
    "zero_one_loss": "zero_one_loss",
    "mean_poisson_deviance": "poisson_deviance",
    "mean_gamma_deviance": "gamma_deviance",
    "mean_pinball_loss": "pinball",
    "gaussian_nll_loss": "gaussian_nll",
    "poisson_nll_loss": "poisson_nll",
    "ctc_loss": "ctc",
}

TOLD = {
    # PyTorch, torchvision, torchmetrics
    "CrossEntropyLoss": [LOGITS, "CategoricalCrossentropy(from_logits=True)", "ignore_class=-100", "axis=1"],
    "torch.nn.CrossEntropyLoss": [LOGITS],
    "cross_entropy": [LOGITS, BCE],
    "F.cross_entropy": [LOGITS],
    "NLLLoss": ["log-probabilities", LOGITS],
    "nll_loss": ["log-probabilities", LOGITS],
    "nll": [SPARSE, "'gaussian_nll'", "'poisson_nll'"],
    "BCELoss": [BCE, "prediction first"],
    "binary_cross_entropy": [BCE, "loss(y_true, y_pred)"],
    "BCEWithLogitsLoss": ["BinaryCrossentropy(from_logits=True)", "pos_weight"],
    "binary_cross_entropy_with_logits": ["BinaryCrossentropy(from_logits=True)"],
    "MultiLabelSoftMarginLoss": ["BinaryCrossentropy(from_logits=True)"],
    "SoftMarginLoss": ["BinaryCrossentropy(from_logits=True)", "(y_true + 1) / 2"],
    "MSELoss": [MSE, "axis=None"],
    "mse_loss": [MSE],
    "L1Loss": ["'mean_absolute_error'", "axis=None"],
    "l1_loss": ["'mean_absolute_error'"],
    "SmoothL1Loss": ["Huber(delta=beta) divided by beta"],
    "smooth_l1_loss": ["Huber(delta=beta)"],
    "KLDivLoss": ["KLDivergence(epsilon=0)", "exp", "batchmean"],
    "kl_div": ["KLDivergence(epsilon=0)"],
    "GaussianNLLLoss": ["GaussianNLL", "np.stack([mean, variance], axis=-1)"],
    "PoissonNLLLoss": ["PoissonNLL"],
    "CTCLoss": ["'ctc'", "blank"],
    "TripletMarginLoss": ["no loss with its value"],
    "HingeEmbeddingLoss": ["no loss with its value"],
    "CosineEmbeddingLoss": ["no loss with its value"],
    "MarginRankingLoss": ["no loss with its value"],
    "MultiMarginLoss": ["no loss with its value"],
    "InfoNCE": ["no loss with its value"],
    "sigmoid_focal_loss": ["BinaryFocalCrossentropy(from_logits=True, apply_class_balancing=True"],
    "FocalLoss": ["BinaryFocalCrossentropy", "CategoricalFocalCrossentropy"],
    "dice_loss": ["'dice'"],
    "DiceLoss": ["'dice'"],
    "dice_score": ["1 minus", "'dice'"],
    "JaccardIndex": ["1 minus Tversky(alpha=1, beta=1, epsilon=0)"],
    "MulticlassAccuracy": ["1 minus the mean of 'zero_one_loss'"],
    "F1Score": ["1 minus Dice(epsilon=0)"],
    "R2Score": [MSE, "variance"],
    "Perplexity": ["exp of the mean", LOGITS],
    # Keras and TensorFlow: metrics, and functions of tf.nn
    "softmax_cross_entropy_with_logits": [LOGITS, "sl.nn"],
    "sparse_softmax_cross_entropy_with_logits": [LOGITS],
    "sigmoid_cross_entropy_with_logits": ["BinaryCrossentropy(from_logits=True)"],
    "l2_loss": ["MeanSquaredError(axis=None, reduction='sum')", "half"],
    "accuracy": ["1 minus the mean of 'zero_one_loss'", "np.stack([1 - p, p], -1)"],
    "acc": ["'zero_one_loss'"],
    "binary_accuracy": ["'zero_one_loss'", "np.stack([1 - p, p], -1)"],
    "categorical_accuracy": ["'zero_one_loss'", "argmax(-1)"],
    "sparse_categorical_accuracy": ["'zero_one_loss'"],
    "top_k_categorical_accuracy": ["1 minus the mean of TopKError(k=k)"],
    "SparseTopKCategoricalAccuracy": ["TopKError(k=k)"],
    "RootMeanSquaredError": ["square root", MSE],
    "keras.metrics.RootMeanSquaredError": ["square root", MSE],
    "MeanIoU": ["Tversky(alpha=1, beta=1, epsilon=0, axis=...)"],
    "BinaryIoU": ["Tversky(alpha=1, beta=1, epsilon=0)"],
    "Precision": ["1 minus Tversky(alpha=1, beta=0, epsilon=0)"],
    "Recall": ["1 minus Tversky(alpha=0, beta=1, epsilon=0)"],
    "AUC": ["compares rows", "no loss has its value"],
    # optax
    "softmax_cross_entropy": [LOGITS],
    "optax.softmax_cross_entropy_with_integer_labels": [LOGITS],
    "sigmoid_binary_cross_entropy": ["BinaryCrossentropy(from_logits=True)"],
    "cosine_distance": ["1 plus", "'cosine_similarity'"],
    # scikit-learn
    "log_loss": [BCE, SPARSE, DENSE, "epsilon=0"],
    "sklearn.metrics.log_loss": [BCE, SPARSE],
    "neg_log_loss": ["negative", BCE, SPARSE],
    "neg_mean_squared_error": ["minus", MSE],
    "neg_root_mean_squared_error": ["minus the square root", MSE],
    "root_mean_squared_error": ["square root", MSE],
    "neg_mean_absolute_error": ["minus", "'mean_absolute_error'"],
    "neg_mean_absolute_percentage_error": ["minus a hundredth", "MeanAbsolutePercentageError(epsilon="],
    "mean_squared_log_error": ["MeanSquaredLogarithmicError(epsilon=0)"],
    "neg_mean_squared_log_error": ["minus", "MeanSquaredLogarithmicError(epsilon=0)"],
    "neg_mean_poisson_deviance": ["minus", "'poisson_deviance'"],
    "neg_mean_gamma_deviance": ["minus", "'gamma_deviance'"],
    "mean_tweedie_deviance": ["TweedieDeviance(power=p)", "0 in scikit-learn", MSE],
    "squared_error": [MSE, "half"],
    "absolute_error": ["'mean_absolute_error'"],
    "brier_score_loss": [MSE, "'brier_score'"],
    "neg_brier_score": [MSE, "minus"],
    "hinge_loss": ["'hinge'", "not 'categorical_hinge'"],
    "hamming_loss": ["'zero_one_loss'", MSE],
    "jaccard_score": ["Tversky(alpha=1, beta=1, epsilon=0)"],
    "f1_score": ["1 minus Dice(epsilon=0)"],
    "precision_score": ["Tversky(alpha=1, beta=0, epsilon=0)"],
    "recall_score": ["Tversky(alpha=0, beta=1, epsilon=0)"],
    "accuracy_score": ["'zero_one_loss'"],
    "balanced_accuracy": ["no loss has its value"],
    "top_k_accuracy_score": ["TopKError(k=k)", "2 in scikit-learn"],
    "roc_auc_score": ["compares rows"],
    "average_precision": ["compares rows"],
    "r2": [MSE, "variance"],
    "explained_variance": [MSE],
    # LightGBM, XGBoost, CatBoost
    "binary": [BCE, "raw scores"],
    "binary_logloss": [BCE],
    "multi_logloss": [SPARSE],
    "multiclass": [SPARSE],
    "multiclassova": [BCE, "one-hot"],
    "binary_error": ["'zero_one_loss'"],
    "multi_error": ["'zero_one_loss'"],
    "xentropy": [BCE],
    "kldiv": ["KLDivergence"],
    "regression": [MSE],
    "quantile": ["Pinball(quantile=q)", "0.9 in LightGBM"],
    "tweedie": ["TweedieDeviance(power=p)"],
    "gamma": ["half of 'gamma_deviance'"],
    "fair": ["'huber'"],
    "lambdarank": ["compares rows"],
    "reg:squarederror": [MSE],
    "reg:squaredlogerror": ["MeanSquaredLogarithmicError(epsilon=0)"],
    "reg:logistic": ["BinaryCrossentropy(from_logits=True)"],
    "reg:quantileerror": ["Pinball(quantile=q)"],
    "reg:pseudohubererror": ["no loss with its value"],
    "reg:tweedie": ["TweedieDeviance(power=p)"],
    "reg:gamma": ["half of 'gamma_deviance'"],
    "count:poisson": ["PoissonNLL(log_input=False)"],
    "poisson-nloglik": ["PoissonNLL(log_input=False)"],
    "binary:logistic": [BCE, "BinaryCrossentropy(from_logits=True)"],
    "binary:logitraw": ["BinaryCrossentropy(from_logits=True)"],
    "binary:hinge": ["'hinge'"],
    "multi:softprob": [SPARSE, LOGITS],
    "multi:softmax": ["'zero_one_loss'"],
    "rank:pairwise": ["compares rows"],
    "logloss": [BCE],
    "mlogloss": [SPARSE],
    "merror": ["'zero_one_loss'"],
    "rmse": ["square root", MSE],
    "rmsle": ["square root", "MeanSquaredLogarithmicError(epsilon=0)"],
    "mphe": ["no loss with its value"],
    "auc": ["compares rows"],
    "ndcg": ["compares rows"],
    "Logloss": [BCE],
    "MultiClass": [SPARSE],
    "RMSE": ["square root"],
    # Hugging Face, R, and what people say
    "perplexity": ["exp of the mean", LOGITS, "ignore_class=-100"],
    "ForCausalLMLoss": [LOGITS, "ignore_class=-100"],
    "bits_per_byte": ["log(2)"],
    "f1": ["1 minus Dice(epsilon=0)"],
    "iou": ["Tversky(alpha=1, beta=1"],
    "jaccard": ["Tversky(alpha=1, beta=1"],
    "mn_log_loss": [SPARSE],
    "mnLogLoss": [SPARSE],
    "rsq": [MSE],
    "deviance": [BCE],
    "error_rate": ["'zero_one_loss'"],
    "logistic_loss": [BCE, "BinaryCrossentropy(from_logits=True)"],
    "brier": ["'brier_score'"],
    "mcc": ["no loss has its value"],
}


def test_the_tables_are_of_a_hundred_names():
    assert len(FOUND) + len(TOLD) >= 150
    assert not set(FOUND) & set(TOLD)


@pytest.mark.parametrize("name", FOUND)
def test_names_of_the_same_meaning_find_the_loss(name):
    assert find(name).name == FOUND[name]
    assert as_loss(sl.losses.get(name)).spec.name == FOUND[name]
    assert list(sl.evaluate(name, *arrays_for(FOUND[name]))) == [FOUND[name]]


def arrays_for(name):
    if name == "ctc":
        return np.array([[1]]), np.zeros((1, 3, 2))
    if name in ("sparse_categorical_crossentropy", "zero_one_loss"):
        return np.array([0, 1]), np.full((2, 2), 0.5)
    if name == "gaussian_nll":
        return np.array([1.0, 2.0]), np.ones((2, 2))
    return np.ones((2, 2)), np.ones((2, 2))


@pytest.mark.parametrize("name", TOLD)
def test_other_names_are_told_what_has_their_value(name):
    with pytest.raises(UnknownNameError, match="unknown loss") as error:
        sl.losses.get(name)
    message = str(error.value)
    assert "Did you mean" not in message
    assert all(part in message for part in TOLD[name]), message
    assert message.endswith(".")
    loss = name.rpartition(".")[2]
    if loss.isidentifier():
        with pytest.raises(AttributeError) as missing:
            getattr(sl.losses, loss)
        assert TOLD[name][0] in str(missing.value)


@pytest.mark.parametrize("name", _foreign_names.known_names())
def test_no_foreign_name_is_one_of_ours(name):
    assert name not in {other for d in declarations() for other in (d.name, d.class_name, *d.aliases)}
    assert (_foreign_names.same_loss(name) is None) != (_foreign_names.explanation(name) is None)


@pytest.mark.parametrize("text", _foreign_names.EXPLAINED.values())
def test_the_losses_that_explanations_name_exist(text):
    """All that is quoted or called in them."""
    names = {name for name in re.findall(r"'([a-z_]+)'", text) if name not in ("none", "sum", "batchmean", "mean")}
    for name in names:
        find(name)
    for call in re.findall(r"\b([A-Z][A-Za-z]+)\(([^()]*)\)", text):
        known = find(call[0]).parameters
        given = re.findall(r"(\w+)=", call[1])
        assert set(given) <= {*known, "reduction"}, call


@pytest.mark.parametrize(
    ("typed", "meant"),
    [
        ("hubber", "huber"),
        ("mean_square_error", "mean_squared_error"),
        ("MeanSquaredEror", "MeanSquaredError"),
        ("meansquarederror", "MeanSquaredError"),
        ("sparse_categorical_cross_entropy", "sparse_categorical_crossentropy"),
        ("Sparse-Categorical-Crossentropy", "sparse_categorical_crossentropy"),
        ("binary_crossentorpy", "binary_crossentropy"),
        ("poison", "poisson"),
    ],
)
def test_slips_of_the_keyboard_are_corrected(typed, meant):
    with pytest.raises(UnknownNameError, match=f"Did you mean '{meant}'"):
        sl.losses.get(typed)


def test_a_slip_in_a_foreign_name_explains_it():
    with pytest.raises(UnknownNameError, match=r"Did you mean 'log_loss'\? log_loss: It takes probabilities"):
        sl.losses.get("log_losss")


@pytest.mark.parametrize("typed", ["foo", "mxe", "kdl", "loss", "gini", "log_prob", "categorical"])
def test_what_is_near_to_nothing_gets_the_list(typed):
    with pytest.raises(UnknownNameError, match="Known: BinaryCrossentropy, ") as error:
        sl.losses.get(typed)
    assert "Did you mean" not in str(error.value)


def test_nearest_counts_left_out_added_replaced_and_exchanged_letters():
    known = ["threads", "dask", "inline", "mse", "mae"]
    assert nearest("thread", known) == ["threads"]
    assert nearest("htreads", known) == ["threads"]
    assert nearest("THREADS", known) == ["threads"]
    assert nearest("inlnie", known) == ["inline"]
    assert nearest("dusk", known) == ["dask"]
    assert nearest("desks", known) == []
    assert nearest("mre", known) == []


@pytest.mark.parametrize("name", ["binary:logistic", "log_loss", "CrossEntropyLoss"])
def test_the_command_line_says_the_same(name, capsys):
    code = cli.run(["evaluate", "--loss", name, "--y-true", "a.npy", "--y-pred", "b.npy"])
    said = capsys.readouterr().err
    assert code == 2
    assert all(part in said for part in TOLD[name])


def numbers():
    rng = np.random.default_rng(10)
    return rng.gamma(2.0, size=50) + 0.1, rng.gamma(2.0, size=50) + 0.1


def binary():
    rng = np.random.default_rng(11)
    return rng.integers(0, 2, 50), rng.random(50)


def classes():
    rng = np.random.default_rng(12)
    return rng.integers(0, 4, 50), rng.dirichlet(np.ones(4), 50)


def stacked(p):
    return np.stack([1 - p, p], -1)


L = sl.losses
VALUES = {  # name in scikit-learn: arrays, its settings, what the explanation says
    "log_loss": (binary, {}, lambda y, p: L.BinaryCrossentropy()(y, p)),
    "log_loss, classes": (classes, {}, lambda y, p: L.SparseCategoricalCrossentropy()(y, p)),
    "mean_squared_error": (numbers, {}, lambda y, p: L.get("l2")(y, p).mean()),
    "mean_absolute_error": (numbers, {}, lambda y, p: L.get("l1")(y, p).mean()),
    "root_mean_squared_error": (numbers, {}, lambda y, p: L.MeanSquaredError()(y, p) ** 0.5),
    "mean_squared_log_error": (numbers, {}, lambda y, p: L.MeanSquaredLogarithmicError(epsilon=0)(y, p)),
    "root_mean_squared_log_error": (numbers, {}, lambda y, p: L.MeanSquaredLogarithmicError(epsilon=0)(y, p) ** 0.5),
    "mean_absolute_percentage_error": (
        numbers,
        {},
        lambda y, p: L.MeanAbsolutePercentageError(epsilon=2.220446049250313e-16)(y, p) / 100,
    ),
    "mean_tweedie_deviance": (numbers, {}, lambda y, p: L.MeanSquaredError()(y, p)),
    "mean_pinball_loss": (numbers, {"alpha": 0.9}, lambda y, p: L.Pinball(quantile=0.9)(y, p)),
    "mean_poisson_deviance": (numbers, {}, lambda y, p: L.PoissonDeviance()(y, p)),
    "mean_gamma_deviance": (numbers, {}, lambda y, p: L.GammaDeviance()(y, p)),
    "r2_score": (numbers, {}, lambda y, p: 1 - L.MeanSquaredError()(y, p) / y.var()),
    "brier_score_loss": (binary, {}, lambda y, p: L.MeanSquaredError()(y, p)),
    "hinge_loss": (binary, {}, lambda y, p: L.Hinge()(y, p)),
    "top_k_accuracy_score": (classes, {}, lambda y, p: 1 - L.TopKError(k=2)(y, p)),
    "accuracy_score": (binary, "hard", lambda y, p: 1 - L.ZeroOneLoss()(y, stacked(p))),
    "zero_one_loss": (binary, "hard", lambda y, p: L.ZeroOneLoss()(y, stacked(p))),
    "hamming_loss": (binary, "hard", lambda y, p: L.MeanSquaredError()(y, p > 0.5)),
    "jaccard_score": (binary, "hard", lambda y, p: 1 - L.Tversky(1, 1, epsilon=0)(y, p > 0.5)),
    "f1_score": (binary, "hard", lambda y, p: 1 - L.Dice(epsilon=0)(y, p > 0.5)),
    "precision_score": (binary, "hard", lambda y, p: 1 - L.Tversky(1, 0, epsilon=0)(y, p > 0.5)),
    "recall_score": (binary, "hard", lambda y, p: 1 - L.Tversky(0, 1, epsilon=0)(y, p > 0.5)),
}


@pytest.mark.parametrize("name", VALUES)
def test_explanations_have_the_values_of_scikit_learn(name):
    metrics = pytest.importorskip("sklearn.metrics")
    arrays, settings, ours = VALUES[name]
    y, p = arrays()
    theirs = getattr(metrics, name.partition(",")[0])
    expected = theirs(y, p > 0.5) if settings == "hard" else theirs(y, p, **settings)
    np.testing.assert_allclose(ours(y, p), expected, rtol=1e-6)


def test_explanations_that_torch_would_confirm_hold_in_numpy():
    """PyTorch's documented formulas: log-probabilities are logits; Huber and its smooth l1; soft margins."""
    y, p = classes()
    sparse = L.SparseCategoricalCrossentropy(from_logits=True)
    np.testing.assert_allclose(sparse(y, np.log(p)), -np.log(p[np.arange(50), y]).mean(), rtol=1e-12)
    y, p = numbers()
    beta, error = 0.3, np.abs(y - p)
    smooth = np.where(error < beta, error**2 / 2 / beta, error - beta / 2)
    np.testing.assert_allclose(L.Huber(delta=beta)(y, p) / beta, smooth.mean(), rtol=1e-12)
    y, x = binary()
    signs = 2 * y - 1
    soft = np.log1p(np.exp(-signs * x)).mean()
    np.testing.assert_allclose(L.BinaryCrossentropy(from_logits=True)((signs + 1) / 2, x), soft, rtol=1e-12)
