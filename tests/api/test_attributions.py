"""Synchronous attributions on a real model, by a real server, over a real socket."""

from __future__ import annotations

import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import grpc
import numpy as np
import psutil
import pytest

import shapes
from api.running import Running, failure, running
from jobs.server import until
from mho.jobs.messages import PipeClosed
from mho.jobs.processes import WorkerProcess
from mho.jobs.serving import desks
from mho.types import Array
from mho_client import Attribution, Client, MhoClientError, Model
from mho_client.attributions import put_inputs
from mho_client.v1 import attributions_pb2, attributions_pb2_grpc, methods_pb2, tensors_pb2

ENTRY = "mho.jobs.attribution"
LAYERS = ["conv2/relu", "conv3/relu"]
PATHS = ("conductance", "integrated_gradients", "internal_influence", "layer_integrated_gradients")
POINTS = ("activation", "gradient", "gradient_x_activation", "grad_cam")


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    folder = tmp_path_factory.mktemp("serving") / "data"
    with running(folder, entry=ENTRY, provider="cpu", threads=1) as started:
        yield started


@pytest.fixture(scope="module")
def client(server: Running) -> Iterator[Client]:
    with Client(server.address) as connected:
        yield connected


@pytest.fixture(scope="module")
def model(client: Client) -> Model:
    return client.upload_model(shapes.MODEL)


@pytest.fixture(scope="module")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> Array:
    inputs, _ = shapes.inputs(tmp_path_factory.mktemp("pictures"), 6)
    return np.load(inputs)


def options(method: str, **more: Any) -> dict[str, Any]:
    layers = {} if method in ("integrated_gradients", "grad_cam") else {"layers": LAYERS}
    return {**layers, **more}


def workers(server: Running) -> list[psutil.Process]:
    return [p for p in psutil.Process().children() if "mho.jobs.worker" in p.cmdline()]


def serving(server: Running) -> psutil.Process:
    """The one serving process of the server under test: the others are in the background."""
    (found,) = [
        process
        for process in workers(server)
        if process.nice() == psutil.Process().nice() and str(server.control._layout.nowhere)
        == process.cwd()
    ]  # fmt: skip
    return found


@pytest.mark.parametrize("method", [*PATHS, *POINTS])
def test_a_call_gives_what_a_job_gives(
    client: Client, model: Model, pictures: Array, method: str
) -> None:
    job = client.submit(method, model, client.upload_dataset(model, pictures), **options(method))
    for _ in range(2):  # cold, then warm
        found = client.attribute(model, method, pictures, **options(method))
    wanted = job.result()
    assert list(found.scores) == list(wanted.scores)
    for name, scores in wanted.scores.items():
        np.testing.assert_allclose(found.scores[name], scores, rtol=1e-4, atol=1e-5)
    assert list(found.maps) == list(wanted.maps)
    for name, values in wanted.maps.items():
        np.testing.assert_allclose(found.maps[name], values, rtol=1e-4, atol=1e-5)
    assert found.model_digest == model.digest
    assert found.estimand == wanted.estimand
    targets = [prediction.target for prediction in found.predictions]
    assert targets == wanted.summary["report"].get("targets", [])
    for entry, told in zip(found.completeness, wanted.summary["completeness"], strict=True):
        np.testing.assert_allclose(entry.gap, told["gap"]["per_input"], atol=1e-5)
        assert list(entry.layers) == told["layers"]


def test_other_inputs_of_a_warm_method_get_their_own_scores(
    client: Client, model: Model, pictures: Array
) -> None:
    every = client.attribute(model, "conductance", pictures, layers=LAYERS)
    for place in (3, 0):
        alone = client.attribute(model, "conductance", pictures[[place]], layers=LAYERS)
        for name, scores in alone.scores.items():
            np.testing.assert_allclose(scores[0], every.scores[name][place], rtol=1e-4, atol=1e-5)
        assert alone.predictions[0].target == every.predictions[place].target
        assert alone.predictions[0].score == pytest.approx(every.predictions[place].score, abs=1e-4)


def test_scores_add_up_to_the_predictions(client: Client, model: Model, pictures: Array) -> None:
    found = client.attribute(model, "conductance", pictures, layers="conv2/relu")
    (cut,) = found.completeness
    change = [p.score - (p.baseline_score or 0.0) for p in found.predictions]
    np.testing.assert_allclose(cut.difference, change, atol=1e-4)
    np.testing.assert_allclose(cut.total, found.scores["conv2/relu"].sum(axis=1), atol=1e-4)
    assert (cut.gap <= 0.01).all()


