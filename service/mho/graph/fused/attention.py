"""Attention over heads, with the projection to queries, keys and values or after it.

What is masked by padding gets ``mask_filter_value`` added to its score, as onnxruntime does on the
CPU; what lies ahead gets the least number there is. States of earlier calls are not understood.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import onnx_ir as ir

from mho.graph.fusion import Whole, fused
from mho.graph.term import Term

_OPTIONS: dict[str, Any] = {
    "num_heads": 0,
    "unidirectional": 0,
    "scale": 0.0,
    "mask_filter_value": -10000.0,
}
_LEAST = {
    kind: float(np.finfo(kind.numpy()).min)
    for kind in (ir.DataType.FLOAT, ir.DataType.FLOAT16, ir.DataType.DOUBLE)
}
"""Element types that are understood, and the least number of each."""


@fused(
    "Attention",
    needs=(0, 1),
    inputs=7,
    qkv_hidden_sizes=(0,),
    do_rotary=0,
    rotary_embedding_dim=0,
    past_present_share_buffer=0,
    **_OPTIONS,
)
def attention(whole: Whole) -> Term | None:
    """Self-attention of ``(batch, places, features)``; the projection is one product."""
    sizes, heads = _sizes(whole), whole.integer("num_heads")
    if whole.has(4) or whole.has(6) or whole.integer("do_rotary") or whole.rank() != 3:
        return None
    if sizes is None or heads < 1 or any(size < 1 or size % heads for size in sizes):
        return None
    if not _maskable(whole, 3):
        return None
    merged = whole.x @ whole.input(1)
    if whole.has(2):
        merged = merged + whole.input(2)
    q, k, v = merged.ops("Split", merged.integers(sizes), outputs=3, axis=-1)
    length = whole.x.length([1])
    bias = _bias(whole, 3, whole.optional(5), length, length)
    q, k, v = _by_head(q, heads), _by_head(k, heads, turned=True), _by_head(v, heads)
    return _attended(whole, q, k, v, bias, sizes[0] // heads, sizes[2])


@fused("MultiHeadAttention", needs=(0, 1, 2), inputs=10, **_OPTIONS)
def multi_head_attention(whole: Whole) -> Term | None:
    """Queries ``(batch, places, features)`` meet keys and values, which may be by head already."""
    heads, ranks = whole.integer("num_heads"), [whole.rank(i) for i in range(3)]
    if any(whole.has(i) for i in range(6, 10)) or heads < 1 or not _maskable(whole, 4):
        return None
    if ranks not in ([3, 3, 3], [3, 4, 4]) or (ranks[1] == 4 and whole.has(3)):
        return None
    _, places, features = whole.dims() or (None, None, None)
    key, value = whole.dims(1) or (), whole.dims(2) or ()
    along = 1 if ranks[1] == 3 else 2
    wide = value[2] if along == 1 else _times(value[1], value[3])
    if not isinstance(features, int) or not isinstance(wide, int):
        return None
    if features % heads or wide % heads:
        return None
    if whole.integer("unidirectional") and (places is None or places != key[along]):
        return None  # what lies ahead is defined by queries and keys of the same places
    q, k, v = (whole.input(i) for i in range(3))
    bias = _bias(whole, 4, whole.optional(5), q.length([1]), k.length([along]))
    if whole.has(3):
        parts = whole.input(3).ops(
            "Split", q.integers([features, features, wide]), outputs=3, axis=0
        )
        q, k, v = q + parts[0], k + parts[1], v + parts[2]
    q = _by_head(q, heads)
    if along == 1:
        k, v = _by_head(k, heads, turned=True), _by_head(v, heads)
    else:
        k = k.transpose([0, 1, 3, 2])
    return _attended(whole, q, k, v, bias, features // heads, wide)


def _sizes(whole: Whole) -> tuple[int, int, int] | None:
    """The features of queries, keys and values; None where they are not known."""
    given = whole.integers("qkv_hidden_sizes")
    if len(given) == 3:
        return given[0], given[1], given[2]
    for position, axis in ((1, 1), (2, 0)):
        shape = whole.dims(position)
        total = shape[axis] if shape is not None else None
        if isinstance(total, int) and total % 3 == 0:
            return total // 3, total // 3, total // 3
    return None


def _by_head(x: Term, heads: int, *, turned: bool = False) -> Term:
    """``(batch, heads, places, size)`` of ``(batch, places, heads · size)``; ``turned``, with the
    last two axes exchanged."""
    split = x.reshape([0, 0, heads, -1])
    return split.transpose([0, 2, 3, 1] if turned else [0, 2, 1, 3])


def _attended(
    whole: Whole, q: Term, k: Term, v: Term, bias: Term | None, size: int, features: int
) -> Term:
    """softmax(scale·q·k + bias)·v, the heads side by side again."""
    scale = whole.number("scale") or 1 / math.sqrt(size)
    scores = (q * scale) @ k
    scores = scores if bias is None else scores + bias
    result = scores.op("Softmax", axis=-1) @ v
    return result.transpose([0, 2, 1, 3]).reshape([0, 0, features])


# masks


def _maskable(whole: Whole, position: int) -> bool:
    """Whether the mask is of a form that is understood, or is not there, and so are the numbers."""
    if whole.x.dtype not in _LEAST:
        return False
    if not whole.has(position):
        return True
    shape, batch = whole.dims(position), (whole.dims() or (None,))[0]
    if shape is None or batch is None:
        return False
    if len(shape) == 1:  # there is a form for the CUDA kernel too, of 3·batch + 2
        return shape[0] == batch or _both_ends(whole, position)
    return len(shape) in (2, 3)


def _both_ends(whole: Whole, position: int) -> bool:
    """Whether a mask of one axis gives where each sequence ends and then where it starts."""
    (length,), (batch, *_) = whole.dims(position) or (None,), whole.dims() or (None,)
    return length is not None and length == _times(2, batch)


def _bias(
    whole: Whole, position: int, added: Term | None, queries: Term, keys: Term
) -> Term | None:
    """What is added to the scores, as ``(batch, heads, queries, keys)`` or so that it broadcasts.

    queries, keys: how many there are, int64 scalars.
    """
    open_ = _open(whole, position, keys) if whole.has(position) else None
    bias = None
    if open_ is not None:
        number = max(whole.number("mask_filter_value"), _LEAST[whole.x.dtype])
        bias = open_.choose(whole.x.number(0.0), whole.x.number(number))
    if whole.integer("unidirectional"):
        row, column = _range(queries).unsqueeze([1]), _range(keys).unsqueeze([0])
        ahead = whole.x.number(_LEAST[whole.x.dtype])
        bias = (column <= row).choose(whole.x.number(0.0) if bias is None else bias, ahead)
    if added is None or bias is None:
        return added if bias is None else bias
    return added + bias


def _open(whole: Whole, position: int, keys: Term) -> Term:
    """Whether a key is no padding, bool, as ``(batch, 1, queries or 1, keys)``."""
    mask, rank = whole.input(position), whole.rank(position)
    if rank != 1:
        zero = Term(whole.emit, whole.emit.constant(0, dtype=mask.dtype.numpy()))
        return (mask > zero).unsqueeze([1, 2] if rank == 2 else [1])
    column = _range(keys)
    ends = mask.op("Cast", to=ir.DataType.INT64).unsqueeze([1, 2, 3])
    if not _both_ends(whole, position):
        return column < ends
    ends, starts = ends.ops("Split", outputs=2, axis=0, num_outputs=2)
    return (column < ends).op("And", column >= starts)


def _range(length: Term) -> Term:
    return length.integers(0).op("Range", length, length.integers(1))


def _times(a: int | str | None, b: int | str | None) -> int | None:
    return a * b if isinstance(a, int) and isinstance(b, int) else None
