"""Standard errors, intervals and Student's t against statsmodels, SciPy and fractions."""

import numpy as np
import pytest
import scipy.stats
import statsmodels.api as sm

import streamloss as sl
from streamloss.aggregation.student_t import probability_beyond, quantile


@pytest.mark.parametrize("degrees", [1, 2, 3, 7, 29.0, 365, 10_000, 1e6, 1e9])
def test_students_t_is_scipys(degrees):
    for t in (0.0, 0.1, 0.7, 1.96, 5.0, 30.0):
        assert probability_beyond(t, degrees) == pytest.approx(2 * scipy.stats.t.sf(t, degrees), rel=1e-7)
    for probability in (0.005, 0.2, 0.5, 0.9, 0.975, 0.9999):
        assert quantile(probability, degrees) == pytest.approx(scipy.stats.t.ppf(probability, degrees), rel=1e-7)
    assert np.isnan(probability_beyond(np.nan, degrees))
    assert probability_beyond(np.inf, degrees) == 0.0


@pytest.fixture(scope="module")
def rows():
    rng = np.random.default_rng(3)
    n = 400
    cluster = rng.integers(0, 25, n)
    p = rng.normal(size=n) + 0.5 * rng.normal(size=25)[cluster]
    return np.zeros(n), p, rng.random(n) * (rng.random(n) < 0.9), cluster


def test_the_error_of_a_mean_is_that_of_a_sample(rows):
    y, p, _, _ = rows
    loss = sl.evaluate("mse", y, p, stats="stderr")["mse"]
    squares = p**2
    assert loss.stderr == pytest.approx(scipy.stats.sem(squares), rel=1e-12)
    low, high = scipy.stats.t.interval(0.9, len(p) - 1, squares.mean(), scipy.stats.sem(squares))
    assert loss.interval(0.9) == pytest.approx((low, high), rel=1e-9)
    assert loss.statistics["stderr_of_mean"] == loss.stderr == loss.standard_error("mean_with_sample_weight")


def test_the_error_of_a_weighted_mean_is_that_of_a_ratio(rows):
    y, p, w, _ = rows
    loss = sl.evaluate("mse", y, p, w, stats="stderr")["mse"]
    n, mean = len(p), (w * p**2).sum() / w.sum()
    ratio = np.sqrt(n / (n - 1) * ((w * p**2 - mean * w) ** 2).sum()) / w.sum()
    assert loss.stderr == pytest.approx(ratio, rel=1e-12)
    fit = sm.WLS(p**2, np.ones(n), weights=w).fit(cov_type="HC0")  # without the correction n / (n - 1)
    assert loss.stderr == pytest.approx(fit.bse[0] * np.sqrt(n / (n - 1)), rel=1e-10)
    assert loss.standard_error("sum_over_batch_size") == pytest.approx(scipy.stats.sem(w * p**2), rel=1e-12)
    kept = w != 0
    nonzero = loss.standard_error("sum_by_nonzero_weights")
    expected = np.sqrt(n / (n - 1) * ((w * p**2)[kept] - (w * p**2)[kept].mean()).__pow__(2).sum()) / kept.sum()
    assert nonzero == pytest.approx(expected, rel=1e-10)


@pytest.mark.parametrize("weighted", [False, True])
def test_the_error_of_clusters_is_that_of_statsmodels(rows, weighted):
    y, p, w, cluster = rows
    loss = sl.evaluate("mse", y, p, w if weighted else None, cluster=cluster)["mse"]
    fit = sm.WLS(p**2, np.ones(len(p)), weights=w if weighted else np.ones(len(p))).fit(
        cov_type="cluster", cov_kwds={"groups": cluster}, use_t=True
    )
    assert loss.stderr == pytest.approx(fit.bse[0], rel=1e-10)
    assert loss.interval() == pytest.approx(tuple(fit.conf_int()[0]), rel=1e-8)


@pytest.mark.parametrize("weighted", [False, True])
def test_the_jackknife_leaves_out_one_cluster_at_a_time(rows, weighted):
    y, p, w, cluster = rows
    weight = w if weighted else np.ones(len(p))
    loss = sl.evaluate("mse", y, p, w if weighted else None, cluster=cluster)["mse"]
    names = np.unique(cluster)
    means = np.array([np.average(p[cluster != c] ** 2, weights=weight[cluster != c]) for c in names])
    expected = np.sqrt((len(names) - 1) / len(names) * ((means - means.mean()) ** 2).sum())
    assert loss.standard_error(jackknife=True) == pytest.approx(expected, rel=1e-9)
    assert loss.standard_error(jackknife=True) == pytest.approx(loss.stderr, rel=0.2)
    with pytest.raises(sl.errors.UsageError, match="pass cluster="):
        sl.evaluate("mse", y, p, stats="stderr")["mse"].standard_error(jackknife=True)


def test_groups_have_the_errors_of_their_own_rows(rows):
    y, p, w, cluster = rows
    group = np.arange(len(p)) % 3
    by = {"g": group}
    for key, row in enumerate(sl.evaluate("mse", y, p, w, by=by, stats="stderr").groups):
        alone = sl.evaluate("mse", y[group == key], p[group == key], w[group == key], stats="stderr")["mse"]
        assert (row["stderr"], row["weighted_mean"]) == (alone.stderr, alone.weighted_mean)
    for key, row in enumerate(sl.evaluate("mse", y, p, w, by=by, cluster=cluster).groups):
        here = group == key
        alone = sl.evaluate("mse", y[here], p[here], w[here], cluster=cluster[here])["mse"]
        assert (row["stderr"], row["clusters"]) == (alone.stderr, len(np.unique(cluster[here])))


def test_one_row_and_infinite_losses_have_no_error():
    assert np.isnan(sl.evaluate("mse", [0.0], [1.0], stats="stderr")["mse"].stderr)
    infinite = sl.evaluate("mse", np.zeros(3), np.array([1.0, np.inf, 2.0]), stats="stderr")["mse"]
    assert np.isnan(infinite.stderr)
    assert np.isnan(infinite.interval().low)
    one_cluster = sl.evaluate("mse", np.zeros(3), np.ones(3), cluster=np.zeros(3, int))["mse"]
    assert np.isnan(one_cluster.stderr)


def test_errors_that_cancel_in_float64_are_exact():
    """A spread of 1e-9 around 1e6 vanishes in the difference of two rounded moments."""
    p = 1e3 + np.array([0.0, 1e-12, 2e-12, 5e-13] * 50)
    from fractions import Fraction

    losses = [Fraction(float(v)) for v in sl.losses.MeanSquaredError(reduction="none")(np.zeros((200, 1)), p[:, None])]
    mean = sum(losses) / 200
    variance = sum((v - mean) ** 2 for v in losses) / 199 / 200
    found = sl.evaluate("mse", np.zeros((200, 1)), p[:, None], stats="stderr")["mse"].stderr
    assert found == pytest.approx(float(variance) ** 0.5, rel=1e-14)
    assert found > 0
