"""Results: what they show, what they answer to, and that a file gives the same result again."""

import copy
import html
import json
import sys
from fractions import Fraction

import numpy as np
import pytest

import streamloss as sl
from streamloss.aggregation.exact_sum import ExactSum
from streamloss.aggregation.identity import StateIdentity
from streamloss.aggregation.state import State
from streamloss.errors import MissingExtraError, SourceError, StateError, UnknownLossError, UsageError

Y, P = np.array([0.0, 1.0, 1.0]), np.array([0.25, 0.5, 0.9])
WIDE = 120


def evaluate(losses=("mse", "bce"), **options):
    return sl.evaluate(losses if isinstance(losses, dict | str) else list(losses), Y, P, **options)


def plan():
    return sl.plan("mse", Y, P)


# Texts


@pytest.mark.parametrize(
    "value",
    [evaluate(), evaluate()["mse"], evaluate()["mse"].state, evaluate()["mse"].state.sum("loss"), evaluate().snapshot],
    ids=["Result", "LossResult", "State", "ExactSum", "Snapshot"],
)
def test_texts_are_short_and_say_what_it_is(value):
    for text in (repr(value), str(value), f"{value}"):
        assert all(len(line) <= WIDE for line in text.splitlines())
        assert len(text.splitlines()) <= 4
        assert type(value).__name__ in text


def test_the_text_of_a_result_is_a_table_of_its_losses():
    head, titles, *rows = repr(evaluate()).splitlines()
    assert head.startswith("Result of 3 rows in ")
    assert titles.split() == ["loss", "value", "reduction", "count"]
    assert [row.split()[0] for row in rows] == ["mean_squared_error", "binary_crossentropy"]
    squares = (Y - P) ** 2
    assert float(rows[0].split()[1]) == pytest.approx(squares.mean(), rel=1e-9)
    assert rows[0].split()[2:] == ["sum_over_batch_size", "3"]
    assert len({len(row) for row in rows}) == 1, "aligned"
    weighted = repr(evaluate(sample_weight=np.array([1.0, 2.0, 3.0]))).splitlines()[1]
    assert weighted.split() == ["loss", "weighted_mean", "value", "reduction", "count"]


def test_a_state_of_thousands_of_sums_is_short():
    identity = StateIdentity("dice", {}, "float32", False)
    state = State(identity, {f"both/{i}": ExactSum.of_value(0.1) for i in range(4000)}, {})
    assert len(repr(state)) < 200
    assert "and 3,992 more" in repr(state)


def test_the_text_of_a_sum_tells_exact_from_rounded():
    third = ExactSum.of_value(0.1) + ExactSum.of_value(0.2)
    assert third.exactly() != Fraction(third.rounded())
    assert repr(third) == "ExactSum(≈ 0.30000000000000004)"
    assert repr(ExactSum.of_value(0.5)) == "ExactSum(0.5)"
    assert repr(ExactSum.of_value(float("nan"))) == "ExactSum(nan, 1 × nan)"


def test_html_is_escaped():
    page = evaluate({"<script>&": "mse"})._repr_html_()
    assert "<script>" not in page
    assert "&lt;script&gt;&amp;" in page
    assert page.count("<td") == 4
    assert "<b>" not in evaluate({"<b>": "mse"})["mse"]._repr_html_()


def test_a_plan_shows_itself():
    assert repr(plan()) == str(plan())


# One value


def test_the_value_of_the_one_loss():
    result = evaluate("mse")
    mean = result["mean_squared_error"].mean
    assert result.value == float(result) == float(result["mse"]) == mean
    assert f"{result:.3f}" == f"{result['mse']:.3f}" == f"{mean:.3f}"


def test_several_losses_have_no_one_value():
    result = evaluate()
    for read in (lambda: result.value, lambda: float(result), lambda: f"{result:.3f}"):
        with pytest.raises(UsageError, match="2 losses: mean_squared_error, binary_crossentropy"):
            read()


def test_losses_of_rows_are_no_number(tmp_path):
    result = evaluate("mse", reduction="none", out=str(tmp_path / "o.zarr"))
    with pytest.raises(UsageError, match=r"reduction 'none'.*o\.zarr"):
        float(result)
    assert result.value == str(tmp_path / "o.zarr/mean_squared_error")


