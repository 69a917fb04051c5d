"""Digests of functions: equal in every process for equal content, and different for everything else."""

import threading
from concurrent.futures import ThreadPoolExecutor
from types import FunctionType

import pytest

from other_process import run
from streamloss.core import jit
from streamloss.core.digest import Digestible, UnknownContentError, digest_of


def defined(source):
    """Return the function f of a source."""
    namespace = {"__name__": "made"}
    exec(source, namespace)
    assert isinstance(namespace["f"], FunctionType)
    return namespace["f"]


EQUAL = [
    "def f(x):\n    return x + 1.0\n",
    "\n\n# moved\ndef f(x):\n    return x + 1.0  # and commented\n",
    "UNUSED = 3\ndef f(x):\n    return x + 1.0\n",
    "def f(x: float) -> float:\n    return x + 1.0\n",
]
DIFFERENT = [
    "def f(x):\n    return x + 2.0\n",
    "def f(x):\n    return x - 1.0\n",
    "def f(x):\n    return x + 1\n",
    "def f(x):\n    return x + True\n",
    "def f(x):\n    return x + 0.0\n",
    "def f(x):\n    return x + -0.0\n",
    "def f(x):\n    return x + 1j\n",
    "def f(x):\n    return 1.0 + x\n",
    "def f(y):\n    return y + 1.0\n",
    "def f(x, y=1.0):\n    return x + y\n",
    "def f(x, y=2.0):\n    return x + y\n",
    "def f(x, y=0.0):\n    return x + y\n",
    "def f(x, y=-0.0):\n    return x + y\n",
    "def f(x, y='ab'):\n    return x + y\n",
    "def f(x, y=b'ab'):\n    return x + y\n",
    "C = 1.0\ndef f(x):\n    return x + C\n",
    "C = 2.0\ndef f(x):\n    return x + C\n",
    "D = 1.0\ndef f(x):\n    return x + D\n",
    "C = (1.0, 2.0)\ndef f(x):\n    return x + C[0]\n",
    "C = ((1.0,), 2.0)\ndef f(x):\n    return x + C[0]\n",
    "import numpy as np\nC = np.float32(1.0)\ndef f(x):\n    return x + C\n",
    "import numpy as np\nC = np.float64(1.0)\ndef f(x):\n    return x + C\n",
    "import numpy as np\nC = np.dtype('i4')\ndef f(x):\n    return C\n",
    "import numpy as np\nC = np.dtype('>i4')\ndef f(x):\n    return C\n",
    "def g(x):\n    return x\ndef f(x):\n    return x + g(x)\n",
    "def g(x):\n    return -x\ndef f(x):\n    return x + g(x)\n",
    "def h(x):\n    return -x\ndef g(x):\n    return h(x)\ndef f(x):\n    return x + g(x)\n",
    "def h(x):\n    return +x\ndef g(x):\n    return h(x)\ndef f(x):\n    return x + g(x)\n",
    "def h(c):\n    def f(x):\n        return x + c\n    return f\nf = h(1.0)\n",
    "def h(c):\n    def f(x):\n        return x + c\n    return f\nf = h(2.0)\n",
    "def h(c, d):\n    def f(x):\n        return x + c - d\n    return f\nf = h(1.0, 2.0)\n",
    "def h(c, d):\n    def f(x):\n        return x + c - d\n    return f\nf = h(2.0, 1.0)\n",
    "def f(n):\n    return 1 if n == 0 else n * f(n - 1)\n",
    "def g(n):\n    return 0\ndef f(n):\n    return 1 if n == 0 else n * g(n - 1)\n",
    "import math\ndef f(x):\n    return math.sqrt(x)\n",
    "import math\ndef f(x):\n    return math.floor(x)\n",
    "from math import sqrt\ndef f(x):\n    return sqrt(x)\n",
    "from math import floor as sqrt\ndef f(x):\n    return sqrt(x)\n",
    "from numpy import sqrt\ndef f(x):\n    return sqrt(x)\n",
    "def f(x):\n    return max(x, 1.0)\n",
    "def f(x):\n    return min(x, 1.0)\n",
    "max = min\ndef f(x):\n    return max(x, 1.0)\n",
    "def f(x):\n    try:\n        return x + 1.0\n    finally:\n        x = 0.0\n",
    "def f(x):\n    g = lambda y: y + 1.0\n    return g(x)\n",
    "def f(x):\n    g = lambda y: y + 2.0\n    return g(x)\n",
    "from typing import NamedTuple\nclass R(NamedTuple):\n    a: int\n    b: int\ndef f(x):\n    return R(x, 1)\n",
    "from typing import NamedTuple\nclass R(NamedTuple):\n    b: int\n    a: int\ndef f(x):\n    return R(x, 1)\n",
]


def test_a_digest_is_that_of_the_content():
    equal = {digest_of(defined(source)) for source in EQUAL}
    different = {digest_of(defined(source)) for source in DIFFERENT}
    assert len(equal) == 1
    assert len(different) == len(DIFFERENT)
    assert not equal & different


