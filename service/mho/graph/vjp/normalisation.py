"""Derivatives of normalisations.

Where mean and variance are those of the input itself, its gradient is
``(g - mean(g) - n mean(g n)) / deviation`` with ``n`` the normalised input and ``g`` the gradient
with respect to it.
"""

from __future__ import annotations

from collections.abc import Sequence

import onnx_ir as ir

from mho.graph.broadcast import unbroadcast
from mho.graph.flow import dims, integer
from mho.graph.rule import Call, known_rank, rule
from mho.graph.term import Term

_HALVES = (ir.DataType.FLOAT16, ir.DataType.BFLOAT16)
_PER_CHANNEL = 21
"""From this opset on GroupNormalization scales channels, before it scales groups."""


def _precise(term: Term) -> Term:
    """Statistics of half precision are computed in float32."""
    return term.op("Cast", to=ir.DataType.FLOAT) if term.dtype in _HALVES else term


def _per_channel(term: Term, rank: int) -> Term:
    """``(channels,)`` so that it meets the channels of a tensor of ``rank``."""
    return term if rank == 2 else term.reshape([-1, *[1] * (rank - 2)])


def _but_channels(rank: int) -> list[int]:
    return [0, *range(2, rank)]


class _Standard:
    """What has mean 0 and variance 1 along ``axes``: ``(x - mean) / deviation``.

    mean, inverse: 1 over the deviation, where they are known already.
    """

    def __init__(
        self,
        x: Term,
        axes: Sequence[int],
        epsilon: float,
        mean: Term | None = None,
        inverse: Term | None = None,
    ) -> None:
        self.axes = axes
        self.centred = x - (x.mean(axes) if mean is None else mean)
        if inverse is None:
            variance = (self.centred * self.centred).mean(axes)
            inverse = (variance + epsilon).op("Sqrt").op("Reciprocal")
        self.inverse = inverse

    @property
    def normal(self) -> Term:
        return self.centred * self.inverse

    def back(self, g: Term) -> Term:
        """The gradient with respect to x."""
        slope = (g * self.centred).mean(self.axes) * (self.inverse * self.inverse)
        return (g - g.mean(self.axes) - self.centred * slope) * self.inverse


# by given statistics


def _batch_factor(at: Call) -> Term:
    deviation = (at.input(4) + at.number("epsilon", 1e-5)).op("Sqrt")
    return at.input(1).cast(at.input(4)) / deviation


def _batch_input(at: Call) -> Term:
    return at.dy * _per_channel(_batch_factor(at).cast(at.dy), at.rank())


def _batch_centred(at: Call) -> Term:
    """Σ dy (x - mean), for every channel."""
    centred = at.x - _per_channel(at.input(3).cast(at.x), at.rank())
    return (at.dy * centred).sum(_but_channels(at.rank()), keepdims=False)


def _batch_scale(at: Call) -> Term:
    deviation = (at.input(4) + at.number("epsilon", 1e-5)).op("Sqrt")
    return (_batch_centred(at).cast(deviation) / deviation).cast(at.input(1))


def _batch_mean(at: Call) -> Term:
    total = at.dy.sum(_but_channels(at.rank()), keepdims=False).cast(at.input(4))
    return -(total * _batch_factor(at)).cast(at.input(3))


def _batch_variance(at: Call) -> Term:
    centred = _batch_centred(at).cast(at.input(4))
    return centred * _batch_factor(at) / ((at.input(4) + at.number("epsilon", 1e-5)) * -2)


def _channel_bias(at: Call) -> Term:
    return at.dy.sum(_but_channels(at.rank()), keepdims=False).cast(at.input(2))


def _trained(node: ir.Node) -> str:
    if integer(node, "training_mode", 0) or any(value.name for value in node.outputs[1:]):
        return "it computes statistics of the batch (training_mode); export the model for inference"
    return known_rank()(node)


rule(
    "BatchNormalization",
    _batch_input,
    _batch_scale,
    _channel_bias,
    _batch_mean,
    _batch_variance,
    refusal=_trained,
)

