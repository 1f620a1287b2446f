"""Shares the processor among the tenants whose calls are being computed.

Of several runs that are under way, so many go on as there are slots, and the others are held: their
processes are stopped by the kernel, wherever they are, and go on later as if nothing had happened.
Who goes on is decided by virtual time, as in a fair scheduler: the run of the tenant that has had
least. A tenant that comes back after a pause gets a small credit, so that its call starts at once.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

QUANTUM = 0.02
"""Seconds after which it is decided anew."""
_CREDIT = 0.2
"""Seconds of computing by which a tenant that was idle goes before those that were not."""


@dataclass(eq=False)
class _Run:
    """hold: stops the process (True) or lets it go on (False)."""

    tenant: str
    hold: Callable[[bool], None]
    held: bool = False


class Turns:
    """``slots``: how many runs compute at the same time."""

    def __init__(self, slots: int) -> None:
        self._slots = max(1, slots)
        self._runs: list[_Run] = []
        self._had: dict[str, float] = {}
        """Virtual time of each tenant: seconds it computed, and what it was moved up by."""
        self._floor = 0.0
        self._since = time.monotonic()
        self._changed = threading.Condition()
        self._closed = False
        self._clock = threading.Thread(target=self._tick, name="turns", daemon=True)
        self._clock.start()

    @contextmanager
    def turn(self, tenant: str, hold: Callable[[bool], None]) -> Iterator[None]:
        """The block is a run of the tenant's; it may be held at any time, and is not at its end."""
        run = _Run(tenant, hold)
        with self._changed:
            self._account()
            self._had[tenant] = max(self._had.get(tenant, 0.0), self._floor - _CREDIT)
            self._runs.append(run)
            self._arrange()
            self._changed.notify_all()
        try:
            yield
        finally:
            with self._changed:
                self._account()
                self._runs.remove(run)
                if run.held:
                    run.hold(False)
                self._arrange()

    def close(self) -> None:
        """Hold nothing any more."""
        with self._changed:
            self._closed = True
            self._arrange()
            self._changed.notify_all()
        self._clock.join()

    def _tick(self) -> None:
        with self._changed:
            while not self._closed:
                crowded = len(self._runs) > self._slots
                self._changed.wait(QUANTUM if crowded else None)
                self._account()
                self._arrange()

    def _account(self) -> None:
        """Charge the time since the last decision to those who computed."""
        now = time.monotonic()
        passed, self._since = now - self._since, now
        for run in self._runs:
            if not run.held:
                self._had[run.tenant] += passed
        if self._runs:
            self._floor = max(self._floor, min(self._had[run.tenant] for run in self._runs))
        # whoever is further behind than the credit comes back as if new
        least = self._floor - _CREDIT
        active = {run.tenant for run in self._runs}
        self._had = {t: had for t, had in self._had.items() if t in active or had > least}

    def _arrange(self) -> None:
        """Let go on who has had least, and hold the others."""
        order = sorted(self._runs, key=lambda run: self._had[run.tenant])
        for place, run in enumerate(order):
            held = place >= self._slots and not self._closed
            if held != run.held:
                run.held = held
                run.hold(held)
