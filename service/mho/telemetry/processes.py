"""The worker processes of this server, watched from outside: how many, their memory, their time."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass

import psutil

from mho.telemetry import figures, metrics

ROLES = ("job", "inspection", "serving")


@dataclass
class _Watched:
    role: str
    process: psutil.Process
    cpu: float = 0.0
    sessions: float = 0.0


_lock = threading.Lock()
_watched: dict[int, _Watched] = {}


def started(pid: int, role: str) -> None:
    """Count a worker that was started, and watch it."""
    metrics.STARTS.labels(role).inc()
    with suppress(psutil.Error), _lock:
        _watched[pid] = _Watched(role, psutil.Process(pid))


def ending(pid: int) -> None:
    """Take its last figures; before it is waited for, while they can be had."""
    with _lock:
        found = _watched.pop(pid, None)
        if found is not None:
            _measure(found)


def died(role: str, reason: str) -> None:
    """Count a worker that ended when it should not have."""
    metrics.DEATHS.labels(role, reason[:40]).inc()


def heard(pid: int, told: Mapping[str, float]) -> None:
    """Take up what a worker told, once ``figures.checked`` has seen it."""
    for name, value in told.items():
        if name.startswith(figures.EVALUATIONS):
            metrics.EVALUATIONS.labels(name.removeprefix(figures.EVALUATIONS)).inc(value)
        elif name.startswith(figures.STANDARD_ERROR):
            statistic = name.removeprefix(figures.STANDARD_ERROR)
            metrics.STANDARD_ERROR.labels(statistic).set(value)
        elif name == figures.SESSION_HITS:
            metrics.SESSION_HITS.inc(value)
        elif name == figures.SESSION_MISSES:
            metrics.SESSION_MISSES.inc(value)
        elif name == figures.SESSIONS:
            with _lock:
                if pid in _watched:
                    _watched[pid].sessions = value


def _measure(watched: _Watched) -> int:
    """Add the processor time that is new; the resident bytes, 0 for a process that is no more."""
    try:
        with watched.process.oneshot():
            times = watched.process.cpu_times()
            memory = int(watched.process.memory_info().rss)
    except psutil.Error:
        return 0
    spent = times.user + times.system
    metrics.WORKER_CPU.labels(watched.role).inc(max(0.0, spent - watched.cpu))
    watched.cpu = spent
    return memory


def _read() -> None:
    with _lock:
        memory = dict.fromkeys(ROLES, 0)
        alive = dict.fromkeys(ROLES, 0)
        for watched in _watched.values():
            memory[watched.role] += _measure(watched)
            alive[watched.role] += 1
        sessions = sum(watched.sessions for watched in _watched.values())
    for role in ROLES:
        metrics.WORKERS.labels(role).set(alive[role])
        metrics.WORKER_MEMORY.labels(role).set(memory[role])
    metrics.SESSIONS.set(sessions)


metrics.at_scrape(_read)
