"""Reports: what they show, that nothing in them is taken for markup, and where they are written."""

import copy
import json
import re
from html.parser import HTMLParser

import numpy as np
import pytest

import streamloss as sl
from soak import cases
from streamloss.api.report.numbers import Scale, shown
from streamloss.api.report.page import html_of
from streamloss.errors import OutputExistsError, SourceError, UnwritableOutputError, UsageError

ROWS = 4000
RNG = np.random.default_rng(3)
LABELS = RNG.integers(0, 2, ROWS)
CHANCES = RNG.random(ROWS).astype("f4")
KEYS = np.array(["AA", "<b>bold</b>", "a & b", 'quote"', "\x1b[31mred"])[RNG.integers(0, 5, ROWS)]
STATS = ["stderr", "histogram", "worst=7", "running=50", "calibration"]


class Page(HTMLParser):
    """The tags of a page with their attributes, and the text of each."""

    def __init__(self, text):
        super().__init__()
        self.tags, self.texts = [], {}
        self._open = ""
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self._open = tag
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data):
        self.texts.setdefault(self._open, []).append(data)

    def all(self, tag, class_=None):
        return [of for name, of in self.tags if name == tag and class_ in (None, of.get("class"))]


@pytest.fixture(scope="module")
def result():
    return sl.evaluate("bce", LABELS, CHANCES, by={"carrier": KEYS}, stats=STATS, cluster=np.arange(ROWS) // 100)


@pytest.fixture(scope="module")
def comparison():
    return sl.compare("bce", LABELS, {"old": CHANCES, "new": CHANCES / 2 + np.float32(0.25)}, by={"carrier": KEYS})


def test_a_report_has_one_script_of_json_and_asks_for_nothing(result):
    text = result.to_html()
    page = Page(text)
    assert [of["type"] for of in page.all("script")] == ["application/json"]
    assert json.loads(page.texts["script"][0]) == json.loads(result.to_json())
    assert not re.search(r"https?://|\b(src|href)=|@import|url\(", text)
    assert len(text) < 300_000


def test_texts_are_no_markup_and_hold_no_control_characters(result):
    text = result.to_html()
    page = Page(text)
    assert not [name for name, _ in page.tags if name == "b" and "bold" in name]
    assert "&lt;b&gt;bold&lt;/b&gt;" in text
    assert "<b>bold" not in text
    assert "\x1b" not in text
    assert "\N{REPLACEMENT CHARACTER}[31mred" in text


def test_a_report_names_what_the_result_says(result):
    loss, page = result["bce"], result.to_html()
    low, high = loss.interval()
    for expected in (
        shown(loss.mean, 7),
        f"{shown(low, 5)} to {shown(high, 5)}",
        "95 % interval, 40 clusters",
        "4,000",
    ):
        assert f">{expected}<" in page
    for row in loss.groups:
        assert f"{shown(row['low'], 4)} to {shown(row['high'], 4)}" in page
    for row in loss.worst:
        assert f">{shown(row['loss'])}<" in page


def test_intervals_and_ticks_have_one_scale(result):
    text = result.to_html()
    ticks = re.findall(r'style="left: ([0-9.]+)%">([^<]+)</span>', text.partition("</thead>")[0])
    (x0, t0), (x1, t1) = ((float(x), float(label)) for x, label in (ticks[0], ticks[-1]))
    drawn = re.findall(r'<line class="interval" x1="([0-9.]+)" y1="20.0" x2="([0-9.]+)"', text)
    groups = sorted(result["bce"].groups, key=lambda of: -of["share"])
    assert len(drawn) == len(groups)
    for (left, right), of in zip(drawn, groups, strict=True):
        for place, value in ((left, of["low"]), (right, of["high"])):
            expected = x0 + (value - t0) / (t1 - t0) * (x1 - x0)
            assert float(place) / 10 == pytest.approx(expected, abs=0.1)


def test_a_comparison_draws_a_line_for_each_model_and_group(comparison):
    text = comparison.to_html()
    assert text.count('class="interval"') == 2 + 5
    (row,) = [of for of in comparison.table if of["model"] == "new"]
    assert f"{shown(row['low'], 4)} to {shown(row['high'], 4)}" in text
    assert f"new is better than old on {row['better']:,} rows" in text


def test_groups_without_end_stay_in_the_size_of_a_mail():
    keys = {"key": np.arange(ROWS)}
    text = sl.evaluate("bce", LABELS, CHANCES, by=keys, stats=["stderr", "histogram", "worst=2000"]).to_html()
    assert len(text) < 300_000
    assert "40 of 4,000 groups." in text
    assert json.loads(Page(text).texts["script"][0])["cut"]


def test_one_row_and_losses_that_are_no_numbers():
    assert "<svg" in sl.evaluate("mse", [1.0], [2.0], stats=STATS[:4]).to_html()
    with np.errstate(all="ignore"):
        found = sl.evaluate("mse", [1.0, 2.0], [np.inf, np.nan], nan_policy="propagate", stats=STATS[:4])
    page = found.to_html()
    assert ">NaN<" in page
    assert not re.search(r'(x|y|x1|width|height|points)="[^"]*(nan|inf)', page)


@pytest.mark.parametrize("reduction", ["sum", "mean_with_sample_weight", "sum_over_batch_size"])
def test_a_weighted_loss_shows_the_weighted_mean_and_what_was_asked_for(reduction):
    weights = RNG.random(ROWS).astype("f4")
    loss = sl.evaluate("mse", CHANCES, LABELS, weights, reduction=reduction)["mse"]
    page = html_of({"schema": "streamloss.result/2", "rows": ROWS, "losses": {"mse": loss.to_dict()}})
    assert f"<b>{shown(loss.weighted_mean, 7)}</b><span>weighted mean</span>" in page
    assert f"<b>{shown(loss.value, 7)}</b><span>{reduction}</span>" in page


def test_classes_and_kept_axes():
    scores, labels = RNG.random((60, 5, 3)).astype("f4"), RNG.integers(0, 3, (60, 5))
    found = sl.evaluate(sl.losses.SparseCategoricalCrossentropy(from_logits=True), labels, scores, keep=1,
                        stats=["confusion"])  # fmt: skip
    page = found.to_html()
    assert "Loss along" in page
    assert "Confusion: labels by row" in page
    assert page.count("color-mix(in srgb") == 9


def test_what_is_no_result_is_refused():
    for document in ({}, [], None, {"schema": "streamloss.result/9"}, {"schema": ["streamloss.result/2"]}):
        with pytest.raises(SourceError, match="expected 'streamloss"):
            html_of(document, "r.json")


@pytest.mark.soak
def test_documents_that_were_edited_are_refused_or_shown(result, comparison):
    for found in (result, comparison):
        document = json.loads(found.to_json())
        for rng in cases(400, seed=1):
            edited = copy.deepcopy(document)
            at, key = edited, None
            while True:
                options = list(at) if isinstance(at, dict) else range(len(at)) if isinstance(at, list) else []
                if not options or (key is not None and rng.random() < 0.2):
                    break
                parent, key = at, rng.choice(options)
                at = parent[key]
            if rng.random() < 0.3:
                del parent[key]
            else:
                parent[key] = [None, "x", [], {}, -1, 1e400, [[1]], True, 10**400][rng.randrange(9)]
            try:
                page = html_of(edited, "r.json")
            except SourceError as error:
                assert "r.json" in str(error)  # noqa: PT017
            else:
                assert page.startswith("<!doctype html>")


def test_a_report_replaces_a_report_and_nothing_else(result, tmp_path):
    path = tmp_path / "new" / "report.html"
    assert result.to_html(path) == path.read_text() == result.to_html(path)
    other = tmp_path / "index.html"
    other.write_text("mine")
    with pytest.raises(OutputExistsError, match=r"index\.html' exists and is no report"):
        result.to_html(other)
    assert other.read_text() == "mine"
    with pytest.raises(UsageError, match=r"expected a name such as report\.html"):
        result.to_html(tmp_path / "report.pdf")
    (tmp_path / "folder.html").mkdir()
    with pytest.raises(OutputExistsError):
        result.to_html(tmp_path / "folder.html")
    (tmp_path / "file").touch()
    with pytest.raises(UnwritableOutputError, match="cannot be written"):
        result.to_html(tmp_path / "file" / "r.html")


@pytest.mark.parametrize("ends", [(0, 1), (0.693, 0.6931), (-3e5, 2e7), (1e-9, 3e-9), (5, 5), (0, 0), (-1e308, 1e308)])
def test_ticks_are_round_and_in_the_scale(ends):
    scale = Scale.over(ends)
    ticks = scale.ticks()
    assert 2 <= len(ticks) <= 6
    assert all(scale.low <= tick <= scale.high for tick in ticks)
    assert all(
        len(f"{tick:.12g}".replace("-", "").replace(".", "").strip("0").partition("e")[0]) <= 6 for tick in ticks
    )


def test_the_json_of_a_loss_has_the_interval_of_its_clusters(result):
    loss = result["bce"]
    found = loss.to_dict()
    assert (found["stderr"], (found["low"], found["high"]), found["clusters"]) == (loss.stderr, loss.interval(), 40)
    assert found["stderr"] != found["statistics"]["stderr_of_mean"]  # of independent rows
    assert list(result.to_pandas().loc["binary_crossentropy", ["stderr", "clusters"]]) == [loss.stderr, 40]
    assert "stderr" not in sl.evaluate("bce", LABELS, CHANCES)["bce"].to_dict()