# Names


@pytest.mark.parametrize("name", ["mse", "MSE", "MeanSquaredError", "mean_squared_error", "l2"])
def test_a_loss_answers_to_all_its_names(name):
    result = sl.evaluate([name, "bce"], Y, P)
    assert result[name] is result["mean_squared_error"] is result["mse"]
    assert name in result
    assert list(result) == ["mean_squared_error", "binary_crossentropy"]


def test_its_own_name_comes_first():
    result = evaluate({"mae": "mse", "error": "mae"})
    assert result["mae"] is result.losses["mae"]
    assert result["mse"] is result.losses["mae"]
    assert result["mean_absolute_error"] is result.losses["error"]


def test_unknown_and_ambiguous_names_say_what_there_is():
    result = evaluate()
    with pytest.raises(UnknownLossError, match=r"'msee'. Did you mean 'mse'\? Known: mean_squared_error, binary_"):
        result["msee"]
    with pytest.raises(KeyError) as raised:
        result["mae"]
    assert str(raised.value).endswith("Known: mean_squared_error, binary_crossentropy.")
    assert ("mae" in result, result.get("mae"), 3 in result) == (False, None, False)
    two = evaluate({"a": "mse", "b": sl.losses.MeanSquaredError(reduction="sum")})
    with pytest.raises(KeyError, match="mse is what a and b are; name one"):
        two["mse"]


def test_targets_are_named_by_any_name(tmp_path):
    result = evaluate(out={"mse": str(tmp_path / "a.zarr")})
    assert result["mse"].out == str(tmp_path / "a.zarr")
    with pytest.raises(UnknownLossError, match="unknown loss in out 'mae'"):
        evaluate(out={"mae": str(tmp_path / "b.zarr")})
    with pytest.raises(UsageError, match="one loss twice"):
        evaluate(out={"mse": str(tmp_path / "b.zarr"), "MSE": str(tmp_path / "c.zarr")})


# Files


def everything(result):
    """All that a result says, and the bytes of its states."""
    return json.loads(result.to_json()), [loss.state.to_bytes() for loss in result.values()], result


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"sample_weight": np.array([0.1, 2.0, 3.0])},
        {"shard": (0, 1)},
        {"reduction": "sum", "nan_policy": "omit"},
        {"losses": {"a": sl.losses.CategoricalFocalCrossentropy(alpha=[0.25, 0.5])}, "of_classes": True},
        {"losses": "dice"},
    ],
    ids=str,
)
@pytest.mark.filterwarnings("ignore:.*:streamloss.errors.StreamlossWarning")
def test_a_file_gives_the_same_result(options, tmp_path):
    given = dict(options)
    if given.pop("of_classes", False):
        result = sl.evaluate(given["losses"], np.eye(2), np.array([[0.5, 0.5], [0.1, 0.9]]))
    else:
        result = evaluate(**given)
    result.save(tmp_path / "result")
    again = sl.load(tmp_path / "result")
    assert everything(again) == everything(result)
    assert type(again) is sl.Result
    again.save(tmp_path / "again")
    assert (tmp_path / "again").read_bytes() == (tmp_path / "result").read_bytes()


@pytest.mark.usefixtures("small_blocks")
def test_a_loaded_shard_is_merged_as_the_shard(tmp_path):
    for i in range(2):
        sl.evaluate("mse", *stored(tmp_path), shard=(i, 2)).save(tmp_path / f"{i}")
    loaded = sl.merge([sl.load(tmp_path / f"{i}") for i in range(2)])
    files = sl.merge([tmp_path / f"{i}" for i in range(2)])
    assert loaded["mse"].state == files["mse"].state
    files.save(tmp_path / "merged")
    assert sl.load(tmp_path / "merged") == files


def stored(folder):
    import zarr

    for name, values in (("y", Y), ("p", P)):
        if not (folder / f"{name}.zarr").exists():
            zarr.create_array(folder / f"{name}.zarr", data=values, chunks=(1,), fill_value=-1.0)
    return folder / "y.zarr", folder / "p.zarr"


