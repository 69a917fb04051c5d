"""`streamloss init` writes a file with comments for the data it is pointed at, and the file runs."""

import json
import re
import tomllib

import numpy as np
import pytest
import zarr

import streamloss as sl
from streamloss import cli
from streamloss.cli.config import load
from streamloss.cli.init import EXAMPLES
from streamloss.cli.schema import Config, descriptions

RNG = np.random.default_rng(0)
SHARES = RNG.dirichlet(np.ones(3), 40).astype("f4")
LOGITS = RNG.normal(0, 3, (40, 3)).astype("f4")
CLASSES = RNG.integers(0, 3, 40)
PIXELS = np.where(RNG.random((4, 5, 6)) < 0.2, 255, RNG.integers(0, 3, (4, 5, 6))).astype("u1")
SCORES = RNG.normal(0, 3, (4, 5, 6, 3))
ZERO_ONE = RNG.integers(0, 2, 40)
NUMBERS = RNG.normal(5, 3, 40)

CASES = {
    "classes, probabilities": (CLASSES, SHARES, {"sparse_categorical_crossentropy": {}, "zero_one_loss": {}}),
    "classes, logits": (
        CLASSES.astype("f4"),
        LOGITS,
        {"sparse_categorical_crossentropy": {"from_logits": True}, "zero_one_loss": {}},
    ),
    "pixels, some without a class": (
        PIXELS,
        SCORES,
        {
            "sparse_categorical_crossentropy": {"from_logits": True, "ignore_class": 255},
            "zero_one_loss": {"ignore_class": 255},
        },
    ),
    "pixels, classes on axis 1": (
        PIXELS,
        np.moveaxis(SCORES, -1, 1),
        {
            "sparse_categorical_crossentropy": {"from_logits": True, "ignore_class": 255, "axis": 1},
            "zero_one_loss": {"ignore_class": 255, "axis": 1},
        },
    ),
    "one-hot, probabilities": (np.eye(3)[CLASSES], SHARES, {"categorical_crossentropy": {}}),
    "0 and 1, probabilities": (ZERO_ONE, RNG.random(40), {"binary_crossentropy": {}}),
    "0 and 1, logits": (ZERO_ONE, NUMBERS, {"binary_crossentropy": {"from_logits": True}}),
    "0 and 1 in columns": (ZERO_ONE.reshape(20, 2), RNG.random((20, 2)), {"binary_crossentropy": {}}),
    "-1 and 1": (2 * ZERO_ONE - 1, NUMBERS, {"hinge": {"labels": "pm1"}}),
    "numbers": (NUMBERS, NUMBERS + 1, {"mean_squared_error": {}, "mean_absolute_error": {}}),
    "means and variances": (NUMBERS, np.stack([NUMBERS, np.full(40, 2.0)], -1), {"gaussian_nll": {}}),
    "a grid": (
        NUMBERS.reshape(2, 4, 5),
        NUMBERS.reshape(2, 4, 5) + 1,
        {"mean_squared_error": {"axis": "none"}, "mean_absolute_error": {"axis": "none"}},
    ),
}


