"""Comparisons of models against SciPy, statsmodels and pandas."""

import json

import dask.array as da
import numpy as np
import pytest
import scipy.stats
import statsmodels.api as sm
import zarr

import streamloss as sl

ROWS = 500


@pytest.fixture(scope="module")
def models():
    rng = np.random.default_rng(2)
    cluster = rng.integers(0, 30, ROWS)
    p = 1 / (1 + np.exp(-rng.normal(size=ROWS) - rng.normal(size=30)[cluster]))
    y = (rng.random(ROWS) < p).astype(int)
    old, new = (np.clip(p + s * rng.normal(size=ROWS), 0.01, 0.99) for s in (0.2, 0.15))
    new[:20] = old[:20]
    return y, {"old": old, "new": new}, rng.random(ROWS), cluster


def rows_of(loss, y, p):
    return getattr(sl.losses, loss)(reduction="none")(y, p)


def test_the_difference_is_that_of_a_paired_test(models):
    y, preds, _, _ = models
    found = sl.compare("bce", y, preds)
    a, b = (rows_of("BinaryCrossentropy", y, p) for p in preds.values())
    test = scipy.stats.ttest_rel(b, a)
    low, high = test.confidence_interval(0.95)
    row = found["new"]
    assert row["difference"] == pytest.approx(b.mean() - a.mean(), rel=1e-12)
    assert (row["low"], row["high"]) == pytest.approx((low, high), rel=1e-8)
    assert row["p_value"] == pytest.approx(test.pvalue, rel=1e-7)
    assert (row["better"], row["equal"], row["worse"]) == ((b < a).sum(), (b == a).sum(), (b > a).sum())
    assert row["skill"] == pytest.approx(1 - b.mean() / a.mean())
    ratio, n = b.mean() / a.mean(), ROWS
    error = np.sqrt(n / (n - 1) * ((b - ratio * a) ** 2).sum()) / a.sum()
    reach = scipy.stats.t.ppf(0.975, n - 1) * error
    assert (row["skill_low"], row["skill_high"]) == pytest.approx((1 - ratio - reach, 1 - ratio + reach), rel=1e-8)


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("clustered", [False, True])
def test_differences_of_weighted_means_and_clusters_are_those_of_statsmodels(models, weighted, clustered):
    y, preds, w, cluster = models
    weight = w if weighted else None
    row = sl.compare("mse", y, preds, weight, cluster=cluster if clustered else None)["new"]
    difference = (y - preds["new"]) ** 2 - (y - preds["old"]) ** 2
    model = sm.WLS(difference, np.ones(ROWS), weights=np.ones(ROWS) if weight is None else weight)
    if clustered:
        fit = model.fit(cov_type="cluster", cov_kwds={"groups": cluster}, use_t=True)
        assert row["p_value"] == pytest.approx(fit.pvalues[0], rel=1e-7)
        scale = 1.0
    else:
        fit, scale = model.fit(cov_type="HC0"), np.sqrt(ROWS / (ROWS - 1))
    assert row["difference"] == pytest.approx(fit.params[0], rel=1e-10)
    assert row["stderr"] == pytest.approx(fit.bse[0] * scale, rel=1e-10)


def test_means_are_those_of_evaluate_and_any_executor(models, tmp_path, small_blocks):
    y, preds, w, cluster = models
    arguments = {"by": {"k": np.arange(ROWS) % 4}, "cluster": cluster}
    whole = sl.compare(["bce", "mse"], y, preds, w, **arguments)
    for loss, model in (("bce", "old"), ("mse", "new")):
        alone = sl.evaluate(loss, y, preds[model], w, **arguments)
        canonical = next(iter(alone))
        assert whole[f"{canonical}/{model}"]["mean"] == alone[canonical].weighted_mean
    places = {}
    for name, array in (("y", y), ("w", w), *preds.items()):
        zarr.create_array(tmp_path / f"{name}.zarr", data=array, chunks=(40 + len(name),))
        places[name] = str(tmp_path / f"{name}.zarr")
    stored = {name: places[name] for name in preds}
    for options in ({"executor": "threads"}, {"executor": "inline"}, {"scheduler": "threads"}):
        found = sl.compare(["bce", "mse"], places["y"], stored, places["w"], **arguments, **options)
        assert found.table == whole.table
        assert found.groups == whole.groups


def test_groups_compare_their_own_rows(models):
    y, preds, w, cluster = models
    group = np.arange(ROWS) % 3
    for clusters in (None, cluster):
        table = sl.compare("bce", y, preds, w, by={"g": group}, cluster=clusters).groups
        for row in table:
            here = group == row["g"]
            alone = sl.compare(
                "bce",
                y[here],
                {name: p[here] for name, p in preds.items()},
                w[here],
                cluster=None if clusters is None else clusters[here],
            )[row["model"]]
            assert {key: row[key] for key in alone if key != "loss"} == pytest.approx(
                {key: value for key, value in alone.items() if key != "loss"}, nan_ok=True
            )


