"""Wakes the calls that watch a job, without a thread or a timer for each of them."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress


class Watchers:
    """``subscribe(callback)`` is the facade's; its callback comes from any thread."""

    def __init__(
        self, subscribe: Callable[[Callable[[str, str], None]], Callable[[], None]]
    ) -> None:
        self._bells: dict[tuple[str, str], set[asyncio.Event]] = {}
        self._loop = asyncio.get_running_loop()
        self._unsubscribe = subscribe(self._happened)
        self.closed = False

    @contextmanager
    def listening(self, tenant: str, job: str) -> Iterator[asyncio.Event]:
        """A bell that rings at every event of the job from now on, and when watching ends."""
        bell = asyncio.Event()
        bells = self._bells.setdefault((tenant, job), set())
        bells.add(bell)
        try:
            yield bell
        finally:
            bells.discard(bell)
            if not bells and self._bells.get((tenant, job)) is bells:
                del self._bells[tenant, job]

    def close(self) -> None:
        """End all watching: ``closed`` is set and every bell rings a last time."""
        self.closed = True
        self._unsubscribe()
        for bells in self._bells.values():
            for bell in bells:
                bell.set()

    def _happened(self, tenant: str, job: str) -> None:
        with suppress(RuntimeError):  # the loop ended between the event and this line
            self._loop.call_soon_threadsafe(self._ring, tenant, job)

    def _ring(self, tenant: str, job: str) -> None:
        for bell in self._bells.get((tenant, job), ()):
            bell.set()
