"""Where the straight path runs: on float inputs, or on the embedding that tokens come to."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import numpy_helper, parser

from mho.errors import UnknownLayer, Unsupported
from mho.graph.load import load
from mho.graph.model import Model
from mho.graph.path_input import find, named

DATA = Path(__file__).resolve().parents[3] / "shared" / "data"
F = np.float32
TABLE = np.arange(20, dtype=F).reshape(5, 4)


def model_of(body: str, signature: str, folder: Path, **weights: np.ndarray) -> Model:
    model = parser.parse_model(
        f'<ir_version: 8, opset_import: ["" : 18]> g {signature} {{ {body} }}'
    )
    for name, array in weights.items():
        model.graph.initializer.append(numpy_helper.from_array(array, name))
    path = folder / "model.onnx"
    onnx.save(model, path)
    return load(path)


def chosen(model: Model) -> list[str]:
    return [spec.name for spec in find(model, "y").tensors]


def test_a_float_input(tmp_path: Path) -> None:
    found = find(model_of("y = Relu(x)", "(float[N,3] x) => (float[N,3] y)", tmp_path), "y")
    assert [(s.name, s.dtype, s.shape) for s in found.tensors] == [("x", "float32", ("N", 3))]
    assert not found.embedded


def test_all_float_inputs_that_matter(tmp_path: Path) -> None:
    model = model_of(
        "y = Add(a, b)  z = Relu(c)",
        "(float[N,3] a, float[N,3] b, float[N,3] c) => (float[N,3] y, float[N,3] z)",
        tmp_path,
    )
    assert chosen(model) == ["a", "b"]


def test_tokens_are_looked_up(tmp_path: Path) -> None:
    model = model_of(
        "e = Gather(w, x)  r = Relu(e)  y = ReduceMean<keepdims = 0>(r, a)",
        "(int64[N,6] x) => (float[N,4] y)",
        tmp_path,
        w=TABLE,
        a=np.asarray([1]),
    )
    found = find(model, "y")
    assert found.embedded
    assert found.tensors[0].name == "e"
    assert found.tensors[0].shape == ("N", 6, 4)


BERT = """
    we = Gather(words, x)  te = Gather(kinds, k)  pe = Gather(places, p)
    s1 = Add(we, te)  s2 = Add(s1, pe)
    m = Cast<to = 1>(mask)  n = Unsqueeze(m, last)
    h = Mul(s2, n)  y = ReduceMean<keepdims = 0>(h, first)"""


def bert(folder: Path, body: str = BERT) -> Model:
    return model_of(
        body,
        "(int64[N,3] x, int64[N,3] k, int64[N,3] mask) => (float[N,4] y)",
        folder,
        words=TABLE,
        kinds=TABLE[:2],
        places=TABLE[:3],
        p=np.asarray([[0, 1, 2]]),
        last=np.asarray([2]),
        first=np.asarray([1]),
    )


def test_the_sum_of_all_embeddings_is_taken(tmp_path: Path) -> None:
    assert chosen(bert(tmp_path)) == ["s2"]


def test_positions_may_be_added_first(tmp_path: Path) -> None:
    body = BERT.replace("Add(we, te)", "Add(we, pe)").replace("Add(s1, pe)", "Add(s1, te)")
    assert chosen(bert(tmp_path, body)) == ["s2"]


def test_embeddings_that_never_meet_are_listed(tmp_path: Path) -> None:
    model = model_of(
        "a = Gather(w, x)  b = Gather(w, k)  c = Relu(a)  d = Relu(b)  y = Concat<axis = 1>(c, d)",
        "(int64[N] x, int64[N] k) => (float[N,8] y)",
        tmp_path,
        w=TABLE,
    )
    with pytest.raises(Unsupported, match=r"'a', 'b'.*--path-input"):
        find(model, "y")


def test_a_branch_around_the_first_layer_is_no_way_round(tmp_path: Path) -> None:
    model = model_of(
        "a = Gather(w, x)  b = Relu(a)  c = Add(a, b)  y = Tanh(c)",
        "(int64[N] x) => (float[N,4] y)",
        tmp_path,
        w=TABLE,
    )
    assert chosen(model) == ["a"]


def test_shapes_are_no_dependence(tmp_path: Path) -> None:
    model = model_of(
        """s = Shape(x)  f = Cast<to = 1>(s)  p = ReduceProd<keepdims = 0>(f)
           e = Gather(w, x)  y = Mul(e, p)""",
        "(int64[N] x) => (float[N,4] y)",
        tmp_path,
        w=TABLE,
    )
    assert chosen(model) == ["e"]


def test_integers_that_are_cast(tmp_path: Path) -> None:
    model = model_of(
        "c = Cast<to = 1>(x)  y = Tanh(c)", "(int64[N,3] x) => (float[N,3] y)", tmp_path
    )
    assert chosen(model) == ["c"]


def test_tokens_that_are_one_hot(tmp_path: Path) -> None:
    model = model_of(
        "h = OneHot(x, d, v)  y = MatMul(h, w)",
        "(int64[N] x) => (float[N,4] y)",
        tmp_path,
        d=np.asarray(5),
        v=np.asarray([0, 1], F),
        w=TABLE,
    )
    assert chosen(model) == ["h"]


def test_no_way_at_all(tmp_path: Path) -> None:
    model = model_of("y = Equal(x, x)", "(float[N,3] x) => (bool[N,3] y)", tmp_path)
    with pytest.raises(Unsupported, match="no float input"):
        find(model, "y")


def test_an_unknown_output(tmp_path: Path) -> None:
    model = model_of("y = Relu(x)", "(float[N,3] x) => (float[N,3] y)", tmp_path)
    with pytest.raises(UnknownLayer, match="no output 'q'; its outputs are 'y'"):
        find(model, "q")


# ---- chosen by the user -------------------------------------------------------------------------


def test_an_inner_tensor(tmp_path: Path) -> None:
    found = named(bert(tmp_path), "s1", "y")
    assert found.embedded
    assert found.tensors[0].shape == ("N", 3, 4)


def test_a_graph_input(tmp_path: Path) -> None:
    model = model_of("y = Relu(x)", "(float[N,3] x) => (float[N,3] y)", tmp_path)
    assert not named(model, "x", "y").embedded


def test_what_passes_beside_it_is_said(tmp_path: Path) -> None:
    model = model_of("h = Relu(x)  y = Add(h, x)", "(float[N,3] x) => (float[N,3] y)", tmp_path)
    assert "does not pass through it" in named(model, "h", "y").why


WRONG = {
    "x": (Unsupported, "no floating-point"),
    "pe": (Unsupported, "constant"),
    "y": (Unsupported, "does not depend"),
    "s3": (UnknownLayer, "did you mean"),
}


@pytest.mark.parametrize("tensor", WRONG)
def test_what_cannot_be_a_path_input(tensor: str, tmp_path: Path) -> None:
    kind, words = WRONG[tensor]
    with pytest.raises(kind, match=words):
        named(bert(tmp_path), tensor, "y")


def test_the_real_text_model() -> None:
    path = DATA / "textcnn_mr.onnx"
    if not path.exists():
        pytest.skip("shared/data/textcnn_mr.onnx is not there")
    found = find(load(path), "logits")
    assert found.embedded
    assert found.tensors[0].shape == ("N", 64, 50)


def test_the_normalisation_of_the_embedding_comes_before(tmp_path: Path) -> None:
    """It does not see the length of a vector: a straight line from zero would be a jump."""
    weights = {"table": TABLE, "scale": np.ones(4, F), "w": np.ones((4, 2), F)}
    body = "e = Gather(table, ids)  n = LayerNormalization(e, scale)  m = MatMul(n, w)  {}"
    alone = model_of(
        body.format("y = Relu(m)"), "(int64[N,3] ids) => (float[N,3,2] y)", tmp_path, **weights
    )
    assert chosen(alone) == ["n"]
    beside = model_of(
        "e = Gather(table, ids)  n = LayerNormalization(e, scale)  s = Add(n, e)  y = MatMul(s, w)",
        "(int64[N,3] ids) => (float[N,3,2] y)",
        tmp_path,
        **weights,
    )
    assert chosen(beside) == ["e"]
