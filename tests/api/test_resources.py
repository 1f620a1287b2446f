"""Models, datasets, methods and the life of jobs, without watching them."""

from __future__ import annotations

import uuid

import grpc
import pytest

from api.running import PARENT, Running, failure
from mho_client.v1 import (
    catalog_pb2,
    datasets_pb2,
    files_pb2,
    jobs_pb2,
    methods_pb2,
    models_pb2,
    tensors_pb2,
)

ZERO = "0" * 64


def create_model(server: Running, *files: files_pb2.File, **kwargs: object) -> models_pb2.Model:
    wanted = models_pb2.Model(files=files, **kwargs)
    return server.models.CreateModel(models_pb2.CreateModelRequest(parent=PARENT, model=wanted))


def test_a_model_tells_what_is_in_it(server: Running) -> None:
    model = server.model()
    assert model.name.startswith("tenants/default/models/")
    assert (model.display_name, model.main, model.layer_count) == ("toy.onnx", "toy.onnx", 2)
    assert list(model.notes) == ["the batch was made symbolic"]
    assert model.create_time.seconds > 1_700_000_000
    (spec,) = model.inputs
    assert (spec.name, spec.data_type) == ("x", tensors_pb2.DATA_TYPE_FLOAT32)
    assert [entry.WhichOneof("extent") for entry in spec.shape] == ["symbol", "size", None]
    assert server.model().name == model.name
    assert server.models.GetModel(models_pb2.GetModelRequest(name=model.name)) == model
    layers = server.models.ListLayers(models_pb2.ListLayersRequest(parent=model.name)).layers
    assert [(layer.name, layer.unit_count, layer.unit_axis) for layer in layers] == [
        ("block/relu", 3, 1),
        ("fc", 2, 1),
    ]


def test_external_data_and_validate_only(server: Running) -> None:
    files = [server.file("a.onnx", b"toy two"), server.file("weights/a.bin", b"w")]
    request = models_pb2.CreateModelRequest(
        parent=PARENT, model=models_pb2.Model(files=files, main="a.onnx"), validate_only=True
    )
    assert server.models.CreateModel(request).name == ""
    model = create_model(server, *files, main="a.onnx", display_name="two files")
    assert (model.display_name, [file.name for file in model.files]) == (
        "two files",
        ["a.onnx", "weights/a.bin"],
    )
    server.models.DeleteModel(models_pb2.DeleteModelRequest(name=model.name))
    code, status, details = failure(
        lambda: server.models.GetModel(models_pb2.GetModelRequest(name=model.name))
    )
    assert code == grpc.StatusCode.NOT_FOUND, status
    assert details["ResourceInfo"].resource_type == "model"


def test_a_bad_model_is_refused(server: Running) -> None:
    toy = server.file("toy.onnx", b"toy model")
    for files, changes, field, reason in (
        ([], {}, "model.main", "INVALID_OPTION"),
        ([toy, toy], {}, "model.files", "INVALID_OPTION"),
        ([files_pb2.File(name="x")], {}, "model.files", "INVALID_OPTION"),
        ([toy], {"main": "other"}, "model.main", "INVALID_OPTION"),
        ([server.file("bad.onnx", b"bad")], {}, "model.files[0]", "INVALID_MODEL"),
    ):
        code, status, details = failure(lambda f=files, c=changes: create_model(server, *f, **c))
        assert code == grpc.StatusCode.INVALID_ARGUMENT, status
        assert details["BadRequest"].field_violations[0].field == field
        assert details["ErrorInfo"].reason == reason
    code, status, _ = failure(lambda: create_model(server, files_pb2.File(name="x", sha256=ZERO)))
    assert code == grpc.StatusCode.FAILED_PRECONDITION, status


