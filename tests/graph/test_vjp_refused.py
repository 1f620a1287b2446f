"""Operators without a derivative: each is known by name, and none is taken for zero."""

from __future__ import annotations

import re

import numpy as np
import onnx
import pytest

from graph.nets import net, normal
from graph.slopes import differentiated, run_single
from mho.errors import Unsupported
from mho.graph.backward import obstacles
from mho.graph.emit import tensor_named
from mho.graph.rule import Refused, entries

DOMAINS = ("", "ai.onnx.ml")
VECTOR = "(float[4] x) => (float[4] y)"
STEPS = "k = Constant<value_int=3>()  t = Constant<value=bool {1}>()"
BODY = "(int64 i, bool c, float[4] a) => (bool d, float[4] b) { d = Identity(c)  b = Mul(a, a) }"

MODELS = {
    "SequenceAt": """s = SequenceConstruct(x, x)  i = Constant<value_int=1>()
        y = SequenceAt(s, i)""",
    "ConcatFromSequence": "s = SequenceConstruct(x)  y = ConcatFromSequence<axis=0>(s)",
    "OptionalGetElement": "o = Optional(x)  y = OptionalGetElement(o)",
    "If": """t = Constant<value=bool {1}>()
        y = If<then_branch = a () => (float[4] u) { u = Mul(x, x) },
               else_branch = b () => (float[4] v) { v = Neg(x) }>(t)""",
    "Loop": f"{STEPS}  y = Loop<body = l {BODY}>(k, t, x)",
    "Det": "n = Constant<value_ints=[2, 2]>()  m = Reshape(x, n)  d = Det(m)  y = Mul(x, d)",
}


def known(domain: str) -> set[str]:
    return {operator for of, operator in entries() if of == domain}


@pytest.mark.parametrize("domain", DOMAINS)
def test_every_operator_that_gives_floats_is_known(domain: str) -> None:
    newest: dict[str, onnx.defs.OpSchema] = {}
    for schema in onnx.defs.get_all_schemas_with_history():
        if schema.domain == domain:
            before = newest.setdefault(schema.name, schema)
            if schema.since_version > before.since_version:
                newest[schema.name] = schema
    floats = {
        name
        for name, schema in newest.items()
        if any("float" in kind for output in schema.outputs for kind in output.types)
    }
    assert floats <= known(domain), f"say what they are: {sorted(floats - known(domain))}"


@pytest.mark.parametrize("operator", MODELS)
def test_an_operator_is_refused_by_name_and_with_a_reason(operator: str) -> None:
    model = net(MODELS[operator], VECTOR)
    graph = model.ir.graph
    obstacle = obstacles(graph, tensor_named(graph, "y"))[tensor_named(graph, "x")]
    assert obstacle.op_type == operator
    entry = entries()[("", operator)]
    assert isinstance(entry, Refused)
    assert entry.why in obstacle.reason
    with pytest.raises(Unsupported, match=f"operator {operator} "):
        differentiated(model, "y", ["x"])


def test_trees_are_refused_with_their_domain() -> None:
    model = net(
        """y = ai.onnx.ml.TreeEnsembleRegressor<n_targets=1, nodes_treeids=[0, 0, 0],
            nodes_nodeids=[0, 1, 2], nodes_featureids=[0, 0, 0], nodes_values=[0.5, 0.0, 0.0],
            nodes_modes=["BRANCH_LEQ", "LEAF", "LEAF"], nodes_truenodeids=[1, 0, 0],
            nodes_falsenodeids=[2, 0, 0], target_treeids=[0, 0], target_nodeids=[1, 2],
            target_ids=[0, 0], target_weights=[1.0, 2.0]>(x)""",
        "(float[N,2] x) => (float[N,1] y)",
    )
    with pytest.raises(
        Unsupported, match=r"domain ai.onnx.ml .* constant between their thresholds"
    ):
        differentiated(model, "y", ["x"])


