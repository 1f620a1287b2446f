"""Positions as rotations of pairs of features."""

from __future__ import annotations

from mho.graph.fusion import Whole, fused
from mho.graph.term import Term


@fused(
    "RotaryEmbedding",
    needs=(0, 1, 2, 3),
    interleaved=0,
    num_heads=0,
    rotary_embedding_dim=0,
    scale=1.0,
    is_packed_batching=0,
)
def rotary_embedding(whole: Whole) -> Term | None:
    """Each pair of features, turned by an angle whose cosine and sine are given for each place.

    x: ``(batch, places, heads · size)`` or ``(batch, heads, places, size)``. Its second input is
    the place of each token or of the first one alone.
    """
    shape, places, table = whole.dims(), whole.rank(1), whole.dims(2)
    if shape is None or table is None or places not in (1, 2) or len(shape) not in (3, 4):
        return None
    half, features = table[1], shape[-1]
    if not isinstance(half, int) or not isinstance(features, int):
        return None
    if whole.integer("is_packed_batching") or whole.number("scale") != 1:
        return None
    by_head, heads = len(shape) == 4, whole.integer("num_heads")
    size = features if by_head else features // heads if heads else 2 * half
    x = whole.x if by_head else whole.x.reshape([0, 0, -1, size])
    ids = whole.input(1)
    if places == 1:
        length = whole.x.length([2 if by_head else 1])
        ids = ids + ids.integers(0).op("Range", length, ids.integers(1))
    cos, sin = (whole.input(i).gather(ids) for i in (2, 3))
    if not by_head or places == 2:  # a row for all heads
        axis = -3 if by_head else -2
        cos, sin = cos.unsqueeze([axis]), sin.unsqueeze([axis])
    parts = [2 * half, size - 2 * half]
    turned, rest = x, []
    if parts[1]:
        turned, *rest = x.ops("Split", x.integers(parts), outputs=2, axis=-1)
    result = _turned(turned, cos, sin, half, pairs=bool(whole.integer("interleaved")))
    result = result.concat(*rest, axis=-1) if rest else result
    return result if by_head else result.reshape([0, 0, features])


def _turned(x: Term, cos: Term, sin: Term, half: int, *, pairs: bool) -> Term:
    """The pairs are neighbours, or one of each half."""
    if pairs:
        a, b = x.reshape([0, 0, 0, half, 2]).ops("Split", outputs=2, axis=-1, num_outputs=2)
        cos, sin = cos.unsqueeze([-1]), sin.unsqueeze([-1])
    else:
        a, b = x.ops("Split", outputs=2, axis=-1, num_outputs=2)
    result = (a * cos - b * sin).concat(b * cos + a * sin, axis=-1)
    return result.reshape([0, 0, 0, 2 * half]) if pairs else result
