"""The kernel cache: what is found is right, whoever made it and whatever happened to its file."""

import contextlib
import json
import os
import random
import subprocess
import sys

import numpy as np
import pytest

from other_process import COMPILED, FOUND, MSE, environment, run
from streamloss.core import cache_folder, kernel_cache, machine_code
from streamloss.core.loop import loop

FORMULA = """
import numpy as np
from streamloss.core.jit import scalar
from streamloss.formulas._kinds import Elementwise
from streamloss.formulas._registry import declare

@scalar
def helper(x):
    return x * {factor}

def make(inner):
    def term(y, p):
        return helper((y - p) * inner) * (y - p)
    return term

declare("notebook_loss", "NotebookLoss", formula=Elementwise(make({inner})), peer="a notebook", doc="A loss.")
"""
CALL = """
import json, sys
import streamloss as sl
from streamloss.core.kernel_cache import counts
value = sl.losses.NotebookLoss()(np.zeros(3, np.float32), np.array([1, 2, 4], np.float32))
print(json.dumps([float(value), counts.compiled > 0, "numba" in sys.modules]))
"""


@pytest.fixture(scope="module")
def filled(tmp_path_factory):
    """A cache with the kernel of MSE."""
    folder = tmp_path_factory.mktemp("filled") / "cache"
    assert run(MSE, folder) == COMPILED
    return folder


@pytest.fixture
def copy(filled, tmp_path):
    """A copy of it, to be damaged."""
    folder = tmp_path / "cache"
    folder.mkdir(mode=0o700)
    for path in kernels(filled):
        (folder / path.name).write_bytes(path.read_bytes())
        (folder / path.name).chmod(0o600)
    return folder


@pytest.fixture
def own_cache(tmp_path, monkeypatch):
    """A cache of this process that is empty."""
    monkeypatch.delenv(cache_folder.SWITCH, raising=False)
    monkeypatch.setenv(cache_folder.PLACE, str(tmp_path / "cache"))
    cache_folder.folder.cache_clear()
    yield tmp_path / "cache"
    cache_folder.folder.cache_clear()


def kernels(folder):
    return sorted(folder.glob("*.kernel"))


def test_a_second_process_needs_no_compiler(filled):
    assert run(MSE, filled) == FOUND


