"""The version of the package; :file:`pyproject.toml` reads it here."""

__version__ = "0.1.0"
