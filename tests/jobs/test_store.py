"""What is kept: whose it is, what is the same, how it is listed, and what may be deleted."""

from __future__ import annotations

import base64
import dataclasses
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from jobs.server import TENANT, control, dataset, model, sha, spec, upload
from mho.errors import (
    AlreadyExists,
    FailedPrecondition,
    InvalidData,
    InvalidModel,
    InvalidOption,
    MhoError,
    NotFound,
)
from mho.jobs.control import Control
from mho.jobs.job import Attachment, EventKind, FileRef, JobSpec, JobState

pytestmark = pytest.mark.usefixtures("each_database")


def leftovers(server: Control) -> list[str]:
    """All that lies in staging, models, data sets and jobs."""
    layout = server._layout
    return sorted(
        f"{folder.name}/{path.name}"
        for folder in (layout.staging, layout.models, layout.datasets, layout.jobs)
        for path in folder.iterdir()
    )


@pytest.fixture(scope="module")
def idle(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Control]:
    """A server without workers, so that jobs stay in the queue."""
    server = control(tmp_path_factory.mktemp("idle") / "data", workers=0)
    server.start()
    yield server
    server.close()


@pytest.fixture
def made(idle: Control) -> Iterator[tuple[Control, JobSpec]]:
    """The server without workers, with a model and a data set, and afterwards with nothing."""
    yield idle, spec(idle)
    for tenant in (TENANT, "globex"):
        for job in idle.list_jobs(tenant, page_size=1000)[0]:
            idle.cancel_job(tenant, job.id)
            idle.delete_job(tenant, job.id)
        for record in idle.list_datasets(tenant)[0]:
            idle.delete_dataset(tenant, record.id)
        for kept in idle.list_models(tenant)[0]:
            idle.delete_model(tenant, kept.id)


# models and data sets


def test_a_model_is_kept(server: Control, tmp_path: Path) -> None:
    files = {"toy.onnx": upload(server, b"toy model"), "data/w.bin": upload(server, b"weights")}
    record = server.create_model(TENANT, display_name="a toy", files=files, main="toy.onnx")
    assert server.get_model(TENANT, record.id) == record
    assert record.digest == sha(b"toy model")
    folder = tmp_path / "data" / "models" / record.id
    assert (folder / "data" / "w.bin").read_bytes() == b"weights"
    for path in folder.rglob("*.*"):
        assert path.stat().st_nlink == 1  # never a link to the blob
    again = server.create_model(TENANT, display_name="again", files=files, main="toy.onnx")
    assert again == record
    server.delete_model(TENANT, record.id)
    with pytest.raises(NotFound, match=record.id):
        server.get_model(TENANT, record.id)
    assert leftovers(server) == []


def test_a_bad_model_leaves_nothing_and_tells_no_path(server: Control, tmp_path: Path) -> None:
    digest = upload(server, b"rubbish")
    with pytest.raises(InvalidModel) as caught:
        server.create_model(TENANT, display_name="", files={"m.onnx": digest}, main="m.onnx")
    assert caught.value.message == "m.onnx is no toy model, see the uploaded files"
    assert caught.value.subject == "m.onnx"
    assert leftovers(server) == []


