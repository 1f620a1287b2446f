"""The reverse walk: what it sums, where it stops, and that it emits no more than is needed."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import onnx_ir as ir
import onnx_ir.passes.common as passes
import pytest

from graph.nets import evaluate, net, normal
from graph.slopes import (
    KNOWN,
    Reference,
    differentiated,
    doubled,
    everywhere,
    proto_of,
    run_single,
    seed_input,
)
from mho.graph import units
from mho.graph.backward import gradients
from mho.graph.emit import PREFIX, Emitter, tensor_named
from mho.graph.mask import mask_input, masked, substitute_input
from mho.graph.model import Model
from mho.graph.target import TARGET, TARGET_SCORE, scored, targeted
from mho.graph.term import Term

F = np.float32


def check(
    model: Model,
    feeds: Mapping[str, Any],
    wrt: Sequence[str],
    target: str = "y",
    known: Callable[[Model], Model] = lambda model: model,
) -> Model:
    """Compare with central differences, in float64 by onnx.reference and in float32 by onnxruntime.

    ``wrt`` are graph inputs. ``known`` says how much of the shapes the driver may see.
    """
    made = differentiated(known(model), target, wrt)
    entry = seed_input(target)
    plain = Reference(doubled(proto_of(model)))
    seed = normal(99, *np.shape(plain(feeds)[target]))
    double = Reference(doubled(proto_of(made)))({**feeds, entry: seed})
    single = run_single(made, {**feeds, entry: seed})
    for name in wrt:
        slope = everywhere(plain, feeds, {target: seed}, name)
        scale = max(1.0, float(np.abs(slope).max(initial=0.0)))
        for found, tolerance in ((double, 1e-7), (single, 1e-5)):
            assert found[f"d/{name}"].shape == slope.shape
            np.testing.assert_allclose(found[f"d/{name}"], slope, rtol=0, atol=tolerance * scale)
    return made


def added(before: Model, after: Model) -> Counter[str]:
    """Operator -> how many nodes the gradients brought; the nodes that only name outputs are left
    out."""
    own = {node.name for node in before.graph}
    named = {output.name for output in after.graph.outputs}
    return Counter(
        node.op_type
        for node in after.graph
        if node.name not in own
        and not (node.op_type == "Identity" and node.outputs[0].name in named)
    )


# sums


def test_a_tensor_that_is_read_in_several_places() -> None:
    model = net(
        "t = Tanh(x)  a = Mul(t, x)  b = Exp(t)  c = Add(a, b)  y = Mul(c, t)",
        "(float[N,3] x) => (float[N,3] y)",
    )
    check(model, {"x": normal(1, 2, 3)}, ["x"])


@pytest.mark.parametrize("body", ["y = Mul(x, x)", "y = Add(x, x)", "y = Sum(x, x, x)"])
def test_a_tensor_that_one_node_reads_twice(body: str) -> None:
    check(net(body, "(float[N,3] x) => (float[N,3] y)"), {"x": normal(1, 2, 3)}, ["x"])


def test_residuals_in_series() -> None:
    model = net(
        """a = MatMul(x, w)  b = Tanh(a)  c = Add(b, x)
        d = MatMul(c, w)  e = Tanh(d)  f = Add(c, e)  y = Add(f, x)""",
        "(float[N,3] x) => (float[N,3] y)",
        w=normal(1, 3, 3),
    )
    check(model, {"x": normal(2, 2, 3)}, ["x"])


@pytest.mark.parametrize("known", KNOWN)
@pytest.mark.parametrize(
    ("first", "second"),
    [
        ((4, 3), (4, 3)),
        ((4, 3), (3,)),
        ((3,), (4, 3)),
        ((4, 3), (1,)),
        ((4, 3), ()),
        ((), (4, 3)),
        ((4, 1), (1, 3)),
        ((2, 1, 3), (4, 1)),
        ((1, 1), (4, 3)),
        ((1, 3), (1, 3)),
        ((1,), (1, 1, 1)),
        ((), ()),
        ((0, 3), (3,)),
        ((0, 3), (1, 3)),
    ],
    ids=str,
)
def test_what_was_broadcast_is_summed(
    first: tuple[int, ...], second: tuple[int, ...], known: str
) -> None:
    shape = np.broadcast_shapes(first, second)

    def said(dims: tuple[int, ...]) -> str:
        return "float" + (str(list(dims)) if dims else "")

    model = net("y = Mul(a, b)", f"({said(first)} a, {said(second)} b) => ({said(shape)} y)")
    feeds = {"a": normal(1, *first), "b": normal(2, *second)}
    check(model, feeds, ["a", "b"], known=KNOWN[known])


@pytest.mark.parametrize("rows", [1, 3])
def test_a_symbolic_dimension_may_turn_out_to_be_one(rows: int) -> None:
    model = net("y = Mul(a, b)", "(float[N,2] a, float[M,2] b) => (float[K,2] y)")
    check(model, {"a": normal(1, rows, 2), "b": normal(2, 3, 2)}, ["a", "b"])


def test_equal_symbols_need_no_sum() -> None:
    model = net("y = Mul(a, b)", "(float[N,2] a, float[N,2] b) => (float[N,2] y)")
    assert added(model, check(model, {n: normal(1, 3, 2) for n in "ab"}, ["a", "b"])) == {"Mul": 2}


def test_a_known_broadcast_is_one_sum() -> None:
    model = net("y = Add(a, b)", "(float[N,2] a, float[1,2] b) => (float[N,2] y)")
    found = added(model, check(model, {"a": normal(1, 3, 2), "b": normal(1, 1, 2)}, ["a", "b"]))
    assert found == {"ReduceSum": 1}


@pytest.mark.parametrize("known", KNOWN)
def test_types_other_than_float32(known: str) -> None:
    for said, dtype, tolerance in (("double", np.float64, 1e-12), ("float16", np.float16, 5e-3)):
        model = net(
            "t = Tanh(x)  p = Mul(t, b)  s = Sigmoid(p)  q = Add(s, x)  y = Mul(q, t)",
            f"({said}[N,3] x, {said}[3] b) => ({said}[N,3] y)",
        )
        feeds = {"x": normal(1, 2, 3).astype(dtype), "b": normal(2, 3).astype(dtype)}
        made = differentiated(KNOWN[known](model), "y", ["x", "b"])
        seed = normal(3, 2, 3).astype(dtype)
        found = run_single(made, {**feeds, seed_input("y"): seed})
        like = net(
            "t = Tanh(x)  p = Mul(t, b)  s = Sigmoid(p)  q = Add(s, x)  y = Mul(q, t)",
            "(double[N,3] x, double[3] b) => (double[N,3] y)",
        )
        run = Reference(proto_of(like))
        wide = {name: array.astype(np.float64) for name, array in feeds.items()}
        for name in ("x", "b"):
            slope = everywhere(run, wide, {"y": seed.astype(np.float64)}, name)
            assert found[f"d/{name}"].dtype == dtype
            np.testing.assert_allclose(found[f"d/{name}"], slope, rtol=0, atol=max(tolerance, 1e-8))


def random_net(seed: int) -> tuple[Model, dict[str, np.ndarray]]:
    """A graph of many branches and joins, and inputs of shapes that broadcast."""
    rng = np.random.default_rng(seed)
    shapes = {"a": (2, 3), "b": (1, 3), "c": (2, 1), "d": (3,), "e": ()}
    feeds = {name: normal(seed + i, *shape) for i, (name, shape) in enumerate(shapes.items())}
    signature = ", ".join(
        f"float{list(shape) if shape else ''} {name}" for name, shape in shapes.items()
    )
    body = []
    for i in range(14):
        first, second = rng.choice(list(shapes), 2)
        op = rng.choice(["Add", "Sub", "Mul", "Sum", "Tanh", "Sigmoid", "Identity", "Floor"])
        pair = op in ("Add", "Sub", "Mul", "Sum")
        shapes[f"t{i}"] = (
            np.broadcast_shapes(shapes[first], shapes[second]) if pair else shapes[first]
        )
        body.append(f"t{i} = {op}({first}, {second})" if pair else f"t{i} = {op}({first})")
    body.append(f"y = Sum({', '.join(f't{i}' for i in range(14))}, a)")
    return net("  ".join(body), f"({signature}) => (float[2,3] y)"), feeds


@pytest.mark.parametrize("seed", range(12))
def test_graphs_at_random(seed: int) -> None:
    model, feeds = random_net(seed)
    known = list(KNOWN.values())[seed % len(KNOWN)]
    plain = Reference(doubled(proto_of(model)))
    wrt = sorted(feeds)
    made = differentiated(known(model), "y", wrt)
    entries = {**feeds, seed_input("y"): normal(seed, 2, 3)}
    found = Reference(doubled(proto_of(made)))(entries)
    single = run_single(made, entries)
    for name in wrt:
        slope = everywhere(plain, feeds, {"y": entries[seed_input("y")]}, name)
        for result, tolerance in ((found, 1e-6), (single, 1e-4)):
            gradient = result.get(f"d/{name}", np.zeros(slope.shape))
            scale = max(1.0, float(np.abs(slope).max()))
            np.testing.assert_allclose(gradient, slope, rtol=0, atol=tolerance * scale)


def test_a_node_of_several_outputs() -> None:
    model = net(
        "p, q, r = Split<axis = 1, num_outputs = 3>(x)  a = Mul(p, r)  y = Tanh(a)",
        "(float[N,6] x) => (float[N,2] y)",
    )
    check(model, {"x": normal(1, 2, 6)}, ["x"])
    made = differentiated(model, "y", ["p", "q", "r"])
    assert [output.name for output in made.graph.outputs] == ["y", "d/p", "d/r"]


# where it stops


def test_integers_carry_no_gradient() -> None:
    model = net(
        """s = Shape(x)  n = Gather(s, one)  f = Cast<to = 1>(n)  i = Cast<to = 7>(x)
        j = Cast<to = 1>(i)  p = Mul(x, f)  y = Add(p, j)""",
        "(float[N,M] x) => (float[N,M] y)",
        one=np.int64(1),
    )
    check(model, {"x": normal(1, 2, 3, scale=3) + 0.01}, ["x"])


def test_what_has_no_gradient_by_nature_cuts() -> None:
    model = net(
        """t = Tanh(x)  m = ArgMax<axis = 1, keepdims = 1>(t)  f = Cast<to = 1>(m)
        g = Greater(t, zero)  h = Cast<to = 1>(g)  r = Floor(t)
        a = Mul(t, f)  b = Mul(a, h)  y = Add(b, r)""",
        "(float[N,3] x) => (float[N,3] y)",
        zero=F(0),
    )
    made = check(model, {"x": normal(1, 2, 3)}, ["x"])
    assert not {"ArgMax", "Floor", "Greater"} & set(added(model, made))


def test_a_tensor_behind_the_cut_has_its_gradient() -> None:
    model = net("f = Floor(x)  y = Mul(f, f)", "(float[N,3] x) => (float[N,3] y)")
    made = differentiated(model, "y", ["f", "x"])
    assert [output.name for output in made.graph.outputs] == ["y", "d/f"]
    x, seed = normal(1, 2, 3, scale=5), normal(2, 2, 3)
    found = evaluate(made, {"x": x, seed_input("y"): seed})
    np.testing.assert_allclose(found["d/f"], 2 * np.floor(x) * seed, rtol=1e-6)


def test_a_target_that_does_not_depend_on_a_tensor_has_no_gradient_there() -> None:
    model = net(
        "a = Tanh(x)  s = Sigmoid(x)  f = Floor(s)  y = Mul(a, f)",
        "(float[N,3] x, float[N,3] z) => (float[N,3] y)",
    )
    made = differentiated(model, "y", ["x", "z", "s", "a"])
    assert [output.name for output in made.graph.outputs] == ["y", "d/x", "d/a"]
    above = differentiated(model, "a", ["y", "s"])
    assert [output.name for output in above.graph.outputs] == ["y"]


def test_an_operator_beside_the_way_needs_no_rule() -> None:
    model = net(
        "n = NonZero(x)  a = Tanh(x)  y = Mul(a, a)  d = Det(q)  e = Add(y, d)",
        "(float[N,3] x, float[3,3] q) => (float[N,3] y, int64[2,M] n, float[N,3] e)",
    )
    check(model, {"x": normal(1, 2, 3), "q": normal(2, 3, 3)}, ["x"])


def test_the_gradient_at_the_target_is_the_seed() -> None:
    model = net("a = Tanh(x)  y = Exp(a)", "(float[N,3] x) => (float[N,3] y)")
    made = differentiated(model, "a", ["a", "x"])
    x, seed = normal(1, 2, 3), normal(2, 2, 3)
    found = evaluate(made, {"x": x, seed_input("a"): seed})
    np.testing.assert_array_equal(found["d/a"], seed)
    np.testing.assert_allclose(found["d/x"], seed * (1 - np.tanh(x) ** 2), rtol=1e-5)


def test_several_seeds_add_up() -> None:
    model = net(
        "a = Tanh(x)  b = Exp(a)  c = Mul(a, x)",
        "(float[N,3] x) => (float[N,3] a, float[N,3] b, float[N,3] c)",
    )

    def rewrite(copy: ir.Model) -> None:
        emit = Emitter(copy.graph, "test")
        values = {name: tensor_named(copy.graph, name) for name in "abcx"}
        seeds = {
            values[name]: Term(emit, emit.input(f"seed/{name}", ir.DataType.FLOAT, ("N", 3)))
            for name in "abc"
        }
        found = gradients(copy.graph, emit, seeds, [values["x"]])
        emit.output(found[values["x"]].value, "d/x", ir.DataType.FLOAT, ("N", 3))
        copy.graph.sort()

    x = normal(1, 2, 3)
    seeds = {name: normal(i, 2, 3) for i, name in enumerate("abc")}
    fed = {f"seed/{name}": seed for name, seed in seeds.items()}
    found = evaluate(model.rewritten(rewrite), {"x": x, **fed})["d/x"]
    slope = everywhere(Reference(doubled(proto_of(model))), {"x": x}, seeds, "x")
    np.testing.assert_allclose(found, slope, rtol=1e-5, atol=1e-5)


# no more than is needed

NETWORK = """h = MatMul(x, w)  i = Add(h, b)  r = Relu(i)  g = MatMul(r, v)  q = Add(g, r)
    s = Sigmoid(q)  z = Mul(s, scale)  y = MatMul(z, w)"""


def network() -> Model:
    return net(
        NETWORK,
        "(float[N,3] x) => (float[N,3] y)",
        w=normal(1, 3, 3),
        b=normal(2, 3),
        v=normal(3, 3, 3),
        scale=normal(4, 3),
    )


def test_weights_get_no_gradient() -> None:
    model = network()
    found = added(model, check(model, {"x": normal(5, 2, 3)}, ["x"]))
    assert found["MatMul"] + found["Gemm"] == 3  # one for each product
    assert found["ReduceSum"] == 0  # the sum over a batch is a bias's


def test_a_gradient_further_up_costs_only_what_lies_between() -> None:
    model = network()
    whole = ["x", "i", "r", "q", "z", "y"]
    counts = [
        sum(added(model, differentiated(model, "y", whole[at:])).values())
        for at in range(len(whole))
    ]
    assert counts == sorted(counts, reverse=True)
    assert len(set(counts)) == len(counts)
    assert counts[-1] == 0


def test_layers_in_series_share_one_pass() -> None:
    model = network()
    alone = differentiated(model, "y", ["x"])
    together = differentiated(model, "y", ["y", "z", "q", "r", "i", "h", "x"])
    assert added(model, alone) == added(model, together)
    x, seed = normal(5, 2, 3), normal(6, 2, 3)
    found = evaluate(together, {"x": x, seed_input("y"): seed})
    np.testing.assert_array_equal(
        found["d/x"], evaluate(alone, {"x": x, seed_input("y"): seed})["d/x"]
    )
    for name in ("z", "q", "r", "i", "h"):
        one = differentiated(model, "y", [name])
        expected = evaluate(one, {"x": x, seed_input("y"): seed})[f"d/{name}"]
        np.testing.assert_array_equal(found[f"d/{name}"], expected)


@pytest.mark.parametrize("wrt", [["x"], ["r"], ["x", "z"]])
def test_every_added_node_is_read(wrt: list[str]) -> None:
    made = differentiated(network(), "y", wrt)
    count = len(made.graph)
    passes.RemoveUnusedNodesPass()(made.ir)
    assert len(made.graph) == count


def test_names_and_outputs_stay() -> None:
    model = network()
    made = differentiated(model, "y", ["x", "q"])
    names = {value.name for node in model.graph for value in node.outputs}
    fresh = {value.name for node in made.graph for value in node.outputs} - names
    assert names <= {value.name for node in made.graph for value in node.outputs}
    assert all(name is not None and name.startswith((PREFIX, "d/")) for name in fresh)
    assert [output.name for output in made.graph.outputs] == ["y", "d/x", "d/q"]
    assert [value.name for value in made.graph.inputs] == ["x", seed_input("y")]
    x = normal(5, 2, 3)
    found = evaluate(made, {"x": x, seed_input("y"): normal(6, 2, 3)})
    np.testing.assert_array_equal(found["y"], evaluate(model, {"x": x})["y"])


# models that mho has rewritten already


def classifier() -> Model:
    return net(
        """c = Conv<pads = [1, 1, 1, 1]>(x, w)  n = Add(c, bias)  r = Relu(n)
        p = GlobalAveragePool(r)  f = Flatten(p)  h = Gemm(f, v)  y = Softmax(h)""",
        "(float[N,2,4,4] x) => (float[N,3] y)",
        w=normal(1, 4, 2, 3, 3),
        bias=normal(2, 4, 1, 1),
        v=normal(3, 4, 3),
    )


def test_the_gradient_with_respect_to_masks_and_substitutes() -> None:
    model = classifier()
    layers = [units.layer(model, "r"), units.layer(model, "f")]
    made = targeted(masked(scored(model), layers))
    names = [mask_input("r"), substitute_input("r"), mask_input("f"), "x"]
    rng = np.random.default_rng(5)
    feeds = {
        "x": normal(4, 2, 2, 4, 4),
        TARGET: np.array([2, 0]),
        mask_input("r"): rng.uniform(0.2, 1, (2, 4)).astype(F),
        substitute_input("r"): normal(6, 1, 4, 1, 1),
        mask_input("f"): rng.uniform(0.2, 1, (2, 4)).astype(F),
        substitute_input("f"): normal(7, 1, 4),
    }
    check(made, feeds, names, TARGET_SCORE)


def test_gradients_first_and_masks_afterwards() -> None:
    model = targeted(scored(classifier()))
    made = differentiated(model, TARGET_SCORE, ["x", "r"])
    layer = units.layer(model, "r")
    after = masked(made, [layer])
    before = differentiated(masked(model, [layer]), TARGET_SCORE, ["x"])
    feeds = {
        "x": normal(4, 2, 2, 4, 4),
        TARGET: np.array([2, 0]),
        mask_input("r"): np.ones((2, 4), F),
        substitute_input("r"): np.zeros((1, 4, 1, 1), F),
        seed_input(TARGET_SCORE): np.ones(2, F),
    }
    expected = evaluate(made, feeds)
    for found in (evaluate(after, feeds), evaluate(before, feeds)):
        np.testing.assert_allclose(found["d/x"], expected["d/x"], rtol=1e-5, atol=1e-7)


def test_an_output_that_was_left_out_gets_a_name_of_its_own() -> None:
    model = net(
        "a = LayerNormalization(x, w)  b = LayerNormalization(a, w)  y = Tanh(b)",
        "(float[N,3] x) => (float[N,3] y)",
        w=normal(1, 3),
    )
    made = check(model, {"x": normal(2, 4, 3)}, ["x"])
    names = [value.name for node in made.graph for value in node.outputs if value.name]
    assert len(names) == len(set(names))
