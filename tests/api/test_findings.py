from __future__ import annotations

import hashlib
import json
from pathlib import Path

import grpc
import numpy as np
import pytest

from api import toy_entry
from api.running import Running, failure
from mho.api.scores import StoredArrays
from mho.artifacts.npz import write_npz
from mho.errors import InvalidData
from mho_client.results import FetchedArray, fetched_arrays
from mho_client.v1 import jobs_pb2, results_pb2


@pytest.fixture(scope="module")
def done(server: Running) -> str:
    name = server.job("findings").name
    server.ended(name)
    return name


def arrays(server: Running, name: str, *keys: str) -> list[FetchedArray]:
    request = jobs_pb2.FetchScoresRequest(name=name, keys=keys)
    return list(fetched_arrays(server.jobs.FetchScores(request)))


def fetch(server: Running, name: str, offset: int = 0) -> bytes:
    request = jobs_pb2.FetchArtifactRequest(name=name, offset=offset)
    chunks = [answer.chunk for answer in server.jobs.FetchArtifact(request)]
    assert all(0 < len(chunk) <= 2**20 for chunk in chunks)
    return b"".join(chunks)


def test_a_result_names_the_top_units(server: Running, done: str) -> None:
    result = server.jobs.GetResult(jobs_pb2.GetResultRequest(name=done))
    assert (result.job, result.method, result.engine) == (done, "activation", "finite_difference")
    relu, dense = result.layers
    assert [(unit.unit, unit.score, unit.std_error) for unit in relu.top] == [
        (1, -2.0, 0.2),
        (2, 1.0, 0.3),
        (0, 0.5, 0.1),
    ]
    assert not dense.top[0].HasField("std_error")
    assert (dense.top[0].score, dense.top[0].magnitude) == (2.0, 2.0)
    assert result.completeness_gap == pytest.approx(0.004)
    assert dict(result.evaluations) == {"forward": 64}
    assert json.loads(result.summary_json)["seed"] == 2**63 - 1
    assert list(result.keys)[:2] == ["block/relu", "fc"]


def test_scores_are_streamed_array_by_array(server: Running, done: str) -> None:
    fetched = arrays(server, done)
    by_key = {entry.key: entry for entry in fetched}
    np.testing.assert_array_equal(by_key["fc"].array, toy_entry.SCORES["fc"])
    error = by_key["block/relu/std_error"]
    assert (error.role, error.subject) == (results_pb2.ARRAY_ROLE_STD_ERROR, "block/relu")
    np.testing.assert_array_equal(error.array, toy_entry.STD_ERROR["block/relu"])
    laid = by_key["maps/fc"]
    assert (laid.role, laid.subject) == (results_pb2.ARRAY_ROLE_MAP, "fc")
    np.testing.assert_array_equal(laid.array, toy_entry.MAPS["fc"])
    guess = by_key["ranking/block/relu"]
    assert (guess.role, guess.subject) == (results_pb2.ARRAY_ROLE_RANKING, "block/relu")
    np.testing.assert_array_equal(guess.array, toy_entry.RANKING["block/relu"])
    curve = by_key["curves/top"]
    assert (curve.role, curve.subject, curve.array.shape) == (
        results_pb2.ARRAY_ROLE_CURVE,
        "top",
        (2, 4),
    )
    assert [entry.key for entry in arrays(server, done, "fc", "block/relu")] == [
        "fc",
        "block/relu",
    ]
    code, status, details = failure(lambda: arrays(server, done, "nothing"))
    assert code == grpc.StatusCode.INVALID_ARGUMENT
    assert details["BadRequest"].field_violations[0].field == "keys"
    assert "block/relu" in status.message


def test_curves_and_pictures_are_findings(server: Running, done: str) -> None:
    found = server.jobs.GetResult(jobs_pb2.GetResultRequest(name=done)).findings
    assert [(each.title, each.WhichOneof("kind")) for each in found] == [
        ("highest scores first", "curve"),
        ("Units", "image"),
    ]
    curve = found[0].curve
    assert (curve.key, curve.x_label, curve.draws) == ("curves/top", "units removed", 2)
    assert (list(curve.x), list(curve.y)) == ([0, 1, 2, 3], [1] * 4)
    assert list(curve.y_low) == list(curve.y_high) == [1] * 4
    image = found[1].image
    assert image.media_type == "image/png"
    assert fetch(server, image.artifact).startswith(b"\x89PNG")


