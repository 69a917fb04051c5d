"""The documentation's code runs as it stands and prints what the pages say; pages that repeat code are up to date."""

import ast
import importlib.util
import os
import re
import sys
import tomllib
from pathlib import Path

import pytest
import yaml

from page_setups import SETUPS
from processes import environment
from run_page import FENCE, blocks_of, comparable, run_blocks

ROOT = Path(__file__).parents[2]
PAGES = sorted(str(page.relative_to(ROOT)) for page in [ROOT / "README.md", *(ROOT / "docs").rglob("*.md")])
ON_A_GPU = {"docs/gpu.md"}
"""Pages whose code needs a GPU."""


@pytest.fixture
def place(tmp_path, monkeypatch):
    """An empty folder, with the command on the path."""
    command = tmp_path / "bin" / "streamloss"
    command.parent.mkdir()
    command.write_text(f"#!{sys.executable}\nfrom streamloss.cli import main; main()")
    command.chmod(0o755)
    monkeypatch.setenv("PATH", f"{command.parent}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.setenv("PYTHONPATH", environment(ROOT)["PYTHONPATH"])
    (tmp_path / "page").mkdir()
    monkeypatch.chdir(tmp_path / "page")
    for name, value in {"KERAS_BACKEND": "jax", "JAX_ENABLE_X64": "1", "JAX_PLATFORMS": "cpu"}.items():
        os.environ.setdefault(name, value)  # as for the tests beside Keras, which may be in this process


def missing_imports(text):
    """Return the packages that the Python blocks of a page import, and that are not installed."""
    imported = set()
    for _, block in blocks_of(text):
        if block.language == "python" and not block.title:
            for node in ast.walk(ast.parse(block.code)):
                names = [a.name for a in node.names] if isinstance(node, ast.Import) else []
                names += [node.module] if isinstance(node, ast.ImportFrom) else []
                imported |= {name.partition(".")[0] for name in names}
    return sorted(name for name in imported if importlib.util.find_spec(name) is None)


@pytest.mark.parametrize("page", [page for page in PAGES if any(blocks_of((ROOT / page).read_text()))])
def test_the_code_of_a_page_runs_and_prints_what_it_says(page, place):
    if page in ON_A_GPU:
        pytest.skip("needs a GPU")
    text = (ROOT / page).read_text()
    if missing := missing_imports(text):
        pytest.skip(f"{', '.join(missing)} not installed")
    names = SETUPS.get(page, dict)()
    for _, block in run_blocks(text, {"__name__": "__page__", **names}):
        if block.expected is not None:
            written = f"write it anew in an empty folder: python tests/support/run_page.py {page} FOLDER"
            assert comparable(block.printed) == comparable(block.expected), written


def test_the_runner_sees_what_a_page_gets_wrong(place):
    page = "```python\nprint({})\n```\n\n```text\n4\n```\n"
    for code, right in (("2 + 2", True), ("2 + 3", False)):
        ((_, block),) = run_blocks(page.format(code))
        assert (comparable(block.printed) == comparable(block.expected)) is right
    with pytest.raises(NameError):
        run_blocks("```python\nnot_defined\n```\n")
    with pytest.raises(AssertionError, match="exit code 2"):
        run_blocks("```sh\nstreamloss evaluate --loss mse\n```\n")
    run_blocks("```sh\nstreamloss evaluate --loss mse    # exits with 2\n```\n")
    with pytest.raises(Exception, match="--no-such-flag"):
        run_blocks("```sh\nstreamloss evaluate --no-such-flag tcp://HOST:1\n```\n")


@pytest.mark.parametrize("page", PAGES)
def test_fences_of_a_page_are_closed_and_named(page):
    """A fence that is indented, or not closed, would not be run."""
    text = (ROOT / page).read_text()
    fences = re.findall(r"^```", text, re.MULTILINE)
    assert len(fences) == sum(2 + 2 * (match["output"] is not None) for match in FENCE.finditer(text))


def test_configurations_and_extras_on_pages_are_ours():
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    for page in PAGES:
        text = (ROOT / page).read_text()
        for named in re.findall(r"streamloss\[([\w,]+)\]", text):
            assert set(named.split(",")) <= set(extras), f"{page} names the extra {named}"
        for _, block in blocks_of(text):
            if block.language == "yaml" and "--8<--" not in block.code:
                yaml.safe_load(block.code)
        for target in re.findall(r"^make (\w+)", text, re.MULTILINE):
            assert re.search(rf"^{target}:", (ROOT / "Makefile").read_text(), re.MULTILINE), f"{page}: make {target}"


@pytest.fixture(scope="module")
def generated():
    where = ROOT / "docs" / "_generate" / "pages.py"
    spec = importlib.util.spec_from_file_location("pages", where)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.PAGES


@pytest.mark.parametrize("name", ["losses.md", "configuration.md", "command-line.md", "errors.md"])
def test_pages_that_repeat_the_code_are_up_to_date(name, generated):
    page = (ROOT / "docs" / "reference" / name).read_text()
    assert page == generated[name](), "write it anew: python docs/_generate/pages.py"


def test_all_pages_are_in_the_navigation():
    """A page that is not would be built, but found by nobody."""
    navigation = (ROOT / "mkdocs.yml").read_text()
    for page in PAGES:
        if page.startswith("docs/"):
            assert page.removeprefix("docs/") in navigation
