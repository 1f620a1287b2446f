"""What a tenant may keep. Each check is part of the transaction that adds what it admits.

Whoever adds something opens that transaction ``alone`` with ``alone(tenant)``, so that two calls
cannot both find room for one.
"""

from __future__ import annotations

import time
from collections.abc import Callable

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from mho.errors import QuotaExceeded, Unavailable
from mho.jobs import schema
from mho.jobs.job import JobState
from mho.tenants import Quota, Tenants

_RETRY_SECONDS = 5.0
_DAY = 86_400

_jobs = schema.jobs
_seconds = schema.device_seconds


def alone(tenant: str) -> str:
    """For ``Database.writing``: one at a time among those that add to what the tenant keeps."""
    return f"kept by {tenant}"


class Quotas:
    """tenants: those there are now. most_queued: jobs that may wait, of all tenants together."""

    def __init__(self, tenants: Callable[[], Tenants], *, most_queued: int) -> None:
        self._tenants = tenants
        self._most_queued = most_queued

    def of(self, tenant: str) -> Quota:
        return self._tenants()[tenant].quota

    def weight(self, tenant: str) -> float:
        return self._tenants()[tenant].weight

    def check_bytes(self, connection: Connection, tenant: str, more: int) -> None:
        """QuotaExceeded where the tenant may not keep ``more`` bytes beside what it keeps."""
        limit = self.of(tenant).bytes
        if not limit:
            return
        used = bytes_kept(connection, tenant)
        if used + more > limit:
            raise QuotaExceeded(
                f"tenant '{tenant}' keeps {used} bytes and may keep {limit}, so there is no room "
                f"for {more} more; delete jobs, datasets or models (what was uploaded for them "
                "goes within the hour), or ask the server's operator for more",
                subject=f"tenants/{tenant}/bytes",
            )

    def check_job(self, connection: Connection, tenant: str) -> None:
        """QuotaExceeded where the tenant may have no further job, Unavailable where nobody may."""
        quota = self.of(tenant)
        mine = _jobs.c.tenant == tenant
        waiting = _jobs.c.state == JobState.QUEUED.value
        kept = _count(connection, mine) if quota.jobs else 0
        if quota.jobs and kept >= quota.jobs:
            raise QuotaExceeded(
                f"tenant '{tenant}' keeps {kept} jobs and may keep {quota.jobs}; delete jobs that "
                "have ended, or ask the server's operator for more",
                subject=f"tenants/{tenant}/jobs",
            )
        queued = _count(connection, sa.and_(mine, waiting)) if quota.queued_jobs else 0
        if quota.queued_jobs and queued >= quota.queued_jobs:
            raise QuotaExceeded(
                f"{queued} jobs of tenant '{tenant}' wait for a worker, and {quota.queued_jobs} "
                "may; submit again when some have run, or cancel some",
                subject=f"tenants/{tenant}/queued_jobs",
                retry_seconds=_RETRY_SECONDS,
            )
        if self._most_queued and _count(connection, waiting) >= self._most_queued:
            raise Unavailable(
                f"{self._most_queued} jobs wait for a worker, as many as this server lets wait "
                "(setting max_queued_jobs); submit again later",
                subject="queue",
                retry_seconds=_RETRY_SECONDS,
            )


def bytes_kept(connection: Connection, tenant: str) -> int:
    """Blobs and uploads, models, datasets, files of jobs and results of the tenant, in bytes."""
    tables = (schema.blobs, schema.uploads, schema.models, schema.datasets, schema.jobs)
    sums = [
        sa.select(sa.func.coalesce(sa.func.sum(table.c.size), 0))
        .where(table.c.tenant == tenant)
        .scalar_subquery()
        for table in tables
    ]
    return int(sum(connection.execute(sa.select(*sums)).one()))


def spend(connection: Connection, tenant: str, seconds: float, day: int) -> None:
    """Add to what workers have spent for the tenant on ``day``."""
    mine = sa.and_(_seconds.c.tenant == tenant, _seconds.c.day == day)
    added = connection.execute(
        _seconds.update().where(mine).values(seconds=_seconds.c.seconds + seconds)
    )
    if not added.rowcount:
        connection.execute(_seconds.insert().values(tenant=tenant, day=day, seconds=seconds))


def spent(connection: Connection, day: int) -> dict[str, float]:
    """Tenant -> seconds that workers have spent for it on ``day``."""
    rows = connection.execute(
        sa.select(_seconds.c.tenant, _seconds.c.seconds).where(_seconds.c.day == day)
    )
    return {row.tenant: row.seconds for row in rows}


def today() -> int:
    """The day, counted from the epoch in UTC."""
    return int(time.time() // _DAY)


def end_of(day: int) -> float:
    """When the day ends, in seconds since the epoch."""
    return float((day + 1) * _DAY)


def _count(connection: Connection, where: sa.ColumnElement[bool]) -> int:
    return int(connection.scalar(sa.select(sa.func.count()).select_from(_jobs).where(where)) or 0)