def test_an_unforeseen_error_tells_nothing(
    server: Control, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    digest = upload(server, b"raise")
    with pytest.raises(MhoError) as caught:
        server.create_model(TENANT, display_name="", files={"m.onnx": digest}, main="m.onnx")
    assert caught.value.reason == "INTERNAL"
    assert "secret" not in caught.value.message
    assert "RuntimeError: secret" in caplog.text
    assert leftovers(server) == []


@pytest.mark.parametrize("content", [b"hang", b"crash"])
def test_a_model_that_breaks_its_inspector(tmp_path: Path, content: bytes) -> None:
    server = control(tmp_path / "data", inspect_seconds=0.5)
    server.start()
    digest = upload(server, content)
    words = "took longer than 0.5 s to check" if content == b"hang" else "ended the process"
    with pytest.raises(InvalidModel, match=words):
        server.create_model(TENANT, display_name="", files={"m.onnx": digest}, main="m.onnx")
    assert leftovers(server) == []
    assert model(server)
    server.close()


def test_only_checked(server: Control, tmp_path: Path) -> None:
    files = {"toy.onnx": upload(server, b"toy model")}
    record = server.create_model(
        TENANT, display_name="", files=files, main="toy.onnx", validate_only=True
    )
    assert record.id == ""
    assert record.summary["layers"] == []
    assert leftovers(server) == []
    real = spec(server)
    assert server.create_job(TENANT, real, validate_only=True).id == ""
    assert server.list_jobs(TENANT) == ([], "")


@pytest.mark.parametrize(
    ("names", "main", "words"),
    [
        ([], "a", "no files"),
        (["a"], "b", "none of the files"),
        (["../a"], "../a", "relative path"),
        (["/a"], "/a", "relative path"),
        (["a//b"], "a//b", "relative path"),
        (["a/./b"], "a/./b", "relative path"),
        (["a\\b"], "a\\b", "backslash"),
        (["a\0b"], "a\0b", "control character"),
        (["C:a"], "C:a", "colon"),
        ([" a"], " a", "space"),
        (["\ud800"], "\ud800", "control character"),
        (["x" * 201], "x" * 201, "longer than 200 bytes"),
        (["a", "A"], "a", "differ only in case"),
        (["e\u0301", "\u00e9"], "\u00e9", "differ only in case or in their Unicode form"),
        (["a", "a/b"], "a", "a file and also the folder"),
        (["A", "a/b"], "A", "a file and also the folder"),
        ([f"f{n}" for n in range(5000)], "f0", "at most 4096"),
    ],
)
def test_names_of_files(store: Control, names: list[str], main: str, words: str) -> None:
    digest = upload(store, b"toy")
    with pytest.raises(InvalidOption, match=words):
        store.create_model(TENANT, display_name="", files=dict.fromkeys(names, digest), main=main)


def test_files_that_were_not_uploaded(store: Control, tmp_path: Path) -> None:
    digest = upload(store, b"toy of another tenant", "globex")
    with pytest.raises(FailedPrecondition, match=r"'m\.onnx'.* have not been uploaded"):
        store.create_model(TENANT, display_name="", files={"m.onnx": digest}, main="m.onnx")
    assert leftovers(store) == []


def test_a_model_over_the_limit(tmp_path: Path) -> None:
    small = control(tmp_path, max_model_bytes=10)
    digest = upload(small, b"toy" * 2)
    with pytest.raises(InvalidModel, match="have 12 bytes; at most 10"):
        small.create_model(TENANT, display_name="", files={"a": digest, "b": digest}, main="a")
    small.close()


def test_a_dataset_is_kept(server: Control, tmp_path: Path) -> None:
    used = model(server)
    inputs = FileRef("x.npy", upload(server, b"inputs"))
    labels = FileRef("y.tsv", upload(server, b"labels"))
    record = server.create_dataset(
        TENANT, display_name="d", model=used, inputs=inputs, labels=labels, preprocess="imagenet"
    )
    assert server.get_dataset(TENANT, record.id) == record
    assert (record.inputs, record.labels, record.preprocess) == (inputs, labels, "imagenet")
    assert record.summary["labels"] is True
    assert server.list_datasets(TENANT) == ([record], "")
    server.delete_dataset(TENANT, record.id)
    with pytest.raises(NotFound):
        server.get_dataset(TENANT, record.id)


def test_bad_data_leaves_nothing(server: Control, tmp_path: Path) -> None:
    used = model(server)
    bad = FileRef("x.npy", upload(server, b"bad"))
    with pytest.raises(InvalidData) as caught:
        server.create_dataset(TENANT, display_name="", model=used, inputs=bad)
    assert caught.value.message == "x.npy does not fit toy.onnx"
    good = dataclasses.replace(bad, sha256=upload(server, b"good"))
    refusals: list[tuple[type[MhoError], str, Callable[[], object]]] = [
        (
            InvalidData,
            "are taken",
            lambda: server.create_dataset(
                TENANT, display_name="", model=used, inputs=FileRef("x.pkl", good.sha256)
            ),
        ),
        (
            InvalidOption,
            "preprocess spec",
            lambda: server.create_dataset(
                TENANT, display_name="", model=used, inputs=good, preprocess="/etc/passwd"
            ),
        ),
        (
            NotFound,
            "no model",
            lambda: server.create_dataset(TENANT, display_name="", model="none", inputs=good),
        ),
        (
            InvalidOption,
            "differ only in case",
            lambda: server.create_dataset(
                TENANT,
                display_name="",
                model=used,
                inputs=good,
                labels=FileRef("X.npy", good.sha256),
            ),
        ),
    ]
    for kind, words, call in refusals:
        with pytest.raises(kind, match=words):
            call()
    assert leftovers(server) == [f"models/{used}"]


# jobs


def test_a_request_is_carried_out_once(made: tuple[Control, JobSpec]) -> None:
    server, wanted = made
    first = server.create_job(TENANT, wanted, request_id="r-1")
    assert server.create_job(TENANT, wanted, request_id="r-1") == first
    assert server.create_job(TENANT, wanted, request_id="r-2").id != first.id
    other = dataclasses.replace(wanted, options={"steps": 3})
    with pytest.raises(AlreadyExists, match=f"'r-1' made job '{first.id}'"):
        server.create_job(TENANT, other, request_id="r-1")
    assert server.create_job(TENANT, other).request_id == ""
    with pytest.raises(InvalidOption, match="request id"):
        server.create_job(TENANT, wanted, request_id="x" * 200)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"method": "magic"}, "'magic' does not exist; choose one of toy"),
        ({"options": {"stepz": 3}}, "no option 'stepz'"),
        ({"options": {"steps": 10**10}}, "must lie between"),
        ({"options": {"steps": float("nan")}}, "number"),
        ({"options": {"steps": float("inf")}}, "number"),
        ({"options": {"substitute": "/etc/passwd"}}, "no file is attached"),
        ({"options": {"reference": "somewhere"}}, "no file is attached"),
        ({"attachments": {"steps": Attachment(dataset="x")}}, "nothing can be attached to 'steps'"),
        ({"attachments": {"reference": Attachment("a", "0" * 64)}}, "attach a data set"),
        ({"attachments": {"groups": Attachment(dataset="x")}}, "attach an uploaded file"),
        ({"attachments": {"groups": Attachment("../a", "0" * 64)}}, "plain file name"),
        ({"attachments": {"substitute": Attachment("zero", "0" * 64)}}, "rename the file"),
        (
            {
                "options": {"substitute": "zero"},
                "attachments": {"substitute": Attachment("a.npy", "0" * 64)},
            },
            "give one of them",
        ),
    ],
)
def test_a_bad_job_is_refused_at_once(
    made: tuple[Control, JobSpec], tmp_path: Path, change: dict[str, object], words: str
) -> None:
    server, wanted = made
    before = leftovers(server)
    with pytest.raises(InvalidOption, match=words):
        server.create_job(TENANT, dataclasses.replace(wanted, **change))  # type: ignore[arg-type]
    assert leftovers(server) == before
    assert server.list_jobs(TENANT) == ([], "")


