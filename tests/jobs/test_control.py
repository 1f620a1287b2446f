"""The facade with the real entry: a job that cannot run is refused before anything is kept."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

import shapes
from jobs.server import TENANT, settings, upload
from mho.errors import InvalidOption, MhoError, UnknownLayer
from mho.jobs.control import Control
from mho.jobs.job import FileRef, JobSpec
from mho.types import JSON


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Control]:
    """A server that looks at uploads and runs no jobs."""
    running = Control(settings(tmp_path_factory.mktemp("control") / "data"))
    running._inspectors.start()
    yield running
    running.close()


@pytest.fixture(scope="module")
def unlabelled(server: Control, tmp_path_factory: pytest.TempPathFactory) -> JobSpec:
    inputs, _ = shapes.inputs(tmp_path_factory.mktemp("inputs"), 3)
    files = {"shapes.onnx": upload(server, shapes.MODEL.read_bytes())}
    model = server.create_model(TENANT, display_name="net", files=files, main="shapes.onnx").id
    ref = FileRef("inputs.npy", upload(server, inputs.read_bytes()))
    data = server.create_dataset(TENANT, display_name="pictures", model=model, inputs=ref)
    assert data.summary["labels"] is False
    return JobSpec(model, data.id, "shapley", {"value": "logit"})


def kept(server: Control) -> tuple[int, list[Path], list[Path]]:
    """What is there of jobs: rows, folders, and files being put together."""
    root = server._layout.root
    return (
        len(server.list_jobs(TENANT)[0]),
        sorted((root / "jobs").iterdir()),
        sorted((root / "staging").iterdir()),
    )


@pytest.mark.parametrize("validate_only", [False, True])
@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"value": "logit", "layers": ["conv9/relu"]}, UnknownLayer, "did you mean 'conv"),
        ({"value": "logit", "layers": ["nothing*"]}, UnknownLayer, "'mho layers'"),
        ({"value": "logit", "output": "q"}, UnknownLayer, "its outputs are"),
        ({"value": "beauty"}, InvalidOption, "value 'beauty' does not exist"),
        ({"value": "logit", "estimator": "best"}, InvalidOption, "estimator 'best' does not"),
        ({}, InvalidOption, "value 'accuracy' needs a label"),
        ({"value": "logit", "target": "label"}, InvalidOption, "target 'label' needs a label"),
    ],
)
def test_a_job_that_cannot_run_is_refused_and_leaves_nothing(
    server: Control,
    unlabelled: JobSpec,
    options: dict[str, JSON],
    error: type[MhoError],
    message: str,
    validate_only: bool,
) -> None:
    wanted = JobSpec(unlabelled.model, unlabelled.dataset, "shapley", options)
    before = kept(server)
    with pytest.raises(error, match=message):
        server.create_job(TENANT, wanted, request_id="r", validate_only=validate_only)
    assert kept(server) == before


def test_any_tensor_of_the_model_may_be_named(server: Control, unlabelled: JobSpec) -> None:
    summary = server.get_model(TENANT, unlabelled.model).summary
    listed = {entry["name"] for entry in summary["layers"]}
    unlisted = [name for name in summary["tensors"] if name not in listed]
    assert listed < set(summary["tensors"])
    layers: list[JSON] = [unlisted[0], "conv*"]
    wanted = JobSpec(unlabelled.model, unlabelled.dataset, "activation", {"layers": layers})
    assert server.create_job(TENANT, wanted, validate_only=True).id == ""
