"""Memory of the server's processes while it works, and whether it grows."""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass, field

import numpy as np
import psutil

from cluster import Server

EVERY_SECONDS = 1.0


@dataclass
class Samples:
    """Resident bytes of one process, at seconds since the sampling began."""

    what: str
    seconds: list[float] = field(default_factory=list)
    resident: list[int] = field(default_factory=list)

    def slope(self, warm_up: float) -> float:
        """MB (10⁶ bytes) a minute by least squares, without the first ``warm_up`` seconds; NaN for
        a process that did not live a minute of the rest."""
        times, sizes = np.array(self.seconds), np.array(self.resident) / 1e6
        counted = times >= warm_up
        if counted.sum() < 2 or np.ptp(times[counted]) < 60:
            return float("nan")
        return float(np.polyfit(times[counted] / 60, sizes[counted], 1)[0])


class Sampler(threading.Thread):
    """Samples the control process of ``server`` and all of its workers until ``stop``."""

    def __init__(self, server: Server) -> None:
        super().__init__(name="memory", daemon=True)
        self._server = server
        self._stopping = threading.Event()
        self.found: dict[int, Samples] = {}

    def run(self) -> None:
        began = time.monotonic()
        while not self._stopping.wait(EVERY_SECONDS):
            self.sample(time.monotonic() - began)

    def sample(self, now: float = 0.0) -> None:
        control = psutil.Process(self._server.pid)
        for process in (control, *self._server.workers()):
            what = "control process" if process == control else f"worker {process.pid}"
            try:
                resident = process.memory_info().rss
            except psutil.Error:
                continue
            samples = self.found.setdefault(process.pid, Samples(what))
            samples.seconds.append(now)
            samples.resident.append(resident)

    def stop(self) -> list[Samples]:
        self._stopping.set()
        self.join()
        return list(self.found.values())
