"""What the settings allow processes to take, beside the memory there is."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from mho.config import Settings
from mho.doctor.check import Check, Finding

_MIB = 1024 * 1024
_GROUPS = Path("/sys/fs/cgroup")


class Memory(Check):
    name = "memory"
    remedy = "lower memory_bytes, serving_memory_bytes or the number of workers, or add memory"

    def findings(self, settings: Settings) -> Iterator[Finding]:
        if os.name != "posix":
            yield self.ok("how much this machine has is not looked at on this operating system")
            return
        there = memory_there()
        jobs = settings.workers * settings.memory_bytes
        calls = settings.serving_workers * settings.serving_memory_bytes
        found = (
            f"{there / _MIB:,.0f} MiB on this machine or in its control group; budgets of "
            f"{jobs / _MIB:,.0f} MiB for jobs, {calls / _MIB:,.0f} MiB for synchronous calls"
        )
        if settings.memory_bytes > there:
            yield self.failed(f"{found}: one job may take more than there is", self.remedy)
        elif jobs + calls > there:
            yield self.warning(f"{found}, together more than there is", self.remedy)
        else:
            yield self.ok(found)


def memory_there() -> int:
    """Bytes that this machine has, or that the control groups of this process leave it."""
    found = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    limits = [_GROUPS / "memory" / "memory.limit_in_bytes"]  # version 1, seen from a container
    with suppress(OSError):
        for line in Path("/proc/self/cgroup").read_text(encoding="utf-8").splitlines():
            number, _, group = line.split(":", 2)
            if number == "0":
                at = _GROUPS / group.lstrip("/")
                limits += [folder / "memory.max" for folder in (at, *at.parents)]
    for file in limits:
        with suppress(OSError, ValueError):  # "max" where there is no limit
            found = min(found, int(file.read_text(encoding="ascii")))
    return found