def test_many_models_against_a_named_baseline(models):
    y, preds, _, _ = models
    found = sl.compare("bce", y, {**preds, "half": np.full(ROWS, 0.5)}, baseline="new")
    assert found.models == ("new", "old", "half")
    assert found["new"]["difference"] == 0.0
    assert found["new"]["p_value"] == 1.0
    assert found["old"]["difference"] == -sl.compare("bce", y, preds)["new"]["difference"]
    content = json.loads(found.to_json())
    assert content["baseline"] == "new"
    assert [row["model"] for row in content["comparison"]] == ["new", "old", "half"]
    assert len(found.to_pandas()) == 3
    assert "p_value" in repr(found)
    assert "<td>half</td>" in found._repr_html_()


def test_equal_models_do_not_differ(models):
    y, preds, _, _ = models
    row = sl.compare("bce", y, {"a": preds["old"], "b": preds["old"].copy()})["b"]
    assert (row["difference"], row["stderr"], row["p_value"], row["equal"], row["skill"]) == (0.0, 0.0, 1.0, ROWS, 0.0)


def test_other_rows_are_refused(models):
    y, preds, _, _ = models
    holes = preds["new"].copy()
    holes[3] = np.nan
    with pytest.raises(sl.errors.ValueRangeError, match=r"1 omitted.*expected the same rows.*mask="):
        sl.compare("mse", y, {"old": preds["old"], "holes": holes}, nan_policy="omit").table  # noqa: B018
    with pytest.raises(sl.errors.ValueRangeError, match=r"y_pred\.holes"):
        sl.compare("mse", y, {"old": preds["old"], "holes": holes})
    both = sl.compare("mse", y, {"old": preds["old"], "holes": holes}, nan_policy="omit", mask=np.arange(ROWS) != 3)
    assert both["holes"]["better"] > 0


@pytest.mark.parametrize(
    ("preds", "options", "message"),
    [
        ({"a": np.zeros(3)}, {}, "two models or more"),
        (np.zeros(3), {}, "two models or more"),
        ({"a": np.zeros(3), "b": np.zeros(3)}, {"baseline": "c"}, "baseline 'c'"),
        ({"a": np.zeros(3), "b/c": np.zeros(3)}, {}, "without '/'"),
        ({"a": np.zeros(3), "b": da.zeros(3)}, {}, "Dask array as y_pred.b"),
    ],
)
def test_mistakes_are_named(preds, options, message):
    with pytest.raises(sl.errors.UsageError, match=message):
        sl.compare("mse", np.zeros(3), preds, **options)


def test_a_model_of_another_length_is_named():
    with pytest.raises(sl.errors.ShapeError, match=r"y_pred\.b: mean_squared_error"):
        sl.compare("mse", np.zeros(3), {"a": np.zeros(3), "b": np.zeros(4)})
    with pytest.raises(sl.errors.UnknownNameError, match="model 'c'"):
        sl.compare("mse", np.zeros(3), {"a": np.zeros(3), "b": np.ones(3)})["c"]


def test_losses_that_were_written_are_compared_and_grouped(models, tmp_path, small_blocks):
    """Losses of any sign: those of NONE as Zarr, and arrays of another program."""
    y, preds, _, cluster = models
    loss = sl.losses.Poisson()
    for name, p in preds.items():
        sl.evaluate(loss, y, p, out=str(tmp_path / f"{name}.zarr"))
    written = {name: str(tmp_path / f"{name}.zarr" / "poisson") for name in preds}
    by = {"k": np.arange(ROWS) % 3}
    found = sl.compare(None, None, written, cluster=cluster, by=by)
    expected = sl.compare(loss, y, preds, cluster=cluster, by=by)
    columns = [name for name in expected.table.columns if name != "loss"]
    assert found.table.select(*columns) == expected.table.select(*columns)
    assert found.groups.select("k", *columns) == expected.groups.select("k", *columns)
    shifted = {name: rows_of("Poisson", y, p).reshape(50, 10) - 2.0 for name, p in preds.items()}
    assert sl.compare(None, None, shifted)["new"]["difference"] == sl.compare(loss, y, preds)["new"]["difference"]
    alone = sl.evaluate(None, None, shifted["new"], stats="worst=2,quantiles", keep=1)["recorded"]
    assert alone.kept.column("mean") == pytest.approx(shifted["new"].mean(axis=0))
    assert alone.quantile(0) == shifted["new"].min()
    assert alone.worst[0]["loss"] == shifted["new"].max()
    with pytest.raises(sl.errors.UsageError, match="y_true must be None"):
        sl.evaluate(None, y, preds["new"])
    assert "RecordedLoss" not in dir(sl.losses)


def test_a_comparison_is_saved_and_read_again(tmp_path):
    rng = np.random.default_rng(3)
    y, key = rng.random(40), np.arange(40) % 3
    models = {"a": y + rng.normal(size=40), "b": y + rng.normal(size=40)}
    found = sl.compare(["mse", "mae"], y, models, baseline="b", by={"k": key})
    found.save(tmp_path / "found.state")
    again = sl.Comparison.load(tmp_path / "found.state")
    assert (again.baseline, again.models, again.losses) == ("b", ("b", "a"), found.losses)
    assert again.table == found.table
    assert again.groups == found.groups
    assert json.loads(found.table.to_json())[0]["model"] == "b"
    sl.evaluate(["mse", "mae"], y, y).save(tmp_path / "result.state")
    with pytest.raises(sl.errors.StateError, match=r"holds the result of an evaluation; streamloss.load reads it"):
        sl.Comparison.load(tmp_path / "result.state")