def test_finite_differences_and_units_are_served_warm(
    client: Client, model: Model, pictures: Array
) -> None:
    for asked in (
        {"layers": "conv3/relu", "engine": "finite_difference"},
        {"units": "conv3/relu:1"},
    ):
        both = client.attribute(model, "conductance", pictures[:2], **asked)
        assert both.engine == asked.get("engine", "gradient")
        for row in (1, 0):
            one = client.attribute(model, "conductance", pictures[[row]], **asked)
            (scores,) = one.scores["conv3/relu"]
            np.testing.assert_allclose(scores, both.scores["conv3/relu"][row], rtol=1e-3, atol=1e-5)


@pytest.mark.parametrize("granularity", ["channel", "neuron"])
def test_the_top_units_are_those_of_the_arrays(
    client: Client, model: Model, pictures: Array, granularity: str
) -> None:
    asked = {"layers": "conv2/relu", "granularity": granularity}
    scores = client.attribute(model, "gradient", pictures[:2], **asked).scores["conv2/relu"]
    found = client.attribute(model, "gradient", pictures[:2], top=3, **asked)
    assert not found.scores
    for row, units in zip(scores, found.top["conv2/relu"], strict=True):
        sizes = [abs(unit.score) for unit in units]
        np.testing.assert_allclose(sizes, np.sort(np.abs(row).reshape(-1))[::-1][:3], rtol=1e-5)
        for unit in units:
            assert row[(unit.unit, *unit.position)] == pytest.approx(unit.score, rel=1e-5)


def test_images_are_decoded_and_preprocessed(client: Client, model: Model, tmp_path: Path) -> None:
    from PIL import Image

    drawn = shapes.drawing_module().draw(2, 5, "shuffled")
    array, _ = shapes.inputs(tmp_path, 2)
    images = [Image.fromarray(pixels) for pixels in drawn.images]
    images[1].save(tmp_path / "second.png")
    found = client.attribute(
        model,
        "gradient",
        [images[0], tmp_path / "second.png"],
        preprocess=shapes.PREPROCESS,
        layers=LAYERS,
    )
    wanted = client.attribute(model, "gradient", np.load(array), layers=LAYERS)
    for name, scores in wanted.scores.items():
        np.testing.assert_allclose(found.scores[name], scores, rtol=1e-3, atol=1e-4)


def test_labels_are_the_targets_where_they_are_asked_for(
    client: Client, model: Model, pictures: Array
) -> None:
    found = client.attribute(model, "gradient", pictures[:2], labels=[2, 0], target="label")
    assert [prediction.target for prediction in found.predictions] == [2, 0]


BAD: dict[str, tuple[dict[str, Any], str, str]] = {
    "dtype": ({"inputs": np.zeros((1, 3, 48, 48), np.int32)}, "INVALID_DATA", "takes float32"),
    "complex": ({"inputs": np.zeros((1, 3, 48, 48), complex)}, "INVALID_DATA", "complex128"),
    "nan": ({"inputs": np.full((1, 3, 48, 48), np.nan, np.float32)}, "INVALID_DATA", "NaN"),
    "shape": ({"inputs": np.zeros((1, 5, 7), np.float32)}, "INVALID_DATA", "shape"),
    "no rows": ({"inputs": np.zeros((0, 3, 48, 48), np.float32)}, "INVALID_DATA", "no inputs"),
    "scalar": ({"inputs": np.array(1.0, np.float32)}, "INVALID_DATA", "scalar"),
    "name": (
        {"inputs": {"nobody": np.zeros((1, 3, 48, 48), np.float32)}}, "INVALID_DATA", "nobody",
    ),
    "too large": (
        {"inputs": np.zeros((170, 3, 48, 48), np.float32)}, "INVALID_DATA", "4194304",
    ),
    "layer": ({"layers": "no/such"}, "UNKNOWN_LAYER", "no/such"),
    "method": ({"method": "shapley"}, "INVALID_OPTION", "submit a job"),
    "target": ({"target": "99"}, "INVALID_OPTION", "99"),
    "no labels": ({"target": "label"}, "INVALID_OPTION", "needs a label"),
    "labels": ({"target": "label", "labels": [1, 2]}, "INVALID_DATA", "2 labels for 1"),
    "top": ({"top": -1}, "INVALID_OPTION", "top is -1"),
    "answer": (
        {"inputs": np.zeros((20, 3, 48, 48), np.float32), "granularity": "neuron",
         "layers": "*", "method": "activation"}, "INVALID_OPTION", "ask for the top units",
    ),
    "preprocess": ({"preprocess": "{crop: 0}"}, "INVALID_OPTION", "crop"),
}  # fmt: skip


