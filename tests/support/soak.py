"""Random tests: in the suite with fixed seeds, and in ``make soak`` with fresh ones, many more of them."""

import os
import random
import secrets

FACTOR = int(os.environ.get("STREAMLOSS_SOAK", "0"))
"""How many times as many cases as the suite has; 0 in the suite."""


def cases(number, seed):
    """Yield a random generator for each case; a failure shows its seed as the last local variable of the test."""
    for case in range(number * max(1, FACTOR)):
        yield random.Random(secrets.randbits(64) if FACTOR else seed * 1_000_003 + case)
