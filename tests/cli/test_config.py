"""Where settings come from, who wins, and what is said of wrong ones. Nothing is evaluated here."""

import inspect
import itertools
from pathlib import Path

import pytest

import streamloss as sl
from streamloss import errors, losses
from streamloss.cli import config
from streamloss.cli.values import parse_loss, parse_rows

FILE = """
y_true = "t.npy"
y_pred = "p.npy"
memory = "100MB"
workers = 2

[[losses]]
loss = "BinaryCrossentropy"
name = "log_loss"
from_logits = true
label_smoothing = 0.25

[[losses]]
loss = "mse"
axis = "none"
"""


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "job.toml"
    path.write_text(FILE, encoding="utf-8")
    return path


def load(file=None, environment=(), settings=(), **flags):
    return config.load(file, dict(environment), settings, flags)


NEEDED = {"losses": ("mse",), "y_true": "t.npy", "y_pred": "p.npy"}


def test_a_file_is_enough(file):
    made = load(file)
    first, second = made.arguments()["losses"]
    assert isinstance(first, losses.BinaryCrossentropy)
    assert first.get_config() | {"name": "log_loss", "from_logits": True, "label_smoothing": 0.25} == first.get_config()
    assert (second.name, second.spec.axis) == ("mean_squared_error", None)
    assert (made.memory, made.workers, made.y_true) == ("100MB", 2, "t.npy")


def test_defaults_are_evaluates_own():
    given = load(**NEEDED).run_arguments()
    parameters = inspect.signature(sl.evaluate).parameters
    assert set(given) <= set(parameters)
    for key, value in given.items():
        if key not in NEEDED:
            assert value == parameters[key].default, key
    assert set(load(**NEEDED).arguments()) == set(inspect.signature(sl.plan).parameters)


PLACES = ["flag", "setting", "environment", "file"]
"""The strongest first."""


@pytest.mark.parametrize(("strongest", "weakest"), list(itertools.combinations_with_replacement(range(4), 2)))
@pytest.mark.parametrize(("key", "form"), [("memory", "{}MB"), ("workers", "{}"), ("y_true", "{}.npy")])
def test_precedence(key, form, strongest, weakest, tmp_path):
    """Any run of places: the first that has the key wins."""
    places = set(PLACES[strongest : weakest + 1])
    values = {place: form.format(i + 1) for i, place in enumerate(PLACES)}
    path = None
    if "file" in places:
        path = tmp_path / "job.toml"
        value = values["file"] if key == "workers" else f'"{values["file"]}"'
        path.write_text(f"{key} = {value}\n", encoding="utf-8")
    flags = NEEDED | ({key: values["flag"]} if "flag" in places else {})
    if key == "y_true" and "flag" not in places:
        del flags["y_true"]
    made = load(
        path,
        {f"STREAMLOSS_{key.upper()}": values["environment"]} if "environment" in places else {},
        [f"{key}={values['setting']}"] if "setting" in places else [],
        **flags,
    )
    assert str(getattr(made, key)) == values[PLACES[strongest]]


def test_flags_that_were_not_given_override_nothing(file):
    assert load(file, losses=(), memory=None, overwrite=None).memory == "100MB"
    assert len(load(file, losses=()).losses) == 2


def test_settings_reach_into_tables(file):
    made = load(file, settings=["losses.0.label_smoothing=0.5", "losses.1.name = second", "reduction=sum"])
    first, second = made.arguments()["losses"]
    assert (first.spec.parameters["label_smoothing"], second.name) == (0.5, "second")
    assert made.run_arguments()["reduction"] == "sum"


def test_environment_names_losses_and_empty_variables_are_unset():
    environment = {"STREAMLOSS_LOSSES": "bce:from_logits=true", "STREAMLOSS_MEMORY": "", "OTHER": "x"}
    made = load(None, environment, y_true="t", y_pred="p")
    assert (made.losses[0].loss, made.losses[0].model_extra) == ("bce", {"from_logits": True})
    assert made.memory == "1GiB"


