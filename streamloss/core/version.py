"""The version of the package, which :file:`pyproject.toml` reads from here."""

__version__ = "0.1.0"