def test_layers_come_in_pages_that_fit(server: Running) -> None:
    model = server.model(b"toy wide model")
    assert model.layer_count == 10_000
    seen, token, pages = [], "", 0
    while True:
        page = server.models.ListLayers(
            models_pb2.ListLayersRequest(parent=model.name, page_size=7000, page_token=token)
        )
        seen += [layer.name for layer in page.layers]
        pages += 1
        token = page.next_page_token
        if not token:
            break
    assert (len(seen), len(set(seen)), pages) == (10_000, 10_000, 2)
    for token in ("x", "YXQ6MA==", "YXQ6LTE=", "YXQ6OTk5OTk5", "ä", "YXQ6MQ==" * 100):
        request = models_pb2.ListLayersRequest(parent=model.name, page_token=token)
        code, _, details = failure(lambda r=request: server.models.ListLayers(r))
        assert code == grpc.StatusCode.INVALID_ARGUMENT
        assert details["BadRequest"].field_violations[0].field == "page_token"


def test_a_dataset_is_checked_against_its_model(server: Running) -> None:
    dataset = server.dataset()
    assert dataset.name.startswith("tenants/default/datasets/")
    assert (dataset.input_count, dataset.has_labels, list(dataset.subgroups)) == (2, False, ["g"])
    assert dataset.inputs.name == "inputs.npy"
    assert not dataset.HasField("labels")
    request = datasets_pb2.GetDatasetRequest(name=dataset.name)
    assert server.datasets.GetDataset(request) == dataset
    labels = server.file("labels.npy", b"labels")
    wanted = datasets_pb2.Dataset(
        model=dataset.model, inputs=dataset.inputs, labels=labels, preprocess="imagenet"
    )
    made = server.datasets.CreateDataset(
        datasets_pb2.CreateDatasetRequest(parent=PARENT, dataset=wanted)
    )
    assert (made.has_labels, made.preprocess, made.labels) == (True, "imagenet", labels)
    listed = server.datasets.ListDatasets(datasets_pb2.ListDatasetsRequest(parent=PARENT))
    assert [entry.name for entry in listed.datasets[:2]] == [made.name, dataset.name]
    server.datasets.DeleteDataset(datasets_pb2.DeleteDatasetRequest(name=made.name))
    assert failure(
        lambda: server.datasets.GetDataset(datasets_pb2.GetDatasetRequest(name=made.name))
    )[0] == (grpc.StatusCode.NOT_FOUND)


@pytest.mark.parametrize(
    ("changes", "code", "field"),
    [
        ({"model": ""}, grpc.StatusCode.INVALID_ARGUMENT, "dataset.model"),
        ({"model": "tenants/default/models/none"}, grpc.StatusCode.NOT_FOUND, "model"),
        ({"model": "tenants/other/models/x"}, grpc.StatusCode.NOT_FOUND, "tenant"),
        ({"inputs": None}, grpc.StatusCode.INVALID_ARGUMENT, "dataset.inputs"),
        ({"labels": files_pb2.File()}, grpc.StatusCode.INVALID_ARGUMENT, "dataset.labels"),
        ({"preprocess": "/etc/passwd"}, grpc.StatusCode.INVALID_ARGUMENT, "preprocess"),
    ],
)
def test_a_bad_dataset_is_refused(
    server: Running, changes: dict[str, object], code: grpc.StatusCode, field: str
) -> None:
    kept = server.dataset()
    wanted = {"model": kept.model, "inputs": kept.inputs} | changes
    request = datasets_pb2.CreateDatasetRequest(
        parent=PARENT, dataset=datasets_pb2.Dataset(**wanted)
    )
    found, status, details = failure(lambda: server.datasets.CreateDataset(request))
    assert found == code, status
    assert details["ErrorInfo"].metadata["subject"] == field


def test_methods_are_described(server: Running) -> None:
    methods = server.methods.ListMethods(catalog_pb2.ListMethodsRequest()).methods
    by_name = {method.name: method for method in methods}
    assert set(by_name) == set(methods_pb2.MethodOptions.DESCRIPTOR.fields_by_name)
    options = {option.name: option for option in by_name["conductance"].options}
    tolerance = options["tolerance"]
    assert tolerance.type == catalog_pb2.Option.TYPE_NUMBER
    assert (tolerance.default_value.number_value, tolerance.minimum, tolerance.used) == (
        0.01,
        1e-6,
        True,
    )
    assert options["baseline"].file_kind == catalog_pb2.Option.FILE_KIND_ARRAY
    assert "zero" in options["baseline"].choices
    assert options["layers"].type == catalog_pb2.Option.TYPE_STRING_LIST
    assert options["seed"].type == catalog_pb2.Option.TYPE_INTEGER
    assert options["seed"].used is False
    assert not options["layers"].HasField("minimum")
    page = server.methods.ListMethods(catalog_pb2.ListMethodsRequest(page_size=1))
    assert len(page.methods) == 1
    assert page.next_page_token


