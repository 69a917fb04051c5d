"""Settings that all tests share."""

import os

from hypothesis import HealthCheck, Phase, settings

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
