"""Settings that all tests share."""

import os

import pytest
from hypothesis import HealthCheck, Phase, settings

from streamloss.losses._registry import declarations

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


def pytest_collection_modifyitems(config, items):
    """All tests of a loss, whichever file they stand in, run in one process, which compiles its kernels once;
    tests that name no loss stay together by file.
    """
    if not config.pluginmanager.hasplugin("xdist"):
        return
    names = sorted((declaration.name for declaration in declarations()), key=len, reverse=True)
    for item in items:
        if item.get_closest_marker("xdist_group") is not None:
            continue
        loss = next((name for name in names if name in item.name), None)
        item.add_marker(pytest.mark.xdist_group(loss or item.nodeid.partition("::")[0]))


@pytest.fixture(autouse=True)
def a_process_of_its_own(monkeypatch):
    """The command line counts all memory of its process as its own; in tests most of it is other tests' kernels."""
    for module in ("cli.commands", "planning"):
        monkeypatch.setattr(f"streamloss.{module}.resident_bytes", lambda: 200 << 20)