@pytest.mark.parametrize("case", BAD)
def test_what_does_not_fit_is_said_and_harms_nobody(
    server: Running, client: Client, model: Model, case: str
) -> None:
    changes, reason, text = BAD[case]
    good = {"method": "gradient", "inputs": np.zeros((1, 3, 48, 48), np.float32), "layers": LAYERS}
    client.attribute(model, **good)
    before = serving(server).pid
    with pytest.raises(MhoClientError, match=text.replace("(", r"\(")) as caught:
        client.attribute(model, **{**good, **changes})
    assert (caught.value.code, caught.value.reason) == ("INVALID_ARGUMENT", reason)
    client.attribute(model, **good)
    assert serving(server).pid == before


TENSORS = {
    "bytes": (tensors_pb2.Tensor(data_type="DATA_TYPE_FLOAT32", dims=[1, 3], data=b"1234"), "12"),
    "negative": (tensors_pb2.Tensor(data_type="DATA_TYPE_FLOAT32", dims=[-1, 4]), "impossible"),
    "product": (
        tensors_pb2.Tensor(data_type="DATA_TYPE_FLOAT32", dims=[2**62] * 8), "far more",
    ),
    "rank": (tensors_pb2.Tensor(data_type="DATA_TYPE_FLOAT32", dims=[1] * 100), "100 of them"),
    "type": (tensors_pb2.Tensor(data_type=77, dims=[1]), "77"),
    "text": (tensors_pb2.Tensor(data_type="DATA_TYPE_STRING", dims=[1], data=b"x"), "string"),
    "none": (tensors_pb2.Tensor(dims=[1], data=b"x"), "unspecified"),
}  # fmt: skip


@pytest.mark.parametrize("case", TENSORS)
def test_tensors_that_are_none_are_refused(server: Running, model: Model, case: str) -> None:
    tensor, text = TENSORS[case]
    request = attributions_pb2.AttributeRequest(
        model=model.name,
        method=methods_pb2.MethodOptions(gradient=methods_pb2.GradientOptions()),
        inputs={"input": tensor},
    )
    call = attributions_pb2_grpc.AttributionsStub(server.channel).Attribute
    code, status, details = failure(lambda: call(request))
    assert code == grpc.StatusCode.INVALID_ARGUMENT
    assert text in status.message
    assert details["ErrorInfo"].reason == "INVALID_DATA"


def test_images_that_are_none_are_refused(server: Running, client: Client, model: Model) -> None:
    call = attributions_pb2_grpc.AttributionsStub(server.channel).Attribute
    request = attributions_pb2.AttributeRequest(
        model=model.name,
        method=methods_pb2.MethodOptions(gradient=methods_pb2.GradientOptions()),
        images=[b"GIF89a, or so it says"],
        preprocess="unit",
    )
    code, status, _ = failure(lambda: call(request))
    assert (code, "images[0]" in status.message) == (grpc.StatusCode.INVALID_ARGUMENT, True)
    request.preprocess = ""
    assert "set preprocess" in failure(lambda: call(request))[1].message
    request.inputs["input"].dims.append(0)
    assert "both inputs and images" in failure(lambda: call(request))[1].message
    request.Clear()
    request.model = model.name
    assert failure(lambda: call(request))[2]["ErrorInfo"].metadata["subject"] == "method"


def test_another_tenant_and_an_unknown_model_are_not_found(
    server: Running, client: Client, model: Model, pictures: Array
) -> None:
    for name in ("tenants/default/models/nobody", model.name.replace("default", "other")):
        with pytest.raises(MhoClientError) as caught:
            client.attribute(name, "gradient", pictures[:1])
        assert caught.value.code == "NOT_FOUND"


def together(
    server: Running, model: Model, asked: list[Array], method: str = "conductance"
) -> list[Attribution | MhoClientError]:
    """Calls that have to wait for a run in hand, so that they are there at the same time."""

    def call(inputs: Array) -> Attribution | MhoClientError:
        with Client(server.address) as own:
            try:
                return own.attribute(model, method, inputs, layers=LAYERS)
            except MhoClientError as error:
                return error

    process = serving(server)
    process.suspend()
    try:
        with ThreadPoolExecutor(len(asked) + 1) as pool:
            pool.submit(call, asked[0])  # the run in hand
            until(lambda: server.control._desks.busy() == 1, "the first run")
            futures = [pool.submit(call, inputs) for inputs in asked]
            queue = server.control._desks._waiting
            until(lambda: len(queue.get("default", ())) == len(asked), "the queue")
            process.resume()
            return [future.result(60) for future in futures]
    finally:
        process.resume()


