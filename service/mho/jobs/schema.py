"""The tables. Portable types only, so that SQLite and PostgreSQL share them.

A change here needs a revision of its own in ``migrations/versions``; a test compares the two.

Times are seconds since the epoch. ``position`` rises with every row, gives listings their order and
page tokens their place, and is never used twice.
"""

from __future__ import annotations

import sqlalchemy as sa

metadata = sa.MetaData()

_POSITION = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
_ID = sa.String(64)
_TENANT = sa.String(128)
_DIGEST = sa.String(64)


def _position() -> sa.Column[int]:
    return sa.Column("position", _POSITION, primary_key=True, autoincrement=True)


def _size() -> sa.Column[int]:
    """Bytes on the disk."""
    return sa.Column("size", sa.BigInteger, nullable=False, server_default=sa.text("0"))


directory = sa.Table("directory", metadata, sa.Column("id", _ID, primary_key=True))
"""The one data directory of this database; the directory holds the same id in a file."""

servers = sa.Table(
    "servers",
    metadata,
    sa.Column("id", _ID, primary_key=True),
    sa.Column("name", sa.Text, nullable=False),
    sa.Column("expires", sa.Double, nullable=False),
)
"""Those that live. expires: when it counts as dead if it does not renew that, by the database's
clock."""

blobs = sa.Table(
    "blobs",
    metadata,
    sa.Column("tenant", _TENANT, primary_key=True),
    sa.Column("sha256", _DIGEST, primary_key=True),
    sa.Column("size", sa.BigInteger, nullable=False),
    sa.Column("used", sa.Double, nullable=False),
    sa.Index("blobs_by_digest", "sha256"),
)

uploads = sa.Table(
    "uploads",
    metadata,
    sa.Column("tenant", _TENANT, primary_key=True),
    sa.Column("sha256", _DIGEST, primary_key=True),
    sa.Column("size", sa.BigInteger, nullable=False),
)
"""Room that is kept for unfinished uploads of tenants with a limit of bytes."""

device_seconds = sa.Table(
    "device_seconds",
    metadata,
    sa.Column("tenant", _TENANT, primary_key=True),
    sa.Column("day", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("seconds", sa.Double, nullable=False),
)
"""What workers have spent for a tenant on a day, counted from the epoch in UTC."""

models = sa.Table(
    "models",
    metadata,
    _position(),
    sa.Column("tenant", _TENANT, nullable=False),
    sa.Column("id", _ID, nullable=False, unique=True),
    sa.Column("content", _DIGEST, nullable=False),
    sa.Column("display_name", sa.Text, nullable=False),
    sa.Column("digest", sa.Text, nullable=False),
    sa.Column("files", sa.JSON, nullable=False),
    sa.Column("main", sa.Text, nullable=False),
    sa.Column("summary", sa.JSON, nullable=False),
    sa.Column("created", sa.Double, nullable=False),
    _size(),
    sa.UniqueConstraint("tenant", "content"),
    sa.Index("models_by_tenant", "tenant", "position"),
    sqlite_autoincrement=True,
)

datasets = sa.Table(
    "datasets",
    metadata,
    _position(),
    sa.Column("tenant", _TENANT, nullable=False),
    sa.Column("id", _ID, nullable=False, unique=True),
    sa.Column("content", _DIGEST, nullable=False),
    sa.Column("display_name", sa.Text, nullable=False),
    sa.Column("digest", sa.Text, nullable=False),
    sa.Column("files", sa.JSON, nullable=False),
    sa.Column("inputs", sa.Text, nullable=False),
    sa.Column("labels", sa.Text, nullable=True),
    sa.Column("preprocess", sa.Text, nullable=True),
    sa.Column("model", _ID, nullable=False),
    sa.Column("summary", sa.JSON, nullable=False),
    sa.Column("created", sa.Double, nullable=False),
    _size(),
    sa.UniqueConstraint("tenant", "content"),
    sa.Index("datasets_by_tenant", "tenant", "position"),
    sqlite_autoincrement=True,
)

jobs = sa.Table(
    "jobs",
    metadata,
    _position(),
    sa.Column("tenant", _TENANT, nullable=False),
    sa.Column("id", _ID, nullable=False, unique=True),
    sa.Column("state", sa.String(16), nullable=False),
    sa.Column("cancelling", sa.Boolean, nullable=False, default=False),
    sa.Column("spec", sa.JSON, nullable=False),
    sa.Column("spec_digest", _DIGEST, nullable=False),
    sa.Column("model", _ID, nullable=False),
    sa.Column("request_id", sa.String(128), nullable=True),
    sa.Column("due", sa.Double, nullable=False, server_default=sa.text("0")),
    sa.Column("deadline", sa.Double, nullable=True),
    sa.Column("progress", sa.JSON(none_as_null=True), nullable=True),
    sa.Column("error", sa.JSON(none_as_null=True), nullable=True),
    sa.Column("artifacts", sa.JSON(none_as_null=True), nullable=True),
    sa.Column("attempts", sa.Integer, nullable=False, default=0),
    sa.Column("deaths", sa.Integer, nullable=False, default=0),
    sa.Column("steps", sa.BigInteger, nullable=False, default=0),
    sa.Column("created", sa.Double, nullable=False),
    sa.Column("started", sa.Double, nullable=True),
    sa.Column("finished", sa.Double, nullable=True),
    sa.Column("sequence", sa.BigInteger, nullable=False, default=0),
    sa.Column("owner", _ID, nullable=True),
    sa.Column("trace", sa.String(64), nullable=False, server_default=sa.text("''")),
    sa.Column("held", sa.String(64), nullable=True),
    _size(),
    sa.UniqueConstraint("tenant", "request_id"),
    sa.Index("jobs_by_tenant", "tenant", "position"),
    sa.Index("jobs_by_state", "state", "tenant", "due", "position"),
    sa.Index("jobs_by_deadline", "deadline"),
    sqlite_autoincrement=True,
)
"""deaths: workers lost in a row without a new checkpoint. steps: those of the newest checkpoint.
due: when the job counts as submitted, its priority considered; a tenant's jobs run in this order.
deadline: when it must have ended; null once it has.
owner: the server that runs it. trace: the context of the call that made it.
held: which limit keeps it waiting, as its last note on that says.
size: bytes of the files that its options name until it has ended, and of its result afterwards.
"""

job_datasets = sa.Table(
    "job_datasets",
    metadata,
    sa.Column("job", _ID, sa.ForeignKey("jobs.id", ondelete="CASCADE"), primary_key=True),
    sa.Column("dataset", _ID, primary_key=True),
    sa.Index("jobs_by_dataset", "dataset"),
)
"""Which data sets a job reads: its own and those that its options name."""

events = sa.Table(
    "events",
    metadata,
    sa.Column("job", _ID, sa.ForeignKey("jobs.id", ondelete="CASCADE"), primary_key=True),
    sa.Column("sequence", sa.BigInteger, primary_key=True, autoincrement=False),
    sa.Column("time", sa.Double, nullable=False),
    sa.Column("kind", sa.String(16), nullable=False),
    sa.Column("state", sa.String(16), nullable=False),
    sa.Column("progress", sa.JSON(none_as_null=True), nullable=True),
    sa.Column("message", sa.Text, nullable=False, default=""),
)
