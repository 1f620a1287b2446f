"""Records as text and as JSON, what they carry, and what they never carry."""

from __future__ import annotations

import io
import logging
import re
import threading
import warnings
from datetime import UTC, datetime

import pytest

from mho.config import Settings
from mho.errors import InvalidOption
from mho.telemetry import logs
from mho.telemetry.about import about, fields, note
from mho.telemetry.redaction import BLANK, redacted
from telemetry.conftest import Written

log = logging.getLogger("mho.test")


def test_a_record_is_one_object_on_one_line(written: Written) -> None:
    before = datetime.now(UTC)
    with about(job="j1", tenant="acme", attempt=2):
        log.warning("two\nlines of %s", "text", extra={"incident": "abc"})
    (record,) = written()
    stamp = datetime.fromisoformat(record.pop("time"))
    assert abs((stamp - before).total_seconds()) < 60
    assert record == {
        "level": "WARNING",
        "logger": "mho.test",
        "message": "two\nlines of text",
        "incident": "abc",
        "job": "j1",
        "tenant": "acme",
        "attempt": 2,
    }


def test_the_time_is_utc_in_the_form_of_rfc_3339(written: Written) -> None:
    log.info("now")
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", written()[0]["time"])


def test_an_exception_is_a_field(written: Written) -> None:
    try:
        raise ValueError("what happened")
    except ValueError:
        log.exception("it failed")
    (record,) = written()
    assert record["message"] == "it failed"
    assert record["exception"].startswith("Traceback")
    assert record["exception"].endswith("ValueError: what happened")


def test_what_a_record_says_itself_wins(written: Written) -> None:
    with about(job="outer"):
        log.info("hello", extra={"job": "own"})
    assert written()[0]["job"] == "own"


def test_what_is_known_ends_with_its_block_and_stays_in_its_thread() -> None:
    seen: list[object] = []
    with about(tenant="acme"):
        note(call="mho.v1.Jobs/GetJob")
        assert fields() == {"tenant": "acme", "call": "mho.v1.Jobs/GetJob"}
        thread = threading.Thread(target=lambda: seen.append(dict(fields())))
        thread.start()
        thread.join()
    assert fields() == {}
    assert seen == [{}]


def test_text_is_one_line_for_people(logging_kept: None) -> None:
    stream = io.StringIO()
    logs.set_up(Settings(), stream)
    with about(tenant="acme", job="j1"):
        log.info("done", extra={"why": "all is well"})
    line = stream.getvalue()
    assert re.fullmatch(r"\S+Z INFO mho\.test done why='all is well' tenant=acme job=j1\n", line)


def test_nobody_can_forge_a_record_in_text(logging_kept: None) -> None:
    stream = io.StringIO()
    logs.set_up(Settings(), stream)
    log.info("named %s", "x\n2026-01-01T00:00:00.000Z ERROR mho forged\x1b[2J")
    _, second = stream.getvalue().splitlines()
    assert second.startswith("    2026")
    assert "\x1b" not in second


def test_the_level_holds(logging_kept: None) -> None:
    stream = io.StringIO()
    logs.set_up(Settings(log_level="warning"), stream)
    log.info("not this")
    log.warning("this")
    assert stream.getvalue().count("\n") == 1


def test_statements_of_the_database_are_not_told(written: Written) -> None:
    logging.getLogger("sqlalchemy.engine.Engine").info("SELECT secret")
    assert written() == []


def test_warnings_and_dying_threads_are_records(written: Written) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("always")
        logging.captureWarnings(True)
        warnings.warn("old ways", DeprecationWarning, stacklevel=1)

    def fall() -> None:
        raise RuntimeError("fell")

    thread = threading.Thread(target=fall, name="faller")
    thread.start()
    thread.join()
    warned, fell = written()
    assert warned["level"] == "WARNING"
    assert "old ways" in warned["message"]
    assert "faller" in fell["message"]
    assert "RuntimeError: fell" in fell["exception"]


@pytest.mark.parametrize(("name", "value"), [("log_level", "LOUD"), ("log_format", "xml")])
def test_another_setting_is_refused(name: str, value: str) -> None:
    with pytest.raises(InvalidOption, match=f"{name} is '{value}'") as caught:
        logs.check(Settings(**{name: value}))
    assert caught.value.subject == name


JWT = "eyJhbGciOiJFUzI1NiJ9.eyJzdWIiOiJhY21lIn0.c2lnbmF0dXJl"


@pytest.mark.parametrize(
    "text",
    [
        "postgresql+psycopg://mho:S3CRET@db/mho",
        "postgresql://mho:S3CRET/with@S3CRET@db/mho is down",
        "Authorization: Bearer S3CRETS3CRET",
        "metadata ('authorization', 'Bearer S3CRETS3CRET')",
        "{'authorization': 'S3CRET'}",
        'authorization="Basic S3CRETS3CRET=="',
        "bearer S3CRETS3CRET",
        "password=S3CRET",
        '{"password": "S3CRET"}',
        "api_key: S3CRET, MHO_TOKEN=S3CRET",
        "-----BEGIN PRIVATE KEY-----\nS3CRET\nS3CRET\n-----END PRIVATE KEY-----",
        f"expired: {JWT.replace('c2lnbmF0dXJl', 'S3CRET')}",
    ],
)
def test_secrets_are_blanked(text: str, written: Written) -> None:
    log.info("%s", text, extra={"detail": text})
    try:
        raise ValueError(text)
    except ValueError:
        log.exception("it failed")
    for record in written():
        assert "S3CRET" not in str(record)
        assert BLANK in str(record)


@pytest.mark.parametrize(
    "text",
    [
        "the page token is of another listing",
        "http://127.0.0.1:9464/metrics",
        "sent to ipv4:127.0.0.1:50061 by someone@example.org",
        "layers /features/token_embedding: 12 units",
        "listening on 127.0.0.1:50061",
    ],
)
def test_plain_texts_are_left_alone(text: str) -> None:
    assert redacted(text) == text
