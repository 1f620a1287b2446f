"""The servers on one database, which of them runs a job, and which directory belongs to it."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    op.create_table(
        "servers",
        sa.Column("id", sa.String(64), primary_key=True),
        sa.Column("name", sa.Text, nullable=False),
        sa.Column("expires", sa.Double, nullable=False),
    )
    op.create_table("directory", sa.Column("id", sa.String(64), primary_key=True))
    op.add_column("jobs", sa.Column("owner", sa.String(64), nullable=True))
