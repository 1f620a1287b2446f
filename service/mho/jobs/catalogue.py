"""The rows of models and data sets. A row is its tenant's; nobody else learns that it exists."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from mho.errors import FailedPrecondition, NotFound
from mho.jobs import schema
from mho.jobs.database import Database
from mho.jobs.job import DatasetRecord, FileRef, JobState, ModelRecord
from mho.jobs.paging import PageTokens, checked_size
from mho.jobs.quotas import Quotas, alone

_ACTIVE = (JobState.QUEUED.value, JobState.RUNNING.value)


def digest_of(value: Any) -> str:
    """SHA-256 of ``value`` as canonical JSON."""
    text = json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()


class Catalogue:
    """What a tenant adds and removes is done one after the other, in whichever server."""

    def __init__(self, database: Database, quotas: Quotas, tokens: PageTokens) -> None:
        self._database = database
        self._quotas = quotas
        self._tokens = tokens

    # models

    def add_model(self, record: ModelRecord, content: str, size: int) -> ModelRecord:
        """Keep ``record``, whose files have ``size`` bytes; where the tenant has a model of the
        same content, that comes back. QuotaExceeded where there is no room for it."""
        with self._database.writing(alone=alone(record.tenant)) as connection:
            found = _same_content(connection, schema.models, record.tenant, content)
            if found is not None:
                return _model(found)
            self._quotas.check_bytes(connection, record.tenant, size)
            connection.execute(
                schema.models.insert().values(
                    tenant=record.tenant,
                    id=record.id,
                    content=content,
                    display_name=record.display_name,
                    digest=record.digest,
                    files=dict(record.files),
                    main=record.main,
                    summary=dict(record.summary),
                    created=record.created,
                    size=size,
                )
            )
        return record

    def model_of_content(self, tenant: str, content: str) -> ModelRecord | None:
        with self._database.reading() as connection:
            row = _same_content(connection, schema.models, tenant, content)
        return None if row is None else _model(row)

    def model(self, tenant: str, id: str) -> ModelRecord:
        with self._database.reading() as connection:
            return _model(find(connection, schema.models, "model", tenant, id))

    def list_models(
        self, tenant: str, page_size: int, page_token: str
    ) -> tuple[list[ModelRecord], str]:
        rows, token = self._page(schema.models, tenant, page_size, page_token)
        return [_model(row) for row in rows], token

    def remove_model(self, tenant: str, id: str) -> list[str]:
        """The digests of its files; FailedPrecondition while a job that has not ended uses it."""
        with self._database.writing(alone=alone(tenant)) as connection:
            row = find(connection, schema.models, "model", tenant, id)
            user = connection.scalar(
                sa.select(schema.jobs.c.id)
                .where(schema.jobs.c.model == id, schema.jobs.c.state.in_(_ACTIVE))
                .limit(1)
            )
            _refuse_if_used("model", id, user)
            connection.execute(schema.models.delete().where(schema.models.c.id == id))
        return list(row.files.values())

    # data sets

    def add_dataset(self, record: DatasetRecord, content: str, size: int) -> DatasetRecord:
        """Keep ``record``, whose files have ``size`` bytes; where the tenant has a data set of the
        same content, that comes back. QuotaExceeded where there is no room for it."""
        with self._database.writing(alone=alone(record.tenant)) as connection:
            found = _same_content(connection, schema.datasets, record.tenant, content)
            if found is not None:
                return _dataset(found)
            self._quotas.check_bytes(connection, record.tenant, size)
            connection.execute(
                schema.datasets.insert().values(
                    tenant=record.tenant,
                    id=record.id,
                    content=content,
                    display_name=record.display_name,
                    digest=record.digest,
                    files=dict(record.files),
                    inputs=record.inputs.name,
                    labels=None if record.labels is None else record.labels.name,
                    preprocess=record.preprocess,
                    model=record.model,
                    summary=dict(record.summary),
                    created=record.created,
                    size=size,
                )
            )
        return record

    def dataset_of_content(self, tenant: str, content: str) -> DatasetRecord | None:
        with self._database.reading() as connection:
            row = _same_content(connection, schema.datasets, tenant, content)
        return None if row is None else _dataset(row)

    def dataset(self, tenant: str, id: str) -> DatasetRecord:
        with self._database.reading() as connection:
            return _dataset(find(connection, schema.datasets, "dataset", tenant, id))

    def list_datasets(
        self, tenant: str, page_size: int, page_token: str
    ) -> tuple[list[DatasetRecord], str]:
        rows, token = self._page(schema.datasets, tenant, page_size, page_token)
        return [_dataset(row) for row in rows], token

    def remove_dataset(self, tenant: str, id: str) -> list[str]:
        """The digests of its files; FailedPrecondition while a job that has not ended uses it."""
        with self._database.writing(alone=alone(tenant)) as connection:
            row = find(connection, schema.datasets, "dataset", tenant, id)
            user = connection.scalar(
                sa.select(schema.jobs.c.id)
                .join(schema.job_datasets, schema.job_datasets.c.job == schema.jobs.c.id)
                .where(schema.job_datasets.c.dataset == id, schema.jobs.c.state.in_(_ACTIVE))
                .limit(1)
            )
            _refuse_if_used("dataset", id, user)
            connection.execute(schema.datasets.delete().where(schema.datasets.c.id == id))
        return list(row.files.values())

    # both

    def referenced_blobs(self) -> set[tuple[str, str]]:
        """(tenant, SHA-256) of every file of a model or data set."""
        found: set[tuple[str, str]] = set()
        with self._database.reading() as connection:
            for table in (schema.models, schema.datasets):
                for tenant, files in connection.execute(sa.select(table.c.tenant, table.c.files)):
                    found |= {(tenant, digest) for digest in files.values()}
        return found

    def ids(self) -> tuple[set[str], set[str]]:
        """All ids of models and of data sets, to tell folders that belong to none."""
        with self._database.reading() as connection:
            return (
                set(connection.scalars(sa.select(schema.models.c.id))),
                set(connection.scalars(sa.select(schema.datasets.c.id))),
            )

    def _page(
        self, table: sa.Table, tenant: str, page_size: int, page_token: str
    ) -> tuple[list[sa.Row[Any]], str]:
        with self._database.reading() as connection:
            return page(
                connection,
                sa.select(table).where(table.c.tenant == tenant),
                table,
                self._tokens,
                (table.name, tenant),
                page_size,
                page_token,
            )


def find(
    connection: Connection,
    table: sa.Table,
    what: str,
    tenant: str,
    id: str,
    *,
    hold: bool = False,
) -> sa.Row[Any]:
    """The tenant's row; NotFound alike where there is none and where it is another tenant's.

    hold: nobody changes it until the transaction ends.
    """
    query = sa.select(table).where(table.c.id == id, table.c.tenant == tenant)
    row = connection.execute(query.with_for_update() if hold else query).one_or_none()
    if row is None:
        raise NotFound(
            f"there is no {what} '{id[:64]}'; list the {what}s to see which there are", subject=what
        )
    return row


def page(
    connection: Connection,
    query: sa.Select[Any],
    table: sa.Table,
    tokens: PageTokens,
    scope: tuple[str, ...],
    page_size: int,
    page_token: str,
) -> tuple[list[sa.Row[Any]], str]:
    """One page of ``query``, newest first, and the token of the next; "" where this is the last."""
    size = checked_size(page_size)
    before = tokens.read(page_token, scope)
    if before is not None:
        query = query.where(table.c.position < before)
    rows = list(connection.execute(query.order_by(table.c.position.desc()).limit(size + 1)))
    if len(rows) <= size:
        return rows, ""
    return rows[:size], tokens.write(rows[size - 1].position, scope)


def _same_content(
    connection: Connection, table: sa.Table, tenant: str, content: str
) -> sa.Row[Any] | None:
    return connection.execute(
        sa.select(table).where(table.c.tenant == tenant, table.c.content == content)
    ).one_or_none()


def _refuse_if_used(what: str, id: str, job: str | None) -> None:
    if job is not None:
        raise FailedPrecondition(
            f"the {what} '{id}' is used by job '{job}', which has not ended; "
            "cancel the job or wait",
            subject=what,
        )


def _model(row: sa.Row[Any]) -> ModelRecord:
    return ModelRecord(
        tenant=row.tenant,
        id=row.id,
        display_name=row.display_name,
        digest=row.digest,
        files=row.files,
        main=row.main,
        summary=row.summary,
        created=row.created,
    )


def _dataset(row: sa.Row[Any]) -> DatasetRecord:
    files: Mapping[str, str] = row.files
    return DatasetRecord(
        tenant=row.tenant,
        id=row.id,
        display_name=row.display_name,
        digest=row.digest,
        inputs=FileRef(row.inputs, files[row.inputs]),
        labels=None if row.labels is None else FileRef(row.labels, files[row.labels]),
        preprocess=row.preprocess,
        model=row.model,
        summary=row.summary,
        created=row.created,
    )
