"""Importing every public file of this folder, so that a new file is a new family with nothing to register."""

import importlib
import pkgutil
from functools import cache
from pathlib import Path


@cache
def load() -> None:
    """Import the families, which declare their losses."""
    for module in pkgutil.iter_modules([str(Path(__file__).parent)]):
        if not module.name.startswith("_"):
            importlib.import_module(f"{__package__}.{module.name}")
