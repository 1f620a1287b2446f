"""Normalisations over the features, with the sum before them, and over groups of channels."""

from __future__ import annotations

import numpy as np
import onnx_ir as ir

from mho.graph.fusion import Whole, fused
from mho.graph.term import Term

_SUM = 3
"""The output of a Skip… that gives what is normalised."""
_WIDE = (ir.DataType.FLOAT, ir.DataType.DOUBLE)


@fused(
    "LayerNormalization",
    domain="",
    until=17,
    needs=(0, 1),
    inputs=3,
    axis=-1,
    epsilon=1e-5,
    stash_type=1,
)
def layer_normalization(whole: Whole) -> Term:
    """The operator of opset 17, which onnxruntime takes in models of every opset."""
    x, scale, bias = whole.x, whole.input(1), whole.optional(2)
    normal = x.op(
        "LayerNormalization",
        scale.cast(x),
        None if bias is None else bias.cast(x),
        axis=whole.integer("axis"),
        epsilon=whole.number("epsilon"),
        stash_type=whole.integer("stash_type"),
    )
    return normal.cast(scale)


@fused(
    "SimplifiedLayerNormalization",
    domain="",
    needs=(0, 1),
    axis=-1,
    epsilon=1e-5,
    stash_type=1,
)
def simplified_layer_normalization(whole: Whole) -> Term | None:
    rank = whole.rank()
    if not rank:
        return None
    axes = list(range(whole.integer("axis") % rank, rank))
    return _by_root_mean_square(whole.x, whole.input(1), whole.number("epsilon"), axes)


@fused("SkipLayerNormalization", needs=(0, 1, 2), inputs=5, gives=(0, _SUM), epsilon=1e-12)
def skip_layer_normalization(whole: Whole) -> dict[int, Term]:
    total = _sum(whole, bias=4)
    beta = whole.optional(3)
    return {0: _layer_normalised(whole, total, whole.input(2), beta), _SUM: total}


@fused(
    "SkipSimplifiedLayerNormalization", needs=(0, 1, 2), inputs=4, gives=(0, _SUM), epsilon=1e-12
)
def skip_simplified_layer_normalization(whole: Whole) -> dict[int, Term]:
    total = _sum(whole, bias=3)
    normal = _by_root_mean_square(total, whole.input(2), whole.number("epsilon"), [-1])
    return {0: normal, _SUM: total}


@fused(
    "EmbedLayerNormalization",
    needs=(0, 2, 3, 5, 6),
    inputs=9,
    gives=(0, 1, 2),
    epsilon=1e-12,
    mask_index_type=0,
)
def embed_layer_normalization(whole: Whole) -> dict[int, Term] | None:
    """Embeddings of words, places and segments, added; how many places each mask leaves open."""
    shape = whole.dims()
    if shape is None or len(shape) != 2:
        return None
    words, places, segments = whole.input(2), whole.input(3), whole.optional(4)
    rows = words.gather(whole.x)
    ids = whole.optional(8)
    if ids is None:
        start, axis = words.integers([0]), words.integers([0])
        own = places.op("Slice", start, whole.x.shape.gather([1]), axis)
        if places.dims is not None:  # a length that is known by its name would be lost
            own.value.shape = ir.Shape([shape[1], places.dims[1]])
    else:
        own = places.gather(ids)
    total = rows + own
    if segments is not None and whole.has(1):
        total = total + segments.gather(whole.input(1))
    found = {0: _layer_normalised(whole, total, whole.input(5), whole.input(6)), 2: total}
    if 1 in whole.asked:
        found[1] = _open_places(whole)
    return found


@fused("GroupNorm", needs=(0, 1, 2), epsilon=1e-5, groups=0, activation=0, channels_last=1)
def group_norm(whole: Whole) -> Term | None:
    return _by_groups(whole, whole.x) if _has_groups(whole) else None


@fused(
    "SkipGroupNorm",
    needs=(0, 1, 2, 3),
    inputs=5,
    gives=(0, 1),
    epsilon=1e-5,
    groups=0,
    activation=0,
    channels_last=1,
)
def skip_group_norm(whole: Whole) -> dict[int, Term] | None:
    skip, rank = whole.input(3), whole.rank(3)
    if not whole.integer("channels_last") or rank not in (2, 4) or not _has_groups(whole):
        return None
    total = whole.x + (skip.unsqueeze([1, 2]) if rank == 2 else skip)
    if whole.has(4):
        total = total + whole.input(4)
    return {0: _by_groups(whole, total), 1: total}


def _sum(whole: Whole, bias: int) -> Term:
    total = whole.x + whole.input(1)
    return total + whole.input(bias) if whole.has(bias) else total


def _layer_normalised(whole: Whole, x: Term, gamma: Term, beta: Term | None) -> Term:
    return x.op("LayerNormalization", gamma, beta, axis=-1, epsilon=whole.number("epsilon"))


def _by_root_mean_square(x: Term, scale: Term, epsilon: float, axes: list[int]) -> Term:
    """x/√(mean x² + ε)·scale, the first part in single precision at least."""
    wide = x if x.dtype in _WIDE else x.op("Cast", to=ir.DataType.FLOAT)
    normal = wide / ((wide * wide).mean(axes) + epsilon).op("Sqrt")
    return normal.cast(scale) * scale


def _open_places(whole: Whole) -> Term:
    """How many elements of each mask are 1, int32 ``(batch,)``; 0 where there is no mask."""
    mask = whole.optional(7)
    if mask is None:
        batch = whole.x.shape.gather([0])
        return Term(whole.emit, whole.emit.constant(0, dtype=np.int32)).expand(batch)
    one = Term(whole.emit, whole.emit.constant(1, dtype=mask.dtype.numpy()))
    return mask.equals(one).op("Cast", to=ir.DataType.INT32).sum([1], keepdims=False)


def _has_groups(whole: Whole) -> bool:
    """Whether the channels, by gamma, are a multiple of the groups, and all else is known."""
    shape, groups = whole.dims(1), whole.integer("groups")
    channels = shape[0] if shape else None
    if not isinstance(channels, int) or groups < 1 or channels % groups:
        return False
    return (whole.rank() or 0) > 2 and whole.integer("activation") in (0, 1)


def _by_groups(whole: Whole, x: Term) -> Term:
    """Group normalisation, the channels last or second, and x·σ(x) of it where it is asked for."""
    rank, channels_last = whole.rank() or 0, bool(whole.integer("channels_last"))
    groups, gamma, beta = whole.integer("groups"), whole.input(1), whole.input(2)
    if channels_last:
        x = x.transpose([0, rank - 1, *range(1, rank - 1)])
    one, zero = (
        Term(x.emit, x.emit.constant(np.full(groups, number), dtype=x.dtype.numpy()))
        for number in (1.0, 0.0)
    )
    normal = x.reshape([0, groups, -1]).op(
        "InstanceNormalization", one, zero, epsilon=whole.number("epsilon")
    )
    normal = normal.reshape(x.op("Shape")).cast(gamma)
    if channels_last:
        normal = normal.transpose([0, *range(2, rank), 1])
    else:
        behind = [-1, *[1] * (rank - 2)]
        gamma, beta = gamma.reshape(behind), beta.reshape(behind)
    result = (normal * gamma + beta).cast(x)
    return result * result.op("Sigmoid") if whole.integer("activation") else result
