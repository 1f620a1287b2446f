"""What a tenant keeps, what workers have spent for it, and which limit keeps a job waiting."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"


def upgrade() -> None:
    op.create_table(
        "uploads",
        sa.Column("tenant", sa.String(128), primary_key=True),
        sa.Column("sha256", sa.String(64), primary_key=True),
        sa.Column("size", sa.BigInteger, nullable=False),
    )
    op.create_table(
        "device_seconds",
        sa.Column("tenant", sa.String(128), primary_key=True),
        sa.Column("day", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("seconds", sa.Double, nullable=False),
    )
    op.add_column("jobs", sa.Column("held", sa.String(64), nullable=True))
    for table in ("models", "datasets", "jobs"):
        size = sa.Column("size", sa.BigInteger, nullable=False, server_default=sa.text("0"))
        op.add_column(table, size)
