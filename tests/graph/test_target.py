"""Scores of every kind of output, and the score of one class."""

from __future__ import annotations

import numpy as np
import pytest

from graph.nets import evaluate, net, normal, run
from mho.errors import InvalidOption, UnknownLayer, Unsupported
from mho.graph.model import Model
from mho.graph.target import SCORES, TARGET, TARGET_SCORE, scored, targeted

F = np.float32
X = normal(0, 4, 3)
W = normal(1, 3, 5)
Z = X @ W


def softmax(z: np.ndarray, axis: int = -1) -> np.ndarray:
    e = np.exp(z - z.max(axis=axis, keepdims=True))
    return e / e.sum(axis=axis, keepdims=True)


def sigmoid(z: np.ndarray) -> np.ndarray:
    return 1 / (1 + np.exp(-z))


def ends_in(body: str, shape: str = "[N,5]", **weights: object) -> Model:
    return net(f"z = MatMul(x, w)  {body}", f"(float[N,3] x) => (float{shape} y)", w=W, **weights)


def scores(model: Model, kind: str = "logit", output: str = "", **feeds: object) -> np.ndarray:
    made = scored(model, output, kind)
    assert [spec.name for spec in made.outputs] == [SCORES]
    assert made.outputs[0].dtype == "float32"
    return run(made, **(feeds or {"x": X}))[SCORES]


CLOSINGS = {
    "y = Identity(z)": softmax(Z),
    "y = Softmax(z)": softmax(Z),
    "y = LogSoftmax(z)": softmax(Z),
    "p = Softmax(z)  y = Log(p)": softmax(Z),
    "y = Sigmoid(z)": sigmoid(Z),
    "p = Softmax(z)  q = Dropout(p)  y = Identity(q)": softmax(Z),
}


@pytest.mark.parametrize("closing", CLOSINGS)
def test_logits_and_probabilities(closing: str) -> None:
    model = ends_in(closing)
    np.testing.assert_allclose(scores(model), Z, rtol=1e-6)
    np.testing.assert_allclose(scores(model, "probability"), CLOSINGS[closing], rtol=1e-5)


@pytest.mark.parametrize("closing", CLOSINGS)
def test_the_output_as_it_is(closing: str) -> None:
    model = ends_in(closing)
    np.testing.assert_allclose(scores(model, "output"), run(model, x=X)["y"], rtol=1e-6)


def test_a_log_of_something_else_is_no_softmax() -> None:
    model = ends_in("p = Sigmoid(z)  y = Log(p)")
    np.testing.assert_allclose(scores(model), np.log(sigmoid(Z)), rtol=1e-5)


def test_channels_first_with_single_positions() -> None:
    model = ends_in("y = Reshape(z, s)", "[N,5,1,1]", s=np.array([-1, 5, 1, 1]))
    np.testing.assert_allclose(scores(model), Z, rtol=1e-6)
    np.testing.assert_allclose(scores(model, "probability"), softmax(Z), rtol=1e-5)


def test_reshapes_after_softmax_are_done_to_the_logits_too() -> None:
    """Flattened tokens: without it the rows of the logits would be tokens and not inputs."""
    x = normal(2, 4, 6, 3)
    model = net(
        "f = Reshape(x, a)  z = Gemm(f, w)  p = Softmax(z)  y = Reshape(p, b)",
        "(float[N,6,3] x) => (float[N,6,5] y)",
        w=W,
        a=np.array([-1, 3]),
        b=np.array([-1, 6, 5]),
    )
    np.testing.assert_allclose(scores(model, x=x), (x @ W).reshape(4, 30), rtol=1e-5)


def test_a_transposed_softmax() -> None:
    model = net(
        "t = Transpose<perm = [0, 2, 1]>(x)  p = Softmax(t)  y = Transpose<perm = [0, 2, 1]>(p)",
        "(float[N,5,2] x) => (float[N,5,2] y)",
    )
    x = normal(3, 4, 5, 2)
    np.testing.assert_array_equal(scores(model, x=x), x.reshape(4, 10))


def test_the_softmax_itself_stays_for_others() -> None:
    model = net("y = Softmax(x)  e = Exp(y)", "(float[N,5] x) => (float[N,5] y, float[N,5] e)")
    np.testing.assert_allclose(scores(model, output="e", x=Z), np.exp(softmax(Z)), rtol=1e-5)
    np.testing.assert_array_equal(scores(model, x=Z), Z)