def test_a_kind_of_finding_that_is_not_known_yet_still_has_a_title() -> None:
    """As a server of a later version would send it: field 12 of Finding, a message."""
    finding = results_pb2.Finding.FromString(
        results_pb2.Finding(title="patches", caption="of unit 7").SerializeToString()
        + b"\x62\x02\x08\x01"
    )
    assert finding.WhichOneof("kind") is None
    assert (finding.title, finding.caption) == ("patches", "of unit 7")


@pytest.mark.parametrize("key", ["fc", "block/relu"])
def test_an_array_is_gone_on_with(server: Running, done: str, key: str) -> None:
    def bytes_of(offset: int) -> bytes:
        request = jobs_pb2.FetchScoresRequest(name=done, keys=[key], offset=offset)
        begin, *rest = server.jobs.FetchScores(request)
        assert begin.begin.key == key
        return b"".join(answer.chunk for answer in rest)

    whole = toy_entry.SCORES[key].tobytes()
    for offset in (0, 1, 8, len(whole)):
        assert bytes_of(offset) == whole[offset:]
    for offset in (-1, len(whole) + 1):
        code, _, details = failure(lambda at=offset: bytes_of(at) and None)
        assert code == grpc.StatusCode.INVALID_ARGUMENT
        assert details["BadRequest"].field_violations[0].field == "offset"


def test_artifacts_are_fetched_from_any_offset(server: Running, done: str) -> None:
    listed = server.jobs.ListArtifacts(jobs_pb2.ListArtifactsRequest(parent=done)).artifacts
    by_path = {artifact.path: artifact for artifact in listed}
    assert set(by_path) == {"result.json", "scores.npz", "pictures/units.png"}
    picture = by_path["pictures/units.png"]
    assert picture.media_type == "image/png"
    content = fetch(server, picture.name)
    assert len(content) == picture.size_bytes
    assert hashlib.sha256(content).hexdigest() == picture.sha256
    assert fetch(server, picture.name, 2_500_000) == content[2_500_000:]
    assert fetch(server, picture.name, len(content)) == b""
    for offset in (-1, len(content) + 1):
        code, _, details = failure(lambda at=offset: fetch(server, picture.name, at) and None)
        assert code == grpc.StatusCode.INVALID_ARGUMENT
        assert details["BadRequest"].field_violations[0].field == "offset"


@pytest.mark.parametrize("path", ["none.png", "../../page-key", "/etc/passwd", "pictures", "."])
def test_only_artifacts_are_handed_out(server: Running, done: str, path: str) -> None:
    code = failure(lambda: fetch(server, f"{done}/artifacts/{path}"))[0]
    assert code == grpc.StatusCode.NOT_FOUND


def test_there_is_no_result_before_the_end(server: Running) -> None:
    name = server.job("fail").name
    server.ended(name)
    for call in (
        lambda: server.jobs.GetResult(jobs_pb2.GetResultRequest(name=name)),
        lambda: arrays(server, name),
        lambda: server.jobs.ListArtifacts(jobs_pb2.ListArtifactsRequest(parent=name)),
        lambda: fetch(server, f"{name}/artifacts/result.json"),
    ):
        assert failure(call)[0] == grpc.StatusCode.FAILED_PRECONDITION


@pytest.mark.parametrize(
    "array",
    [
        np.arange(12.0).reshape(3, 4),
        np.asfortranarray(np.arange(12.0).reshape(3, 4)),
        np.arange(12, dtype=">f4").reshape(3, 4),
        np.zeros((0, 3), np.float32),
        np.float64(7),
        np.array([True, False]),
    ],
)
def test_stored_arrays_are_sent_row_by_row_little_endian(tmp_path: Path, array: np.ndarray) -> None:
    write_npz(tmp_path / "scores.npz", {"a/b": array})
    stored = StoredArrays(tmp_path / "scores.npz")
    found = stored.open("a/b")
    pieces = []
    while piece := found.read(7):
        pieces.append(piece)
    expected = np.asarray(array)
    little = expected.astype(expected.dtype.newbyteorder("<"))
    assert b"".join(pieces) == little.tobytes(order="C")
    assert tuple(found.shape) == expected.shape
    found.close()
    stored.close()


def test_objects_are_never_unpickled(tmp_path: Path) -> None:
    np.savez(tmp_path / "scores.npz", a=np.array([{}], dtype=object))
    stored = StoredArrays(tmp_path / "scores.npz")
    with pytest.raises(InvalidData, match="Python objects"):
        stored.open("a")
    stored.close()
