"""Jobs that ask for what there is not, that are too much, and calls at the wrong time."""

from __future__ import annotations

import base64
from typing import Any

import grpc
import pytest

from hostile.attacked import Attacked, refused, wait_for
from mho_client.v1 import datasets_pb2, jobs_pb2, methods_pb2, models_pb2

ENDED = {
    jobs_pb2.JOB_STATE_SUCCEEDED,
    jobs_pb2.JOB_STATE_FAILED,
    jobs_pb2.JOB_STATE_CANCELLED,
}


def spec(server: Attacked, method: str, **options: Any) -> jobs_pb2.JobSpec:
    return jobs_pb2.JobSpec(
        model=server.model,
        dataset=server.dataset,
        method=methods_pb2.MethodOptions(**{method: options}),
    )


def ended(server: Attacked, name: str) -> jobs_pb2.Job:
    """The job once it has ended, which is then deleted."""
    get = jobs_pb2.GetJobRequest(name=name)
    wait_for(lambda: server.mallory.jobs.GetJob(get).state in ENDED)
    found = server.mallory.jobs.GetJob(get)
    server.mallory.delete_job(name)
    return found


UNKNOWN: dict[str, tuple[str, dict[str, Any]]] = {
    "layer": ("activation", {"layers": ["none"]}),
    "layer of a path": ("activation", {"layers": ["../../etc/passwd"]}),
    "layer with NUL": ("activation", {"layers": ["r\0"]}),
    "a very long layer": ("activation", {"layers": ["r" * 100_000]}),
    "a hundred thousand layers": ("activation", {"layers": [f"l{i}" for i in range(100_000)]}),
    "unit": ("edit", {"remove": ["r:99"]}),
    "negative unit": ("edit", {"remove": ["r:-1"]}),
    "unit of no layer": ("edit", {"remove": ["none:0"]}),
    "no steps": ("shapley", {"layers": ["r"], "value": "logit", "attack_steps": 0}),
    "negative steps": ("shapley", {"layers": ["r"], "value": "logit", "attack_steps": -5}),
    "no budget": ("shapley", {"layers": ["r"], "evaluations": 0}),
    "negative budget": ("shapley", {"layers": ["r"], "evaluations": -(2**63)}),
    "tolerance that is no number": ("conductance", {"layers": ["r"], "tolerance": float("nan")}),
    "output": ("gradient", {"layers": ["r"], "output": "none"}),
    "no tolerance": ("conductance", {"layers": ["r"], "tolerance": 0.0}),
    "target": ("gradient", {"layers": ["r"], "target": "many"}),
}


@pytest.mark.parametrize("kind", UNKNOWN)
def test_what_there_is_not(server: Attacked, kind: str) -> None:
    method, options = UNKNOWN[kind]
    wanted = spec(server, method, **options)
    reasons = ("UNKNOWN_LAYER", "INVALID_OPTION")
    assert len(refused(lambda: server.mallory.begin(wanted), *reasons)) <= 1000


BEYOND: dict[str, tuple[str, dict[str, Any]]] = {
    "a billion steps": (
        "shapley",
        {"layers": ["r"], "value": "logit", "attack": "pgd", "attack_steps": 10**9},
    ),
    "a budget of 2**62": ("shapley", {"layers": ["r"], "value": "logit", "evaluations": 2**62}),
    "a class that there is not": ("gradient", {"layers": ["r"], "target": "99"}),
}


@pytest.mark.parametrize("kind", BEYOND)
def test_what_only_a_run_can_tell(server: Attacked, kind: str) -> None:
    """Refused at once, or the job fails."""
    method, options = BEYOND[kind]
    wanted = spec(server, method, **options)
    reasons = ("INVALID_OPTION", "TOO_EXPENSIVE", "INVALID_DATA")
    try:
        job = server.mallory.begin(wanted)
    except grpc.RpcError:
        refused(lambda: server.mallory.begin(wanted), *reasons)
        return
    found = ended(server, job.name)
    assert found.error.reason in reasons, found
    assert found.error.message