@pytest.mark.parametrize(
    ("text", "table"),
    [
        ("mse", {"loss": "mse"}),
        ("mse:", {"loss": "mse"}),
        ("mse:axis=(1, 2),name=a", {"loss": "mse", "axis": [1, 2], "name": "a"}),
        ("mse:axis=[1,2],name=a", {"loss": "mse", "axis": [1, 2], "name": "a"}),
        ("bce:from_logits=true", {"loss": "bce", "from_logits": True}),
        ("bce:from_logits=True", {"loss": "bce", "from_logits": True}),
        ("bce: label_smoothing = 0.1 , axis=0", {"loss": "bce", "label_smoothing": 0.1, "axis": 0}),
        ("bce:name=mine,reduction=sum", {"loss": "bce", "name": "mine", "reduction": "sum"}),
        ("x:weights=[1, 2],from_logits=false", {"loss": "x", "weights": [1, 2], "from_logits": False}),
        ("bce:epsilon=1e-3", {"loss": "bce", "epsilon": 1e-3}),
    ],
)
def test_losses_in_short(text, table):
    assert parse_loss(text) == table


@pytest.mark.parametrize("none", ["None", "none", '"none"'])
def test_none_can_be_said(none):
    (loss,) = load(**NEEDED | {"losses": (f"mse:axis={none}",)}).arguments()["losses"]
    assert loss.spec.axis is None


@pytest.mark.parametrize(
    ("text", "rows"),
    [("3:9", (3, 9)), (":9", (None, 9)),
     ("3:", (3, None)), (":", (None, None)), ("-2:", (-2, None)), (" 3 : 9 ", (3, 9))],
)  # fmt: skip
def test_rows(text, rows):
    assert parse_rows(text) == slice(*rows)


@pytest.mark.parametrize("text", ["2.5", "0", "1e-3"])
def test_a_weight_of_a_flag_is_a_number_where_it_is_one(text):
    assert load(**NEEDED, sample_weight=text).sample_weight == float(text)
    assert isinstance(load(**NEEDED, sample_weight=text).sample_weight, float)
    assert load(**NEEDED, sample_weight="w.npy").sample_weight == "w.npy"


def problem(**kwargs):
    with pytest.raises(errors.ConfigError) as caught:
        load(**kwargs)
    return str(caught.value)


MINIMAL = "losses = 'mse'\ny_true = 't.npy'\ny_pred = 'p.npy'\n"


def test_where_a_job_runs_and_what_it_keeps(file):
    file.write_text(f"{MINIMAL}scheduler = 'tcp://a:1'\nshard = '3/7'\ncheckpoint = 'c'\n", encoding="utf-8")
    arguments = load(file=file, environment={"STREAMLOSS_SCHEDULER_FILE": "s.json"}).run_arguments()
    assert [arguments[k] for k in ("scheduler", "scheduler_file", "shard", "checkpoint")] == [
        "tcp://a:1",
        "s.json",
        (3, 7),
        "c",
    ]
    file.write_text(f"{MINIMAL}state = 'all.state'\n", encoding="utf-8")
    assert load(file=file).run_arguments()["shard"] == (0, 1), "a state of all rows"


def test_all_wrong_keys_are_named_at_once_with_where_they_are_from(file):
    file.write_text('y_true = "t.npy"\nmemry = "1GB"\nnan_policy = "drop"\n[[losses]]\nname = "a"\n', encoding="utf-8")
    said = problem(
        file=file, environment={"STREAMLOSS_EXECUTOR": "spark"}, settings=["missing_chunks=skip"], workers=0, rows="5"
    )
    lines = said.splitlines()
    expected = [
        ["memry", str(file), "unknown key", "did you mean 'memory'?"],
        ["nan_policy", str(file), "'raise', 'omit' or 'propagate'", "received 'drop'"],
        ["losses.0.loss", str(file), "required", "such as 'mse'"],
        ["y_pred", "required", "pass --y-pred"],
        ["executor", "STREAMLOSS_EXECUTOR", "input should be 'auto', 'inline', ", "received 'spark'"],
        ["missing_chunks", "-s missing_chunks=skip", "'error', 'warn' or 'fill'", "received 'skip'"],
        ["workers", "--workers", "greater than or equal to 1", "received 0"],
        ["rows", "--rows", "START:STOP", "received '5'"],
    ]
    assert len(lines) == 1 + len(expected)
    for parts in expected:
        (line,) = [line for line in lines if line.strip().startswith(parts[0])]
        for part in parts:
            assert part in line


def test_required_keys_name_their_flags():
    said = problem()
    for flag in ("--loss", "--y-true", "--y-pred"):
        assert f"pass {flag}" in said


