"""Losses have the same bits on every kind of processor: whatever vectors it has, and with or without fma.

Compiling for other processors takes minutes: CI does it, and everybody with ``TEST_PROCESSORS=1``.
"""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from every_kernel import digests
from streamloss.formulas._registry import declarations

SCRIPT = Path(__file__).parents[1] / "support" / "every_kernel.py"
KINDS = ("generic", "x86-64-v3")
"""Names of LLVM: without vectors of more than two float64, and without fma; and with AVX2, as most servers have it."""


@pytest.mark.skipif(os.uname().machine != "x86_64", reason="names of x86 processors")
@pytest.mark.skipif("TEST_PROCESSORS" not in os.environ, reason="takes minutes; CI sets TEST_PROCESSORS=1")
@pytest.mark.parametrize("name", [declaration.name for declaration in declarations()])
def test_bits_are_those_of_any_processor(name):
    for share, kind in enumerate(KINDS):  # each compiles an eighth of the kernels: all take ten minutes
        environment = os.environ | {"NUMBA_CPU_NAME": kind, "NUMBA_CPU_FEATURES": ""}
        done = subprocess.run(
            [sys.executable, SCRIPT, name, str(share)], env=environment, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stderr
        found = json.loads(done.stdout)
        assert found == digests(name, share), kind