def test_a_job_on_what_is_not_there(made: tuple[Control, JobSpec], tmp_path: Path) -> None:
    server, wanted = made
    before = leftovers(server)
    for change in (
        {"model": "none"},
        {"dataset": "none"},
        {"attachments": {"reference": Attachment(dataset="none")}},
    ):
        with pytest.raises(NotFound, match="'none'"):
            server.create_job(TENANT, dataclasses.replace(wanted, **change))  # type: ignore[arg-type]
    groups = {"groups": Attachment("groups.json", "0" * 64)}
    with pytest.raises(FailedPrecondition, match="have not been uploaded"):
        server.create_job(TENANT, dataclasses.replace(wanted, attachments=groups))
    assert leftovers(server) == before


def test_what_is_in_use_stays(made: tuple[Control, JobSpec]) -> None:
    server, wanted = made
    other = dataset(server, wanted.model, b"reference")
    reference = {"reference": Attachment(dataset=other)}
    job = server.create_job(TENANT, dataclasses.replace(wanted, attachments=reference))
    for delete, used in (
        (server.delete_model, wanted.model),
        (server.delete_dataset, wanted.dataset),
        (server.delete_dataset, other),
    ):
        with pytest.raises(FailedPrecondition, match=f"used by job '{job.id}'"):
            delete(TENANT, used)
    with pytest.raises(FailedPrecondition, match="cancel it first"):
        server.delete_job(TENANT, job.id)
    with pytest.raises(FailedPrecondition, match="no result: it is QUEUED"):
        server.artifacts(TENANT, job.id)
    assert server.cancel_job(TENANT, job.id).state is JobState.CANCELLED
    server.delete_dataset(TENANT, other)
    server.delete_dataset(TENANT, wanted.dataset)
    server.delete_model(TENANT, wanted.model)
    server.delete_job(TENANT, job.id)
    with pytest.raises(NotFound):
        server.get_job(TENANT, job.id)


