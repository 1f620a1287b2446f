"""The trace of the call that made a job."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"


def upgrade() -> None:
    op.add_column(
        "jobs", sa.Column("trace", sa.String(64), nullable=False, server_default=sa.text("''"))
    )
