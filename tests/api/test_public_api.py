"""What ``import streamloss`` gives, and what it does not load."""

import importlib
import importlib.resources
import inspect
import pickle
import pydoc
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import streamloss as sl
from streamloss.errors import StreamlossError, UnknownNameError, UsageError

HEAVY = ("numba", "llvmlite", "dask", "distributed", "zarr", "numpy", "rich", "pydantic")


def loaded_after(code):
    """Which of the heavy packages a fresh interpreter has loaded."""
    script = f"{code}\nimport sys\nprint(*(m for m in {HEAVY!r} if m in sys.modules))"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    return done.stdout.splitlines()[-1].split()


def test_importing_loads_nothing_heavy():
    assert loaded_after("import streamloss; dir(streamloss); streamloss.errors.DataError; print()") == []


def test_reductions_need_nothing_heavy():
    assert loaded_after("import streamloss; streamloss.Reduction.SUM; print()") == []


def test_a_loss_loads_neither_numba_nor_zarr():
    loaded = loaded_after("import streamloss; streamloss.losses.MeanSquaredError(); print()")
    assert not {"numba", "zarr", "dask"} & set(loaded)


def test_a_local_evaluation_with_kernels_in_the_cache_loads_no_compiler(tmp_path):
    """Nor Dask; rich only for what it shows, a table or a bar."""
    create = f"""
import numpy as np, zarr
for name in "ab":
    zarr.create_array({str(tmp_path)!r} + f"/{{name}}.zarr", data=np.zeros(9, np.float32))
"""
    subprocess.run([sys.executable, "-c", create], check=True)
    evaluate = f"""
from streamloss.cli import run
run(["evaluate", "--loss", "mse", "--y-true", {str(tmp_path / "a.zarr")!r}, "--y-pred", {str(tmp_path / "b.zarr")!r}])
print()"""
    loaded_after(evaluate)  # compiles, if need be
    assert not {"numba", "dask", "distributed"} & set(loaded_after(evaluate))
    script = f"{evaluate}\nimport sys\nprint(*(m for m in sys.modules if m.startswith('rich.')))"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert not {"rich.progress", "rich.live", "rich.markdown", "rich.syntax"} & set(done.stdout.split())


def test_the_local_path_knows_nothing_of_dask(tmp_path):
    code = f"""
import numpy as np, streamloss as sl
np.save({str(tmp_path / "a.npy")!r}, np.zeros((9, 2), np.float32))
parts = [sl.evaluate("mse", *[{str(tmp_path / "a.npy")!r}] * 2, shard=(i, 2), checkpoint={str(tmp_path)!r},
                     out={str(tmp_path / "o.zarr")!r}) for i in (0, 1)]
sl.merge(parts)
sl.losses.MeanSquaredError()(np.zeros(3), np.zeros(3))
print()"""
    assert not {"dask", "distributed"} & set(loaded_after(code))


@pytest.mark.parametrize("name", sl.__all__)
def test_all_resolves(name):
    assert getattr(sl, name) is not None
    assert name in dir(sl)


def test_a_star_import_gives_all():
    namespace = {}
    exec("from streamloss import *", namespace)
    assert set(sl.__all__) <= set(namespace)


def test_dir_has_the_version_and_no_internals():
    assert "__version__" in dir(sl)
    assert not {"import_module", "_WHERE", "TYPE_CHECKING"} & set(dir(sl))


@pytest.mark.parametrize("module", [sl, sl.losses], ids=lambda m: m.__name__)
@pytest.mark.parametrize("name", ["evalute", "MeanSquareError", "_hidden", "__wrapped__"])
def test_unknown_names_are_attribute_errors(module, name):
    with pytest.raises(AttributeError, match=name):
        getattr(module, name)
    assert not hasattr(module, name)


@pytest.mark.parametrize("name", sl.losses.__all__)
def test_losses_all_resolves(name):
    assert getattr(sl.losses, name) is not None
    assert name in dir(sl.losses)


def losses():
    from streamloss.formulas._registry import declarations

    return [pytest.param(d, id=d.name) for d in declarations()]


@pytest.mark.parametrize("declaration", losses())
def test_a_declared_loss_is_there_in_both_forms(declaration):
    made, function = getattr(sl.losses, declaration.class_name), getattr(sl.losses, declaration.name)
    assert {declaration.class_name, declaration.name} <= set(dir(sl.losses))
    assert made is getattr(sl.losses, declaration.class_name), "one class, not a new one at each look"
    assert issubclass(made, sl.losses.Loss)
    assert (made.__name__, made.__module__) == (declaration.class_name, "streamloss.losses")
    assert (function.__name__, function.__module__) == (declaration.name, "streamloss.losses")
    for doc in (made.__doc__, function.__doc__):
        assert all(paragraph in doc for paragraph in declaration.doc.replace("Source: ", "").split("\n\n"))
        assert all(f"\n{name} : default" in doc for name in declaration.parameters)
        for title in ("Parameters", "Raises", "References", "Examples"):
            assert f"\n{title}\n{'-' * len(title)}\n" in doc
    assert "\nReturns\n-------\n" in function.__doc__
    assert declaration.class_name in function.__doc__


