"""The processors that a process may use: in a container as many as its cgroup's quota is worth."""

import os

import pytest

from streamloss.core import machine


@pytest.mark.parametrize(
    ("files", "expected"),
    [
        ({}, 8),
        ({"cpu.max": "max 100000\n"}, 8),
        ({"cpu.max": "200000 100000\n"}, 2),
        ({"cpu.max": "150000 100000\n"}, 2),
        ({"cpu.max": "10000 100000\n"}, 1),
        ({"cpu.max": "9900000 100000\n"}, 8),
        ({"cpu.max": "nonsense"}, 8),
        ({"cpu/cpu.cfs_quota_us": "300000\n", "cpu/cpu.cfs_period_us": "100000\n"}, 3),
        ({"cpu/cpu.cfs_quota_us": "-1\n", "cpu/cpu.cfs_period_us": "100000\n"}, 8),
        ({"own": "0::/jobs/7\n", "jobs/7/cpu.max": "max 100000\n", "jobs/cpu.max": "400000 100000\n"}, 4),
        ({"own": "0::/jobs/7\n", "jobs/7/cpu.max": "200000 100000\n", "jobs/cpu.max": "400000 100000\n"}, 2),
        ({"own": "0::/../elsewhere\n", "jobs/cpu.max": "400000 100000\n"}, 8),
        (
            {
                "own": "3:cpuset:/\n2:cpu,cpuacct:/jobs\n",
                "cpu,cpuacct/jobs/cpu.cfs_quota_us": "250000\n",
                "cpu,cpuacct/jobs/cpu.cfs_period_us": "100000\n",
            },
            3,
        ),
    ],
)
def test_processors_of_a_cgroup(files, expected, tmp_path, monkeypatch):
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    monkeypatch.setattr(machine, "CGROUPS", tmp_path)
    monkeypatch.setattr(machine, "OWN_CGROUPS", tmp_path / "own")
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(8)), raising=False)
    assert machine.available_cpus() == expected
