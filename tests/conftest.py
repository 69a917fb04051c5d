"""Settings that all tests share."""

import gc
import os

import pytest
from hypothesis import HealthCheck, Phase, settings

from streamloss.losses._registry import declarations

collect_ignore_glob = ["cuda_*.py"]  # scripts for processes of their own; collecting doctests would run them

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


def pytest_addoption(parser):
    parser.addoption(
        "--part",
        metavar="I/N",
        help="Only the I-th of N parts, from 0. Compiled code is never freed: all tests in one process for each "
        "core would take 30 GB, and Python's garbage collector would walk through it again and again.",
    )


def pytest_collection_modifyitems(config, items):
    """All tests of a loss, whichever file they stand in, run in one process, which compiles its kernels once;
    tests that name no loss stay together by file.
    """
    names = sorted((declaration.name for declaration in declarations()), key=len, reverse=True)
    groups = {}
    for item in items:
        marker = item.get_closest_marker("xdist_group")
        loss = next((name for name in names if name in item.name), None)
        group = marker.kwargs.get("name", *marker.args[:1]) if marker else loss or item.nodeid.partition("::")[0]
        groups.setdefault(group, []).append(item)
        if marker is None and config.pluginmanager.hasplugin("xdist"):
            item.add_marker(pytest.mark.xdist_group(group))
    by_size = sorted(groups, key=lambda group: (not group.startswith("cuda"), -len(groups[group]), group))
    items[:] = [item for group in by_size for item in groups[group]]  # what takes long begins first
    if part := config.getoption("--part"):
        index, count = map(int, part.split("/"))
        chosen = {group for position, group in enumerate(by_size) if position % count == index}
        left_out = {item for group in by_size if group not in chosen for item in groups[group]}
        config.hook.pytest_deselected(items=[item for item in items if item in left_out])
        items[:] = [item for item in items if item not in left_out]


@pytest.fixture(autouse=True)
def out_of_the_collectors_way():
    """Compiled kernels stay; Python's garbage collector need not walk through them in every test that follows."""
    yield
    gc.collect()  # only what this test left: the rest is frozen
    gc.freeze()


@pytest.fixture(autouse=True)
def a_process_of_its_own(monkeypatch):
    """The command line counts all memory of its process as its own; in tests most of it is other tests' kernels."""
    for module in ("cli.commands", "planning"):
        monkeypatch.setattr(f"streamloss.{module}.resident_bytes", lambda: 200 << 20)
