"""When a job is due, by its priority, and when it must have ended."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    op.add_column("jobs", sa.Column("due", sa.Double, nullable=False, server_default=sa.text("0")))
    op.execute("UPDATE jobs SET due = created")
    op.add_column("jobs", sa.Column("deadline", sa.Double, nullable=True))
    op.create_index("jobs_by_deadline", "jobs", ["deadline"])
    op.drop_index("jobs_by_state", "jobs")
    op.create_index("jobs_by_state", "jobs", ["state", "tenant", "due", "position"])
