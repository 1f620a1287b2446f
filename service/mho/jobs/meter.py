"""Counts the seconds that workers spend for each tenant."""

from __future__ import annotations

import threading
from collections import defaultdict

from mho.jobs import quotas
from mho.jobs.database import Database


class Meter:
    """What is counted is on disk after the next ``flush``, whatever comes of the job."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._lock = threading.Lock()
        self._counted: dict[tuple[str, int], float] = defaultdict(float)

    def count(self, tenant: str, seconds: float) -> None:
        with self._lock:
            self._counted[tenant, quotas.today()] += seconds

    def flush(self) -> None:
        """Write down what has been counted; it is kept for the next time where that fails."""
        with self._lock:
            if not self._counted:
                return
            with self._database.writing(alone="device seconds") as connection:
                for (tenant, day), seconds in sorted(self._counted.items()):
                    quotas.spend(connection, tenant, seconds, day)
            self._counted.clear()
