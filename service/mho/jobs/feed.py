"""Tells waiting threads and subscribers that a job has a new event."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

_log = logging.getLogger("mho.jobs.feed")


class Feed:
    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._waiting: dict[str, list[threading.Event]] = {}
        self._callbacks: dict[object, Callable[[str, str], None]] = {}
        self._closed = False

    def publish(self, tenant: str, job: str) -> None:
        """Wake those who wait for the job, and call every subscriber in this thread."""
        with self._lock:
            bells = list(self._waiting.get(job, ()))
            callbacks = list(self._callbacks.values())
        for bell in bells:
            bell.set()
        for callback in callbacks:
            try:
                callback(tenant, job)
            except Exception:  # noqa: BLE001  # it is logged; other subscribers come next
                _log.exception("a subscriber failed", extra={"job": job, "tenant": tenant})

    @contextmanager
    def listening(self, job: str) -> Iterator[threading.Event]:
        """A bell that rings at every event of ``job`` from now on, and at once after ``close``."""
        bell = threading.Event()
        with self._lock:
            self._waiting.setdefault(job, []).append(bell)
            if self._closed:
                bell.set()
        try:
            yield bell
        finally:
            with self._lock:
                self._waiting[job].remove(bell)
                if not self._waiting[job]:
                    del self._waiting[job]

    def subscribe(self, callback: Callable[[str, str], None]) -> Callable[[], None]:
        """Call ``callback(tenant, job)`` at every event, until what is returned is called."""
        key = object()
        with self._lock:
            self._callbacks[key] = callback

        def unsubscribe() -> None:
            with self._lock:
                self._callbacks.pop(key, None)

        return unsubscribe

    @property
    def closed(self) -> bool:
        return self._closed

    def close(self) -> None:
        """Wake everybody; nobody waits any more."""
        with self._lock:
            self._closed = True
            bells = [bell for waiting in self._waiting.values() for bell in waiting]
        for bell in bells:
            bell.set()
