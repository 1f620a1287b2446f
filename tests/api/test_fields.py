"""The path of the field at fault, whatever the domain calls it."""

from __future__ import annotations

import pytest

from mho.api.fields import path_of, resource_of
from mho_client.v1 import blobs_pb2, datasets_pb2, files_pb2, jobs_pb2, methods_pb2, models_pb2

FILES = [files_pb2.File(name="a.onnx"), files_pb2.File(name="b.bin")]
MODEL = models_pb2.CreateModelRequest(model=models_pb2.Model(files=FILES))
DATASET = datasets_pb2.CreateDatasetRequest(
    dataset=datasets_pb2.Dataset(inputs=files_pb2.File(name="x.npy"))
)
JOB = jobs_pb2.CreateJobRequest(
    spec=jobs_pb2.JobSpec(
        model="tenants/t/models/m",
        dataset="tenants/t/datasets/d",
        method=methods_pb2.MethodOptions(conductance=methods_pb2.ConductanceOptions()),
        attachments={"baseline": jobs_pb2.Attachment(file=FILES[0])},
    )
)


@pytest.mark.parametrize(
    ("request_", "subject", "path"),
    [
        (MODEL, "main", "model.main"),
        (MODEL, "model.files", "model.files"),
        (MODEL, "b.bin", "model.files[1]"),
        (MODEL, "node 7", "model"),
        (DATASET, "x.npy", "dataset.inputs"),
        (DATASET, "preprocess", "dataset.preprocess"),
        (JOB, "tolerance", "spec.method.conductance.tolerance"),
        (JOB, "baseline", "spec.attachments[baseline]"),
        (JOB, "spec.attachments[groups]", "spec.attachments[groups]"),
        (JOB, "memory", "spec"),
        (JOB, "request_id", "request_id"),
        (blobs_pb2.UploadBlobRequest(), "offset", "begin.offset"),
        (jobs_pb2.GetJobRequest(), "name", "name"),
        (jobs_pb2.GetJobRequest(), "elsewhere", "elsewhere"),
    ],
)
def test_the_field_at_fault_is_found(request_: object, subject: str, path: str) -> None:
    assert path_of(request_, subject) == path  # type: ignore[arg-type]


def test_resources_are_found_by_their_kind() -> None:
    assert resource_of(JOB, "dataset") == "tenants/t/datasets/d"
    assert resource_of(JOB, "model") == "tenants/t/models/m"
    assert resource_of(JOB, "job") == ""