@pytest.mark.parametrize("declaration", losses())
def test_every_name_of_a_loss_is_an_attribute(declaration):
    for alias in declaration.aliases:
        assert getattr(sl.losses, alias) is getattr(sl.losses, declaration.name)
        assert alias in dir(sl.losses)
        assert alias in sl.losses.__all__


def test_a_star_import_of_losses_gives_all():
    namespace = {}
    exec("from streamloss.losses import *", namespace)
    assert set(sl.losses.__all__) <= set(namespace)
    assert {"mse", "MSE", "KLD", "huber_loss", "logcosh", "cosine_proximity", "Huber", "get"} <= set(namespace)


def test_importing_the_module_of_losses_loads_nothing_heavy():
    assert loaded_after("import streamloss.losses; print()") == []


KERAS_FUNCTIONS = {
    "mse": "(y_true, y_pred)",
    "MAE": "(y_true, y_pred)",
    "mape": "(y_true, y_pred)",
    "MSLE": "(y_true, y_pred)",
    "KLD": "(y_true, y_pred)",
    "kullback_leibler_divergence": "(y_true, y_pred)",
    "logcosh": "(y_true, y_pred)",
    "huber_loss": "(y_true, y_pred, delta=1.0)",
    "huber": "(y_true, y_pred, delta=1.0)",
    "cosine_proximity": "(y_true, y_pred, axis=-1)",
    "bce": "(y_true, y_pred, from_logits=False, label_smoothing=0.0, axis=-1)",
    "binary_crossentropy": "(y_true, y_pred, from_logits=False, label_smoothing=0.0, axis=-1)",
    "categorical_crossentropy": "(y_true, y_pred, from_logits=False, label_smoothing=0.0, axis=-1)",
    "sparse_categorical_crossentropy": "(y_true, y_pred, from_logits=False, ignore_class=None, axis=-1)",
}
"""What Keras' functions of these names take by position."""


@pytest.mark.parametrize("name", KERAS_FUNCTIONS)
def test_functions_take_by_position_what_keras_functions_take(name):
    signature = inspect.signature(getattr(sl.losses, name))
    ours = [p for p in signature.parameters.values() if p.kind is not inspect.Parameter.KEYWORD_ONLY]
    plain = [p.replace(annotation=inspect.Parameter.empty) for p in ours]
    assert str(inspect.Signature(plain)) == KERAS_FUNCTIONS[name]


def test_cosine_proximity_has_the_sign_of_keras():
    """Keras 2's: -1 for equal directions, as today's cosine_similarity."""
    assert sl.losses.cosine_proximity([[1.0, 1.0]], [[2.0, 2.0]]) == pytest.approx(-1.0)


@pytest.mark.parametrize("declaration", losses())
def test_signatures_show_the_parameters(declaration):
    defaults = {name: p.default for name, p in declaration.parameters.items()}
    signature = inspect.signature(getattr(sl.losses, declaration.class_name))
    common = {"reduction": "sum_over_batch_size", "name": declaration.name, "dtype": None}
    assert {n: p.default for n, p in signature.parameters.items()} == defaults | common
    positional = [n for n, p in signature.parameters.items() if p.kind is not inspect.Parameter.KEYWORD_ONLY]
    assert positional == list(dict.fromkeys((*declaration.positional, "name", "dtype"))), (
        "in Keras' order; our own are by keyword"
    )
    function = inspect.signature(getattr(sl.losses, declaration.name))
    assert list(function.parameters)[:2] == ["y_true", "y_pred"]
    assert {n: p.default for n, p in list(function.parameters.items())[2:]} == defaults


@pytest.mark.parametrize("declaration", losses())
def test_a_loss_survives_pickling_and_its_config(declaration):
    loss = getattr(sl.losses, declaration.class_name)(reduction="sum", name="mine")
    for twin in (type(loss).from_config(loss.get_config()), sl.losses.deserialize(sl.losses.serialize(loss))):
        assert twin.get_config() == loss.get_config()
        assert type(twin) is type(loss)


def test_positional_parameters_as_in_keras():
    loss = sl.losses.SparseCategoricalCrossentropy(True, -1)
    assert (loss.spec.parameters["from_logits"], loss.spec.parameters["ignore_class"]) == (True, -1)
    with pytest.raises(UsageError, match="twice"):
        sl.losses.SparseCategoricalCrossentropy(True, from_logits=True)
    with pytest.raises(UsageError, match="takes 3 arguments"):
        sl.losses.MeanSquaredError("sum", "a", None, -1)


