"""What keeps a tenant's jobs waiting although workers are free: limits that delay and refuse
nothing."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from mho.jobs import schema
from mho.jobs.job import JobState
from mho.jobs.quotas import end_of, today
from mho.tenants import Quota

_jobs = schema.jobs
_seconds = schema.device_seconds


@dataclass(frozen=True)
class Hold:
    """key: the same for as long as there is nothing new to say. message: for users."""

    key: str
    message: str


def held(connection: Connection, tenant: str, quota: Quota) -> Hold | None:
    """Why no further job of the tenant may start now; None where one may."""
    if quota.running_jobs:
        running = connection.scalar(
            sa.select(sa.func.count())
            .select_from(_jobs)
            .where(_jobs.c.tenant == tenant, _jobs.c.state == JobState.RUNNING.value)
        )
        if int(running or 0) >= quota.running_jobs:
            return Hold(
                "running_jobs",
                f"waits: {running} jobs of tenant '{tenant}' run, as many as may "
                f"(tenants/{tenant}/running_jobs)",
            )
    return overspent(connection, tenant, quota)


def overspent(connection: Connection, tenant: str, quota: Quota) -> Hold | None:
    """Why the tenant may have no worker today any more; None where it may."""
    limit, day = quota.device_seconds_per_day, today()
    if not limit:
        return None
    spent = connection.scalar(
        sa.select(_seconds.c.seconds).where(_seconds.c.tenant == tenant, _seconds.c.day == day)
    )
    if spent is None or spent < limit:
        return None
    frees = datetime.fromtimestamp(end_of(day), UTC)
    return Hold(
        f"device_seconds {day}",
        f"waits until {frees:%Y-%m-%d %H:%M} UTC: workers have spent {spent:.0f} s for tenant "
        f"'{tenant}' today, and {limit:g} may be (tenants/{tenant}/device_seconds_per_day)",
    )