def test_a_request_id_for_another_job(server: Attacked) -> None:
    first = server.mallory.begin(server.spec(), request_id="once")
    assert server.mallory.begin(server.spec(), request_id="once").name == first.name
    other = spec(server, "activation", layers=["h"])
    refused(lambda: server.mallory.begin(other, request_id="once"), "ALREADY_EXISTS")
    for bad in ("a/b", "x" * 65, "\0", "é"):
        refused(
            lambda given=bad: server.mallory.begin(server.spec(), request_id=given),
            "INVALID_OPTION",
        )
    ended(server, first.name)


def test_calls_at_the_wrong_time(server: Attacked) -> None:
    jobs = server.mallory.jobs
    wanted = spec(server, "shapley", layers=["r", "h"], value="logit", evaluations=10**7)
    wanted.cost_accepted = True
    long = server.mallory.begin(wanted).name
    get = jobs_pb2.GetJobRequest(name=long)
    wait_for(lambda: jobs.GetJob(get).state == jobs_pb2.JOB_STATE_RUNNING)
    delete = jobs_pb2.DeleteJobRequest(name=long)
    refused(lambda: jobs.DeleteJob(delete), "FAILED_PRECONDITION")
    refused(lambda: jobs.GetResult(jobs_pb2.GetResultRequest(name=long)), "FAILED_PRECONDITION")
    model = models_pb2.DeleteModelRequest(name=server.model)
    refused(lambda: server.mallory.models.DeleteModel(model), "FAILED_PRECONDITION")
    dataset = datasets_pb2.DeleteDatasetRequest(name=server.dataset)
    refused(lambda: server.mallory.datasets.DeleteDataset(dataset), "FAILED_PRECONDITION")
    cancel = jobs_pb2.CancelJobRequest(name=long)
    jobs.CancelJob(cancel)
    jobs.CancelJob(cancel)
    assert ended(server, long).state == jobs_pb2.JOB_STATE_CANCELLED

    short = server.mallory.begin(server.spec()).name
    get = jobs_pb2.GetJobRequest(name=short)
    wait_for(lambda: jobs.GetJob(get).state == jobs_pb2.JOB_STATE_SUCCEEDED)
    cancel = jobs_pb2.CancelJobRequest(name=short)
    refused(lambda: jobs.CancelJob(cancel), "FAILED_PRECONDITION")
    for path in ("../../mho.sqlite", "/etc/passwd", "none", "scores.npz/../../x", "\0"):
        request = jobs_pb2.FetchArtifactRequest(name=f"{short}/artifacts/{path}")
        refused(lambda sent=request: jobs.FetchArtifact(sent), "NOT_FOUND", "INVALID_OPTION")
    for offset in (-1, 2**62):
        request = jobs_pb2.FetchArtifactRequest(name=f"{short}/artifacts/scores.npz", offset=offset)
        refused(lambda sent=request: jobs.FetchArtifact(sent), "INVALID_OPTION")
    server.mallory.delete_job(short)
    refused(lambda: jobs.GetJob(get), "NOT_FOUND")


def test_another_tenants_names(server: Attacked) -> None:
    theirs = models_pb2.GetModelRequest(name=server.other_model)
    refused(lambda: server.mallory.models.GetModel(theirs), "NOT_FOUND")
    for model in (server.other_model, server.other_model.replace("bystander", "mallory")):
        wanted = server.spec()
        wanted.model = model
        refused(lambda sent=wanted: server.mallory.begin(sent), "NOT_FOUND")
        refused(lambda name=model: server.mallory.attribute(name), "NOT_FOUND", "INVALID_DATA")


def test_forged_page_tokens(server: Attacked) -> None:
    made = [server.mallory.begin(server.spec()).name for _ in range(2)]
    parent = server.mallory.parent
    token = server.mallory.jobs.ListJobs(
        jobs_pb2.ListJobsRequest(parent=parent, page_size=1)
    ).next_page_token
    forged = ("x", token[:-2], token + token, token.swapcase(), "\0", "é", "A" * 10_000)
    signed = base64.urlsafe_b64encode(b'{"after": 0}').decode()
    for bad in (*forged, signed):
        request = jobs_pb2.ListJobsRequest(parent=parent, page_size=1, page_token=bad)
        refused(lambda sent=request: server.mallory.jobs.ListJobs(sent), "INVALID_OPTION")
    elsewhere = models_pb2.ListModelsRequest(parent=parent, page_token=token)
    refused(lambda: server.mallory.models.ListModels(elsewhere), "INVALID_OPTION")
    for name in made:
        ended(server, name)
