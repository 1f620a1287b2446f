"""Threads of all workers beside the cores there are."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from mho.config import Settings, cores
from mho.doctor.check import Check, Finding
from mho.runtime.provider import threads

_GROUP_QUOTA = Path("/sys/fs/cgroup/cpu.max")


class Cores(Check):
    name = "cores"
    remedy = "lower threads or workers"

    def findings(self, settings: Settings) -> Iterator[Finding]:
        if settings.workers < 1:
            yield self.warning(
                f"workers is {settings.workers}: this server runs no job",
                "set workers to 1 or more",
            )
            return
        there, each = _share(), threads(settings)
        found = f"{settings.workers} × {each} threads on {there:g} cores"
        if settings.workers * each > there:
            yield self.warning(f"{found}, where they wait for one another", self.remedy)
        else:
            yield self.ok(found)


def _share() -> float:
    """Cores that this process may use; a quota of its control group may give it a part of one."""
    found = float(cores())
    try:
        quota, period = _GROUP_QUOTA.read_text(encoding="ascii").split()
        return found if quota == "max" else min(found, int(quota) / int(period))
    except (OSError, ValueError):
        return found
