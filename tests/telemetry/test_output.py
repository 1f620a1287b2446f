"""What a worker prints becomes records, however much and whatever it is."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from jobs.server import TENANT, control, spec, wait
from mho.telemetry.output import LONGEST, MOST, relay


@pytest.fixture
def said(caplog: pytest.LogCaptureFixture) -> Callable[[bytes], list[str]]:
    """The messages that come of what a child printed."""
    caplog.set_level(logging.INFO)

    def told(printed: bytes) -> list[str]:
        reads, writes = os.pipe()
        thread = relay(reads, lambda: {"pid": 1, "tenant": "acme"})
        with os.fdopen(writes, "wb") as child:
            child.write(printed)
        thread.join(30)
        assert not thread.is_alive()
        records = [record for record in caplog.records if record.name == "mho.worker"]
        assert all(vars(record)["tenant"] == "acme" for record in records)
        return [record.getMessage() for record in records]

    return told


def test_lines_become_records(said: Callable[[bytes], list[str]]) -> None:
    assert said(b"one\n\ntwo  \r\nthe last") == ["one", "two", "the last"]


def test_bytes_that_are_no_text_pass(said: Callable[[bytes], list[str]]) -> None:
    assert said(b"\xff%s\n") == ["\N{REPLACEMENT CHARACTER}%s"]


def test_a_line_without_end_is_cut(said: Callable[[bytes], list[str]]) -> None:
    assert said(b"x" * 10**6 + b"\nnext\n") == ["x" * LONGEST, "next"]


def test_a_flood_is_dropped_and_counted(said: Callable[[bytes], list[str]]) -> None:
    messages = said(b"again\n" * 100_000)
    assert messages[:MOST] == ["again"] * MOST
    # One note at the end of each span of time, and one at the end of all.
    dropped = sum(int(m.split()[0]) for m in messages if m.endswith("were dropped"))
    assert dropped + messages.count("again") == 100_000


def test_a_worker_speaks_in_the_log_with_its_job(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    server = control(tmp_path / "data")
    server.start()
    try:
        job = server.create_job(TENANT, spec(server, behaviour="say@1")).id
        wait(server, job)
    finally:
        server.close()
    (record,) = [r for r in caplog.records if r.getMessage() == "the toy speaks"]
    assert record.name == "mho.worker"
    assert (vars(record)["job"], vars(record)["tenant"]) == (job, TENANT)
    assert vars(record)["attempt"] == 1
