"""What onnxruntime's optimisers have fused is taken apart again.

A model that was saved after optimisation holds operators such as Attention and BiasGelu of domain
com.microsoft. onnx cannot infer their shapes and they have no derivative rule; their parts have
both, and onnxruntime fuses them again.

The parts are of opset 18, and most models with such operators are older; to raise a model, its
shapes must be known. So the operators are first set aside: they get a domain of our own, where
onnx's inference is told what their parts come to. They are taken apart when the model has been
raised.
"""

from __future__ import annotations

import onnx_ir as ir

from mho.graph.aside import ASIDE, OPSET, operators
from mho.graph.fusion import Emitters, entries


def set_aside(model: ir.Model) -> set[str]:
    """Move fused operators to a domain where their shapes can be inferred, in place.

    Those whose parts are the same in every opset are taken apart at once; their names are returned.
    """
    opset = model.opset_imports.get("", OPSET)
    emitters = Emitters(model.graph)
    done = set()
    for node in list(model.graph.all_nodes()):
        operator = entries().get((node.domain, node.op_type))
        if operator is None or not operator.reads(node):
            continue
        if operator.until is not None and opset >= operator.until:
            continue
        if not operator.at_once:
            assert node.op_type in operators()
            node.domain = ASIDE
            model.opset_imports[ASIDE] = 1
        elif operator.replace(node, emitters):
            done.add(node.op_type)
    return done


def take_apart(model: ir.Model) -> set[str]:
    """Replace what was set aside by its parts, in place; the names of the operators are returned.

    Types must have been inferred. What is not understood goes back to the domain it came from, and
    so does everything in a model that could not be raised.
    """
    if model.opset_imports.pop(ASIDE, None) is None:
        return set()
    raised = model.opset_imports.get("", OPSET) >= OPSET
    emitters = Emitters(model.graph)
    done = set()
    for node in list(model.graph.all_nodes()):
        if node.domain != ASIDE:
            continue
        operator = operators()[node.op_type]
        if raised and operator.replace(node, emitters):
            done.add(node.op_type)
        else:
            node.domain = operator.domain
    return done
