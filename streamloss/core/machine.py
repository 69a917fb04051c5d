"""The processors and the memory of the machine and the process, and memory sizes as text."""

from __future__ import annotations

import math
import os
import resource
import sys
from collections.abc import Iterator
from pathlib import Path

from ..errors import UsageError

DEFAULT_MEMORY = "1GiB"
CGROUPS, OWN_CGROUPS = Path("/sys/fs/cgroup"), Path("/proc/self/cgroup")
_UNITS = {
    "": 1,
    "b": 1,
    "kb": 10**3,
    "mb": 10**6,
    "gb": 10**9,
    "tb": 10**12,
    "kib": 2**10,
    "mib": 2**20,
    "gib": 2**30,
    "tib": 2**40,
}


def available_cpus() -> int:
    """Return the number of processors that this process may use; in a container or a cluster's job they are fewer than
    the machine's: its affinity, and the quota of its cgroup, rounded up.
    """
    bound = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    quota = _quota()
    return bound if quota is None else max(1, min(bound, math.ceil(quota)))


def _quota() -> float | None:
    """Return the processors' worth of time that the process' cgroup, and each above it, allow; None for no limit."""
    return min((limit for folder in _cgroups() if (limit := _limit(folder)) is not None), default=None)


def _cgroups() -> Iterator[Path]:
    """Yield the folders of the groups for processors: of a container the root, as it sees it; else the process' own
    group, such as a job's or a service's, and those above it.
    """
    yield from (CGROUPS, *(CGROUPS / name for name in ("cpu", "cpuacct,cpu", "cpu,cpuacct", "cpuacct")))
    try:
        lines = OWN_CGROUPS.read_text(encoding="utf-8").splitlines()
    except (OSError, ValueError):
        return
    for line in lines:  # version 2: "0::/system.slice/job"; version 1: "3:cpu,cpuacct:/job"
        controllers, _, own = line.partition(":")[2].partition(":")
        if controllers == "" or "cpu" in controllers.split(","):
            place = CGROUPS / controllers / own.lstrip("/")
            yield from (folder for folder in (place, *place.parents) if folder.is_relative_to(CGROUPS))


def _limit(folder: Path) -> float | None:
    """Return the processors' worth of time of one group; None where there is no limit."""
    try:  # version 2: "max 100000" or "150000 100000"
        quota, period = (folder / "cpu.max").read_text(encoding="ascii").split()
        return None if quota == "max" else int(quota) / int(period)
    except (OSError, ValueError, ZeroDivisionError):
        pass
    try:
        limit, each = (
            int((folder / name).read_text(encoding="ascii")) for name in ("cpu.cfs_quota_us", "cpu.cfs_period_us")
        )
    except (OSError, ValueError):
        return None
    return limit / each if limit > 0 and each > 0 else None


def resident_bytes() -> int:
    """Return the resident memory of the process in bytes; 0 where the system does not report it."""
    try:
        with open("/proc/self/statm", encoding="ascii") as statm:
            return int(statm.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    except OSError:
        return 0


def parse_memory(memory: int | str) -> int:
    """Return the bytes of a size such as 1073741824, "1GiB" or "600 MB". Raises UsageError for anything else."""
    text = str(memory).strip().lower()
    number = text.rstrip("bikmgt ")
    unit = text[len(number) :].strip()
    try:
        size = int(float(number) * _UNITS[unit])
    except (KeyError, ValueError, OverflowError):
        raise UsageError(f"memory must be bytes or a size such as '600MB' or '1GiB'; received {memory!r}.") from None
    if size <= 0:
        raise UsageError(f"memory must be positive; received {memory!r}.")
    return size


def peak_memory() -> int:
    """Return the peak resident memory of the process in bytes."""
    try:  # ru_maxrss would begin with the memory of the process that started this one
        with open("/proc/self/status", encoding="ascii") as status:
            return next(int(line.split()[1]) * 1024 for line in status if line.startswith("VmHWM:"))
    except (OSError, StopIteration):
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        return peak if sys.platform == "darwin" else peak * 1024


def mib(size: int) -> str:
    """Return a size in bytes as text in MiB."""
    return f"{size / 2**20:,.0f} MiB"


def megabytes(size: int) -> str:
    """Return a size in bytes as text in MB, to a tenth."""
    return f"{size / 1e6:,.1f} MB"