def test_a_result_of_no_shard_is_loaded_and_not_merged(tmp_path):
    evaluate().save(tmp_path / "result")
    with pytest.raises(StateError, match=r"streamloss\.load reads it"):
        sl.merge(tmp_path / "result")


def test_other_files_are_refused(tmp_path):
    evaluate().save(tmp_path / "result")
    content = json.loads((tmp_path / "result").read_bytes())

    def with_run(run):
        from streamloss.aggregation.snapshot import digest_of

        changed = copy.deepcopy(content) | {"run": run}
        (tmp_path / "changed").write_text(json.dumps(changed | {"digest": digest_of(changed)}))
        return tmp_path / "changed"

    with pytest.raises(StateError, match=r"schema 'streamloss.result/9'; expected 'streamloss.result/2'"):
        sl.load(with_run(content["run"] | {"schema": "streamloss.result/9"}))
    with pytest.raises(StateError, match="KeyError: 'plan'"):
        sl.load(with_run({key: value for key, value in content["run"].items() if key != "plan"}))
    with pytest.raises(StateError, match="no saved state"):
        sl.load(with_run(3))
    sl.evaluate("mse", *stored(tmp_path), checkpoint=tmp_path / "saved")
    with pytest.raises(StateError, match=r"no result: a checkpoint.*streamloss\.merge"):
        sl.load(tmp_path / "saved" / "all.state")
    (tmp_path / "text").write_text("text")
    with pytest.raises(StateError, match="no saved state"):
        sl.load(tmp_path / "text")
    with pytest.raises(SourceError, match="cannot read the result"):
        sl.load(tmp_path / "nothing")
    damaged = (tmp_path / "result").read_text().replace('"executor":"', '"executor":"x')
    (tmp_path / "damaged").write_text(damaged)
    with pytest.raises(StateError, match="digest"):
        sl.load(tmp_path / "damaged")


# Tables


def test_frames_have_a_row_for_each_loss():
    result = evaluate()
    frame = result.to_pandas()
    assert list(frame.index) == list(result)
    assert frame.loc["mean_squared_error", "value"] == result["mse"].value
    assert list(frame["count"]) == [3, 3]
    series = result["bce"].to_pandas()
    assert series["mean"] == result["bce"].mean
    assert list(series.index) == list(frame.columns)
    assert json.loads(result["bce"].to_json())["mean"] == result["bce"].mean


def test_frames_without_pandas_name_the_extra(monkeypatch):
    monkeypatch.setitem(sys.modules, "pandas", None)
    with pytest.raises(MissingExtraError, match=r"pip install 'streamloss\[pandas\]'"):
        evaluate().to_pandas()


def test_what_is_printed_is_also_for_programs():
    y = np.arange(4.0)
    result = sl.evaluate(["mse", "mae"], y, y + 1)
    table = result.to_arrow()
    assert table.column("loss").to_pylist() == ["mean_squared_error", "mean_absolute_error"]
    assert table.column("mean").to_pylist() == [1.0, 1.0]
    state = result["mse"].state
    assert state.to_json().encode() + b"\n" == state.to_bytes()
    assert float(state.sum("loss")) == 4.0


def test_plans_are_tables_in_notebooks_and_json():
    plan = sl.plan(sl.losses.MeanSquaredError(name="<b>"), np.arange(4.0), np.arange(4.0))
    assert json.loads(plan.to_json())["rows"] == 4
    shown = plan._repr_html_()
    for line in str(plan).splitlines():
        title, text = line[:9].strip(), line[10:]
        assert f">{title}</td>" in shown
        assert f">{html.escape(text)}</td>" in shown


def test_progress_is_a_line_of_a_log():
    seen = []
    sl.evaluate("mse", np.arange(4.0), np.arange(4.0) + 1, progress=lambda now: seen.append(now.to_dict()))
    now = seen[-1]
    assert json.loads(json.dumps(now)) == now
    assert (now["rows"], now["total"], now["loss"], now["value"]) == (4, 4, "mean_squared_error", 1.0)
