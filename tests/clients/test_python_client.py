"""The Python client against a real server whose worker is a toy."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import time
import zipfile
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from api import toy_entry
from api.running import Running, running
from mho_client import Client, Dataset, JobFailed, MhoClientError, Model, Progress
from mho_client.files import labels_file

ROOT = Path(__file__).parents[2]


@pytest.fixture
def model(client: Client, tmp_path: Path) -> Model:
    (tmp_path / "model.onnx").write_bytes(b"toy model")
    return client.upload_model(tmp_path / "model.onnx")


@pytest.fixture
def data(client: Client, model: Model) -> Dataset:
    return client.upload_dataset(model, np.arange(6.0), labels=[0, 1])


# models


def test_a_model_goes_up_and_tells_its_layers(client: Client, model: Model) -> None:
    assert (model.display_name, model.layer_count) == ("model.onnx", 2)
    assert model.inputs[0].dtype == "float32"
    assert model.inputs[0].shape == ("batch", 3, None)
    relu, dense = client.layers(model)
    assert (relu.name, relu.units, relu.axis, relu.shape) == (
        "block/relu",
        3,
        1,
        ("batch", 3, 4, 4),
    )
    assert client.layers(model.name) == client.layers(model.name.rsplit("/", 1)[1]) == [relu, dense]
    assert client.model(model.name) == model
    assert model in list(client.models())


def test_long_lists_of_layers_come_whole(client: Client, tmp_path: Path) -> None:
    (tmp_path / "wide.onnx").write_bytes(b"toy wide")
    assert len(client.layers(client.upload_model(tmp_path / "wide.onnx"))) == 10_000


def test_a_folder_or_a_list_of_files_is_a_model(client: Client, tmp_path: Path) -> None:
    (tmp_path / "parts").mkdir()
    (tmp_path / "model.onnx").write_bytes(b"toy with parts")
    (tmp_path / "parts" / "w.bin").write_bytes(b"w")
    from_folder = client.upload_model(tmp_path)
    assert (
        client.upload_model([tmp_path / "parts" / "w.bin", tmp_path / "model.onnx"]) == from_folder
    )
    (tmp_path / "second.onnx").write_bytes(b"toy")
    with pytest.raises(MhoClientError, match=r"exactly one \.onnx") as caught:
        client.upload_model(tmp_path)
    assert caught.value.reason == "INVALID_MODEL"


def test_external_data_are_found_without_onnx(tmp_path: Path) -> None:
    onnx = pytest.importorskip("onnx")
    from onnx import TensorProto, helper

    from mho_client.external_data import external_files

    def external(name: str, location: str) -> TensorProto:
        tensor = TensorProto(name=name, data_type=TensorProto.FLOAT, dims=[1])
        tensor.data_location = TensorProto.EXTERNAL
        for key, value in (("location", location), ("offset", "0"), ("length", "4")):
            entry = tensor.external_data.add()
            entry.key, entry.value = key, value
        return tensor

    inner = helper.make_graph([], "inner", [], [], [external("b", "sub/b.bin")])
    graph = helper.make_graph(
        [
            helper.make_node("If", ["c"], ["d"], then_branch=inner, else_branch=inner),
            helper.make_node("Constant", [], ["e"], value=external("e", "c.bin")),
        ],
        "outer",
        [],
        [],
        [external("a", "a.bin"), helper.make_tensor("z", TensorProto.FLOAT, [1], [1.0])],
    )
    path = tmp_path / "model.onnx"
    path.write_bytes(helper.make_model(graph).SerializeToString())
    assert onnx.load(path, load_external_data=False).graph.name == "outer"
    (tmp_path / "sub").mkdir()
    for name in ("a.bin", "c.bin"):
        (tmp_path / name).write_bytes(b"\0\0\0\0")
    with pytest.raises(MhoClientError, match=r"'sub/b\.bin', which is no file beside it"):
        external_files(path)
    (tmp_path / "sub" / "b.bin").write_bytes(b"\0\0\0\0")
    assert external_files(path) == ["a.bin", "c.bin", "sub/b.bin"]
    path.write_bytes(b"\xff no model")
    assert external_files(path) == []


def test_the_server_refuses_what_is_no_model(client: Client, tmp_path: Path) -> None:
    (tmp_path / "bad.onnx").write_bytes(b"bad")
    with pytest.raises(MhoClientError, match=r"'bad\.onnx' is no ONNX model") as caught:
        client.upload_model(tmp_path / "bad.onnx")
    error = caught.value
    assert (error.code, error.reason, error.subject) == (
        "INVALID_ARGUMENT",
        "INVALID_MODEL",
        "bad.onnx",
    )
    assert error.violations[0].field == "model.files[0]"


# uploads


def test_bytes_are_sent_once_and_counted(client: Client, model: Model) -> None:
    array = np.random.default_rng(0).normal(size=400_000)
    counted: list[tuple[int, int]] = []
    client.upload_dataset(model, array, progress=lambda done, total: counted.append((done, total)))
    total = counted[-1][1]
    assert total > array.nbytes
    assert [done for done, _ in counted] == sorted(done for done, _ in counted)
    assert counted[-1] == (total, total)
    assert any(0 < done < total for done, _ in counted)
    counted.clear()
    client.upload_dataset(model, array, progress=lambda done, total: counted.append((done, total)))
    assert counted == [(total, total)]


def test_an_upload_goes_on_where_it_broke_off(client: Client, model: Model) -> None:
    array = np.random.default_rng(1).normal(size=600_000)
    started: list[int] = []

    def stop(done: int, total: int) -> None:
        if done > 2 * 2**20:
            raise KeyError("stop")

    with pytest.raises(KeyError, match="stop"):
        client.upload_dataset(model, array, progress=stop)
    client.upload_dataset(model, array, progress=lambda done, total: started.append(done))
    assert started[1] >= 2 * 2**20


# datasets


def uploaded(server: Running, data: Dataset) -> bytes:
    """The bytes of a dataset's inputs as the server has them."""
    record = server.control.get_dataset("default", data.name.rsplit("/", 1)[1])
    folder = Path(server.control._layout.dataset(record.id))
    return (folder / record.inputs.name).read_bytes()


