"""``python -m streamloss``."""

from .cli import main

main()
