"""The thread that gives this server's signs of life and looks after what others have left."""

from __future__ import annotations

import logging

from mho.jobs.leases import Leases
from mho.jobs.regularly import Regularly
from mho.jobs.supervisor import Supervisor

_log = logging.getLogger("mho.jobs.keeper")


class Keeper(Regularly):
    """seconds: the length of a lease; a third of it passes between two signs of life."""

    def __init__(self, leases: Leases, supervisor: Supervisor, seconds: float) -> None:
        super().__init__("keeper", seconds / 3, self._keep)
        self._leases = leases
        self._supervisor = supervisor

    def _keep(self) -> None:
        try:
            if self._leases.shared and not self._leases.renew():
                _log.warning("this server was taken for dead; others have its jobs now")
            self._supervisor.verify()
            found = self._leases.take_over() if self._leases.shared else 0
        except Exception as error:  # noqa: BLE001
            # The lease runs out meanwhile, which is right: others may reach the database.
            _log.error("no sign of life could be given: %s", error)
            return
        if found:
            _log.info("%d jobs of a server that is gone are taken over", found)
            self._supervisor.wake()
