"""What servers that share a database tell one another: that a job has a new event.

PostgreSQL carries the notices (NOTIFY), each with the commit of its event.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from mho.errors import MhoError
from mho.jobs.database import Database
from mho.jobs.job import JobState

_CHANNEL = "mho"
_LOOK_SECONDS = 0.5
_PAUSE_SECONDS = 1.0

_log = logging.getLogger("mho.jobs.notices")


@dataclass(frozen=True)
class Notice:
    """The job has a new event and is now in ``state``."""

    tenant: str
    job: str
    state: JobState


def announce(connection: Connection, notice: Notice) -> None:
    """Tell the other servers, at the end of the transaction; nobody where there can be none."""
    if connection.dialect.name == "postgresql":
        server = connection.get_execution_options()["mho_server"]
        words = f"{server} {notice.tenant} {notice.job} {notice.state}"
        connection.execute(sa.select(sa.func.pg_notify(_CHANNEL, words)))


class Notices:
    """Hears what other servers announce.

    heard: called with each of their notices. missed: called with a number of seconds when notices
    of that time may have been lost, and once at the beginning.
    """

    def __init__(
        self,
        database: Database,
        heard: Callable[[Notice], None],
        missed: Callable[[float], None],
    ) -> None:
        self._database = database
        self._heard = heard
        self._missed = missed
        self._closing = threading.Event()
        self._last = time.monotonic()
        self._thread = threading.Thread(target=self._serve, name="notices", daemon=True)

    def start(self) -> None:
        """Listen from now on, where other servers share the database."""
        if self._database.shared:
            self._thread.start()

    def close(self) -> None:
        self._closing.set()
        if self._thread.is_alive():
            self._thread.join()

    def _serve(self) -> None:
        while not self._closing.is_set():
            try:
                with self._database.listening(_CHANNEL) as connection:
                    self._missed(time.monotonic() - self._last)
                    self._listen(connection)
            except (MhoError, sa.exc.SQLAlchemyError) as error:
                _log.warning("other servers are not heard at the moment: %s", error)
            except Exception:  # noqa: BLE001  # whatever it is, it may pass
                _log.exception("other servers are not heard at the moment")
            self._closing.wait(_PAUSE_SECONDS)

    def _listen(self, connection: Any) -> None:
        while not self._closing.is_set():
            for notification in connection.notifies(timeout=_LOOK_SECONDS):
                server, tenant, job, state = notification.payload.split(" ")
                if server != self._database.server:
                    self._heard(Notice(tenant, job, JobState(state)))
                if self._closing.is_set():
                    return
            self._last = time.monotonic()