def test_inputs_of_every_kind(
    server: Running, client: Client, model: Model, tmp_path: Path
) -> None:
    array = np.arange(6.0, dtype=np.float32)
    np.save(tmp_path / "mine.npy", array)
    from_file = client.upload_dataset(model, str(tmp_path / "mine.npy"))
    assert from_file.display_name == "mine.npy"
    assert uploaded(server, from_file) == (tmp_path / "mine.npy").read_bytes()

    several = client.upload_dataset(model, {"x": array, "file": array[:2]})
    (tmp_path / "got.npz").write_bytes(uploaded(server, several))
    with np.load(tmp_path / "got.npz") as arrays:
        assert set(arrays) == {"x", "file"}
        np.testing.assert_array_equal(arrays["x"], array)

    (tmp_path / "images").mkdir()
    red = Image.new("RGB", (4, 4), "red")
    for name in ("b.png", "a.png"):
        red.save(tmp_path / "images" / name)
    (tmp_path / "images" / ".hidden").write_bytes(b"")

    def names(inputs: object) -> list[str]:
        made = client.upload_dataset(model, inputs, preprocess={"scale": "1/255"})
        assert made.preprocess == '{"scale": "1/255"}'
        (tmp_path / "got.zip").write_bytes(uploaded(server, made))
        with zipfile.ZipFile(tmp_path / "got.zip") as archive:
            assert archive.testzip() is None
            return archive.namelist()

    a, b = tmp_path / "images" / "a.png", tmp_path / "images" / "b.png"
    assert names(tmp_path / "images") == ["a.png", "b.png"]
    assert names([a, b]) == ["a.png", "b.png"]
    assert names([b, a]) == ["000000-b.png", "000001-a.png"]
    assert names([red, b]) == ["000000.png", "000001-b.png"]


def test_the_same_data_are_the_same_dataset(client: Client, model: Model) -> None:
    arrays = {"x": np.ones(3)}
    first = client.upload_dataset(model, arrays, labels=np.array([1, 2]))
    time.sleep(0.01)
    assert client.upload_dataset(model, arrays, labels=[1, 2]).name == first.name
    assert first.labelled
    assert client.dataset(first.name) == first
    assert first in list(client.datasets())
    client.delete_dataset(first)
    with pytest.raises(MhoClientError) as caught:
        client.dataset(first.name)
    assert caught.value.code == "NOT_FOUND"


