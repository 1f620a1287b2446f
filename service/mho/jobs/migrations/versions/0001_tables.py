"""Blobs, models, data sets, jobs and their events."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None

_POSITION = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    op.create_table(
        "blobs",
        sa.Column("tenant", sa.String(128), primary_key=True),
        sa.Column("sha256", sa.String(64), primary_key=True),
        sa.Column("size", sa.BigInteger, nullable=False),
        sa.Column("used", sa.Double, nullable=False),
    )
    op.create_index("blobs_by_digest", "blobs", ["sha256"])
    op.create_table(
        "models",
        sa.Column("position", _POSITION, primary_key=True, autoincrement=True),
        sa.Column("tenant", sa.String(128), nullable=False),
        sa.Column("id", sa.String(64), nullable=False, unique=True),
        sa.Column("content", sa.String(64), nullable=False),
        sa.Column("display_name", sa.Text, nullable=False),
        sa.Column("digest", sa.Text, nullable=False),
        sa.Column("files", sa.JSON, nullable=False),
        sa.Column("main", sa.Text, nullable=False),
        sa.Column("summary", sa.JSON, nullable=False),
        sa.Column("created", sa.Double, nullable=False),
        sa.UniqueConstraint("tenant", "content"),
        sqlite_autoincrement=True,
    )
    op.create_index("models_by_tenant", "models", ["tenant", "position"])
    op.create_table(
        "datasets",
        sa.Column("position", _POSITION, primary_key=True, autoincrement=True),
        sa.Column("tenant", sa.String(128), nullable=False),
        sa.Column("id", sa.String(64), nullable=False, unique=True),
        sa.Column("content", sa.String(64), nullable=False),
        sa.Column("display_name", sa.Text, nullable=False),
        sa.Column("digest", sa.Text, nullable=False),
        sa.Column("files", sa.JSON, nullable=False),
        sa.Column("inputs", sa.Text, nullable=False),
        sa.Column("labels", sa.Text, nullable=True),
        sa.Column("preprocess", sa.Text, nullable=True),
        sa.Column("model", sa.String(64), nullable=False),
        sa.Column("summary", sa.JSON, nullable=False),
        sa.Column("created", sa.Double, nullable=False),
        sa.UniqueConstraint("tenant", "content"),
        sqlite_autoincrement=True,
    )
    op.create_index("datasets_by_tenant", "datasets", ["tenant", "position"])
    op.create_table(
        "jobs",
        sa.Column("position", _POSITION, primary_key=True, autoincrement=True),
        sa.Column("tenant", sa.String(128), nullable=False),
        sa.Column("id", sa.String(64), nullable=False, unique=True),
        sa.Column("state", sa.String(16), nullable=False),
        sa.Column("cancelling", sa.Boolean, nullable=False),
        sa.Column("spec", sa.JSON, nullable=False),
        sa.Column("spec_digest", sa.String(64), nullable=False),
        sa.Column("model", sa.String(64), nullable=False),
        sa.Column("request_id", sa.String(128), nullable=True),
        sa.Column("progress", sa.JSON(none_as_null=True), nullable=True),
        sa.Column("error", sa.JSON(none_as_null=True), nullable=True),
        sa.Column("artifacts", sa.JSON(none_as_null=True), nullable=True),
        sa.Column("attempts", sa.Integer, nullable=False),
        sa.Column("deaths", sa.Integer, nullable=False),
        sa.Column("steps", sa.BigInteger, nullable=False),
        sa.Column("created", sa.Double, nullable=False),
        sa.Column("started", sa.Double, nullable=True),
        sa.Column("finished", sa.Double, nullable=True),
        sa.Column("sequence", sa.BigInteger, nullable=False),
        sa.UniqueConstraint("tenant", "request_id"),
        sqlite_autoincrement=True,
    )
    op.create_index("jobs_by_tenant", "jobs", ["tenant", "position"])
    op.create_index("jobs_by_state", "jobs", ["state", "tenant", "position"])
    op.create_table(
        "job_datasets",
        sa.Column(
            "job", sa.String(64), sa.ForeignKey("jobs.id", ondelete="CASCADE"), primary_key=True
        ),
        sa.Column("dataset", sa.String(64), primary_key=True),
    )
    op.create_index("jobs_by_dataset", "job_datasets", ["dataset"])
    op.create_table(
        "events",
        sa.Column(
            "job", sa.String(64), sa.ForeignKey("jobs.id", ondelete="CASCADE"), primary_key=True
        ),
        sa.Column("sequence", sa.BigInteger, primary_key=True, autoincrement=False),
        sa.Column("time", sa.Double, nullable=False),
        sa.Column("kind", sa.String(16), nullable=False),
        sa.Column("state", sa.String(16), nullable=False),
        sa.Column("progress", sa.JSON(none_as_null=True), nullable=True),
        sa.Column("message", sa.Text, nullable=False),
    )
