"""Which servers live, and what becomes of the jobs of those that do not.

A server holds its jobs as long as it gives signs of life, by the database's clock. Once it has
given none for the length of a lease, any other may take its jobs over. If it was not dead after
all, it finds that out with its next sign of life or report: its attempts are not the current ones
any more. A server that has its database for itself holds its jobs until the next one starts.
"""

from __future__ import annotations

import os
import socket
from collections.abc import Callable

import sqlalchemy as sa

from mho.jobs import accounting, schema
from mho.jobs.database import Database
from mho.jobs.job import JobState
from mho.jobs.rows import job_of, put_back

_jobs = schema.jobs
_servers = schema.servers


class Leases:
    """seconds: the length of a lease. ``on_event(tenant, job)``: see ``JobQueue``."""

    def __init__(
        self, database: Database, seconds: float, on_event: Callable[[str, str], None]
    ) -> None:
        self._database = database
        self._seconds = seconds
        self._on_event = on_event

    @property
    def shared(self) -> bool:
        """Whether there can be other servers."""
        return self._database.shared

    def renew(self) -> bool:
        """Give a sign of life; False where this server was not, or no longer, taken for alive."""
        expires = self._database.now() + self._seconds
        mine = _servers.c.id == self._database.server
        with self._database.writing() as connection:
            renewed = connection.execute(_servers.update().where(mine).values(expires=expires))
            if renewed.rowcount:
                return True
            name = f"{socket.gethostname()} {os.getpid()}"
            connection.execute(
                _servers.insert().values(id=self._database.server, name=name, expires=expires)
            )
        return False

    def leave(self) -> None:
        """This server ends; what it may still hold is for the others."""
        with self._database.writing() as connection:
            connection.execute(_servers.delete().where(_servers.c.id == self._database.server))

    def take_over(self) -> int:
        """Put the running jobs of servers that are no more back into the queue; how many."""
        dead = _servers.c.id != self._database.server
        if self._database.shared:
            dead &= _servers.c.expires <= self._database.now()
        told = []
        with self._database.writing("servers") as connection:
            connection.execute(_servers.delete().where(dead))
            living = sa.select(_servers.c.id)
            rows = connection.execute(
                sa.select(_jobs)
                .where(
                    _jobs.c.state == JobState.RUNNING.value,
                    _jobs.c.owner.is_(None) | _jobs.c.owner.not_in(living),
                )
                .order_by(_jobs.c.position)
            ).all()
            for row in rows:
                job = job_of(row)
                message = "its server is gone; the job goes on where it was"
                change = put_back(connection, job, message)
                if change is not None:
                    told.append((job, change.state))
        for job, state in told:
            if state.final:
                accounting.ended(job, state)
            self._on_event(job.tenant, job.id)
        return len(told)

    def living(self) -> set[str]:
        """The ids of all servers on the database, this one among them."""
        with self._database.reading() as connection:
            return set(connection.scalars(sa.select(_servers.c.id)))
