"""On what terms a job runs: priority, deadline, labels."""

from __future__ import annotations

import dataclasses
import time
from pathlib import Path
from typing import Any

import pytest

from jobs.server import TENANT, control, spec, steps_done, until, wait
from mho.errors import AlreadyExists, InvalidOption
from mho.jobs.control import Control
from mho.jobs.job import EventKind, JobSpec, JobState, Priority


def termed(
    server: Control, options: dict[str, Any] | None = None, *, within: float = 0.0, **terms: Any
) -> JobSpec:
    """A toy job on these terms; within: the deadline, in seconds from now."""
    wanted = spec(server, **(options or {}))  # which uploads, and may take its time
    if within:
        terms["deadline"] = time.time() + within
    return dataclasses.replace(wanted, **terms)


def claimed(server: Control) -> list[str]:
    """The ids of the queued jobs, in the order in which a worker gets them."""
    found = []
    while (job := server._queue.claim(TENANT)) is not None:
        found.append(job.id)
    return found


# priority


def test_urgent_jobs_come_first_and_equals_in_order(tmp_path: Path) -> None:
    server = control(tmp_path / "data", workers=0)
    server.start()
    wanted = [Priority.LOW, Priority.NORMAL, Priority.HIGH, Priority.NORMAL, Priority.HIGH]
    made = [server.create_job(TENANT, termed(server, priority=level)).id for level in wanted]
    assert claimed(server) == [made[place] for place in (2, 4, 1, 3, 0)]
    server.close()


def test_a_job_that_has_waited_long_enough_overtakes_urgent_ones(tmp_path: Path) -> None:
    server = control(tmp_path / "data", workers=0, priority_seconds=0.05)
    server.start()
    patient = server.create_job(TENANT, termed(server, priority=Priority.LOW)).id
    time.sleep(0.15)  # more than twice priority_seconds: low against high
    urgent = server.create_job(TENANT, termed(server, priority=Priority.HIGH)).id
    assert claimed(server) == [patient, urgent]
    server.close()


# deadlines


def test_a_job_past_its_deadline_fails_while_it_waits(server: Control, tmp_path: Path) -> None:
    running = server.create_job(TENANT, spec(server, steps=10_000, pause=0.01)).id
    until(lambda: steps_done(server, running, 1))
    late = server.create_job(TENANT, termed(server, within=1.0)).id
    record = wait(server, late)
    assert record.state is JobState.FAILED
    assert record.error is not None
    assert (record.error.reason, record.error.subject) == ("DEADLINE_EXCEEDED", "deadline")
    assert "waited" in record.error.message
    assert record.attempts == 0
    until(lambda: not (tmp_path / "data" / "jobs" / late).exists(), "the clearing")
    assert server.get_job(TENANT, running).state is JobState.RUNNING


def test_a_job_past_its_deadline_fails_while_it_runs(server: Control, tmp_path: Path) -> None:
    wanted = termed(server, {"steps": 10_000, "pause": 0.01}, within=1.0)
    late = server.create_job(TENANT, wanted).id
    record = wait(server, late)
    assert record.state is JobState.FAILED
    assert record.error is not None
    assert record.error.reason == "DEADLINE_EXCEEDED"
    until(lambda: not (tmp_path / "data" / "jobs" / late).exists(), "the clearing")
    # The worker is free again, and nothing of the job is left to disturb the next.
    assert wait(server, server.create_job(TENANT, spec(server)).id).state is JobState.SUCCEEDED


def test_a_job_that_ends_in_time_is_left_alone(server: Control) -> None:
    job = server.create_job(TENANT, termed(server, within=3600)).id
    assert wait(server, job).state is JobState.SUCCEEDED
    assert server._queue.end_overdue(time.time() + 7200) == ([], [])