@pytest.fixture
def place(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


def written(*arguments):
    assert cli.run(["init", *arguments]) == 0
    with open("streamloss.toml", "rb") as file:
        return tomllib.load(file)


@pytest.mark.parametrize("case", CASES)
def test_losses_fit_the_data_and_the_file_runs(case, place, capsys):
    y_true, y_pred, expected = CASES[case]
    np.save("y.npy", y_true)
    zarr.create_array("p.zarr", data=y_pred)
    content = written("--y-true", "y.npy", "--y-pred", "p.zarr")
    losses = {table.pop("loss"): table for table in content.pop("losses")}
    assert losses == expected
    assert content == {"y_true": "y.npy", "y_pred": "p.zarr"}
    said = capsys.readouterr().err
    assert f"of shape {y_true.shape}" in said
    assert cli.run(["evaluate", "streamloss.toml", "--json"]) == 0
    result = json.loads(capsys.readouterr().out)["losses"]
    for name, parameters in expected.items():
        given = {key: None if value == "none" else value for key, value in parameters.items()}
        loss = sl.losses.deserialize({"class_name": name, "config": given})
        assert result[name]["value"] == loss(y_true, y_pred)


def test_each_key_is_a_comment_that_can_be_set(place):
    """Each line with a key, without its #, is what the schema takes; so is the whole file, once without any."""
    written()
    text = (place / "streamloss.toml").read_text()
    lines = {key: line for line, key in re.findall(r"^(?:# )?((\w+) = .*)$", text, re.MULTILINE)}
    assert lines.keys() == {*descriptions(), "loss"} - {"losses"}
    for key, line in lines.items():
        if key != "loss":
            Config.model_validate({"losses": ["mse"], "y_true": "y", "y_pred": "p"} | tomllib.loads(line))
    assert load(place / "streamloss.toml", {}, (), {}).losses[0].loss == "mean_squared_error"


def test_each_key_without_a_default_has_an_example():
    without = {name for name, field in Config.model_fields.items() if field.default is None or field.is_required()}
    assert without - {"losses"} == EXAMPLES.keys()


def test_comments_say_what_a_key_is_for_and_what_was_seen(place):
    np.save("y.npy", np.where(np.arange(40) == 3, np.nan, NUMBERS))
    np.save("p.npy", NUMBERS)
    written("--y-true", "y.npy", "--y-pred", "p.npy", "--sample-weight", "p.npy")
    text = " ".join((place / "streamloss.toml").read_text().replace("# ", "").split())
    assert "numbers from" in text
    assert ", and NaN." in text
    assert 'choose "omit"' in text
    assert 'sample_weight = "p.npy"' in text
    assert all(description.replace("`", "") in text for key, description in descriptions().items() if key != "losses")


def test_large_arrays_are_looked_at_in_part(place, monkeypatch, capsys):
    monkeypatch.setattr("streamloss.api.suggest.MOST_ELEMENTS", 12)
    np.save("y.npy", CLASSES)
    np.save("p.npy", SHARES)
    written("--y-true", "y.npy", "--y-pred", "p.npy")
    said = capsys.readouterr().err
    assert said.count("in the first 12 elements") == 2


def test_a_file_that_exists_is_kept(place, capsys):
    (place / "streamloss.toml").write_text("mine")
    assert cli.run(["init"]) == 2
    assert "replaces nothing" in capsys.readouterr().err
    assert (place / "streamloss.toml").read_text() == "mine"
    assert cli.run(["init", "other.toml"]) == 0


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (("--y-true", "y.npy"), 2, "needs both"),
        (("--y-true", "y.npy", "--y-pred", "nothing.npy"), 3, "nothing.npy"),
        (("--y-true", "y.npy", "--y-pred", "short.npy"), 3, "39"),
        (("no/folder/x.toml",), 5, "cannot be written"),
    ],
)
def test_what_does_not_fit_leaves_no_file(arguments, code, said, place, capsys):
    np.save("y.npy", NUMBERS)
    np.save("short.npy", NUMBERS[1:])
    assert cli.run(["init", *arguments]) == code
    assert said in capsys.readouterr().err
    assert not (place / "streamloss.toml").exists()


def test_places_with_quotes_and_names_of_axes(place):
    xr = pytest.importorskip("xarray")
    grid = xr.DataArray(NUMBERS.reshape(2, 4, 5), dims=["time", "lat", "lon"], name="t2m").to_dataset()
    grid.to_netcdf('a "grid".nc')
    grid.transpose("lat", "lon", "time").to_netcdf("forecast.nc")
    content = written("--y-true", 'a "grid".nc::t2m', "--y-pred", "forecast.nc::t2m")
    assert content["y_true"] == 'a "grid".nc::t2m'
    assert content["losses"][0] == {"loss": "mean_squared_error", "axis": "none"}
    assert cli.run(["evaluate", "streamloss.toml"]) == 0
