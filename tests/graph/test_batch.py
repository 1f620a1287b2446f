"""A fixed batch made symbolic: a batch of three must give what three single runs give."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import onnxruntime as ort
import pytest
from onnx import numpy_helper, parser

from graph.light import NAMES, SMALL, light
from mho.errors import Unsupported
from mho.graph.batch import batched, symbolic
from mho.graph.load import load
from mho.graph.model import Model, serialized

RNG = np.random.default_rng(0)


def loaded(model: onnx.ModelProto, folder: Path) -> Model:
    path = folder / "model.onnx"
    path.write_bytes(model.SerializeToString())
    return load(path)


def model_of(body: str, signature: str, **weights: np.ndarray) -> onnx.ModelProto:
    model = parser.parse_model(
        f'<ir_version: 8, opset_import: ["" : 18]> g {signature} {{ {body} }}'
    )
    for name, array in weights.items():
        model.graph.initializer.append(numpy_helper.from_array(np.asarray(array), name))
    return model


def session(model: Model) -> ort.InferenceSession:
    options = ort.SessionOptions()
    options.intra_op_num_threads = 1
    options.log_severity_level = 4
    data = serialized(model.ir)
    assert data is not None
    return ort.InferenceSession(data, options)


def freed(model: onnx.ModelProto, folder: Path, *, size: int = 1, axis: int = 0) -> Model:
    """``symbolic`` of ``model``, after a batch of 3·size agreed with three runs of ``size``."""
    fixed = loaded(model, folder)
    free = symbolic(fixed)
    assert free is not None
    feeds: dict[str, list[np.ndarray]] = {}
    for spec in fixed.inputs:
        shape = [int(dim or 0) for dim in spec.shape]
        kind = np.dtype(spec.dtype)
        feeds[spec.name] = [
            (RNG.integers(0, 5, shape) if kind.kind == "i" else RNG.standard_normal(shape)).astype(
                kind
            )
            for _ in range(3)
        ]
    one = session(fixed)
    singles = [one.run(None, {name: parts[i] for name, parts in feeds.items()}) for i in range(3)]
    at = {s.name: list(f.shape).index("N") for s, f in zip(fixed.inputs, free.inputs, strict=True)}
    together = session(free).run(
        None, {name: np.concatenate(parts, axis=at[name]) for name, parts in feeds.items()}
    )
    for i, output in enumerate(together):
        parts = [single[i] for single in singles]
        if output.ndim > parts[0].ndim:  # the model drops its batch of one
            parts = [part[None] for part in parts]
        np.testing.assert_allclose(output, np.concatenate(parts, axis), rtol=1e-4, atol=1e-5)
    return free


@pytest.mark.parametrize("name", SMALL)
def test_real_graphs(name: str, tmp_path: Path) -> None:
    free = freed(light(name), tmp_path)
    assert free.inputs[0].shape == ("N", 3, 224, 224)
    assert free.outputs[0].shape[:2] == ("N", 1000)
    assert batched(free)
    assert symbolic(free) is None


@pytest.mark.parametrize("name", sorted(set(NAMES) - set(SMALL)))
def test_real_graphs_that_are_large(name: str, tmp_path: Path) -> None:
    model = onnx.load(Path(onnx.__file__).parent / f"backend/test/data/light/light_{name}.onnx")
    free = symbolic(loaded(model, tmp_path))
    assert free is not None
    assert free.outputs[0].shape == ("N", 1000)


F = np.float32
SMALL_GRAPHS: dict[str, onnx.ModelProto] = {
    "flattened by Reshape": model_of(
        "a = Relu(x)  r = Reshape(a, t)  y = MatMul(r, w)",
        "(float[1,2,3,4] x) => (float[1,2,5] y)",
        t=np.asarray([1, 2, 12]),
        w=RNG.standard_normal((12, 5)).astype(F),
    ),
    "flattened with the open dimension elsewhere": model_of(
        "r = Reshape(x, t)  y = Gemm(r, w)",
        "(float[1,2,3] x) => (float[1,5] y)",
        t=np.asarray([1, -1]),
        w=RNG.standard_normal((6, 5)).astype(F),
    ),
    "rows of a matrix and back": model_of(
        "r = Reshape(x, t)  m = Gemm(r, w, b)  y = Reshape(m, u)",
        "(float[1,4,3] x) => (float[1,4,5] y)",
        t=np.asarray([4, 3]),
        u=np.asarray([1, 4, 5]),
        w=RNG.standard_normal((3, 5)).astype(F),
        b=RNG.standard_normal((5,)).astype(F),
    ),
    "rows with positions added": model_of(
        "r = Reshape(x, t)  m = Add(r, p)  y = Reshape(m, u)",
        "(float[1,4,3] x) => (float[1,4,3] y)",
        t=np.asarray([4, 3]),
        u=np.asarray([1, 4, 3]),
        p=RNG.standard_normal((4, 3)).astype(F),
    ),
    "squeezed to rows and back": model_of(
        "r = Squeeze(x, z)  m = MatMul(r, w)  y = Unsqueeze(m, z)",
        "(float[1,4,3] x) => (float[1,4,5] y)",
        z=np.asarray([0]),
        w=RNG.standard_normal((3, 5)).astype(F),
    ),
    "heads of attention": model_of(
        """r = Reshape(x, t)  h = Transpose<perm = [0,2,1,3]>(r)
           k = Transpose<perm = [0,1,3,2]>(h)  s = MatMul(h, k)  p = Softmax<axis = -1>(s)
           c = MatMul(p, h)  b = Transpose<perm = [0,2,1,3]>(c)  y = Reshape(b, u)""",
        "(float[1,4,6] x) => (float[1,4,6] y)",
        t=np.asarray([1, 4, 2, 3]),
        u=np.asarray([1, 4, 6]),
    ),
    "heads in the batch, sequence first": model_of(
        """s = Transpose<perm = [1,0,2]>(x)  r = Reshape(s, t)  h = Transpose<perm = [1,0,2]>(r)
           k = Transpose<perm = [0,2,1]>(h)  a = MatMul(h, k)  p = Softmax<axis = -1>(a)
           c = MatMul(p, h)  b = Transpose<perm = [1,0,2]>(c)  m = Reshape(b, u)
           y = Transpose<perm = [1,0,2]>(m)""",
        "(float[1,4,6] x) => (float[1,4,6] y)",
        t=np.asarray([4, 2, 3]),
        u=np.asarray([4, 1, 6]),
    ),
    "a class token": model_of(
        "e = Expand(c, t)  j = Concat<axis = 1>(e, x)  p = Add(j, pos)  z = Gather<axis = 1>(p, i) "
        "y = MatMul(z, w)",
        "(float[1,4,6] x) => (float[1,5] y)",
        c=RNG.standard_normal((1, 1, 6)).astype(F),
        t=np.asarray([1, 1, 6]),
        pos=RNG.standard_normal((1, 5, 6)).astype(F),
        i=np.asarray(0),
        w=RNG.standard_normal((6, 5)).astype(F),
    ),
    "expanded": model_of(
        "r = Reshape(x, t)  e = Expand(r, u)  y = ReduceSum(e, a)",
        "(float[1,3] x) => (float[1,1,3] y)",
        t=np.asarray([1, 1, 3]),
        u=np.asarray([1, 4, 3]),
        a=np.asarray([1]),
    ),
    "resized": model_of(
        'y = Resize<mode = "linear">(x, , , s)',
        "(float[1,2,4,4] x) => (float[1,2,8,6] y)",
        s=np.asarray([1, 2, 8, 6]),
    ),
    "a recurrent layer": model_of(
        """s = Transpose<perm = [1,0,2]>(x)  h, l, c = LSTM<hidden_size = 3>(s, w, r, , n, h0, c0)
           f = Reshape(l, t)  y = Gemm(f, v)""",
        "(float[1,5,4] x) => (float[1,2] y)",
        w=RNG.standard_normal((1, 12, 4)).astype(F),
        r=RNG.standard_normal((1, 12, 3)).astype(F),
        n=np.asarray([5], np.int32),
        h0=RNG.standard_normal((1, 1, 3)).astype(F),
        c0=np.zeros((1, 1, 3), F),
        t=np.asarray([1, 3]),
        v=RNG.standard_normal((3, 2)).astype(F),
    ),
    "states as inputs": model_of(
        "s = Transpose<perm = [1,0,2]>(x)  h, y = GRU<hidden_size = 3>(s, w, r, , , h0)",
        "(float[1,5,4] x, float[1,1,3] h0) => (float[1,1,3] y)",
        w=RNG.standard_normal((1, 9, 4)).astype(F),
        r=RNG.standard_normal((1, 9, 3)).astype(F),
    ),
    "made states": model_of(
        """h0 = ConstantOfShape<value = float[1] {0.5}>(z)  s = Transpose<perm = [1,0,2]>(x)
           h, l = RNN<hidden_size = 3>(s, w, r, , , h0)  q = Squeeze(l, a)  y = Relu(q)""",
        "(float[1,5,4] x) => (float[1,3] y)",
        z=np.asarray([1, 1, 3]),
        w=RNG.standard_normal((1, 3, 4)).astype(F),
        r=RNG.standard_normal((1, 3, 3)).astype(F),
        a=np.asarray([0]),
    ),
    "a slice that takes all": model_of(
        "s = Slice(x, a, b, c)  y = Relu(s)",
        "(float[1,4] x) => (float[1,2] y)",
        a=np.asarray([0, 1]),
        b=np.asarray([1, 3]),
        c=np.asarray([0, 1]),
    ),
    "tokens": model_of(
        "e = Gather(w, x)  m = ReduceMean<keepdims = 0>(e, a)  y = Softmax<axis = 1>(m)",
        "(int64[1,4] x) => (float[1,3] y)",
        w=RNG.standard_normal((5, 3)).astype(F),
        a=np.asarray([1]),
    ),
    "a vector for the one sample": model_of(
        "m = MatMul(x, w)  s = Squeeze(m, z)  a = Add(s, b)  y = Softmax<axis = 0>(a)",
        "(float[1,4] x) => (float[3] y)",
        w=RNG.standard_normal((4, 3)).astype(F),
        z=np.asarray([0]),
        b=RNG.standard_normal((3,)).astype(F),
    ),
    "the first of the batch": model_of(
        "m = MatMul(x, w)  y = Gather<axis = 0>(m, i)",
        "(float[1,4] x) => (float[3] y)",
        w=RNG.standard_normal((4, 3)).astype(F),
        i=np.asarray(0),
    ),
    "einsum": model_of(
        'y = Einsum<equation = "bij,jk->bik">(x, w)',
        "(float[1,2,4] x) => (float[1,2,3] y)",
        w=RNG.standard_normal((4, 3)).astype(F),
    ),
    "two inputs": model_of("y = Add(x, z)", "(float[1,4] x, float[1,4] z) => (float[1,4] y)"),
    "split and joined": model_of(
        "a, b = Split<axis = 1, num_outputs = 2>(x)  y = Concat<axis = 1>(b, a)",
        "(float[1,4] x) => (float[1,4] y)",
    ),
    "padded": model_of(
        "p = Pad(x, n)  y = MaxPool<kernel_shape = [2,2]>(p)",
        "(float[1,2,3,3] x) => (float[1,2,4,4] y)",
        n=np.asarray([0, 0, 1, 1, 0, 0, 1, 1]),
    ),
}


@pytest.mark.parametrize("what", SMALL_GRAPHS)
def test_small_graphs(what: str, tmp_path: Path) -> None:
    free = freed(SMALL_GRAPHS[what], tmp_path, axis=1 if what == "states as inputs" else 0)
    assert "N" in free.inputs[0].shape
    assert "N" in free.outputs[0].shape


def test_a_batch_of_two(tmp_path: Path) -> None:
    model = model_of(
        "e = Concat<axis = 1>(c, x)  r = Reshape(e, t)  s = Add(r, k)  y = Gemm(s, w)",
        "(float[2,3,4] x) => (float[2,5] y)",
        c=np.repeat(RNG.standard_normal((1, 1, 4)).astype(F), 2, axis=0),
        t=np.asarray([2, 16]),
        k=np.repeat(RNG.standard_normal((1, 16)).astype(F), 2, axis=0),
        w=RNG.standard_normal((16, 5)).astype(F),
    )
    free = freed(model, tmp_path, size=2)
    assert free.inputs[0].shape == ("N", 3, 4)
    assert free.outputs[0].shape == ("N", 5)


def test_a_batch_read_from_shape_follows_by_itself(tmp_path: Path) -> None:
    model = model_of(
        "s = Shape(x)  b = Gather(s, i)  t = Concat<axis = 0>(b, rest)  y = Reshape(x, t)",
        "(float[1,2,3] x) => (float[1,6] y)",
        i=np.asarray([0]),
        rest=np.asarray([-1]),
    )
    assert freed(model, tmp_path).outputs[0].shape[0] == "N"


def test_a_batch_in_one_part_of_a_target(tmp_path: Path) -> None:
    model = model_of(
        "s = Shape<start = 1, end = 2>(x)  t = Concat<axis = 0>(one, s, rest)  y = Reshape(x, t)",
        "(float[1,L,6] x) => (float[1,L,2,3] y)",
        one=np.asarray([1]),
        rest=np.asarray([2, 3]),
    )
    free = symbolic(loaded(model, tmp_path))
    assert free is not None
    x = RNG.standard_normal((3, 5, 6)).astype(F)
    np.testing.assert_array_equal(session(free).run(None, {"x": x})[0], x.reshape(3, 5, 2, 3))


def test_symbols_that_are_taken(tmp_path: Path) -> None:
    model = model_of("y = Relu(x)", "(float[1,N] x) => (float[1,N] y)")
    free = symbolic(loaded(model, tmp_path))
    assert free is not None
    assert free.inputs[0].shape == ("N_batch", "N")


MIXING: dict[str, tuple[str, str, dict[str, np.ndarray]]] = {
    "softmax over the batch": ("y = Softmax<axis = 0>(x)", "Softmax", {}),
    "mean over all": ("y = ReduceMean<keepdims = 1>(x)", "mixes the samples", {}),
    "a choice of samples": (
        "y = Gather<axis = 0>(x, i)",
        "out of the batch",
        {"i": np.asarray([1, 0])},
    ),
    "constants that differ": (
        "y = Add(x, c)",
        "differs from sample to sample",
        {"c": RNG.standard_normal((2, 4)).astype(F)},
    ),
    "batch against batch": ("t = Transpose(x)  y = MatMul(x, t)", "different axes", {}),
    "joined along the batch": ("y = Concat<axis = 0>(x, x)", "along the batch", {}),
}


@pytest.mark.parametrize("what", MIXING)
def test_mixed_samples_are_refused(what: str, tmp_path: Path) -> None:
    body, words, weights = MIXING[what]
    model = model_of(body, "(float[2,4] x) => (float y)", **weights)
    model.graph.output[0].type.tensor_type.ClearField("shape")
    fixed = loaded(model, tmp_path)
    with pytest.raises(Unsupported, match=words):
        symbolic(fixed)
    assert fixed.inputs[0].shape == (2, 4)


def test_no_batch_at_all(tmp_path: Path) -> None:
    with pytest.raises(Unsupported, match="no input has a dimension"):
        symbolic(loaded(model_of("y = Relu(x)", "(float x) => (float y)"), tmp_path))
