"""The thread that gives this server's signs of life and looks after what others have left."""

from __future__ import annotations

import logging
import threading

from mho.jobs.leases import Leases
from mho.jobs.supervisor import Supervisor

_log = logging.getLogger("mho.jobs.keeper")


class Keeper:
    """seconds: the length of a lease; a third of it passes between two signs of life."""

    def __init__(self, leases: Leases, supervisor: Supervisor, seconds: float) -> None:
        self._leases = leases
        self._supervisor = supervisor
        self._pause = seconds / 3
        self._closing = threading.Event()
        self._thread = threading.Thread(target=self._serve, name="keeper", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def close(self) -> None:
        self._closing.set()
        if self._thread.is_alive():
            self._thread.join()

    def _serve(self) -> None:
        while not self._closing.wait(self._pause):
            try:
                if self._leases.shared and not self._leases.renew():
                    _log.warning("this server was taken for dead; others have its jobs now")
                self._supervisor.verify()
                found = self._leases.take_over() if self._leases.shared else 0
            except Exception as error:  # noqa: BLE001
                # The lease runs out meanwhile, which is right: others may reach the database.
                _log.error("no sign of life could be given: %s", error)
                continue
            if found:
                _log.info("%d jobs of a server that is gone are taken over", found)
                self._supervisor.wake()
