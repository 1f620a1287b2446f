"""Nine real architectures from the onnx wheel, with seeded weights so that outputs mean something.

The wheel carries the graphs with constant weights (ConstantOfShape, all elements alike).
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import onnx.backend.test
import onnxruntime as ort
from onnx import numpy_helper

FOLDER = Path(onnx.backend.test.__file__).parent / "data" / "light"

NAMES = tuple(sorted(path.stem.removeprefix("light_") for path in FOLDER.glob("light_*.onnx")))
"""What ``light`` takes: bvlc_alexnet, densenet121, inception_v1, …"""

SMALL = tuple(name for name in NAMES if name not in ("bvlc_alexnet", "vgg19", "zfnet512"))
"""Those with less than 50 MB of weights."""


def light(name: str, seed: int = 0) -> onnx.ModelProto:
    """The graph ``name`` with He-normal kernels, small biases, mild normalisation statistics.

    In the ``SMALL`` models the last operator is scaled and shifted so that the logits of noise are
    of order one and differ between inputs. Weights are initialisers; all other tensors are called
    as in the file.
    """
    model = onnx.load(FOLDER / f"light_{name}.onnx")
    graph = model.graph
    rng = np.random.default_rng(seed)
    shapes = {t.name: numpy_helper.to_array(t) for t in graph.initializer}
    users: dict[str, list[tuple[onnx.NodeProto, int]]] = {}
    for node in graph.node:
        for i, value in enumerate(node.input):
            users.setdefault(value, []).append((node, i))
    kept, weights = [], {}
    for node in graph.node:
        if node.op_type == "ConstantOfShape":
            shape = tuple(int(d) for d in shapes[node.input[0]])
            weights[node.output[0]] = _weight(shape, *users[node.output[0]][0], rng)
        else:
            kept.append(node)
    read = {value for node in kept for value in node.input}
    weights |= {t.name: shapes[t.name] for t in graph.initializer if t.name in read}
    inputs = [info for info in graph.input if info.name in read and info.name not in weights]
    for field, values in (("node", kept), ("initializer", []), ("input", inputs)):
        graph.ClearField(field)
        getattr(graph, field).extend(values)
    model.ir_version = 8
    if name in SMALL:
        _calibrate(model, weights, rng)
    graph.initializer.extend(numpy_helper.from_array(a, n) for n, a in weights.items())
    return model


def _weight(
    shape: tuple[int, ...], node: onnx.NodeProto, index: int, rng: np.random.Generator
) -> np.ndarray:
    positive = node.op_type == "Unsqueeze" or (
        node.op_type == "BatchNormalization" and index in (1, 4)
    )
    if positive:  # scale and variance; the scale of a normalisation spelled Mul and Add
        return rng.uniform(0.8, 1.2, shape).astype(np.float32)
    spread = 0.05 if len(shape) < 2 else float(np.sqrt(2 / np.prod(shape[1:])))
    return rng.standard_normal(shape, dtype=np.float32) * np.float32(spread)


def _calibrate(
    model: onnx.ModelProto, weights: dict[str, np.ndarray], rng: np.random.Generator
) -> None:
    last = [node for node in model.graph.node if node.op_type in ("Conv", "Gemm")][-1]
    probe = onnx.ModelProto()
    probe.CopyFrom(model)
    probe.graph.initializer.extend(numpy_helper.from_array(a, n) for n, a in weights.items())
    probe.graph.ClearField("output")
    probe.graph.output.append(onnx.ValueInfoProto(name=last.output[0]))
    options = ort.SessionOptions()
    options.intra_op_num_threads = 1
    options.log_severity_level = 3
    options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_DISABLE_ALL
    session = ort.InferenceSession(probe.SerializeToString(), options)
    (fed,) = session.get_inputs()
    runs = [
        session.run(None, {fed.name: rng.standard_normal(fed.shape, dtype=np.float32)})[0]
        for _ in range(2)
    ]
    scale = np.float32(1 / np.std(runs[0] - runs[1]))
    moved = {n.output[0]: n.input[0] for n in model.graph.node if n.op_type == "Reshape"}
    kernel, bias = (moved.get(value, value) for value in last.input[1:])
    per_class = np.mean(runs, axis=0).reshape(weights[bias].shape[0], -1).mean(axis=1)
    weights[kernel] = weights[kernel] * scale
    weights[bias] = (weights[bias] - per_class.astype(np.float32)) * scale