def test_preprocessing_is_read_from_a_file(client: Client, model: Model, tmp_path: Path) -> None:
    (tmp_path / "spec.yaml").write_text("{resize: 8, scale: 1/255}")
    made = client.upload_dataset(model, np.ones(2), preprocess=tmp_path / "spec.yaml")
    assert made.preprocess == "{resize: 8, scale: 1/255}"
    assert client.upload_dataset(model, np.ones(2), preprocess="unit").preprocess == "unit"


def test_data_that_cannot_be_are_refused_before_anything_is_sent(
    client: Client, model: Model
) -> None:
    for inputs in ([], 3, "nowhere.npy", [object()], np.array([{}], dtype=object)):
        with pytest.raises(MhoClientError, match="inputs"):
            client.upload_dataset(model, inputs)  # type: ignore[arg-type]
    for labels in (np.ones(2), ["a", "b"], [True, False]):
        with pytest.raises(MhoClientError, match=r"labels are .* of shape \(2,\)"):
            client.upload_dataset(model, np.ones(2), labels=labels)  # type: ignore[arg-type]


def test_targets_of_a_regressor_are_floats(client: Client, model: Model, tmp_path: Path) -> None:
    for targets in (np.array([0.5, 2]), np.ones((2, 1)), [[1.5, 2], [3, 4]]):
        made = client.upload_dataset(model, np.ones(2), labels=targets)  # type: ignore[arg-type]
        assert made.name
        written = labels_file(targets, tmp_path)  # type: ignore[arg-type]
        np.testing.assert_array_equal(np.load(written.path), targets)


# jobs


def test_a_job_gives_its_result(client: Client, model: Model, data: Dataset) -> None:
    seen: list[Progress] = []
    job = client.submit("conductance", model, data, layers=["steps=3"], tolerance=0.05, target=7)
    result = job.result(seen.append)
    assert seen[-1].fraction == 1.0
    assert (result.method, result.notes) == ("conductance", ("a note",))
    assert set(result.scores) == {"block/relu", "fc"}
    np.testing.assert_array_equal(result.scores["fc"], toy_entry.SCORES["fc"])
    np.testing.assert_array_equal(result.std_error["block/relu"], toy_entry.STD_ERROR["block/relu"])
    assert set(result.curves) == {"removed", "top"}
    assert set(result.maps) == {"fc"}
    assert result.completeness_gap == pytest.approx(0.004)
    assert result.summary["seed"] == 2**63 - 1
    assert result.summary["options"] == {"layers": ["steps=3"], "tolerance": 0.05, "target": "7"}
    best = result.ranked(2)
    assert [(unit.layer, unit.unit, unit.score) for unit in best] == [
        ("block/relu", 1, -2.0),
        ("fc", 0, 2.0),
    ]
    assert best[0].std_error == pytest.approx(0.2)
    status = client.job(job.id).status()
    assert (status.state, status.method, status.model) == ("SUCCEEDED", "conductance", model.name)
    assert status.finished is not None
    assert job.name in [entry.name for entry in client.jobs("succeeded")]
    assert job.name not in [entry.name for entry in client.jobs(["FAILED", "RUNNING"])]
    job.delete()
    with pytest.raises(MhoClientError, match="NOT_FOUND"):
        job.status()


def test_a_layer_may_be_given_as_one_name(client: Client, model: Model, data: Dataset) -> None:
    result = client.submit("activation", model, data, layers="steps=1", seed=None).result()
    assert result.summary["options"] == {"layers": ["steps=1"]}