NODES = {
    "its axes are computed": (
        "n = Constant<value_ints=[-1]>()  y = Slice(x, n, n, i, n)",
        "(float[4,4] x, int64[1] i) => (float[a,b] y)",
    ),
    "the widths of its border are computed": (
        'y = Pad<mode="reflect">(x, i)',
        "(float[4,4] x, int64[4] i) => (float[a,b] y)",
    ),
    "its reduction is 'mul'": (
        """i = Constant<value=int64[1,4] {0, 1, 2, 3}>()
        y = ScatterElements<reduction="mul">(x, i, u)""",
        "(float[4,4] x, float[1,4] u) => (float[4,4] y)",
    ),
    "the last dimension of its indices is not known": (
        "y = GatherND(x, i)",
        "(float[4,4] x, int64[2,n] i) => (float[a] y)",
    ),
    "by mode 'cubic'": (
        'y = GridSample<mode="cubic">(x, g)',
        "(float[1,1,4,4] x, float[1,2,2,2] g) => (float[1,1,2,2] y)",
    ),
    "it reflects what lies outside": (
        'y = GridSample<padding_mode="reflection">(x, g)',
        "(float[1,1,4,4] x, float[1,2,2,2] g) => (float[1,1,2,2] y)",
    ),
    "the size of its grid is computed": (
        "y = AffineGrid(x, i)",
        "(float[1,2,3] x, int64[4] i) => (float[1,a,b,2] y)",
    ),
    "the shape of its image": (
        "y = Col2Im(x, i, i)",
        "(float[1,4,4] x, int64[2] i) => (float[a,b,c,d] y)",
    ),
    "real numbers for half a spectrum": (
        "y = DFT<inverse=1, onesided=1>(x)",
        "(float[1,4,2] x) => (float[a,b,c] y)",
    ),
    "it is not known to have the output_shape": (
        """i = Constant<value=int64[1,1,1,2] {0, 9}>()  s = Constant<value_ints=[1, 1, 2, 5]>()
        y = MaxUnpool<kernel_shape=[2, 2], strides=[2, 2]>(x, i, s)""",
        "(float[1,1,1,2] x) => (float[1,1,2,5] y)",
    ),
    "one class alone": (
        """l, y = ai.onnx.ml.LinearClassifier<coefficients=[1.0, 2.0], intercepts=[0.5],
            classlabels_ints=[0, 1]>(x)""",
        "(float[N,2] x) => (float[N,2] y)",
    ),
    "its post_transform is 'PROBIT'": (
        """l, y = ai.onnx.ml.LinearClassifier<
            coefficients=[1.0, 2.0, 3.0, 4.0], intercepts=[0.1, 0.2],
            classlabels_ints=[0, 1], post_transform="PROBIT">(x)""",
        "(float[N,2] x) => (float[N,2] y)",
    ),
    "it divides by the largest element": (
        'y = ai.onnx.ml.Normalizer<norm="MAX">(x)',
        "(float[N,2] x) => (float[N,2] y)",
    ),
}


@pytest.mark.parametrize("reason", NODES)
def test_a_node_that_its_rule_does_not_serve_says_why(reason: str) -> None:
    body, signature = NODES[reason]
    with pytest.raises(Unsupported, match=re.escape(reason)):
        differentiated(net(body, signature, opset=20), "y", ["x"])


def test_an_output_shape_that_follows_from_the_input_is_no_obstacle() -> None:
    model = net(
        """i = Constant<value=int64[1,1,1,2] {0, 6}>()  s = Constant<value_ints=[1, 1, 2, 4]>()
        y = MaxUnpool<kernel_shape=[2, 2], strides=[2, 2]>(x, i, s)""",
        "(float[1,1,1,2] x) => (float[1,1,2,4] y)",
    )
    seed = normal(1, 1, 1, 2, 4)
    found = run_single(differentiated(model, "y", ["x"]), {"x": seed[:, :, :1, :2], "seed/y": seed})
    np.testing.assert_array_equal(found["d/x"].ravel(), seed.ravel()[[0, 6]])
