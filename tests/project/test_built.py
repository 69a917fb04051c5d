"""The script of `make dist`: constraints for the oldest dependencies, and the interpreters it finds."""

import subprocess
import sys
import tomllib
from pathlib import Path

import built

ROOT = Path(__file__).parents[2]


def test_every_dependency_has_an_oldest_release():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert len(built.oldest(())) == len(project["dependencies"]), "a dependency without a lower bound"
    assert "numpy==2.0\n" in built.oldest(())
    assert set(built.EXTRAS) <= set(project["optional-dependencies"])
    assert set(built.oldest(built.EXTRAS)) > set(built.oldest(()))


def test_interpreters_that_work_are_found():
    version = f"{sys.version_info.major}.{sys.version_info.minor}"
    found = built.interpreter(version)
    command = [found, "-c", "import sys; print(*sys.version_info[:2], sep='.')"]
    assert subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip() == version
    assert built.interpreter("3.99") is None
