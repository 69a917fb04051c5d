"""Settings that all tests share."""

import gc
import os
from collections import Counter

import pytest
from hypothesis import HealthCheck, Phase, settings

from left_behind import untracked
from small_blocks import small_blocks as blocks_of_single_chunks
from streamloss.formulas._registry import declarations

collect_ignore_glob = ["support/*"]  # helpers, and scripts for processes of their own: doctests would run them

# Kernels compile inside examples, so a deadline would only measure the compiler.
# The explain phase traces every Python line, which makes the compiler four times slower.
phases = [phase for phase in Phase if phase is not Phase.explain]
common = {
    "deadline": None,
    "phases": phases,
    "suppress_health_check": [HealthCheck.too_slow, HealthCheck.data_too_large],
}
settings.register_profile("dev", max_examples=20, **common)
settings.register_profile("ci", max_examples=20, derandomize=True, **common)
settings.register_profile("long", max_examples=1000, **common)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "ci" if os.environ.get("CI") else "dev"))


TOGETHER = {
    "tests/project/test_cluster_recipes.py": "tests/execution/dask/test_cluster.py"
}  # both start clusters of all processors
FIRST = (
    "tests/kernels/cuda/test_cuda.py",
    "tests/kernels/cuda/test_cuda_compiled.py",
)  # take minutes, each in a process of its own
LOSSES = sorted((declaration.name for declaration in declarations()), key=len, reverse=True)


def group_of(nodeid):
    """Return the group of a test, which one process runs. All tests of a loss, in whichever file, are a group, so that
    its kernels are compiled once; tests that name no loss are grouped by file.
    """
    path, _, name = nodeid.partition("::")
    loss = next((loss for loss in LOSSES if loss in name.rpartition("::")[2]), None)
    return path if path in FIRST else loss or TOGETHER.get(path, path)


def pytest_collection_modifyitems(items):
    """Begin with the groups that take longest."""
    size = Counter(group_of(item.nodeid) for item in items)
    items.sort(key=lambda item: (item.nodeid.partition("::")[0] not in FIRST, -size[group_of(item.nodeid)],
                                 group_of(item.nodeid)))  # fmt: skip


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config, log):
    """Schedule by `group_of`: xdist's own groups need marks, which pytest 9.2 does not let it write into names."""
    from xdist.scheduler import LoadScopeScheduling

    class ByGroup(LoadScopeScheduling):
        def _split_scope(self, nodeid):
            return group_of(nodeid)

    config.option.loadscopereorder = False
    return ByGroup(config, log)


@pytest.fixture(autouse=True)
def out_of_the_collectors_way():
    """Freeze compiled kernels, which stay: the garbage collector need not walk through them in every later test."""
    yield
    gc.collect()  # only what this test left: the rest is frozen
    gc.freeze()


@pytest.fixture(autouse=True)
def a_process_of_its_own(monkeypatch):
    """Fix the resident memory, which the command line counts as its own: in tests most is other tests' kernels."""
    for module in ("cli.commands", "planning.planner"):
        monkeypatch.setattr(f"streamloss.{module}.resident_bytes", lambda: 200 << 20)


untracked_before = pytest.StashKey()
left_in_root = pytest.StashKey()


def pytest_sessionstart(session):
    if not hasattr(session.config, "workerinput"):  # the process that starts xdist's workers looks for all of them
        session.config.stash[untracked_before] = untracked(session.config.rootpath)


def pytest_sessionfinish(session, exitstatus):
    """Let a session fail whose tests leave something in the repository's root: they have `tmp_path`."""
    stash = session.config.stash
    if untracked_before in stash:
        stash[left_in_root] = sorted(untracked(session.config.rootpath) - stash[untracked_before])
        if stash[left_in_root] and exitstatus == pytest.ExitCode.OK:
            session.exitstatus = pytest.ExitCode.TESTS_FAILED


def pytest_terminal_summary(terminalreporter, config):
    for entry in config.stash.get(left_in_root, []):
        terminalreporter.write_line(f"ERROR: the tests left {entry} in {config.rootpath}", red=True)


@pytest.fixture(scope="module")
def small_blocks():
    """Blocks of single chunks in all tests of a module: small arrays then have many blocks."""
    with blocks_of_single_chunks() as patch:
        yield patch
