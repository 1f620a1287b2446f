"""Limits of what a tenant keeps and uses: what they refuse, what they delay, and what stays."""

from __future__ import annotations

import hashlib
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from jobs.server import TENANT, control, dataset, model, spec, steps_done, until, upload, wait
from mho.errors import MhoError, QuotaExceeded, Unavailable
from mho.jobs import holding, quotas, schema
from mho.jobs.control import Control
from mho.jobs.job import EventKind, JobState
from mho.jobs.meter import Meter
from mho.tenants import Quota


@contextmanager
def limited(folder: Path, **changes: Any) -> Iterator[Control]:
    """A started server; without workers where nothing else is said."""
    server = control(folder / "data", **({"workers": 0} | changes))
    server.start()
    try:
        yield server
    finally:
        server.close()


def kept(server: Control, tenant: str = TENANT) -> int:
    with server._database.reading() as connection:
        return quotas.bytes_kept(connection, tenant)


def at_once(count: int, call: Callable[[], Any]) -> list[Any]:
    """What ``count`` calls at the same time give or raise."""
    gate, answers = threading.Barrier(count), []

    def one() -> None:
        gate.wait()
        try:
            answers.append(call())
        except MhoError as error:
            answers.append(error)

    threads = [threading.Thread(target=one) for _ in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return answers


# bytes


def test_all_that_is_kept_is_counted(tmp_path: Path) -> None:
    with limited(tmp_path, workers=1, quota_bytes=10**9) as server:
        job = server.create_job(TENANT, spec(server)).id
        wait(server, job)
        result = sum(artifact.size for artifact in server.artifacts(TENANT, job))
        files = len(b"toy model") + len(b"inputs")
        assert kept(server) == 2 * files + result  # as blobs, and put together
        server.upload_chunk(TENANT, hashlib.sha256(b"12345678").hexdigest(), 8, 0, b"1234")
        assert kept(server) == 2 * files + result + 8
        server.delete_job(TENANT, job)
        assert kept(server) == 2 * files + 8
        assert kept(server, "globex") == 0


def test_an_upload_beyond_the_limit_is_refused_at_its_first_byte(tmp_path: Path) -> None:
    with limited(tmp_path, quota_bytes=100) as server:
        upload(server, b"x" * 60)
        digest = hashlib.sha256(b"y" * 41).hexdigest()
        with pytest.raises(QuotaExceeded, match="keeps 60 bytes and may keep 100") as caught:
            server.upload_chunk(TENANT, digest, 41, 0, b"y")
        assert caught.value.subject == f"tenants/{TENANT}/bytes"
        assert kept(server) == 60
        assert list((tmp_path / "data" / "uploads").glob("*/*")) == []
        upload(server, b"z" * 40)  # what fits still fits
        upload(server, b"y" * 100, "globex")  # and others have a limit of their own


def test_an_upload_may_not_grow_beyond_what_it_said(tmp_path: Path) -> None:
    with limited(tmp_path, quota_bytes=100) as server:
        digest = hashlib.sha256(b"y" * 200).hexdigest()
        server.upload_chunk(TENANT, digest, 50, 0, b"y" * 40)
        with pytest.raises(QuotaExceeded):
            server.upload_chunk(TENANT, digest, 200, 40, b"y" * 160)
        assert kept(server) == 50


def test_a_failed_upload_gives_its_room_back(tmp_path: Path) -> None:
    with limited(tmp_path, quota_bytes=100) as server:
        with pytest.raises(MhoError, match="have the digest"):
            server.upload_chunk(TENANT, hashlib.sha256(b"other").hexdigest(), 4, 0, b"this")
        assert kept(server) == 0


def test_room_of_uploads_survives_a_restart_and_goes_with_them(tmp_path: Path) -> None:
    digest = hashlib.sha256(b"12345678").hexdigest()
    with limited(tmp_path, quota_bytes=100) as server:
        server.upload_chunk(TENANT, digest, 8, 0, b"1234")
    with limited(tmp_path, quota_bytes=100) as server:
        assert kept(server) == 8
        assert server.upload_chunk(TENANT, digest, 8, 4, b"5678") == 8
        assert kept(server) == 8
        server.upload_chunk(TENANT, hashlib.sha256(b"abc").hexdigest(), 3, 0, b"a")
        server._blobs.collect(set(), abandoned=0.0)
        assert kept(server) == 8


def test_two_uploads_at_once_cannot_share_the_last_room(tmp_path: Path) -> None:
    with limited(tmp_path, quota_bytes=100) as server:
        contents = iter([bytes([number]) * 60 for number in range(8)])
        lock = threading.Lock()

        def send() -> str:
            with lock:
                content = next(contents)
            return upload(server, content)

        answers = at_once(8, send)
        assert sum(isinstance(answer, QuotaExceeded) for answer in answers) == 7
        assert kept(server) == 60


def test_a_model_without_room_leaves_nothing(tmp_path: Path) -> None:
    with limited(tmp_path, quota_bytes=12) as server:
        with pytest.raises(QuotaExceeded):
            model(server)  # nine bytes as a blob, and nine as a model
        assert server.list_models(TENANT)[0] == []
        for folder in ("models", "staging"):
            assert list((tmp_path / "data" / folder).iterdir()) == []


def test_deleting_makes_room_soon(tmp_path: Path) -> None:
    with limited(tmp_path, quota_bytes=1000) as server:
        made = model(server)
        server.delete_model(TENANT, made)
        assert kept(server) == 9
        later = time.time() + 3600
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr("mho.jobs.blobs.time.time", lambda: later)
            server._blobs.collect(server._catalogue.referenced_blobs())
        assert kept(server) == 0


# jobs


def test_jobs_kept(tmp_path: Path) -> None:
    with limited(tmp_path, quota_jobs=2) as server:
        wanted = spec(server)
        first = server.create_job(TENANT, wanted, request_id="first").id
        answers = at_once(4, lambda: server.create_job(TENANT, wanted))
        refused = [answer for answer in answers if isinstance(answer, MhoError)]
        assert len(refused) == 3
        assert all(isinstance(error, QuotaExceeded) for error in refused)
        assert refused[0].subject == f"tenants/{TENANT}/jobs"
        assert len(list((tmp_path / "data" / "jobs").iterdir())) == 2
        assert server.create_job(TENANT, wanted, request_id="first").id == first
        server.create_job("globex", spec(server, "globex"))
        server.cancel_job(TENANT, first)
        server.delete_job(TENANT, first)
        server.create_job(TENANT, wanted)


def test_jobs_that_wait(tmp_path: Path) -> None:
    with limited(tmp_path, quota_queued_jobs=1, max_queued_jobs=2) as server:
        wanted = spec(server)
        job = server.create_job(TENANT, wanted).id
        with pytest.raises(QuotaExceeded, match="1 jobs of tenant 'acme' wait") as caught:
            server.create_job(TENANT, wanted)
        assert caught.value.subject == f"tenants/{TENANT}/queued_jobs"
        assert caught.value.retry_seconds > 0
        server.create_job("globex", spec(server, "globex"))
        with pytest.raises(Unavailable, match="max_queued_jobs") as full:
            server.create_job("initech", spec(server, "initech"))
        assert full.value.retry_seconds > 0
        server.cancel_job(TENANT, job)
        server.create_job(TENANT, wanted)


def test_a_limit_of_running_jobs_delays(tmp_path: Path) -> None:
    with limited(tmp_path, workers=2, quota_running_jobs=1) as server:
        first = server.create_job(TENANT, spec(server, steps=10_000, pause=0.01)).id
        until(lambda: steps_done(server, first, 1))
        second = server.create_job(TENANT, spec(server, seed=1)).id
        note = until(lambda: notes(server, second), "the note")[0]
        assert "1 jobs of tenant 'acme' run, as many as may" in note
        other = server.create_job("globex", spec(server, "globex")).id
        assert wait(server, other, tenant="globex").state is JobState.SUCCEEDED
        assert server.get_job(TENANT, second).state is JobState.QUEUED
        assert len(notes(server, second)) == 1
        server.cancel_job(TENANT, first)
        assert wait(server, second).state is JobState.SUCCEEDED


def notes(server: Control, job: str) -> list[str]:
    events = server.events(TENANT, job, 0, 0.0)
    return [event.message for event in events if event.kind is EventKind.NOTE]


# device seconds


def seconds(server: Control, tenant: str = TENANT) -> float:
    with server._database.reading() as connection:
        return sum(connection.scalars(sa.select(schema.device_seconds.c.seconds).where(
            schema.device_seconds.c.tenant == tenant
        )))  # fmt: skip


def test_what_workers_spend_is_counted_whatever_comes_of_the_job(tmp_path: Path) -> None:
    with limited(tmp_path, workers=1) as server:
        before = 0.0
        for options in ({"steps": 20, "pause": 0.02}, {"steps": 20, "pause": 0.02, "behaviour":
                        "mho@15"}):  # fmt: skip
            wait(server, server.create_job(TENANT, spec(server, **options)).id)
            until(lambda low=before: seconds(server) > low + 0.25, "the account")
            before = seconds(server)
        job = server.create_job(TENANT, spec(server, steps=10_000, pause=0.01)).id
        until(lambda: steps_done(server, job, 50))
        server.cancel_job(TENANT, job)
        wait(server, job)
        until(lambda: seconds(server) > before + 0.4, "the account")
        assert seconds(server, "globex") == 0
        kept = seconds(server)
    with limited(tmp_path) as server:
        assert seconds(server) >= kept


def test_a_spent_day_delays_until_the_next(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with limited(tmp_path, workers=1, quota_device_seconds_per_day=50.0) as server:
        with server._database.writing() as connection:
            quotas.spend(connection, TENANT, 50.0, quotas.today())
        job = server.create_job(TENANT, spec(server)).id
        note = until(lambda: notes(server, job), "the note")[0]
        assert "waits until" in note
        assert "00:00 UTC" in note
        assert "50 s for tenant 'acme'" in note
        assert server.get_job(TENANT, job).state is JobState.QUEUED
        tomorrow = quotas.today() + 1
        monkeypatch.setattr(holding, "today", lambda: tomorrow)
        assert wait(server, job).state is JobState.SUCCEEDED


def test_a_running_job_stops_when_the_day_is_spent(tmp_path: Path) -> None:
    with limited(tmp_path, workers=1, quota_device_seconds_per_day=1.5) as server:
        job = server.create_job(TENANT, spec(server, steps=10_000, pause=0.01)).id
        record = wait(server, job, JobState.RUNNING)
        record = until(
            lambda: (r := server.get_job(TENANT, job)).state is JobState.QUEUED and r, "its stop"
        )
        assert record.attempts == 1
        assert "waits until" in server.events(TENANT, job, 0, 0.0)[-1].message
        assert server._layout.checkpoint(job, 1).exists()


def test_the_meter_keeps_what_it_could_not_write(
    store: Control, monkeypatch: pytest.MonkeyPatch
) -> None:
    meter = Meter(store._database)
    meter.count(TENANT, 2.0)
    with monkeypatch.context() as patch:
        patch.setattr(quotas, "spend", lambda *_: (_ for _ in ()).throw(OSError("no room")))
        with pytest.raises(OSError, match="no room"):
            meter.flush()
    meter.count(TENANT, 3.0)
    meter.flush()
    meter.flush()
    assert seconds(store) == 5.0


# overrides


def test_the_tenants_file_overrides_the_settings(tmp_path: Path) -> None:
    file = tmp_path / "tenants.yaml"
    file.write_text("tenants: {acme: {quota: {bytes: 1000}, weight: 3}}")
    with limited(tmp_path, quota_bytes=10, quota_jobs=7, tenants_file=str(file)) as server:
        found = server._store._quotas
        assert found.of("acme") == Quota(bytes=1000, jobs=7, queued_jobs=1000)
        assert found.of("globex").bytes == 10
        assert (found.weight("acme"), found.weight("globex")) == (3, 1)
        upload(server, b"x" * 900)
        with pytest.raises(QuotaExceeded):
            upload(server, b"x" * 11, "globex")
        dataset(server, model(server))
