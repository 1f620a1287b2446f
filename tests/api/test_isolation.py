"""Every call, tried by everybody who should not get anywhere: never a byte, never a hint.

The calls are those of the descriptors, so one that is added fails here until it is tried as well.
What a caller gets for another tenant's names is compared, whole, with what it gets for names that
never existed.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import grpc
import pytest
from google.protobuf import descriptor_pool, message_factory

from api.credentials import Issuer, tenants_file
from api.running import Calls, Running, bearing, running
from mho.api.authentication import _REFUSED
from mho.api.roles import NEEDED
from mho.api.server import SERVICES
from mho.tenants import Role
from mho_client.v1 import (
    attributions_pb2,
    blobs_pb2,
    catalog_pb2,
    datasets_pb2,
    files_pb2,
    jobs_pb2,
    methods_pb2,
    models_pb2,
)

NOWHERE = "a" * 16
NO_BYTES = hashlib.sha256(b"never uploaded").hexdigest()

METHODS = {
    f"/{service}/{method.name}": method
    for service in SERVICES
    for method in descriptor_pool.Default().FindServiceByName(service).methods
}


@dataclass(frozen=True)
class Names:
    """What a request may name. ``at`` is the tenant whose resources are asked for."""

    tenant: str
    model: str
    dataset: str
    job: str
    blob: str
    at: str = ""

    def of(self, collection: str, id: str) -> str:
        return f"tenants/{self.at or self.tenant}/{collection}/{id}"

    @property
    def parent(self) -> str:
        return f"tenants/{self.tenant}"

    @property
    def file(self) -> files_pb2.File:
        return files_pb2.File(name="toy.onnx", sha256=self.blob)


def spec(names: Names) -> jobs_pb2.JobSpec:
    return jobs_pb2.JobSpec(
        model=names.of("models", names.model),
        dataset=names.of("datasets", names.dataset),
        method=methods_pb2.MethodOptions(activation=methods_pb2.ActivationOptions()),
    )


def uploading(names: Names) -> list[blobs_pb2.UploadBlobRequest]:
    begin = blobs_pb2.UploadBlobRequest.Begin(
        parent=names.parent, sha256=names.blob, size_bytes=9, offset=0
    )
    return [blobs_pb2.UploadBlobRequest(begin=begin)]


REQUESTS: dict[str, Callable[[Names], Any]] = {
    "Blobs/QueryMissingBlobs": lambda n: blobs_pb2.QueryMissingBlobsRequest(
        parent=n.parent, sha256=[n.blob]
    ),
    "Blobs/GetUpload": lambda n: blobs_pb2.GetUploadRequest(parent=n.parent, sha256=n.blob),
    "Blobs/UploadBlob": uploading,
    "Models/CreateModel": lambda n: models_pb2.CreateModelRequest(
        parent=n.parent, model=models_pb2.Model(files=[n.file])
    ),
    "Models/GetModel": lambda n: models_pb2.GetModelRequest(name=n.of("models", n.model)),
    "Models/ListModels": lambda n: models_pb2.ListModelsRequest(parent=n.parent),
    "Models/DeleteModel": lambda n: models_pb2.DeleteModelRequest(name=n.of("models", n.model)),
    "Models/ListLayers": lambda n: models_pb2.ListLayersRequest(parent=n.of("models", n.model)),
    "Datasets/CreateDataset": lambda n: datasets_pb2.CreateDatasetRequest(
        parent=n.parent,
        dataset=datasets_pb2.Dataset(
            model=n.of("models", n.model),
            inputs=files_pb2.File(name="inputs.npy", sha256=n.blob),
        ),
    ),
    "Datasets/GetDataset": lambda n: datasets_pb2.GetDatasetRequest(
        name=n.of("datasets", n.dataset)
    ),
    "Datasets/ListDatasets": lambda n: datasets_pb2.ListDatasetsRequest(parent=n.parent),
    "Datasets/DeleteDataset": lambda n: datasets_pb2.DeleteDatasetRequest(
        name=n.of("datasets", n.dataset)
    ),
    "Jobs/CreateJob": lambda n: jobs_pb2.CreateJobRequest(parent=n.parent, spec=spec(n)),
    "Jobs/GetJob": lambda n: jobs_pb2.GetJobRequest(name=n.of("jobs", n.job)),
    "Jobs/ListJobs": lambda n: jobs_pb2.ListJobsRequest(parent=n.parent),
    "Jobs/CancelJob": lambda n: jobs_pb2.CancelJobRequest(name=n.of("jobs", n.job)),
    "Jobs/DeleteJob": lambda n: jobs_pb2.DeleteJobRequest(name=n.of("jobs", n.job)),
    "Jobs/WatchJob": lambda n: jobs_pb2.WatchJobRequest(name=n.of("jobs", n.job)),
    "Jobs/GetResult": lambda n: jobs_pb2.GetResultRequest(name=n.of("jobs", n.job)),
    "Jobs/FetchScores": lambda n: jobs_pb2.FetchScoresRequest(name=n.of("jobs", n.job)),
    "Jobs/ListArtifacts": lambda n: jobs_pb2.ListArtifactsRequest(parent=n.of("jobs", n.job)),
    "Jobs/FetchArtifact": lambda n: jobs_pb2.FetchArtifactRequest(
        name=n.of("jobs", n.job) + "/artifacts/result.json"
    ),
    "Attributions/Attribute": lambda n: attributions_pb2.AttributeRequest(
        model=n.of("models", n.model),
        method=methods_pb2.MethodOptions(activation=methods_pb2.ActivationOptions()),
    ),
}
TRIED = {f"/mho.v1.{call}": request for call, request in REQUESTS.items()}
OPEN = {"/mho.v1.Methods/ListMethods"}
"""Calls that name no tenant; who may call at all may call these."""


@dataclass(frozen=True)
class Outcome:
    """All that a caller gets to see."""

    code: grpc.StatusCode
    message: str
    details: bytes
    answers: tuple[str, ...]

    def without(self, names: Names) -> Outcome:
        """The same, where what the caller itself has sent is blanked."""

        def blank(text: str) -> str:
            for sent in (names.model, names.dataset, names.job, names.blob, names.at, names.tenant):
                text = text.replace(sent, "·") if sent else text
            return text

        details = blank(self.details.decode("latin-1")).encode("latin-1", "replace")
        return Outcome(self.code, blank(self.message), details, tuple(map(blank, self.answers)))


def tried(channel: grpc.Channel, call: str, request: Any) -> Outcome:
    method = METHODS[call]
    make = {
        (False, False): channel.unary_unary,
        (False, True): channel.unary_stream,
        (True, False): channel.stream_unary,
    }[method.client_streaming, method.server_streaming]
    kind: Any = message_factory.GetMessageClass(method.output_type)
    function = make(call, lambda message: message.SerializeToString(), kind.FromString)
    answers: list[str] = []
    try:
        found = function(iter(request) if method.client_streaming else request, timeout=60)
        for answer in found if method.server_streaming else [found]:
            answers.append(f"{answer}")
    except grpc.RpcError as error:
        trailing = dict(error.trailing_metadata() or ())
        details = trailing.get("grpc-status-details-bin", b"")
        return Outcome(error.code(), error.details() or "", details, tuple(answers))
    return Outcome(grpc.StatusCode.OK, "", b"", tuple(answers))


ISSUES = Issuer()


@dataclass(frozen=True)
class Scene:
    """A server on which ``acme`` has everything and ``rival`` has nothing."""

    server: Running
    acme: Names
    owner: Calls

    def channel(self, token: str = "") -> grpc.Channel:
        channel = self.server.channel
        return bearing(channel, token) if token else channel


@pytest.fixture(scope="module")
def scene(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Scene]:
    folder = tmp_path_factory.mktemp("isolation")
    tenants = tenants_file(
        folder,
        acme={"acme-writer": "role: writer", "acme-late": "role: admin, expires: 2020-01-31"},
        rival={"rival-writer": "role: writer", "rival-reader": "role: reader"},
        operator={"admin": "role: admin"},
    )
    settings = ISSUES.settings(folder)
    with running(folder / "data", tenants_file=tenants, reflection=False, **settings) as server:
        owner = server.bearing("acme-writer", "acme")
        job = owner.job()
        owner.ended(job.name)
        owner.model(b"toy second")  # so that there is a second page
        model, dataset = job.spec.model.split("/")[-1], job.spec.dataset.split("/")[-1]
        blob = hashlib.sha256(b"toy model").hexdigest()
        acme = Names("acme", model, dataset, job.name.split("/")[-1], blob)
        yield Scene(server, acme, owner)


def test_every_call_is_tried_and_has_a_role() -> None:
    assert set(TRIED) | OPEN == set(METHODS)
    assert set(NEEDED) == set(METHODS)


@pytest.mark.parametrize("call", sorted(TRIED))
def test_another_tenants_names_do_not_exist(scene: Scene, call: str) -> None:
    request = TRIED[call]
    nothing = Names("acme", NOWHERE, NOWHERE, NOWHERE, NO_BYTES)
    nobody = replace(nothing, tenant="nobody")
    for token in ("rival-writer", "rival-reader", ISSUES.token("rival", "writer")):
        rival = scene.channel(token)
        real = tried(rival, call, request(scene.acme))
        assert real.code == grpc.StatusCode.NOT_FOUND
        assert real.answers == ()
        assert real == tried(rival, call, request(nothing)), "as names that never existed"
        unheard = tried(rival, call, request(nobody))
        # Lengths are in the details, so that a text of another length stands there otherwise.
        assert unheard.code == real.code
        assert unheard.message.replace("'nobody'", "'acme'") == real.message


@pytest.mark.parametrize("call", sorted(TRIED))
def test_another_tenants_ids_and_bytes_are_nothing_at_home(scene: Scene, call: str) -> None:
    request = TRIED[call]
    rival = scene.channel("rival-writer")
    for at in ("", "acme"):
        stolen = replace(scene.acme, tenant="rival", at=at)
        invented = Names("rival", NOWHERE, NOWHERE, NOWHERE, NO_BYTES, at)
        real = tried(rival, call, request(stolen))
        assert real.without(stolen) == tried(rival, call, request(invented)).without(invented)
        for answer in real.answers:
            assert "toy" not in answer
            assert "complete: true" not in answer


@pytest.mark.parametrize("call", sorted(METHODS))
def test_nobody_gets_anywhere_without_a_good_credential(scene: Scene, call: str) -> None:
    request = catalog_pb2.ListMethodsRequest() if call in OPEN else TRIED[call](scene.acme)
    bad = {
        "none": "",
        "unknown": "acme-writerX",
        "the digest in the file": hashlib.sha256(b"acme-writer").hexdigest(),
        "expired": "acme-late",
        "an expired JSON web token": ISSUES.token("acme", "admin", seconds=-1),
        **ISSUES.forged("acme", "admin"),
    }
    seen = {how: tried(scene.channel(token), call, request) for how, token in bad.items()}
    for how, outcome in seen.items():
        assert outcome.code == grpc.StatusCode.UNAUTHENTICATED, how
        assert outcome.message == _REFUSED, how
        assert outcome == seen["none"], how


@pytest.mark.parametrize("call", sorted(TRIED))
def test_a_reader_reads(scene: Scene, call: str) -> None:
    own = replace(scene.acme, tenant="rival")
    outcome = tried(scene.channel("rival-reader"), call, TRIED[call](own))
    refused = outcome.code == grpc.StatusCode.PERMISSION_DENIED
    assert refused == (NEEDED[call] > Role.READER)


@pytest.mark.parametrize(
    "claims",
    [
        {"aud": "another service"},
        {"iss": "https://elsewhere.example"},
        {"aud": None},
        {"exp": None},
        {"nbf": 4e9},
        {"tenant": None},
        {"tenant": "acme/../rival"},
        {"tenant": ["acme"]},
        {"role": "owner"},
        {"role": None},
        {"role": {"admin": True}},
    ],
)
def test_a_token_whose_claims_do_not_fit_is_refused(scene: Scene, claims: dict[str, Any]) -> None:
    said = ISSUES.claims("acme", "writer") | claims
    token = ISSUES.signed({name: value for name, value in said.items() if value is not None})
    channel = scene.channel(token)
    call = "/mho.v1.Models/ListModels"
    assert tried(channel, call, TRIED[call](scene.acme)).code == grpc.StatusCode.UNAUTHENTICATED


def test_good_credentials_get_everywhere_they_should(scene: Scene) -> None:
    call = "/mho.v1.Jobs/FetchArtifact"
    for token in (
        "acme-writer",
        "admin",
        ISSUES.token("acme", "reader"),
        ISSUES.signed(ISSUES.claims("acme", "") | {"role": ["unknown", "reader"]}),
        ISSUES.token("elsewhere", "admin"),
    ):
        outcome = tried(scene.channel(token), call, TRIED[call](scene.acme))
        assert outcome.code == grpc.StatusCode.OK
        assert outcome.answers


@pytest.mark.parametrize(
    "call", ["/mho.v1.Models/ListModels", "/mho.v1.Models/ListLayers", "/mho.v1.Jobs/ListArtifacts"]
)
def test_a_page_token_is_good_where_it_was_given(scene: Scene, call: str) -> None:
    request = TRIED[call](scene.acme)
    request.page_size = 1
    service, name = call.removeprefix("/mho.v1.").split("/")
    method: Any = getattr(getattr(scene.owner, service.lower()), name)
    token = method(request).next_page_token
    assert token
    request.page_token = token
    assert tried(scene.channel("acme-writer"), call, request).code == grpc.StatusCode.OK
    rival = Calls(scene.server.channel, "rival", "rival-writer")
    own_job = rival.job()
    rival.ended(own_job.name)
    own = Names(
        "rival",
        own_job.spec.model.split("/")[-1],
        own_job.spec.dataset.split("/")[-1],
        own_job.name.split("/")[-1],
        scene.acme.blob,
    )
    forged = token[:-2] + ("AA" if token[-2:] != "AA" else "BB")
    seen = set()
    for bad in (token, forged, "at:1", "AAAA", token * 2):
        foreign = TRIED[call](own)
        foreign.page_token = bad
        outcome = tried(scene.channel("rival-writer"), call, foreign)
        assert outcome.code == grpc.StatusCode.INVALID_ARGUMENT
        assert outcome.answers == ()
        seen.add(outcome)
    assert len(seen) == 1, "a token of another tenant's listing is as good as a made-up one"


def sent_twice(scene: Scene, *values: str) -> grpc.StatusCode:
    metadata = [("authorization", value) for value in values]
    with pytest.raises(grpc.RpcError) as caught:
        scene.server.models.ListModels(
            models_pb2.ListModelsRequest(parent="tenants/acme"), metadata=metadata, timeout=20
        )
    return caught.value.code()


def test_only_one_bearer_token_is_an_authorization(scene: Scene) -> None:
    values: Sequence[tuple[str, ...]] = (
        ("Bearer acme-writer", "Bearer acme-writer"),
        ("acme-writer",),
        ("Basic acme-writer",),
        ("Bearer",),
        ("Bearer ",),
        ("",),
        ("Bearer " + "x" * 4000,),
    )
    for each in values:
        assert sent_twice(scene, *each) == grpc.StatusCode.UNAUTHENTICATED
    answer = scene.server.models.ListModels(
        models_pb2.ListModelsRequest(parent="tenants/acme"),
        metadata=[("authorization", "bearer acme-writer")],
    )
    assert answer.models


def test_bytes_that_another_tenant_has_uploaded_are_of_no_use(scene: Scene) -> None:
    """Not even beside a model and a data set of one's own."""
    rival = scene.server.bearing("rival-writer", "rival")
    channel = scene.channel("rival-writer")
    dataset = rival.dataset(b"inputs of rival")
    acmes = scene.owner.upload(b"inputs that only acme has")
    for call, request in (
        (
            "/mho.v1.Datasets/CreateDataset",
            lambda digest: datasets_pb2.CreateDatasetRequest(
                parent="tenants/rival",
                dataset=datasets_pb2.Dataset(
                    model=dataset.model, inputs=files_pb2.File(name="inputs.npy", sha256=digest)
                ),
            ),
        ),
        (
            "/mho.v1.Jobs/CreateJob",
            lambda digest: jobs_pb2.CreateJobRequest(
                parent="tenants/rival",
                spec=jobs_pb2.JobSpec(
                    model=dataset.model,
                    dataset=dataset.name,
                    method=methods_pb2.MethodOptions(
                        shapley=methods_pb2.ShapleyOptions(value="margin")
                    ),
                    attachments={
                        "groups": jobs_pb2.Attachment(
                            file=files_pb2.File(name="groups.json", sha256=digest)
                        )
                    },
                ),
            ),
        ),
    ):
        held, invented = (tried(channel, call, request(digest)) for digest in (acmes, NO_BYTES))
        assert held.code == invented.code == grpc.StatusCode.FAILED_PRECONDITION
        names = Names("rival", "", "", "", acmes)
        assert held.without(names) == invented.without(replace(names, blob=NO_BYTES))


def test_request_ids_of_tenants_are_their_own(scene: Scene) -> None:
    made = []
    for tenant in ("acme", "rival"):
        own = scene.server.bearing(f"{tenant}-writer", tenant)
        request = jobs_pb2.CreateJobRequest(
            parent=own.parent, spec=own.spec(f"of={tenant}"), request_id="the-same"
        )
        made.append(own.jobs.CreateJob(request).name)
        assert made[-1].startswith(f"tenants/{tenant}/")
        own.ended(made[-1])