def test_a_job_keeps_what_was_asked(server: Running) -> None:
    spec = server.spec()
    spec.cost_accepted = True
    spec.priority = jobs_pb2.JOB_PRIORITY_NORMAL
    spec.method.conductance.SetInParent()
    wanted = spec.method.conductance
    wanted.layers.append("steps=1")
    wanted.tolerance = 0.25
    wanted.seed = 2**62 + 1
    spec.attachments["baseline"].file.CopyFrom(server.file("start.npy", b"array"))
    job = server.jobs.CreateJob(jobs_pb2.CreateJobRequest(parent=PARENT, spec=spec))
    assert job.spec == spec
    server.ended(job.name)
    done = server.jobs.GetJob(jobs_pb2.GetJobRequest(name=job.name))
    assert (done.state, done.attempts) == (jobs_pb2.JOB_STATE_SUCCEEDED, 1)
    assert done.finish_time.ToMicroseconds() >= done.start_time.ToMicroseconds()
    assert done.progress.total == 1
    assert done.spec == spec


def test_an_option_that_is_not_set_is_not_sent_on(server: Running) -> None:
    job = server.job()
    kept = server.control.get_job("default", job.name.rsplit("/", 1)[1])
    assert kept.spec.options == {}
    zero = methods_pb2.MethodOptions(activation=methods_pb2.ActivationOptions(seed=0))
    spec = server.spec()
    spec.method.CopyFrom(zero)
    job = server.jobs.CreateJob(jobs_pb2.CreateJobRequest(parent=PARENT, spec=spec))
    kept = server.control.get_job("default", job.name.rsplit("/", 1)[1])
    assert kept.spec.options == {"seed": 0}
    assert job.spec.method == zero


def test_a_repeated_request_gives_the_same_job(server: Running) -> None:
    request = jobs_pb2.CreateJobRequest(
        parent=PARENT, spec=server.spec(), request_id=str(uuid.uuid4())
    )
    first = server.jobs.CreateJob(request)
    assert server.jobs.CreateJob(request).name == first.name
    assert first.request_id == request.request_id
    request.spec.method.activation.reduction = "max"
    code, _, details = failure(lambda: server.jobs.CreateJob(request))
    assert code == grpc.StatusCode.ALREADY_EXISTS
    assert details["ErrorInfo"].reason == "ALREADY_EXISTS"


def test_validate_only_keeps_nothing(server: Running) -> None:
    spec = server.spec("validated")
    request = jobs_pb2.CreateJobRequest(parent=PARENT, spec=spec, validate_only=True)
    assert server.jobs.CreateJob(request).name == ""
    listed = server.jobs.ListJobs(jobs_pb2.ListJobsRequest(parent=PARENT, page_size=1000)).jobs
    assert all("validated" not in job.spec.method.activation.layers for job in listed)


def bad_spec(server: Running, what: str) -> jobs_pb2.JobSpec:
    spec = server.spec()
    if what == "no method":
        spec.ClearField("method")
    elif what == "out of range":
        spec.method.conductance.tolerance = 7
    elif what == "not finite":
        spec.method.conductance.tolerance = float("nan")
    elif what == "no choice":
        spec.method.activation.reduction = "median"
    elif what == "file of the server":
        spec.method.conductance.baseline = "/etc/passwd"
    elif what == "empty attachment":
        spec.attachments["baseline"].SetInParent()
    elif what == "nothing to attach to":
        spec.attachments["tolerance"].file.CopyFrom(files_pb2.File(name="x", sha256=ZERO))
    elif what == "two of one":
        spec.method.conductance.baseline = "zero"
        spec.attachments["baseline"].file.CopyFrom(files_pb2.File(name="x", sha256=ZERO))
    elif what == "no such model":
        spec.model = "tenants/default/models/none"
    elif what == "bad name":
        spec.dataset = "none"
    elif what == "too large":
        spec.method.activation.layers.extend(["x" * 1000] * 1100)
    return spec