def test_classes_are_where_the_last_layer_has_its_units() -> None:
    model = net(
        "y = Conv(x, w)", "(float[N,2,3,4] x) => (float[N,5,3,4] y)", w=normal(1, 5, 2, 1, 1)
    )
    x = normal(2, 3, 2, 3, 4)
    plain = run(model, x=x)["y"]
    expected = softmax(plain, axis=1).reshape(3, -1)
    np.testing.assert_allclose(scores(model, "probability", x=x), expected, rtol=1e-5)
    tokens = net("y = Add(x, x)", "(float[N,2,5] x) => (float[N,2,5] y)")
    x = normal(3, 3, 2, 5)
    expected = softmax(2 * x).reshape(3, 10)
    np.testing.assert_allclose(scores(tokens, "probability", x=x), expected, rtol=1e-5)


@pytest.mark.parametrize("shape", ["[N]", "[N,1]", "[1]"])
def test_a_single_class_gets_a_sigmoid_and_never_a_softmax_over_the_batch(shape: str) -> None:
    batch = "1" if shape == "[1]" else "N"
    body = "y = Identity(s)" if shape == "[N,1]" else "y = Squeeze(s, a)"
    model = net(
        f"s = ReduceSum(x, a)  {body}",
        f"(float[{batch},3] x) => (float{shape} y)",
        a=np.array([1]),
    )
    x = X[:1] if shape == "[1]" else X
    expected = x.sum(axis=1, keepdims=True)
    np.testing.assert_allclose(scores(model, x=x), expected, rtol=1e-5)
    np.testing.assert_allclose(scores(model, "probability", x=x), sigmoid(expected), rtol=1e-5)


def test_several_outputs_the_first_float_one_is_taken() -> None:
    model = net(
        "p = Softmax(x)  label = ArgMax<axis = 1, keepdims = 0>(p)  e = Neg(x)",
        "(float[N,5] x) => (int64[N] label, float[N,5] p, float[N,5] e)",
    )
    np.testing.assert_array_equal(scores(model, x=Z), Z)
    np.testing.assert_array_equal(scores(model, output="e", x=Z), -Z)
    with pytest.raises(UnknownLayer, match=r"no output 'q'.*label, p, e"):
        scored(model, "q")
    with pytest.raises(InvalidOption, match="'label' is no float tensor"):
        scored(model, "label")


def test_outputs_as_scikit_learn_exports_them() -> None:
    model = net(
        """label, p = ai.onnx.ml.LinearClassifier<coefficients = [1.0, 2.0, 3.0, 4.0],
            intercepts = [0.0, 0.0], classlabels_ints = [0, 1], post_transform = "SOFTMAX">(x)""",
        "(float[N,2] x) => (int64[N] label, float[N,2] p)",
    )
    x = normal(1, 4, 2)
    z = x @ np.array([[1, 3], [2, 4]], F)
    np.testing.assert_allclose(scores(model, x=x), softmax(z), rtol=1e-5)


def test_outputs_that_cannot_be_scored() -> None:
    with pytest.raises(Unsupported, match="none of the model's outputs"):
        scored(net("y = Cast<to = 7>(x)", "(float[N,5] x) => (int64[N,5] y)"))
    with pytest.raises(Unsupported, match="one number for the whole batch"):
        scored(net("y = ReduceSum<keepdims = 0>(x)", "(float[N,5] x) => (float y)"))


@pytest.mark.parametrize(("kind", "dtype"), [("float16", np.float16), ("double", np.float64)])
@pytest.mark.parametrize("closing", ["y = Identity(x)", "y = Softmax(x)", "c = Softmax(x)"])
def test_other_floats_become_float32(kind: str, dtype: type, closing: str) -> None:
    cast = closing.startswith("c")
    model = net(
        closing + ("  y = Cast<to = 1>(c)" if cast else ""),
        f"({kind}[N,5] x) => ({'float' if cast else kind}[N,5] y)",
    )
    x = Z.astype(dtype)
    np.testing.assert_allclose(scores(model, x=x), x.astype(F))
    np.testing.assert_allclose(scores(model, "probability", x=x), softmax(Z), rtol=1e-2)


def test_the_score_of_each_rows_class() -> None:
    made = targeted(scored(ends_in("y = Softmax(z)")))
    target = np.array([4, 0, 2, 2])
    found = evaluate(made, {"x": X, TARGET: target})
    np.testing.assert_array_equal(found[TARGET_SCORE], found[SCORES][np.arange(4), target])
    assert found[TARGET_SCORE].dtype == F


def test_our_names_in_a_model_of_others() -> None:
    model = ends_in("y = Identity(z)")

    def rename(copy: object) -> None:
        for node in copy.graph:  # type: ignore[attr-defined]
            for value in node.outputs:
                if value.name == "z":
                    value.name = SCORES

    renamed = model.rewritten(rename)
    np.testing.assert_allclose(run(scored(renamed), x=X)[SCORES], Z, rtol=1e-6)
