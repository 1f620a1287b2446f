"""A model as files of a folder: ``model.onnx``, and its weights beside it where they must be."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import onnx_ir as ir

from mho.graph.model import Model, fits_one_message, serialized

MODEL = "model.onnx"
WEIGHTS = "model.onnx.data"


@dataclass(frozen=True)
class ModelFiles:
    """``model``, whose external weights are where they were when it was read.

    Weights go into a file of their own where the model had such, or one message can't hold them.
    """

    model: Model

    @cached_property
    def names(self) -> tuple[str, ...]:
        """The files that ``write`` makes, the ONNX file first."""
        tensors = [
            value.const_value
            for graph in self.model.ir.graphs()
            for value in graph.initializers.values()
        ]
        apart = any(isinstance(tensor, ir.ExternalTensor) for tensor in tensors)
        return (MODEL, WEIGHTS) if apart or not fits_one_message(self.model.ir) else (MODEL,)

    def write(self, folder: Path) -> None:
        """Write the files into ``folder``, which exists and is not where the weights lie now."""
        path = folder / MODEL
        if self.names == (MODEL,):
            data = serialized(self.model.ir)
            assert data is not None
            path.write_bytes(data)
            return
        ir.save(self.model.ir, path, external_data=WEIGHTS)
        (folder / WEIGHTS).touch()  # onnx_ir writes none where all weights are small
