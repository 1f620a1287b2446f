"""What keeps a gradient from passing: said before anything is built, and where it is asked for."""

from __future__ import annotations

import numpy as np
import onnx_ir as ir
import pytest

from graph.nets import net
from graph.slopes import differentiated
from mho.errors import Unsupported
from mho.graph.backward import obstacles
from mho.graph.emit import tensor_named
from mho.graph.model import Model

F = np.float32


def report(model: Model, target: str = "y") -> dict[str, str]:
    """Tensor -> message."""
    found = obstacles(model.graph, tensor_named(model.graph, target))
    return {value.name or "": obstacle.message() for value, obstacle in found.items()}


def refused(model: Model, wrt: str, target: str = "y") -> str:
    with pytest.raises(Unsupported) as caught:
        differentiated(model, target, [wrt])
    return str(caught.value)


def test_an_operator_without_a_rule_blocks_what_lies_above_it_alone() -> None:
    model = net(
        "a = Tanh(x)  b = Hardmax(a)  c = Tanh(b)  y = Mul(c, z)",
        "(float[N,3] x, float[N,3] z) => (float[N,3] y)",
    )
    model = _renamed_operator(model, "Hardmax", "Unheard")
    found = report(model)
    assert set(found) == {"a", "x"}
    assert found["a"] == found["x"]
    assert found["x"].startswith("operator Unheard (node '")
    assert found["x"].endswith("has no derivative rule (on the way y <- c <- b)")
    message = refused(model, "x")
    assert message.startswith("no gradient can be computed: operator Unheard (node '")
    assert "'finite_difference'" in message
    assert differentiated(model, "y", ["b"]).graph.outputs[-1].name == "d/b"


def _renamed_operator(model: Model, old: str, new: str, domain: str = "") -> Model:
    def rewrite(copy: ir.Model) -> None:
        for node in copy.graph:
            if node.op_type == old:
                node.op_type, node.domain = new, domain

    return model.rewritten(rewrite)


def test_an_operator_of_another_domain_is_named_with_it() -> None:
    model = net("a = Tanh(x)  y = Exp(a)", "(float[N,3] x) => (float[N,3] y)")
    found = report(_renamed_operator(model, "Tanh", "Tanh", "com.example"))
    assert set(found) == {"x"}
    assert found["x"].startswith("operator Tanh of domain com.example (node '")


def test_a_way_beside_an_obstacle_does_not_help() -> None:
    model = net("a = Tanh(x)  b = Exp(a)  y = Add(a, b)", "(float[N,3] x) => (float[N,3] y)")
    model = _renamed_operator(model, "Exp", "Unheard")
    assert set(report(model)) == {"a", "x"}
    refused(model, "a")


def test_a_long_way_is_shown_from_both_ends() -> None:
    body = "h0 = Exp(x) " + " ".join(f"h{i + 1} = Tanh(h{i})" for i in range(12))
    model = net(f"{body} y = Identity(h12)", "(float[N,3] x) => (float[N,3] y)")
    message = report(_renamed_operator(model, "Exp", "Unheard"))["x"]
    assert message.endswith("(on the way y <- h12 <- h11 <- … <- h2 <- h1 <- h0)")


def test_an_input_that_must_not_vary() -> None:
    model = net(
        "s = Exp(x)  r = Reshape(s, four)  y = Resize(z, , r)",
        "(float[4] x, float[1,1,2,2] z) => (float[A,B,C,D] y)",
        four=np.array([4]),
    )
    found = report(model)
    assert {"r", "s", "x"} <= set(found)
    assert "has no derivative with respect to its input 2, 'r'" in found["x"]
    assert "input 2, 'r'" in refused(model, "x")


def test_a_tensor_that_a_subgraph_reads() -> None:
    model = net(
        """h = Tanh(x)  n = ReduceMax<keepdims = 0>(x)  p = Greater(n, zero)
        z = If(p) <then_branch = t () => (float[N,3] one) { one = Relu(h) },
                   else_branch = e () => (float[N,3] two) { two = Neg(h) }>
        y = Tanh(z)""",
        "(float[N,3] x) => (float[N,3] y)",
        zero=F(0),
    )
    found = report(model)
    assert {"h", "x"} <= set(found)
    assert "p" not in found
    assert "operator If" in found["h"]
    assert "operator If" in refused(model, "h")


def test_an_older_opset_is_an_obstacle() -> None:
    model = net("a = Tanh(x)  y = Exp(a)", "(float[N,3] x) => (float[N,3] y)")

    def age(copy: ir.Model) -> None:
        copy.graph.opset_imports[""] = 17

    found = report(model.rewritten(age))
    assert set(found) == {"a", "x"}
    assert found["x"].startswith("the model's opset is 17, and rules are written for 18")


def test_obstacles_are_where_gradients_are_refused() -> None:
    model = net(
        """a = Tanh(x)  b = Exp(a)  c = Mul(b, z)  d = Greater(b, c)  e = Cast<to = 1>(d)
        f = Sigmoid(z)  g = Add(f, e)  y = Mul(g, c)""",
        "(float[N,3] x, float[N,3] z) => (float[N,3] y)",
    )
    for op_type in ("Tanh", "Exp", "Mul", "Sigmoid", "Add", "Greater"):
        changed = _renamed_operator(model, op_type, "Unheard")
        blocked = set(report(changed))
        for name in "abcfgxz":
            if name in blocked:
                refused(changed, name)
            else:
                differentiated(changed, "y", [name])
