"""What onnxruntime's optimiser has fused is taken apart again.

A model that was saved after optimisation holds FusedConv and FusedGemm of domain com.microsoft.
Their shapes cannot be inferred and they have no derivative rule; their parts have both, and
onnxruntime fuses them again.
"""

from __future__ import annotations

import onnx_ir as ir

_PLAIN = {"FusedConv": "Conv", "FusedGemm": "Gemm"}
_PARAMETERS = {
    "LeakyRelu": ("alpha",),
    "Elu": ("alpha",),
    "ThresholdedRelu": ("alpha",),
    "HardSigmoid": ("alpha", "beta"),
    "Selu": ("alpha", "gamma"),
    "Relu": (),
    "Sigmoid": (),
    "Tanh": (),
    "Softplus": (),
    "Softsign": (),
}
"""Activations that are taken apart, and their parameters in the order of the fusion."""


def unfuse(model: ir.Model) -> int:
    """Replace FusedConv and FusedGemm by their parts, in place; how many there were.

    The result of the fused node keeps its name; what its parts make gets a name that is free. One
    with an activation that is not known here is left as it is.
    """
    count = 0
    for node in list(model.graph.all_nodes()):
        if node.domain != "com.microsoft" or node.op_type not in _PLAIN:
            continue
        attribute = node.attributes.get("activation")
        activation = "" if attribute is None else attribute.as_string()
        if activation and activation not in _PARAMETERS:
            continue
        _take_apart(node, activation)
        count += 1
    return count


def _take_apart(node: ir.Node, activation: str) -> None:
    parameters = _parameters(node, activation)
    inputs = list(node.inputs)
    added = inputs[3] if node.op_type == "FusedConv" and len(inputs) > 3 else None
    kept = {
        name: value
        for name, value in node.attributes.items()
        if not name.startswith("activation") and not name.endswith("_layout")
    }
    name, output = node.name or "", node.outputs[0]
    steps = [ir.Node("", _PLAIN[node.op_type], inputs[:3], kept.values(), name=name)]
    if added is not None:
        steps.append(ir.Node("", "Add", [steps[-1].outputs[0], added], name=f"{name}/add"))
    if activation:
        last = steps[-1].outputs[0]
        steps.append(ir.Node("", activation, [last], parameters, name=f"{name}/{activation}"))
    for step in steps[:-1]:
        step.outputs[0].name = f"{output.name}/{step.op_type}"
    assert node.graph is not None
    ir.convenience.replace_nodes_and_values(
        node.graph, node, [node], steps, [output], [steps[-1].outputs[0]]
    )


def _parameters(node: ir.Node, activation: str) -> list[ir.Attr]:
    listed = node.attributes.get("activation_params")
    given = [] if listed is None else list(listed.as_floats())
    found = []
    for i, name in enumerate(_PARAMETERS.get(activation, ())):
        alone = node.attributes.get(f"activation_{name}")
        if alone is not None:
            found.append(ir.AttrFloat32(name, alone.as_float()))
        elif i < len(given):
            found.append(ir.AttrFloat32(name, given[i]))
    return found