def test_a_deadline_survives_a_restart(tmp_path: Path) -> None:
    first = control(tmp_path / "data", workers=0)
    first.start()
    job = first.create_job(TENANT, termed(first, within=1.0)).id
    first.close()
    second = control(tmp_path / "data", workers=0)
    second.start()
    record = wait(second, job)
    assert record.error is not None
    assert record.error.reason == "DEADLINE_EXCEEDED"
    last = second.events(TENANT, job, 0, 0.0)[-1]
    assert (last.kind, last.state) == (EventKind.STATE, JobState.FAILED)
    second.close()


def test_a_cancel_overrules_the_deadline(server: Control) -> None:
    wanted = termed(server, {"behaviour": "hang@1"}, within=1.0)
    job = server.create_job(TENANT, wanted).id
    until(lambda: steps_done(server, job, 1))
    server.cancel_job(TENANT, job)
    assert wait(server, job).state is JobState.CANCELLED


@pytest.mark.parametrize("validate_only", [False, True])
def test_a_deadline_in_the_past_is_refused(shared: Control, validate_only: bool) -> None:
    wanted = termed(shared, within=-60.0)
    with pytest.raises(InvalidOption, match="passed 60 s ago") as caught:
        shared.create_job(TENANT, wanted, validate_only=validate_only)
    assert caught.value.subject == "spec.deadline"


def test_a_repeated_request_may_come_after_the_deadline(tmp_path: Path) -> None:
    server = control(tmp_path / "data", workers=0)
    server.start()
    wanted = termed(server, within=1.0)
    job = server.create_job(TENANT, wanted, request_id="r").id
    wait(server, job)
    assert server.create_job(TENANT, wanted, request_id="r").id == job
    with pytest.raises(AlreadyExists):
        server.create_job(TENANT, dataclasses.replace(wanted, deadline=None), request_id="r")
    server.close()


# labels


def test_jobs_are_found_by_their_labels(shared: Control) -> None:
    made = {}
    for run, stage in (("a", "one"), ("a", "two"), ("b", "one")):
        labels = {"example.com/run": run, "stage": stage, "empty": ""}
        made[run, stage] = shared.create_job(TENANT, termed(shared, labels=labels)).id
    plain = shared.create_job(TENANT, spec(shared)).id

    def found(**labels: str) -> set[str]:
        wanted = {key.replace("run", "example.com/run"): value for key, value in labels.items()}
        return {job.id for job in shared.list_jobs(TENANT, labels=wanted)[0]}

    assert found(run="a") == {made["a", "one"], made["a", "two"]}
    assert found(run="a", stage="one") == {made["a", "one"]}
    assert found(run="c") == set()
    assert found(empty="") == set(made.values())
    assert found() >= {plain, *made.values()}
    assert shared.get_job(TENANT, made["a", "one"]).spec.labels["stage"] == "one"


def test_a_page_token_is_good_for_its_labels_alone(shared: Control) -> None:
    for _ in range(2):
        shared.create_job(TENANT, termed(shared, labels={"paged": "yes"}))
    _, token = shared.list_jobs(TENANT, labels={"paged": "yes"}, page_size=1)
    assert token
    assert shared.list_jobs(TENANT, labels={"paged": "yes"}, page_size=1, page_token=token)[0]
    with pytest.raises(InvalidOption, match="page_token"):
        shared.list_jobs(TENANT, labels={"paged": "no"}, page_size=1, page_token=token)


@pytest.mark.parametrize(
    "labels",
    [
        {"": "x"},
        {"-a": "x"},
        {"a" * 64: "x"},
        {"Example.com/a": "x"},
        {"a/b/c": "x"},
        {"/a": "x"},
        {"a'b": "x"},
        {'a"b': "x"},
        {"a": "-"},
        {"a": "x" * 64},
        {"a": "x\n"},
        {f"k{number}": "" for number in range(65)},
    ],
)
def test_what_is_no_label_is_refused(shared: Control, labels: dict[str, str]) -> None:
    with pytest.raises(InvalidOption) as caught:
        shared.create_job(TENANT, termed(shared, labels=labels))
    assert caught.value.subject.startswith("spec.labels")
    with pytest.raises(InvalidOption):
        shared.list_jobs(TENANT, labels=labels)