def test_waiting_calls_share_a_run_and_get_what_each_would_get_alone(
    server: Running, client: Client, model: Model, pictures: Array
) -> None:
    alone = [
        client.attribute(model, "conductance", pictures[[place]], layers=LAYERS)
        for place in range(5)
    ]
    found = together(server, model, [pictures[[place]] for place in range(5)])
    for own, shared in zip(alone, found, strict=True):
        assert isinstance(shared, Attribution)
        assert shared.batch_inputs == 5
        assert shared.queue_seconds > 0
        for name, scores in own.scores.items():
            np.testing.assert_allclose(shared.scores[name], scores, rtol=1e-4, atol=1e-5)
        assert [p.target for p in shared.predictions] == [p.target for p in own.predictions]


def test_a_bad_input_does_not_fail_its_neighbours(
    server: Running, model: Model, pictures: Array
) -> None:
    bad = np.full_like(pictures[:1], np.nan)
    huge = np.full_like(pictures[:1], 3e38)  # finite, and NaN on its way through the model
    first, second, third, fourth = together(server, model, [pictures[:1], bad, huge, pictures[1:2]])
    assert isinstance(first, Attribution)
    assert isinstance(fourth, Attribution)
    for error in (second, third):
        assert isinstance(error, MhoClientError)
        assert (error.code, error.reason) == ("INVALID_ARGUMENT", "INVALID_DATA")


def test_a_killed_worker_is_told_and_the_next_call_gets_another(
    server: Running, client: Client, model: Model, pictures: Array
) -> None:
    client.attribute(model, "gradient", pictures[:1])
    process = serving(server)
    process.suspend()
    with ThreadPoolExecutor(1) as pool:
        future = pool.submit(client.attribute, model, "gradient", pictures[:1])
        until(lambda: server.control._desks.busy() == 1, "the run")
        process.kill()
        with pytest.raises(MhoClientError, match="signal 9") as caught:
            future.result(60)
    assert (caught.value.code, caught.value.reason) == ("ABORTED", "WORKER_CRASHED")
    assert client.attribute(model, "gradient", pictures[:1]).scores
    assert serving(server).pid != process.pid


class Stillborn(WorkerProcess):
    """Of these, the next ``deaths`` die before they have started."""

    deaths = 0

    def ready(self) -> None:
        if Stillborn.deaths:
            Stillborn.deaths -= 1
            raise PipeClosed("nobody there")
        super().ready()


def test_a_worker_that_does_not_start_is_no_fault_of_the_call(
    server: Running, client: Client, model: Model, pictures: Array, monkeypatch: pytest.MonkeyPatch
) -> None:
    client.attribute(model, "gradient", pictures[:1])
    monkeypatch.setattr(desks, "WorkerProcess", Stillborn)
    request = attributions_pb2.AttributeRequest(
        model=model.name, method=methods_pb2.MethodOptions(gradient=methods_pb2.GradientOptions())
    )
    put_inputs(request, pictures[:1])
    call = attributions_pb2_grpc.AttributionsStub(server.channel).Attribute
    (process,) = [desk.process for desk in server.control._desks._desks if desk.process]
    serving(server).kill()
    until(lambda: not process.alive, "its end")
    Stillborn.deaths = 2
    code, _, details = failure(lambda: call(request))
    assert (code, details["ErrorInfo"].reason) == (grpc.StatusCode.UNAVAILABLE, "UNAVAILABLE")
    assert details["RetryInfo"].retry_delay.seconds == 5
    Stillborn.deaths = 1
    assert call(request).predictions
    assert Stillborn.deaths == 0


def test_a_deadline_stops_the_run_and_the_worker_lives_on(
    server: Running, client: Client, model: Model, pictures: Array
) -> None:
    client.attribute(model, "gradient", pictures[:1])
    before = serving(server).pid
    slow = {"engine": "finite_difference", "granularity": "neuron", "tolerance": 1e-5, "top": 1}
    started = time.monotonic()
    with pytest.raises(MhoClientError) as caught:
        client.attribute(model, "conductance", pictures, seconds=1.0, **slow)
    assert caught.value.code == "DEADLINE_EXCEEDED"
    until(lambda: server.control._desks.busy() == 0, "the end of the run")
    assert time.monotonic() - started < 20
    assert client.attribute(model, "gradient", pictures[:1]).scores
    assert serving(server).pid == before


def test_a_cancelled_call_stops_the_run(
    server: Running, client: Client, model: Model, pictures: Array
) -> None:
    slow = methods_pb2.ConductanceOptions(
        engine="finite_difference", granularity="neuron", tolerance=1e-5
    )
    request = attributions_pb2.AttributeRequest(
        model=model.name, method=methods_pb2.MethodOptions(conductance=slow), top=1
    )
    put_inputs(request, pictures)
    call = attributions_pb2_grpc.AttributionsStub(server.channel).Attribute.future(request)
    until(lambda: server.control._desks.busy() == 1, "the run")
    call.cancel()
    until(lambda: server.control._desks.busy() == 0, "the end of the run")