def test_nothing_of_another_tenant(made: tuple[Control, JobSpec]) -> None:
    server, wanted = made
    job = server.create_job(TENANT, wanted)
    calls: list[Callable[[str], object]] = [
        lambda t: server.get_model(t, wanted.model),
        lambda t: server.delete_model(t, wanted.model),
        lambda t: server.get_dataset(t, wanted.dataset),
        lambda t: server.delete_dataset(t, wanted.dataset),
        lambda t: server.get_job(t, job.id),
        lambda t: server.cancel_job(t, job.id),
        lambda t: server.delete_job(t, job.id),
        lambda t: server.events(t, job.id, 0, 0.0),
        lambda t: server.artifacts(t, job.id),
        lambda t: server.artifact_path(t, job.id, "result.json"),
        lambda t: server.create_job(t, wanted),
    ]
    for call in calls:
        with pytest.raises(NotFound) as caught:
            call("globex")
        known = caught.value.message
        assert TENANT not in known
    for listing in (server.list_models, server.list_datasets, server.list_jobs):
        assert listing("globex") == ([], "")  # type: ignore[operator]
    assert server.get_job(TENANT, job.id).state is JobState.QUEUED
    # The answer about what there is not at all has the same words.
    with pytest.raises(NotFound) as caught:
        server.get_job("globex", "aaaaaaaaaaaaaaaa")
    with pytest.raises(NotFound) as foreign:
        server.get_job("globex", job.id)
    assert caught.value.message == foreign.value.message.replace(job.id, "aaaaaaaaaaaaaaaa")


@pytest.mark.parametrize("tenant", ["", "../a", "a/b", "x" * 64, "a\n", ".hidden"])
def test_names_of_tenants(store: Control, tenant: str) -> None:
    with pytest.raises(InvalidOption, match="no tenant's name"):
        store.missing_blobs(tenant, [])


def test_pages(made: tuple[Control, JobSpec]) -> None:
    server, wanted = made
    ids = [server.create_job(TENANT, wanted).id for _ in range(7)]
    seen, token = [], ""
    while True:
        records, token = server.list_jobs(TENANT, page_size=3, page_token=token)
        seen += [record.id for record in records]
        if not token:
            break
        server.create_job(TENANT, wanted)  # what is new does not shift the pages
    assert seen == ids[::-1]
    server.cancel_job(TENANT, ids[0])
    found, _ = server.list_jobs(TENANT, states=[JobState.CANCELLED])
    assert [record.id for record in found] == [ids[0]]


def test_forged_page_tokens(made: tuple[Control, JobSpec]) -> None:
    server, wanted = made
    for _ in range(3):
        server.create_job(TENANT, wanted)
        server.create_job("globex", spec(server, "globex"))
    _, token = server.list_jobs(TENANT, page_size=1)
    raw = base64.urlsafe_b64decode(token + "=" * (-len(token) % 4))
    moved = base64.urlsafe_b64encode((999).to_bytes(8, "big") + raw[8:]).decode().rstrip("=")
    for forged in (moved, "x", "é", token[:-2], token + "AAAA", "A" * 32, "A" * 10_000):
        with pytest.raises(InvalidOption, match="page_token"):
            server.list_jobs(TENANT, page_token=forged)
    refusals: list[Callable[[], object]] = [
        lambda: server.list_jobs("globex", page_token=token),
        lambda: server.list_jobs(TENANT, states=[JobState.QUEUED], page_token=token),
        lambda: server.list_models(TENANT, page_token=token),
        lambda: server.list_jobs(TENANT, page_size=-1),
    ]
    for call in refusals:
        with pytest.raises(InvalidOption, match="page_"):
            call()


def test_events_of_a_waiting_job(made: tuple[Control, JobSpec]) -> None:
    server, wanted = made
    heard: list[tuple[str, str]] = []
    unsubscribe = server.subscribe(lambda tenant, job: heard.append((tenant, job)))
    job = server.create_job(TENANT, wanted).id
    (queued,) = server.events(TENANT, job, 0, 0.0)
    assert (queued.sequence, queued.kind, queued.state) == (1, EventKind.STATE, JobState.QUEUED)
    assert server.events(TENANT, job, 1, 0.05) == []
    assert heard == [(TENANT, job)]
    unsubscribe()
    server.cancel_job(TENANT, job)
    assert heard == [(TENANT, job)]
    (cancelled,) = server.events(TENANT, job, 1, 10.0)
    assert cancelled.state is JobState.CANCELLED
    assert server.events(TENANT, job, 2, 10.0) == []  # at once: nothing can come
    assert server.cancel_job(TENANT, job).state is JobState.CANCELLED