@pytest.mark.parametrize(
    ("what", "code", "field"),
    [
        ("no method", grpc.StatusCode.INVALID_ARGUMENT, "spec.method"),
        ("out of range", grpc.StatusCode.INVALID_ARGUMENT, "tolerance"),
        ("not finite", grpc.StatusCode.INVALID_ARGUMENT, "tolerance"),
        ("no choice", grpc.StatusCode.INVALID_ARGUMENT, "reduction"),
        ("file of the server", grpc.StatusCode.INVALID_ARGUMENT, "baseline"),
        ("empty attachment", grpc.StatusCode.INVALID_ARGUMENT, "spec.attachments[baseline]"),
        ("nothing to attach to", grpc.StatusCode.INVALID_ARGUMENT, "tolerance"),
        ("two of one", grpc.StatusCode.INVALID_ARGUMENT, "baseline"),
        ("no such model", grpc.StatusCode.NOT_FOUND, "model"),
        ("bad name", grpc.StatusCode.INVALID_ARGUMENT, "spec.dataset"),
        ("too large", grpc.StatusCode.INVALID_ARGUMENT, "spec"),
    ],
)
def test_a_bad_spec_is_refused(
    server: Running, what: str, code: grpc.StatusCode, field: str
) -> None:
    request = jobs_pb2.CreateJobRequest(parent=PARENT, spec=bad_spec(server, what))
    found, status, details = failure(lambda: server.jobs.CreateJob(request))
    assert found == code, status
    assert details["ErrorInfo"].metadata["subject"] == field


def test_jobs_are_listed_by_state_and_page(server: Running) -> None:
    names = [server.job(f"list={number}").name for number in range(3)]
    for name in names:
        server.ended(name)
    request = jobs_pb2.ListJobsRequest(
        parent=PARENT, page_size=2, states=[jobs_pb2.JOB_STATE_SUCCEEDED]
    )
    first = server.jobs.ListJobs(request)
    assert [job.name for job in first.jobs] == names[:0:-1]
    request.page_token = first.next_page_token
    assert server.jobs.ListJobs(request).jobs[0].name == names[0]
    request.states.append(jobs_pb2.JOB_STATE_FAILED)
    code, _, details = failure(lambda: server.jobs.ListJobs(request))
    assert code == grpc.StatusCode.INVALID_ARGUMENT
    assert details["BadRequest"].field_violations[0].field == "page_token"
    for state in (0, 99):
        request = jobs_pb2.ListJobsRequest(parent=PARENT, states=[state])
        assert failure(lambda r=request: server.jobs.ListJobs(r))[0] == (
            grpc.StatusCode.INVALID_ARGUMENT
        )


def test_large_jobs_make_small_pages(server: Running) -> None:
    large = [server.job(*["x" * 1000] * 900, f"n={number}").name for number in range(5)]
    page = server.jobs.ListJobs(jobs_pb2.ListJobsRequest(parent=PARENT, page_size=5))
    assert 0 < len(page.jobs) < 5
    assert page.next_page_token
    for name in large:
        server.ended(name)
        server.jobs.DeleteJob(jobs_pb2.DeleteJobRequest(name=name))


def test_a_job_is_cancelled_and_deleted(server: Running) -> None:
    job = server.job("steps=100", "pause=0.1")
    code, _, details = failure(
        lambda: server.jobs.DeleteJob(jobs_pb2.DeleteJobRequest(name=job.name))
    )
    assert code == grpc.StatusCode.FAILED_PRECONDITION
    assert details["PreconditionFailure"].violations[0].type == "FAILED_PRECONDITION"
    cancelled = server.jobs.CancelJob(jobs_pb2.CancelJobRequest(name=job.name))
    assert cancelled.cancelling or cancelled.state == jobs_pb2.JOB_STATE_CANCELLED
    assert server.ended(job.name)[-1].state == jobs_pb2.JOB_STATE_CANCELLED
    server.jobs.DeleteJob(jobs_pb2.DeleteJobRequest(name=job.name))
    assert failure(lambda: server.jobs.GetJob(jobs_pb2.GetJobRequest(name=job.name)))[0] == (
        grpc.StatusCode.NOT_FOUND
    )
