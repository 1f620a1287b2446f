"""Small models for the tests of rewriting and running: text in, a loaded ``Model`` out."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime as ort
from onnx import numpy_helper, parser

from mho.graph.load import load
from mho.graph.model import Model, serialized


def net(body: str, signature: str, *, opset: int = 18, **weights: Any) -> Model:
    """A model in onnx's text form, with ``weights`` as initialisers, as ``load`` makes it."""
    proto = parser.parse_model(
        f'<ir_version: 8, opset_import: ["" : {opset}, "ai.onnx.ml" : 3]> '
        f"g {signature} {{ {body} }}"
    )
    for name, array in weights.items():
        proto.graph.initializer.append(numpy_helper.from_array(np.asarray(array), name))
    return loaded(proto)


def loaded(proto: onnx.ModelProto) -> Model:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "model.onnx"
        path.write_bytes(proto.SerializeToString())
        return load(path)


def run(model: Model, **feeds: Any) -> dict[str, np.ndarray]:
    """All outputs by name. ``feeds`` may name a tensor with ``/`` through ``**{...}``."""
    return evaluate(model, feeds)


def evaluate(model: Model, feeds: Mapping[str, Any]) -> dict[str, np.ndarray]:
    data = serialized(model.ir)
    assert data is not None
    onnx.checker.check_model(onnx.load_from_string(data))
    options = ort.SessionOptions()
    options.intra_op_num_threads = 1
    options.log_severity_level = 4
    session = ort.InferenceSession(data, options, providers=["CPUExecutionProvider"])
    wanted = {entry.name for entry in session.get_inputs()}
    names = [entry.name for entry in session.get_outputs()]
    found = session.run(names, {k: np.asarray(v) for k, v in feeds.items() if k in wanted})
    return dict(zip(names, found, strict=True))


def normal(seed: int, *shape: int, scale: float = 1.0, dtype: Any = np.float32) -> np.ndarray:
    return (np.random.default_rng(seed).standard_normal(shape) * scale).astype(dtype)
