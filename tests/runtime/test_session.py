"""Sessions are kept by what their graph holds."""

from __future__ import annotations

import numpy as np
import pytest

from graph.nets import net, normal
from mho.errors import InvalidModel, Unsupported
from mho.graph import model as graph_model
from mho.graph import units
from mho.graph.mask import masked
from mho.runtime import session as room
from mho.runtime.provider import CUDA, Provider
from mho.runtime.session import OutOfMemory, Session, Sessions
from runtime.bound import SETTINGS


def gemm(seed: int = 1) -> graph_model.Model:
    return net("y = Gemm(x, w)", "(float[N,3] x) => (float[N,2] y)", w=normal(seed, 3, 2))


def test_equal_graphs_share_a_session_other_weights_do_not() -> None:
    sessions = Sessions(SETTINGS)
    first = sessions.get(gemm())
    assert sessions.get(gemm()) is first
    assert sessions.get(gemm(seed=2)) is not first
    model = gemm()
    layer = units.layer(model, "y")
    assert sessions.get(masked(model, [layer])) is sessions.get(masked(gemm(), [layer]))


def test_the_oldest_goes_first() -> None:
    from dataclasses import replace

    sessions = Sessions(replace(SETTINGS, session_cache=2))
    first, second = sessions.get(gemm(1)), sessions.get(gemm(2))
    assert sessions.get(gemm(1)) is first
    sessions.get(gemm(3))
    assert sessions.get(gemm(1)) is first
    assert sessions.get(gemm(2)) is not second


def test_sessions_that_are_not_to_be_kept() -> None:
    sessions = Sessions(SETTINGS)
    first = sessions.get(gemm(), keep=False)
    assert sessions.get(gemm()) is not first
    assert sessions.get(gemm(), keep=False) is not sessions.get(gemm())


def test_the_optimised_graph_computes_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    model = net(
        "c = Conv(x, w)  y = Relu(c)", "(float[N,2,4,4] x) => (float[N,8,4,4] y)",
        w=normal(1, 8, 2, 1, 1),
    )  # fmt: skip
    data = Sessions(SETTINGS).optimised(model)
    assert data is not None
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    found = onnxruntime.InferenceSession(data, options, providers=["CPUExecutionProvider"])
    x = normal(2, 3, 2, 4, 4)
    expected = Sessions(SETTINGS).get(model).run({"x": x})["y"]
    np.testing.assert_allclose(found.run(["y"], {"x": x})[0], expected, rtol=1e-6)
    monkeypatch.setattr(graph_model, "_MAX_PROTO_BYTES", 8)
    assert Sessions(SETTINGS).optimised(model) is None


def test_models_too_large_for_one_message(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(graph_model, "_MAX_PROTO_BYTES", 8)
    sessions = Sessions(SETTINGS)
    session = sessions.get(gemm())
    assert sessions.get(gemm()) is session
    assert sessions.get(gemm(2)) is not session
    assert sessions.get(gemm(), keep=False) is not session
    x = normal(3, 4, 3)
    np.testing.assert_allclose(session.run({"x": x})["y"], x @ normal(1, 3, 2), rtol=1e-5)


def test_outputs_by_name_and_feeds_that_are_not_inputs() -> None:
    model = net("a = Neg(x)  b = Abs(x)", "(float[N,3] x) => (float[N,3] a, float[N,3] b)")
    session = Sessions(SETTINGS).get(model)
    x = normal(1, 2, 3)
    assert list(session.run({"x": x, "other": x})) == ["a", "b"]
    assert list(session.run({"x": x}, ["b"])) == ["b"]


def test_a_graph_that_cannot_be_loaded_or_run() -> None:
    sessions = Sessions(SETTINGS)
    bad = net("y = Reshape(x, s)", "(float[N,M] x) => (float[A,B] y)", s=np.array([7, -1]))
    with pytest.raises(InvalidModel, match="fails when it is run"):
        sessions.get(bad).run({"x": normal(1, 2, 3)})

    def unknown(copy: object) -> None:
        next(iter(copy.graph)).op_type = "Nonsense"  # type: ignore[attr-defined]

    with pytest.raises(InvalidModel, match="onnxruntime cannot load the model"):
        sessions.get(gemm().rewritten(unknown))


class _Failing:
    def __init__(self, error: Exception) -> None:
        self.error = error

    def get_inputs(self) -> list[object]:
        return []

    get_outputs = get_inputs

    def run(self, *_: object) -> list[object]:
        raise self.error


@pytest.mark.parametrize(
    "error",
    [
        MemoryError(),
        RuntimeError("Failed to allocate memory for requested buffer of size 123"),
        RuntimeError("CUDA error: out of memory\nand more"),
        RuntimeError("CUBLAS failure 3: CUBLAS_STATUS_ALLOC_FAILED"),
    ],
)
def test_memory_that_runs_out(error: Exception) -> None:
    with pytest.raises(OutOfMemory):
        Session(_Failing(error)).run({})


def test_other_failures_give_their_first_line() -> None:
    with pytest.raises(InvalidModel, match=r"first$"):
        Session(_Failing(RuntimeError("first\nsecond"))).run({})


def test_a_provider_that_is_lost_on_the_way(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(room, "choose", lambda _: Provider(CUDA))
    import onnxruntime

    real = onnxruntime.InferenceSession
    monkeypatch.setattr(
        onnxruntime,
        "InferenceSession",
        lambda source, options, **_: real(source, options, providers=["CPUExecutionProvider"]),
    )
    with pytest.raises(Unsupported, match="CUDAExecutionProvider was lost"):
        Sessions(SETTINGS).get(gemm())