# by statistics of every channel, or group of channels


def _of_instance(at: Call) -> _Standard:
    return _Standard(_precise(at.x), range(2, at.rank()), at.number("epsilon", 1e-5))


def _instance_input(at: Call) -> Term:
    back = _of_instance(at).back(_precise(at.dy))
    return (back * _per_channel(_precise(at.b), at.rank())).cast(at.dy)


def _instance_scale(at: Call) -> Term:
    scaled = _precise(at.dy) * _of_instance(at).normal
    return scaled.sum(_but_channels(at.rank()), keepdims=False).cast(at.b)


rule("InstanceNormalization", _instance_input, _instance_scale, _channel_bias, refusal=known_rank())


def _grouped(at: Call, term: Term) -> Term:
    return _precise(term).reshape([0, at.integer("num_groups", 1), -1])


def _of_group(at: Call) -> _Standard:
    return _Standard(_grouped(at, at.x), [2], at.number("epsilon", 1e-5))


def _scales_channels(at: Call) -> bool:
    shape, scale = at.x.dims, at.b.dims
    if shape is not None and scale is not None and isinstance(scale[0], int):
        channels, groups = shape[1], at.integer("num_groups", 1)
        if isinstance(channels, int) and channels != groups:
            return scale[0] == channels
    graph = at.node.graph
    imports = {} if graph is None else graph.opset_imports
    return (imports.get("") or imports.get("ai.onnx") or _PER_CHANNEL) >= _PER_CHANNEL


def _group_input(at: Call) -> Term:
    if _scales_channels(at):
        scaled = at.dy * _per_channel(at.b, at.rank())
        back = _of_group(at).back(_grouped(at, scaled))
    else:
        back = _of_group(at).back(_grouped(at, at.dy)) * _precise(at.b).reshape([-1, 1])
    return back.reshaped_like(at.x).cast(at.dy)


def _group_scale(at: Call) -> Term:
    scaled = _grouped(at, at.dy) * _of_group(at).normal
    if not _scales_channels(at):
        return scaled.sum([0, 2], keepdims=False).cast(at.b)
    return scaled.reshaped_like(at.x).sum(_but_channels(at.rank()), keepdims=False).cast(at.b)


def _group_bias(at: Call) -> Term:
    if _scales_channels(at):
        return _channel_bias(at)
    return _grouped(at, at.dy).sum([0, 2], keepdims=False).cast(at.input(2))


rule("GroupNormalization", _group_input, _group_scale, _group_bias, refusal=known_rank())

# by statistics of the last axes


def _last_axes(at: Call) -> list[int]:
    axis = at.integer("axis", -1)
    return list(range(axis if axis < 0 else axis - at.rank(), 0))


def _of_layer(at: Call) -> _Standard:
    """By the node's own Mean and InvStdDev, unless these are less precise than the input."""
    x, axes = _precise(at.x), _last_axes(at)
    if x.dtype != ir.DataType.FLOAT or at.integer("stash_type", 1) != ir.DataType.FLOAT:
        return _Standard(x, axes, at.number("epsilon", 1e-5))
    mean, inverse = at.output(1), at.output(2)
    mean.value.dtype = inverse.value.dtype = ir.DataType.FLOAT
    return _Standard(x, axes, 0.0, mean, inverse)


def _layer_input(at: Call) -> Term:
    layer = _of_layer(at)
    dx = layer.back(_precise(at.dy * at.b))
    of_mean, of_inverse = (*at.dys, None, None)[1:3]
    if of_mean is None and of_inverse is None:
        return dx.cast(at.x)
    count = at.x.length(layer.axes)
    if of_mean is not None:
        dx = dx + of_mean.cast(dx) / count.cast(dx)
    if of_inverse is not None:
        cube = layer.inverse * layer.inverse * layer.inverse
        dx = dx - layer.centred * (of_inverse.cast(dx) * cube / count.cast(dx))
    return dx.cast(at.x)