def test_files_for_options_are_attached(
    client: Client, model: Model, data: Dataset, tmp_path: Path
) -> None:
    def attached(method: str, **options: object) -> dict[str, str]:
        found = client.submit(method, model, data, **options).result().summary
        return found["report"]["attached"]

    np.save(tmp_path / "start.npy", np.zeros(3))
    assert attached("conductance", baseline=tmp_path / "start.npy") == {"baseline": "start.npy"}
    assert attached("conductance", baseline=str(tmp_path / "start.npy"))
    assert attached("conductance", baseline=np.zeros(3)) == {"baseline": "baseline.npy"}
    assert attached("conductance", baseline={"x": np.zeros(3)}) == {"baseline": "baseline.npz"}
    assert attached("conductance", baseline="zero") == {}
    assert attached("shapley", groups={"g": {"fc": [0]}}, substitute="zero") == {
        "groups": "groups.json"
    }
    assert "reference" in attached("shapley", reference=np.ones(5))
    assert "reference" in attached("shapley", reference=data)
    earlier = client.submit("activation", model, data)
    assert attached("ablation", scores=earlier) == {"scores": "scores.npz"}
    assert attached("ablation", scores=earlier.result()) == {"scores": "scores.npz"}
    earlier.fetch(tmp_path / "earlier")
    assert attached("ablation", scores=tmp_path / "earlier") == {"scores": "scores.npz"}
    with pytest.raises(MhoClientError, match="there is no file or folder 'blakc'"):
        client.submit("conductance", model, data, baseline="blakc")
    with pytest.raises(MhoClientError, match="option 'groups' takes a path, or a dict"):
        client.submit("shapley", model, data, groups=3)


@pytest.mark.parametrize(
    ("method", "options", "message"),
    [
        ("conductanse", {}, r"no method 'conductanse' \(did you mean 'conductance'\?\)"),
        ("conductance", {"tolerence": 1}, r"did you mean 'tolerance'\?\); it has layers, target"),
        ("conductance", {"tolerance": "x"}, "'tolerance' takes a number, not 'x'"),
        ("conductance", {"seed": 1.5}, "'seed' takes a whole number of 64 bits, not 1.5"),
        ("conductance", {"seed": 2**70}, "'seed' takes a whole number of 64 bits"),
        ("conductance", {"seed": True}, "'seed' takes a whole number"),
        ("conductance", {"layers": 3}, "'layers' takes a list of names, not 3"),
        ("conductance", {"target": 1.5}, "'target' takes a text, not 1.5"),
        ("conductance", {"tolerance": 7}, "'tolerance' is 7.0; it must lie between"),
        ("activation", {"reduction": "median"}, "choose one of mean, sum, max"),
    ],
)
def test_a_wrong_option_is_named(
    client: Client,
    model: Model,
    data: Dataset,
    method: str,
    options: dict[str, object],
    message: str,
) -> None:
    with pytest.raises(MhoClientError, match=message) as caught:
        client.submit(method, model, data, **options)
    assert (caught.value.code, caught.value.reason) == ("INVALID_ARGUMENT", "INVALID_OPTION")
    assert caught.value.violations[0].field.rpartition(".")[2] in (*options, "method")


def test_a_request_id_makes_one_job(client: Client, model: Model, data: Dataset) -> None:
    first = client.submit("activation", model, data, request_id="mine")
    assert client.submit("activation", model, data, request_id="mine").name == first.name
    with pytest.raises(MhoClientError) as caught:
        client.submit("shapley", model, data, request_id="mine")
    assert caught.value.code == "ALREADY_EXISTS"


def test_a_failed_or_cancelled_job_says_so(client: Client, model: Model, data: Dataset) -> None:
    with pytest.raises(JobFailed, match="10 h") as caught:
        client.submit("activation", model, data, layers=["fail"]).result()
    assert (caught.value.reason, caught.value.subject) == ("TOO_EXPENSIVE", "layers")
    job = client.submit("activation", model, data, layers=["steps=100", "pause=0.1"])
    with pytest.raises(TimeoutError, match="it goes on"):
        job.wait(timeout=0.3)
    job.cancel()
    with pytest.raises(JobFailed) as stopped:
        job.wait()
    assert stopped.value.reason == "CANCELLED"
    with pytest.raises(MhoClientError, match="there is no state 'DONE'"):
        list(client.jobs("DONE"))