def test_formulas_of_one_name_have_each_its_own_value(tmp_path):
    """From processes of their own, as from a notebook that is edited: a changed helper, a changed cell of a closure.
    They are then loaded together in one process.
    """
    folder = tmp_path / "cache"
    texts = [FORMULA.format(factor=f, inner=i) for f, i in ((2.0, 1.0), (3.0, 1.0), (2.0, 5.0))]
    values = [14.0, 21.0, 70.0]
    for text, value in zip(texts, values, strict=True):
        assert run(text + CALL, folder) == [value, True, True]
        assert run(text + CALL, folder) == [value, False, False]
    together = """
import json, sys
import streamloss as sl, numpy as np
from streamloss.api import loss
from streamloss.core.kernel_cache import counts
from streamloss.formulas import _registry
values = []
for text in json.loads(sys.stdin.read()):
    exec(text, {"__name__": "__main__"})
    values.append(float(sl.losses.NotebookLoss()(np.zeros(3, np.float32), np.array([1, 2, 4], np.float32))))
    for name in ("notebook_loss", "NotebookLoss"):
        del _registry._DECLARATIONS[name]
    loss.loss_class.cache_clear()
print(json.dumps([values, counts.compiled]))
"""
    done = subprocess.run(
        [sys.executable, "-c", together], input=json.dumps(texts), env=environment(folder), capture_output=True,
        text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == [values, 0]


def test_sixteen_processes_that_start_at_once_agree(tmp_path):
    folder = tmp_path / "cache"
    commands = [[sys.executable, "-c", MSE]] * 16
    started = [subprocess.Popen(c, stdout=subprocess.PIPE, env=environment(folder)) for c in commands]
    found = [json.loads(process.communicate()[0]) for process in started]
    assert {value for value, *_ in found} == {7.0}
    assert {path.name for path in folder.iterdir() if path.suffix != ".kernel"} == {"streamloss-uses"}, (
        "nothing of the writers"
    )
    assert run(MSE, folder) == FOUND


@pytest.mark.parametrize("damage", ["empty", "cut", "flipped", "swapped", "garbage", "huge"])
def test_damaged_files_are_made_again(copy, damage):
    whole = {path: path.read_bytes() for path in kernels(copy)}
    others = list(whole.values())
    for i, (path, data) in enumerate(whole.items()):
        half = len(data) // 2
        changed = {
            "empty": b"",
            "cut": data[:-1],
            "flipped": data[:half] + bytes([data[half] ^ 1]) + data[half + 1 :],
            "swapped": others[i - 1],
            "garbage": os.urandom(len(data)),
            "huge": data + bytes(1 << 20),
        }
        path.write_bytes(changed[damage])
    assert run(MSE, copy) == COMPILED
    assert run(MSE, copy) == FOUND
    assert {path.name for path in kernels(copy)} == {path.name for path in whole}


def test_two_hundred_mutations_give_the_right_value(own_cache):
    """The loop is a small one, which is compiled in a tenth of a second."""

    def total(values):
        found = np.int64(0)
        for i in range(values.size):
            found += values[i] * 3
        return found

    values, rng = np.arange(100), random.Random(13)
    assert loop(total)(values) == 3 * 4950
    (path,) = kernels(own_cache)
    whole, compiled = path.read_bytes(), kernel_cache.counts.compiled
    for _ in range(200):
        data = bytearray(whole)
        kind = rng.choice(["flip", "cut", "zero", "move", "remove"])
        start = rng.randrange(len(data))
        stop = min(len(data), start + rng.randrange(1, 100))
        if kind == "flip":
            data[start] ^= 1 << rng.randrange(8)
        elif kind == "cut":
            del data[start:]
        elif kind == "zero":
            data[start:stop] = bytes(stop - start)
        elif kind == "move":
            data[start:stop] = reversed(data[start:stop])
        else:
            del data[start:stop]
        path.write_bytes(data)
        assert loop(total)(values) == 3 * 4950
        assert path.read_bytes()[: len(kernel_cache.kernel_file._FORMAT)] == kernel_cache.kernel_file._FORMAT
    assert kernel_cache.counts.compiled - compiled > 150, "damage was met"


def test_machine_code_of_a_changed_file_is_never_loaded(own_cache, monkeypatch):
    @loop
    def one(values):
        return np.int64(1)

    assert one(np.zeros(1)) == 1
    (path,) = kernels(own_cache)
    data = bytearray(path.read_bytes())
    data[-1] ^= 1
    path.write_bytes(data)
    key = path.stem
    assert kernel_cache.find(key) is None
    assert not path.exists()


def test_a_name_that_is_bound_anew_does_not_change_what_is_kept(own_cache):
    """A kernel is found, a cell of a notebook changes a constant, and another dtype has to be compiled."""
    source = "def total(values):\n    return FACTOR * values.size\n"

    def notebook():
        namespace = {"FACTOR": np.int64(1), "__name__": "made"}
        exec(source, namespace)
        return loop(namespace["total"]), namespace

    assert notebook()[0](np.zeros(3)) == 3
    total, namespace = notebook()
    assert total(np.zeros(3)) == 3, "found"
    namespace["FACTOR"] = np.int64(100)
    assert total(np.zeros(3, np.float32)) == 3, "compiled"
    assert notebook()[0](np.zeros(3, np.float32)) == 3, "found"


@pytest.mark.parametrize("where", ["0", "/dev/null/cache"])
def test_without_a_folder_there_is_no_cache(where, tmp_path):
    variables = {"STREAMLOSS_CACHE": "0"} if where == "0" else {}
    folder = tmp_path / "cache" if where == "0" else where
    assert run(MSE, folder, **variables) == COMPILED
    assert not (tmp_path / "cache").exists()


def test_kernels_are_compiled_where_numba_compiles_nothing_else(tmp_path):
    """The variable is there to debug functions of others."""
    assert run(MSE, tmp_path / "cache", NUMBA_DISABLE_JIT="1") == COMPILED
    assert run(MSE, tmp_path / "cache", NUMBA_DISABLE_JIT="1") == FOUND


def test_without_a_home_there_is_no_cache():
    assert run(MSE, "", HOME="/dev/null", XDG_CACHE_HOME="") == COMPILED


def test_a_full_disk_is_no_error(tmp_path):
    limit = "import resource; resource.setrlimit(resource.RLIMIT_FSIZE, (100, 100))\n"
    assert run(limit + MSE, tmp_path / "cache") == COMPILED
    assert kernels(tmp_path / "cache") == []


def test_spawned_processes_find_the_cache(filled):
    code = """
import json, multiprocessing, sys
import numpy as np

def evaluate(_):
    import streamloss as sl
    value = float(sl.losses.MeanSquaredError()(np.zeros(3, np.float32), np.array([1, 2, 4], np.float32)))
    return value, "numba" in sys.modules

if __name__ == "__main__":
    with multiprocessing.get_context("spawn").Pool(2) as pool:
        print(json.dumps(pool.map(evaluate, range(2))))
"""
    script = filled.parent / "script.py"
    script.write_text(code)
    done = subprocess.run(
        [sys.executable, script], env=environment(filled), capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == [[7.0, False]] * 2


def test_workers_of_a_cluster_find_the_cache(filled):
    """Processes that Dask starts; their kernels come from the folder that they inherit."""
    code = """
import json, sys
import numpy as np
import streamloss as sl

if __name__ == "__main__":
    from distributed import Client, LocalCluster

    np.save(sys.argv[1], np.zeros(3, np.float32))
    np.save(sys.argv[2], np.array([1, 2, 4], np.float32))
    with LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=None) as cluster, Client(cluster) as client:
        result = sl.evaluate("mse", *sys.argv[1:3], executor="dask", scheduler=client)
        loaded = client.run(lambda: ["numba" in sys.modules, "streamloss.kernels.cpu" in sys.modules])
    print(json.dumps([result["mean_squared_error"].mean, sorted(loaded.values())]))
"""
    script, arrays = filled.parent / "cluster.py", [filled.parent / "a.npy", filled.parent / "b.npy"]
    script.write_text(code)
    given = {"env": environment(filled), "capture_output": True, "text": True}
    done = subprocess.run([sys.executable, script, *arrays], check=False, **given)
    assert done.returncode == 0, done.stderr
    mean, loaded = json.loads(done.stdout)
    assert mean == 7.0
    assert [False, True] in loaded, "a worker has evaluated"
    assert not any(numba for numba, _ in loaded)


@pytest.fixture
def forget_facts():
    forget()
    yield
    forget()


def forget():
    kernel_cache._facts.cache_clear()
    kernel_cache._settings.cache_clear()


@pytest.mark.parametrize(
    ("variable", "value"),
    [
        ("NUMBA_CPU_NAME", "x86-64"),
        ("NUMBA_CPU_FEATURES", ""),
        ("NUMBA_ENABLE_AVX", "0"),
        ("NUMBA_OPT", "1"),
        ("NUMBA_LOOP_VECTORIZE", "0"),
        ("NUMBA_BOUNDSCHECK", "1"),
    ],
)
def test_another_setting_of_the_compiler_finds_nothing(variable, value, monkeypatch, forget_facts):
    before = kernel_cache.key_of("function")
    monkeypatch.setenv(variable, value)
    forget()
    assert kernel_cache.key_of("function") != before


def test_a_setting_that_changes_no_code_finds_the_same(monkeypatch, forget_facts):
    before = kernel_cache.key_of("function")
    monkeypatch.setenv("NUMBA_NUM_THREADS", "1")
    forget()
    assert kernel_cache.key_of("function") == before


@pytest.mark.parametrize("fact", ["name", "feature", "streamloss", "numba", "llvmlite", "numpy"])
def test_another_machine_or_version_finds_nothing(fact, monkeypatch, forget_facts):
    before = kernel_cache.key_of("function")
    name, features = machine_code.processor()
    changed = {
        "name": ("processor", lambda: ("another", features)),
        "feature": ("processor", lambda: (name, features + ",+another")),
        "streamloss": ("__version__", "999"),
        "numba": ("_numba_version", lambda: "999"),
    }
    if fact in changed:
        monkeypatch.setattr(kernel_cache, *changed[fact])
    else:
        monkeypatch.setattr(getattr(kernel_cache, {"numpy": "np"}.get(fact, fact)), "__version__", "999")
    forget()
    assert kernel_cache.key_of("function") != before


@pytest.mark.parametrize("of", ["file", "variable"])
def test_what_numba_compiled_with_settings_that_are_in_no_key_is_not_kept(of, own_cache, tmp_path, monkeypatch):
    from numba import config

    def total(values):
        return np.int64(values.size)

    kernel_cache.key_of("the settings of before")
    with monkeypatch.context() as changed:
        if of == "file":
            pytest.importorskip("yaml")
            (tmp_path / ".numba_config.yaml").write_text("cpu_name: generic\nloop_vectorize: 0\n")
            changed.chdir(tmp_path)
        else:
            changed.setenv("NUMBA_LOOP_VECTORIZE", "0")
        assert loop(total)(np.zeros(3)) == 3
        assert not kernels(own_cache)
    config.reload_config()
    assert loop(total)(np.zeros(3)) == 3
    assert len(kernels(own_cache)) == 1


def test_a_cache_of_another_processor_is_a_miss(filled):
    assert run(MSE, filled, NUMBA_CPU_NAME="x86-64-v2", NUMBA_CPU_FEATURES="") == COMPILED
    assert run(MSE, filled) == FOUND


def test_a_function_whose_content_is_unknown_is_compiled_in_each_process(own_cache):
    class Unknown:
        def __call__(self):
            raise AssertionError

    unknown = Unknown()

    @loop
    def total(values):
        if values.size < 0:
            unknown()
        return np.int64(values.size)

    with pytest.raises(Exception, match="Untyped global name 'unknown'"):  # as Numba says
        total(np.zeros(3))
    assert not kernels(own_cache)


def test_the_time_of_compiling_is_that_in_which_any_thread_compiled(monkeypatch):
    counts, now = kernel_cache.Counts(), [0.0]
    monkeypatch.setattr("time.perf_counter", lambda: now[0])
    with counts.while_compiling():
        now[0] = 1.0
        with counts.while_compiling():  # of another thread
            now[0] = 3.0
    now[0] = 10.0
    with contextlib.suppress(ValueError), counts.while_compiling():
        now[0] = 10.5
        raise ValueError
    assert (counts.seconds, counts.compiled, counts.compiling) == (3.5, 3, 0)