def _layer_scale(at: Call) -> Term:
    return unbroadcast(_precise(at.dy) * _of_layer(at).normal, at.b, at.x.dims).cast(at.b)


def _layer_bias(at: Call) -> Term:
    return unbroadcast(at.dy, at.input(2), at.x.dims)


def _needs_rank(node: ir.Node) -> str:
    """An axis counted from the end needs none."""
    return known_rank()(node) if integer(node, "axis", -1) >= 0 else ""


rule("LayerNormalization", _layer_input, _layer_scale, _layer_bias, refusal=_needs_rank)


def _root_mean_square(at: Call) -> tuple[Term, Term]:
    """The input in the precision of the statistics, and 1 over the root of its mean square."""
    x = _precise(at.x)
    mean = (x * x).mean(_last_axes(at))
    return x, (mean + at.number("epsilon", 1e-5)).op("Sqrt").op("Reciprocal")


def _rms_input(at: Call) -> Term:
    x, inverse = _root_mean_square(at)
    g = _precise(at.dy * at.b)
    slope = (g * x).mean(_last_axes(at)) * (inverse * inverse)
    return ((g - x * slope) * inverse).cast(at.x)


def _rms_scale(at: Call) -> Term:
    x, inverse = _root_mean_square(at)
    return unbroadcast(_precise(at.dy) * (x * inverse), at.b, at.x.dims).cast(at.b)


rule("RMSNormalization", _rms_input, _rms_scale, refusal=_needs_rank)

# without a scale


def _mean_variance(at: Call) -> Term:
    axes = at.integers("axes", (0, 2, 3))
    x, y, g = _precise(at.x), _precise(at.y), _precise(at.dy)
    centred = x - x.mean(axes)
    deviation = (centred * centred).mean(axes).op("Sqrt") + 1e-9
    return ((g - g.mean(axes) - y * (g * y).mean(axes)) / deviation).cast(at.dy)


rule("MeanVarianceNormalization", _mean_variance)


def _lp(at: Call) -> Term:
    """0 where all that is normalised is 0."""
    axis, p = [at.integer("axis", -1)], at.integer("p", 2)
    norm = at.x.op(f"ReduceL{p}", at.constant(axis), keepdims=1)
    along = (at.dy * at.y).sum(axis)
    outward = at.y * along if p == 2 else at.x.sign() * along
    zero = norm.equals(0).cast(norm)
    return (at.dy - outward) * ((1 - zero) / (norm + zero))


rule("LpNormalization", _lp)


def _local_response(at: Call) -> Term:
    """With ``s = bias + alpha mean(x^2)`` over the neighbours, ``y = x s^-beta``."""
    alpha, beta = at.number("alpha", 1e-4), at.number("beta", 0.75)
    s = _neighbourhood(at, at.x * at.x) * alpha + at.number("bias", 1.0)
    mixed = _neighbourhood(at, at.dy * at.y / s)
    return at.dy * s**-beta - at.x * mixed * (2 * alpha * beta)


def _neighbourhood(at: Call, term: Term) -> Term:
    """The sum over the channels nearby, by their number.

    Pooled over the channels as if they were spatial, in a tenth of the time of LRN itself.
    """
    size = at.integer("size", 1)
    pads = [size // 2, 0, 0, size // 2, 0, 0]
    pooled = term.unsqueeze([1]).op(
        "AveragePool", kernel_shape=[size, 1, 1], pads=pads, count_include_pad=1
    )
    return pooled.squeeze([1])


def _beyond_onnxruntime(node: ir.Node) -> str:
    shape = None if node.inputs[0] is None else dims(node.inputs[0])
    if shape is None or len(shape) != 4:
        return "its input is not known to have two spatial dimensions, which onnxruntime asks for"
    even = integer(node, "size", 1) % 2 == 0
    return "its size is even, which onnxruntime does not run" if even else ""


rule("LRN", _local_response, refusal=_beyond_onnxruntime)