def test_every_way_to_compile_is_a_function_of_its_own():
    def f(x):
        return x

    ways = jit.scalar, jit.no_alloc, jit.compile_once, jit.inline, jit.intrinsic
    assert len({way(f).digest for way in ways}) == len(ways)


def test_what_a_declared_function_calls_is_part_of_it():
    @jit.scalar
    def one(x):
        return x + 1.0

    @jit.scalar
    def two(x):
        return x + 2.0

    def calling(called):
        @jit.no_alloc
        def f(x):
            return called(x)

        return f

    assert calling(one).digest == calling(jit.scalar(one.py_func)).digest
    assert calling(one).digest != calling(two).digest
    assert calling(one).digest != calling(jit.inline(one.py_func)).digest
    assert calling(one).digest != calling(one.py_func).digest


@pytest.mark.parametrize(
    "source",
    [
        "class C:\n    value = 1.0\nC = C()\ndef f(x):\n    return x + C.value\n",
        "class C:\n    value = 1.0\ndef f(x):\n    return x + C.value\n",
        "C = [1.0]\ndef f(x):\n    return x + C[0]\n",
        "C = {1: 1.0}\ndef f(x):\n    return x + C[1]\n",
        "import numpy as np\nC = np.ones(2)\ndef f(x):\n    return x + C[0]\n",
        "import streamloss.formulas._scalar as C\ndef f(x):\n    return C.exp(x)\n",
        "import os.path as C\ndef f(x):\n    return x + C.sep\n",
        "def f(x):\n    return x + defined_later\n",
        "def f(x, *, y=1.0):\n    return x + y\n",
        "def h():\n    def f(x):\n        return x + c\n    return f\n    c = 1\nf = h()\n",
        "import numpy as np\nC = np.dtype([('a', 'i4')])\ndef f(x):\n    return C\n",
        "import numpy as np\nC = np.frompyfunc(abs, 1, 1)\ndef f(x):\n    return C(x)\n",
        "class C:\n    __module__, __qualname__ = 'numpy', 'float64'\ndef f(x):\n    return C(x)\n",
        "C = lambda x: x\nC.__kwdefaults__ = {'a': 1}\ndef f(x):\n    return C(x)\n",
    ],
)
def test_content_that_is_not_known_has_no_digest(source):
    with pytest.raises(UnknownContentError):
        digest_of(defined(source))


def test_a_function_is_compiled_as_its_digest_has_it():
    """Not as a cell of a notebook leaves its names that runs between the digest and the compiler."""
    source = "C = 1\ndef g(x):\n    return x\ndef f(x):\n    return x + C + g(x)\n"
    function = defined(source)
    function.__globals__["g"] = jit.scalar(function.__globals__["g"])
    declared = jit.scalar(function)
    before = declared.digest
    function.__globals__["C"] = 100
    function.__globals__["g"].py_func.__globals__["C"] = 100
    function.__globals__["g"] = jit.scalar(lambda x: -x)
    assert declared.digest == before
    assert declared(5) == 11
    assert jit.scalar(function).digest != before


def test_threads_that_ask_at_once_all_have_the_digest():
    """A thread that is in the middle of one is no sign of a function that calls itself."""
    both = threading.Barrier(2, timeout=60)

    class Slow(Digestible):
        @property
        def digest(self):
            both.wait()
            return "slow"

    slow = Slow()

    @jit.scalar
    def function(x):
        return slow(x)

    with ThreadPoolExecutor(2) as pool:
        first, second = pool.map(lambda _: function.digest, range(2))
    assert first == second


def test_declared_functions_that_call_each_other_have_no_digest():
    @jit.no_alloc
    def first(x):
        return second(x)

    @jit.no_alloc
    def second(x):
        return first(x)

    with pytest.raises(UnknownContentError):
        first.digest  # noqa: B018


ALL = """
import json
from streamloss.formulas._registry import LossSpec, declarations
from streamloss.aggregation.statistics import accumulation_of, known
from streamloss.kernels import cpu
from streamloss.kernels.base import KernelKey
from streamloss.kernels.build import layout_of
found = []
for declared in declarations():
    for given in declared.variants:
        formula = LossSpec.of(declared.name, given).formula
        for single in (True, False):
            for classes in (1, 10, 200, 2000):
                key = KernelKey(formula, single, layout_of(formula, classes), accumulation_of(tuple(known())))
                found.append(cpu._compiled(key).loop.function.digest)
print(json.dumps(found))
"""


def test_every_loss_has_the_same_digest_in_every_process(tmp_path):
    """Also where strings are hashed in another way, which changes the order of sets."""
    first, second = (run(ALL, tmp_path / "cache", PYTHONHASHSEED=seed) for seed in (1, 2))
    assert first == second
    assert len(set(first)) > 200
