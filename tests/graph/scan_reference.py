"""onnx.reference's Scan knows no direction but the first; here is one that goes both ways."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
from onnx.reference.ops.op_scan import Scan as Forwards

_DIRECTIONS = ("scan_input_directions", "scan_output_directions")


class Scan(Forwards):
    """Turns what is read and what is put out around, where the node says so."""

    op_domain = ""

    def __init__(self, onnx_node: onnx.NodeProto, run_params: dict[str, Any]) -> None:
        plain = onnx.NodeProto()
        plain.CopyFrom(onnx_node)
        del plain.attribute[:]
        plain.attribute.extend(a for a in onnx_node.attribute if a.name not in _DIRECTIONS)
        super().__init__(plain, run_params)
        given = {a.name: list(a.ints) for a in onnx_node.attribute if a.name in _DIRECTIONS}
        self._read, self._put = (given.get(name, []) for name in _DIRECTIONS)

    def _run(self, *args: np.ndarray, **attributes: Any) -> tuple[np.ndarray, ...]:
        states = len(args) - self.num_scan_inputs
        rows = args[states:]
        given = super()._run(*args[:states], *_turned(rows, self._read), **attributes)
        return (*given[:states], *_turned(given[states:], self._put))


def _turned(arrays: tuple[np.ndarray, ...], directions: list[int]) -> list[np.ndarray]:
    directions = directions or [0] * len(arrays)
    return [a[::-1] if back else a for a, back in zip(arrays, directions, strict=True)]
