"""LSTM, GRU and RNN: every direction, with and without what is optional."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from graph.vjp_case import Case, case, fixed, normal

STEPS, BATCH, INPUTS, UNITS = 3, 2, 2, 2
GATES = {"LSTM": 4, "GRU": 3, "RNN": 1}
DIRECTIONS = ("forward", "reverse", "bidirectional")
BATCHWISE = "onnxruntime has no kernel for layout 1"


def _sigmoid(x: np.ndarray) -> np.ndarray:
    return 1 / (1 + np.exp(-x))


HARD = {"alpha": 0.3, "beta": 0.4}

FUNCTIONS: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    "Sigmoid": _sigmoid,
    "Tanh": np.tanh,
    "Relu": lambda x: np.maximum(x, 0),
    "HardSigmoid": lambda x: np.clip(HARD["alpha"] * x + HARD["beta"], 0, 1),
}


def oracle(op: str, **attributes: Any) -> Callable[..., Any]:
    """The operator's formulas, step by step for each sequence: onnx.reference knows neither
    lengths nor most activations."""
    way = attributes.get("direction", "forward")
    each = {"LSTM": 3, "GRU": 2, "RNN": 1}[op]
    names = attributes.get("activations") or ["Sigmoid", "Tanh", "Tanh"][op == "RNN" :][:each] * 2

    def step(
        d: int, x: np.ndarray, h: np.ndarray, c: np.ndarray, weights: list[Any]
    ) -> tuple[np.ndarray, np.ndarray]:
        w, r, b, p = (m[d] for m in weights)
        f, *rest = (FUNCTIONS[name] for name in names[d * each :][:each])
        from_x, from_h = w @ x + b[: len(w)], r @ h + b[len(w) :]
        if op == "RNN":
            return f(from_x + from_h), c
        if op == "LSTM":
            i, o, forget, new = np.split(from_x + from_h, 4)
            p_i, p_o, p_f = np.split(p, 3)
            after = f(forget + p_f * c) * c + f(i + p_i * c) * rest[0](new)
            return f(o + p_o * after) * rest[1](after), after
        (x_z, x_r, x_n), (h_z, h_r, h_n) = np.split(from_x, 3), np.split(from_h, 3)
        z, reset = f(x_z + h_z), f(x_r + h_r)
        if not attributes.get("linear_before_reset"):
            h_n = np.split(r, 3)[2] @ (reset * h) + np.split(b, 6)[5]
        else:
            h_n = reset * h_n
        return (1 - z) * rest[0](x_n + h_n) + z * h, c

    def run(x: np.ndarray, w: np.ndarray, r: np.ndarray, *more: Any) -> Any:
        b, lengths, initial_h, initial_c, p = (*more, *[None] * (5 - len(more)))
        count, units = len(w), r.shape[2]
        steps, batch = x.shape[:2]
        weights = [
            w,
            r,
            np.zeros((count, 2 * w.shape[1])) if b is None else b,
            np.zeros((count, 3 * units)) if p is None else p,
        ]
        y, h, c = np.zeros((steps, count, batch, units)), *np.zeros((2, count, batch, units))
        h += 0 if initial_h is None else initial_h
        c += 0 if initial_c is None else initial_c
        for d in range(count):
            for n in range(batch):
                order = list(range(steps if lengths is None else lengths[n]))
                for t in reversed(order) if d == 1 or way == "reverse" else order:
                    h[d, n], c[d, n] = step(d, x[t, n], h[d, n], c[d, n], weights)
                    y[t, d, n] = h[d, n]
        return (y, h, c) if op == "LSTM" else (y, h)

    return run


def recurrent(
    op: str,
    direction: str,
    *,
    note: str = "",
    bias: bool = True,
    initial: bool = True,
    lengths: list[int] | None = None,
    peepholes: bool = False,
    checked: bool = False,
    unasked: tuple[int, ...] = (),
    **attributes: Any,
) -> Case:
    """``checked``: against the formulas above."""
    count, gates = 1 + (direction == "bidirectional"), GATES[op]
    first = attributes.get("layout") == 1
    state = normal(BATCH, count, UNITS) if first else normal(count, BATCH, UNITS)
    inputs = [
        normal(BATCH, STEPS, INPUTS) if first else normal(STEPS, BATCH, INPUTS),
        normal(count, gates * UNITS, INPUTS),
        normal(count, gates * UNITS, UNITS),
        normal(count, 2 * gates * UNITS) if bias else None,
        None if lengths is None else fixed(np.array(lengths, np.int32)),
        state if initial else None,
    ]
    if op == "LSTM":
        inputs += [state if initial else None, normal(count, 3 * UNITS) if peepholes else None]
    hard = attributes.get("activations", []).count("HardSigmoid")
    if hard:
        attributes |= {f"activation_{name}": [number] * hard for name, number in HARD.items()}
    words = {"direction": direction, "hidden_size": UNITS, **attributes}
    return case(
        op,
        *inputs,
        constant=(1, 2, 3, 7),
        computed=() if lengths is None else (4,),
        unasked=unasked,
        outputs=3 if op == "LSTM" else 2,
        note=note,
        no_kernel=BATCHWISE if first else "",
        oracle=oracle(op, **words) if checked or lengths is not None else None,
        **words,
    )


CASES = [
    *(recurrent(op, direction) for op in GATES for direction in DIRECTIONS),
    *(recurrent(op, "bidirectional", note="bare", bias=False, initial=False) for op in GATES),
    *(recurrent(op, "reverse", layout=1) for op in GATES),
    *(recurrent(op, "bidirectional", layout=1) for op in GATES),
    *(recurrent("GRU", direction, linear_before_reset=1) for direction in DIRECTIONS),
    recurrent("GRU", "forward", note="bare", bias=False, initial=False, linear_before_reset=1),
    *(recurrent("LSTM", direction, note="peepholes", peepholes=True) for direction in DIRECTIONS),
    *(
        recurrent(op, direction, note=note, lengths=[1, 3], **attributes)
        for op, note, attributes in (
            ("LSTM", "lengths", {}),
            ("LSTM", "lengths and peepholes", {"peepholes": True}),
            ("GRU", "lengths", {"linear_before_reset": 0}),
            ("GRU", "lengths", {"linear_before_reset": 1}),
            ("RNN", "lengths", {}),
        )
        for direction in DIRECTIONS
    ),
    *(recurrent(op, "forward", note="last state", unasked=(0,)) for op in GATES),
    *(recurrent(op, "reverse", note="sequence", unasked=(1, 2)) for op in GATES),
    recurrent("LSTM", "reverse", note="zero states, lengths", lengths=[3, 2], initial=False),
    *(
        recurrent(op, "bidirectional", checked=True, activations=names, **more)
        for op, names, more in (
            ("RNN", ["Relu", "Sigmoid"], {}),
            ("GRU", ["HardSigmoid", "Relu"] * 2, {}),
            ("LSTM", ["HardSigmoid", "Tanh", "Relu", "Sigmoid", "Relu", "Tanh"], {}),
        )
    ),
]
