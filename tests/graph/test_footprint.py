"""Bytes per row, counted by hand."""

from __future__ import annotations

import numpy as np

from graph.nets import net, normal
from mho.graph.footprint import bytes_per_row


def test_a_chain_holds_two_tensors_at_a_time() -> None:
    model = net(
        "a = Gemm(x, w)  b = Relu(a)  y = Gemm(b, v)",
        "(float[N,10] x) => (float[N,3] y)",
        w=normal(1, 10, 100),
        v=normal(2, 100, 3),
    )
    assert bytes_per_row(model) == 4 * (100 + 100)


def test_what_is_read_later_stays_alive() -> None:
    model = net(
        "a = Gemm(x, w)  b = Relu(a)  c = Relu(b)  y = Add(c, a)",
        "(float[N,10] x) => (float[N,100] y)",
        w=normal(1, 10, 100),
    )
    assert bytes_per_row(model) == 4 * 300


def test_captured_tensors_stay_alive_and_outputs_until_the_end() -> None:
    model = net(
        """a = Gemm(x, w)  b = Relu(x)  c = Relu(b)
        y = If(p) <then_branch = t () => (float[N,100] one) { one = Relu(a) },
                   else_branch = e () => (float[N,100] two) { two = Neg(a) }>""",
        "(float[N,10] x, bool p) => (float[N,100] y, float[N,10] b)",
        w=normal(1, 10, 100),
    )
    assert bytes_per_row(model) >= 4 * (100 + 10 + 100)


def test_element_sizes_and_unknown_lengths() -> None:
    model = net("y = Cast<to = 10>(x)", "(double[N,T] x) => (float16[N,T] y)")
    assert bytes_per_row(model) == (8 + 2) * 64
    nothing = net("y = Add(x, w)", "(float[4] x) => (float[4] y)", w=np.zeros(4, np.float32))
    assert bytes_per_row(nothing) == 1
