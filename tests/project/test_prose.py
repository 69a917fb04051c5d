"""Docstrings begin with a verb or a noun phrase: no fragments whose head a reader has to guess."""

import ast
import re
from pathlib import Path

import pytest

import streamloss

PACKAGE = Path(streamloss.__file__).parent
FRAGMENT = re.compile(r"(Of|What|That|Which|Why|How|Who|Where)\b")
HELP = {"cli/__init__.py"}  # docstrings of commands are the texts of --help


def docstrings(tree):
    """Line and text of all docstrings of a module, those of attributes and constants among them."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef):
            for statement in node.body:
                constant = isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Constant)
                if constant and isinstance(statement.value.value, str):
                    yield statement.lineno, statement.value.value.strip()


@pytest.mark.parametrize("path", sorted(PACKAGE.rglob("*.py")), ids=lambda path: str(path.relative_to(PACKAGE)))
def test_docstrings_are_no_fragments(path):
    if str(path.relative_to(PACKAGE)) in HELP:
        return
    found = [(line, text) for line, text in docstrings(ast.parse(path.read_text())) if FRAGMENT.match(text)]
    assert not found, "begin with a verb, or with the noun that the rest describes"