@pytest.mark.parametrize(
    ("key", "value", "parts"),
    [
        ("memory", 1.5, ["bytes or a size", "received 1.5"]),
        ("memory", True, ["bytes or a size", "received True"]),
        ("sample_weight", True, ["a number or a URI", "received True"]),
        ("sample_weight", [1], ["a number or a URI", "received [1]"]),
        ("y_true", 5, ["string", "received 5"]),
        ("losses", 5, ["list", "received 5"]),
        ("losses", [], ["at least 1 item"]),
        ("losses", ["mse:axis=1,2"], ["received 'mse:axis=1,2'", "A list is written in brackets, as in axis=[1,2]."]),
        ("losses", ["mse:axis"], ["NAME[:parameter=value,...]", "received 'mse:axis'"]),
        ("rows", "a:b", ["START:STOP", "received 'a:b'"]),
        ("overwrite", "perhaps", ["boolean", "received 'perhaps'"]),
        ("wrokers", 2, ["unknown key", "did you mean 'workers'?"]),
        ("zzz", 2, ["unknown key", "known keys: losses, y_true"]),
    ],
)
def test_values_that_do_not_fit(key, value, parts):
    lines = problem(**NEEDED | {key: value}).splitlines()
    assert len(lines) == 2, "one line for one wrong key"
    assert lines[1].startswith(f"  {key} (--{'loss' if key == 'losses' else key.replace('_', '-')}): ")
    for part in parts:
        assert part in lines[1]


def test_unknown_variables_of_the_environment_are_named():
    said = problem(environment={"STREAMLOSS_MEMROY": "1GB"}, **NEEDED)
    assert "STREAMLOSS_MEMROY" in said
    assert "did you mean 'memory'?" in said


@pytest.mark.parametrize("setting", ["memory", "losses.5.name=x", "losses.a.name=x", "y_true.x=1"])
def test_settings_that_have_no_place(setting, file):
    with pytest.raises(errors.ConfigError, match="-s") as caught:
        load(file, settings=[setting])
    assert setting.partition("=")[0] in str(caught.value)


def test_files_that_cannot_be_read(tmp_path):
    with pytest.raises(errors.ConfigError, match=r"cannot read .*nowhere\.toml.*No such file"):
        load(tmp_path / "nowhere.toml")
    with pytest.raises(errors.ConfigError, match="cannot read"):
        load(tmp_path)
    bad = tmp_path / "bad.toml"
    bad.write_text("memory = \n", encoding="utf-8")
    with pytest.raises(errors.ConfigError, match=r"bad\.toml' is not valid TOML: .*line 1"):
        load(bad)
    bad.write_bytes(b"\x93NUMPY\x01\x00")
    with pytest.raises(errors.ConfigError, match=r"bad\.toml' is not valid TOML"):
        load(bad)


def test_a_loss_that_does_not_exist_is_not_the_schemas_business():
    with pytest.raises(errors.UnknownNameError, match="unknown loss 'nse'"):
        load(**NEEDED | {"losses": ("nse",)}).arguments()
    with pytest.raises(errors.UnknownNameError, match="unknown parameter of MeanSquaredError 'axes'"):
        load(**NEEDED | {"losses": ("mse:axes=1",)}).arguments()


@pytest.mark.parametrize("path", sorted((Path(__file__).parents[2] / "configs").glob("*.toml")), ids=lambda p: p.name)
def test_the_configurations_we_ship_fit_the_schema(path):
    assert load(path).run_arguments()["losses"]


@pytest.mark.parametrize(
    "variable",
    [
        "SCHEDULER_SERVICE_HOST",
        "SCHEDULER_SERVICE_PORT",
        "SCHEDULER_SERVICE_PORT_COMM",
        "SCHEDULER_PORT",
        "SCHEDULER_PORT_8786_TCP",
        "SCHEDULER_PORT_8786_TCP_PROTO",
        "SCHEDULER_PORT_8786_TCP_PORT",
        "SCHEDULER_PORT_8786_UDP_ADDR",
    ],
)
def test_variables_that_kubernetes_sets_are_no_settings(variable):
    """It sets them for a service that is called streamloss-scheduler."""
    load(environment={f"STREAMLOSS_{variable}": "tcp://10.0.0.1:8786"}, **NEEDED)


@pytest.mark.parametrize("variable", ["SCHEDULER_PORTS", "SERVICEHOST", "SCHEDULER_PORT_TCP", "MEMRY"])
def test_variables_that_only_look_like_those_are_refused(variable):
    with pytest.raises(errors.ConfigError, match=variable.lower()):
        load(environment={f"STREAMLOSS_{variable}": "1"}, **NEEDED)


def test_no_setting_ends_as_the_variables_of_kubernetes():
    assert not [key for key in config.Config.model_fields if config.INJECTED.search(f"STREAMLOSS_{key.upper()}")]