def test_artifacts_are_fetched_verified_and_resumed(
    client: Client, model: Model, data: Dataset, tmp_path: Path
) -> None:
    job = client.submit("activation", model, data)
    job.wait()
    counted: list[tuple[int, int]] = []
    paths = job.fetch(tmp_path / "out", lambda done, total: counted.append((done, total)))
    assert {path.relative_to(tmp_path / "out").as_posix() for path in paths} == {
        "result.json",
        "scores.npz",
        "pictures/units.png",
    }
    assert counted[-1][0] == counted[-1][1] == sum(path.stat().st_size for path in paths)
    with np.load(tmp_path / "out" / "scores.npz") as arrays:
        np.testing.assert_array_equal(arrays["fc"], toy_entry.SCORES["fc"])

    picture = tmp_path / "out" / "pictures" / "units.png"
    content, digest = (
        picture.read_bytes(),
        next(
            artifact.sha256 for artifact in job.artifacts() if artifact.path == "pictures/units.png"
        ),
    )
    part = picture.with_name(f".units.png.{digest[:16]}.part")
    picture.unlink()
    part.write_bytes(content[:1000])
    counted.clear()
    job.fetch(tmp_path / "out", lambda done, total: counted.append((done, total)))
    assert picture.read_bytes() == content
    picture.unlink()
    part.write_bytes(b"damaged" + content[7:1000])
    with pytest.raises(MhoClientError, match="do not have the digest"):
        job.fetch(tmp_path / "out")
    assert not part.exists()
    assert not picture.exists()
    job.fetch(tmp_path / "out")
    assert picture.read_bytes() == content
    assert not list((tmp_path / "out").rglob("*.part"))


# the connection


def test_methods_and_health(client: Client) -> None:
    assert client.health() == "SERVING"
    methods = {method.name: method for method in client.methods()}
    assert {"activation", "conductance", "shapley", "ablation"} <= set(methods)
    options = {option.name: option for option in methods["conductance"].options}
    assert (options["tolerance"].default, options["tolerance"].type) == (0.01, "number")
    assert (options["layers"].default, options["baseline"].file) == ([], "array")


def test_a_server_that_is_not_there_is_named() -> None:
    with Client("127.0.0.1:1", retry_seconds=0.2) as client:
        with pytest.raises(
            MhoClientError, match=r"the server at 127\.0\.0\.1:1 cannot be"
        ) as caught:
            client.health()
        assert (caught.value.code, caught.value.reason) == ("UNAVAILABLE", "")


def test_another_tenant_is_not_there(server: Running) -> None:
    with Client(server.address, tenant="other") as client, pytest.raises(MhoClientError) as caught:
        list(client.models())
    assert caught.value.code == "NOT_FOUND"


def test_a_watch_survives_a_restart_of_the_server(tmp_path: Path) -> None:
    (tmp_path / "model.onnx").write_bytes(b"toy model")
    with running(tmp_path / "data") as first:
        port = first.port
        client = Client(first.address)
        model = client.upload_model(tmp_path / "model.onnx")
        data = client.upload_dataset(model, np.ones(2))
        job = client.submit("activation", model, data, layers=["steps=30", "pause=0.05"])
        events = job.watch()
        seen = [next(events) for _ in range(5)]
    # The same control cannot be opened twice, so the second server begins where the first ended.
    with client, running(tmp_path / "data", port=port):
        seen.extend(events)
    assert seen[-1].state == "SUCCEEDED"
    sequences = [event.sequence for event in seen]
    assert sequences == sorted(set(sequences))


def test_the_example_of_the_readme_runs(
    server: Running,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    text = (ROOT / "clients" / "python" / "README.md").read_text()
    (example,) = re.findall(r"```python\n(.*?)```", text, re.DOTALL)
    monkeypatch.chdir(tmp_path)
    (tmp_path / "model.onnx").write_bytes(b"toy model")
    np.save("inputs.npy", np.ones((2, 3), np.float32))
    np.save("labels.npy", np.array([0, 1]))
    exec(example.replace("localhost:50061", server.address), {})
    assert "block/relu:1: -2.0000 ± 0.2000" in capsys.readouterr().out
    assert (tmp_path / "result" / "scores.npz").exists()
    assert len([line for line in example.splitlines() if line.strip()]) <= 15


def test_the_client_needs_neither_onnx_nor_mho() -> None:
    program = (
        "import sys, mho_client; "
        "print([name for name in ('onnx', 'onnxruntime', 'mho', 'PIL') if name in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", program],
        capture_output=True,
        text=True,
        check=True,
        env=os.environ | {"PYTHONPATH": str(ROOT / "clients" / "python" / "src")},
    )
    assert done.stdout.strip() == "[]"