def test_get_suggests_the_nearest_name():
    with pytest.raises(UnknownNameError, match="Did you mean 'mean_squared_error'"):
        sl.losses.get("mean_square_error")


PUBLIC_MODULES = [
    "",
    ".aggregation.state",
    ".api.evaluate",
    ".api.result",
    ".core.types",
    ".errors",
    ".losses",
    ".planning.plan",
]


@pytest.mark.parametrize("inner", PUBLIC_MODULES)
def test_public_functions_and_classes_have_docstrings(inner):
    name = f"streamloss{inner}"
    module = importlib.import_module(name)
    assert module.__doc__
    for member_name, member in inspect.getmembers(module):
        ours = getattr(member, "__module__", "") == name and not member_name.startswith("_")
        if not ours or not (inspect.isfunction(member) or inspect.isclass(member)):
            continue
        if inspect.isclass(member) and issubclass(member, StreamlossError) and member is not StreamlossError:
            assert f" {member_name} " in module.__doc__, "the tree drawn in the module's docstring explains it"
            continue
        assert (member.__doc__ or "").strip(), f"{name}.{member_name}"
        assert not member.__doc__.startswith(f"{member_name}("), f"{name}.{member_name}: dataclass' own docstring"
    for member_name in getattr(module, "__all__", ()):
        assert inspect.getdoc(getattr(module, member_name)), member_name


def test_every_error_is_drawn_with_its_exit_code():
    def all_below(kind):
        return [kind, *(k for sub in kind.__subclasses__() for k in all_below(sub))]

    for kind in all_below(StreamlossError):
        assert kind.__name__ in sl.errors.__doc__
    codes = dict(re.findall(r"(\w+Error) \(\w+\) +(\d)", sl.errors.__doc__))
    assert codes == {"UsageError": "2", "DataError": "3", "MachineError": "5"}
    for name, code in codes.items():
        assert getattr(sl.errors, name).exit_code == int(code)


def test_the_types_are_published():
    assert importlib.resources.files("streamloss").joinpath("py.typed").is_file()


def test_the_version_is_the_changelogs():
    assert re.fullmatch(r"\d+\.\d+\.\d+((a|b|rc|\.dev)\d+)?", sl.__version__)
    changelog = Path(__file__).parents[2] / "CHANGELOG.md"
    if changelog.exists():
        top = re.search(r"^##? .*?(\d+\.\d+\.\d+\S*)", changelog.read_text(encoding="utf-8"), re.MULTILINE)
        assert top is not None
        assert top[1].strip("[]():,") == sl.__version__


def test_a_result_is_a_mapping_that_says_what_it_holds():
    y = np.array([0.0, 1.0], np.float32)
    result = sl.evaluate({"a": "mse", "b": sl.losses.MeanSquaredError(reduction="sum")}, y, y + 1)
    assert list(result) == ["a", "b"]
    assert len(result) == 2
    assert (result["a"].mean, result["b"].value, result["a"].count) == (1.0, 2.0, 2)
    assert isinstance(result["a"].state, sl.State)
    with pytest.raises(KeyError):
        result["c"]


def test_states_and_results_pickle():
    y = np.zeros(2, np.float32)
    result = sl.evaluate("mse", y, y + 1)
    state = result["mean_squared_error"].state
    assert pickle.loads(pickle.dumps(state)) == state


def warn_in_evaluate(y):
    sl.evaluate("mse", y, y, 0.0)


def warn_in_a_call(y):
    sl.losses.MeanSquaredError()(y, y, np.zeros(len(y)))


def warn_in_merge(y):
    sl.merge([sl.evaluate("mse", y, y, shard=(0, 2))], partial=True)


@pytest.mark.parametrize("warn", [warn_in_evaluate, warn_in_a_call, warn_in_merge])
def test_a_warning_names_the_users_line(warn):
    """However deep inside it is found."""
    with pytest.warns(sl.errors.StreamlossWarning) as caught:
        warn(np.zeros(8, np.float32))
    code = warn.__code__
    assert {(w.filename, w.lineno) for w in caught} == {(code.co_filename, code.co_firstlineno + 1)}


def test_names_of_others_with_the_same_meaning_are_attributes():
    assert sl.losses.scce is sl.losses.sparse_categorical_crossentropy
    with pytest.raises(AttributeError, match="RMSE"):
        _ = sl.losses.RMSE


@pytest.mark.parametrize("name", ["evaluate", "plan", "compare", "merge", "load"])
def test_help_has_the_sections_of_numpydoc(name):
    text = pydoc.plain(pydoc.render_doc(getattr(sl, name)))
    places = [text.index(f"\n    {section}\n    ---") for section in ("Parameters", "Returns", "Raises")]
    assert places == sorted(places)
