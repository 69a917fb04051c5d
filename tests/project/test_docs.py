"""The documentation is true: examples run, versions agree, what README names exists."""

import doctest
import re
from pathlib import Path

import pytest
import yaml
from click.testing import CliRunner

import streamloss as sl
from streamloss.cli import cli
from streamloss.formulas._registry import declarations

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize("declaration", declarations(), ids=lambda d: d.name)
def test_examples_of_losses_run(declaration):
    examples = doctest.DocTestParser().get_doctest(declaration.doc, {}, declaration.name, None, None)
    assert examples.examples, "a loss shows an example"
    results = doctest.DocTestRunner(optionflags=doctest.NORMALIZE_WHITESPACE).run(examples)
    assert results.failed == 0


@pytest.mark.parametrize("declaration", declarations(), ids=lambda d: d.name)
def test_losses_name_their_source(declaration):
    assert "Source:" in declaration.doc


def test_the_table_of_losses_is_up_to_date():
    done = CliRunner().invoke(cli, ["losses", "--markdown"])
    page = (ROOT / "docs" / "losses.md").read_text()
    assert page == done.output, "write it anew: streamloss losses --markdown > docs/losses.md"


def test_changelog_is_of_this_version():
    versions = re.findall(r"^## (\S+)", (ROOT / "CHANGELOG.md").read_text(), re.MULTILINE)
    assert versions[0] == sl.__version__


def test_the_readme_is_short():
    assert len((ROOT / "README.md").read_text().splitlines()) <= 150


def test_the_citation_is_of_this_version():
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text())
    assert citation["version"] == sl.__version__
    assert {"cff-version", "title", "message", "authors", "license", "type"} <= citation.keys()


def test_the_container_copies_what_is_there():
    """It cannot be built everywhere; what its steps name is there, and it installs an extra of ours."""
    steps = re.findall(r"^([A-Z]+) (.*)$", (ROOT / "Containerfile").read_text(), re.MULTILINE)
    assert steps[0][0] == "FROM"
    assert steps[-1][0] == "CMD"
    for name, words in steps:
        for source in words.split()[:-1] if name == "COPY" else ():
            assert (ROOT / source).exists(), f"COPY {source}"
    run = " ".join(words for name, words in steps if name in ("RUN", "CMD"))
    assert "[demo]" in run
    for script in re.findall(r"examples/\w+\.py", run):
        assert (ROOT / script).exists()


def test_links_in_the_documents_lead_somewhere():
    for document in [*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md")]:
        for target in re.findall(r"\]\((?!https?:)([^)#]+)", document.read_text()):
            assert (document.parent / target).exists(), f"{document.name} links to {target}"


def anchors(document):
    """Return the anchors of the headings of a page, as the site and code hosts make them."""
    text = re.sub(r"^```.*?^```", "", document.read_text(), flags=re.MULTILINE | re.DOTALL)
    headings = re.findall(r"^#+ (.*)$", text, re.MULTILINE)
    return {re.sub(r"[\s-]+", "-", re.sub(r"[^\w\s-]", "", heading).strip().lower()) for heading in headings}


def test_links_to_headings_lead_to_one():
    found = 0
    for document in [*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md")]:
        for target, anchor in re.findall(r"\]\((?!https?:)([^)#]*)#([^)]+)\)", document.read_text()):
            found += 1
            page = document.parent / target if target else document
            assert anchor in anchors(page), f"{document.name} links to {target}#{anchor}"
    assert found > 10


def test_files_that_the_documents_name_exist():
    """Paths of the form `streamloss/...`, in backticks."""
    named = 0
    for document in [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *ROOT.glob("docs/**/*.md")]:
        for path in re.findall(r"`((?:streamloss|tests|bench|examples|configs)/[\w./-]*)`", document.read_text()):
            named += 1
            assert (ROOT / path).exists(), f"{document.name} names {path}"
            assert (ROOT / path).is_dir() == path.endswith("/"), f"{document.name} names {path}: folders end with /"
    assert named > 20


def test_each_promise_of_reliability_names_a_test_that_is_there():
    page = (ROOT / "docs" / "explanation" / "reliability.md").read_text()
    rows = [line for line in page.splitlines() if line.startswith("| ") and not line.startswith("| promise")]
    named = re.findall(r"`(tests/\S+\.py)::(test_\w+)`", page)
    assert len(rows) == len(named) > 20
    for file, test in named:
        assert f"def {test}(" in (ROOT / file).read_text(), f"{file} has no {test}"
