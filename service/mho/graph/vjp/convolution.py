"""Derivatives of convolutions and transposed convolutions in any number of spatial dimensions.

The adjoint of one is the other with the same weight. For a convolution that moves by one, it is
also Conv with the kernel turned round: on onnxruntime's CPU that takes 0.8 of the time (0.4
depthwise) and shares the work better among threads, but up to six times as long where it has few
output channels. Where the convolution moves further, ConvTranspose takes a quarter to all of the
time of s*s convolutions with DepthToSpace, and at most half of that of dy spread out with zeros
(both by one thread, twelve shapes).
"""

from __future__ import annotations

import onnx_ir as ir

from mho.graph.place import extent, vector
from mho.graph.rule import Call, known_rank, rule
from mho.graph.term import Term
from mho.graph.window import (
    Window,
    all_known,
    auto_pad,
    halves,
    integers,
    needs_sizes,
    spread,
    window_of,
)

_FEW_CHANNELS = 12
"""Fewer output channels than this leave the blocked layout of Conv half empty."""


def _input_of_conv(at: Call) -> Term:
    window = _conv_window(at.node)
    assert window is not None
    group = at.integer("group", 1)
    pads = window.pads_to_return()
    turned = None if pads is None else _turned(at, group)
    if pads is None or turned is None:
        return spread(at, at.dy, at.b, window, group=group)
    dy, pads = _cut_off(at, at.dy, window, pads)
    dilations = list(window.dilations)
    return dy.op("Conv", turned, dilations=dilations, pads=list(pads), group=group)


def _cut_off(
    at: Call, dy: Term, window: Window, pads: tuple[int, ...]
) -> tuple[Term, tuple[int, ...]]:
    """``dy`` without what negative padding cuts off, and the padding that is left: where the border
    is wider than the kernel reaches, some places saw nothing of the input."""
    rank = len(window.kernel)
    axes = [axis for axis in range(rank) if min(pads[axis], pads[axis + rank]) < 0]
    if axes:
        starts = [max(0, -pads[axis]) for axis in axes]
        ends = [min(0, pads[axis + rank]) or 2**62 for axis in axes]
        spatial = at.constant([axis + 2 for axis in axes])
        dy = dy.op("Slice", at.constant(starts), at.constant(ends), spatial)
    return dy, tuple(max(0, pad) for pad in pads)


def _weight_of_conv(at: Call) -> Term:
    window = _conv_window(at.node)
    assert window is not None
    return _weight(at, at.x, at.dy, window)


def _input_of_transposed(at: Call) -> Term:
    window = _transposed_window(at.node)
    assert window is not None
    return at.dy.op(
        "Conv",
        at.b,
        strides=list(window.strides),
        dilations=list(window.dilations),
        pads=[*window.begins, *window.ends],
        group=at.integer("group", 1),
    )


def _weight_of_transposed(at: Call) -> Term:
    window = _transposed_window(at.node)
    assert window is not None
    return _weight(at, at.dy, at.x, window)


def _bias(at: Call) -> Term:
    return at.dy.sum([0, *range(2, at.rank())], keepdims=False)


def _turned(at: Call, group: int) -> Term | None:
    """The kernel that leads back: input and output channels exchanged, and turned round; None where
    ConvTranspose serves better, or the shape is not known."""
    shape = [size for size in at.b.dims or () if isinstance(size, int)]
    if at.b.dims is None or len(shape) != len(at.b.dims):
        return None
    outputs, inputs, *kernel = shape
    if group == 1 and inputs < _FEW_CHANNELS:
        return None
    spatial = range(2, len(shape))
    weight = at.b
    if group == 1:
        weight = weight.transpose([1, 0, *spatial])
    elif (outputs, inputs) != (group, 1):
        weight = weight.reshape([group, outputs // group, inputs, *kernel])
        weight = weight.transpose([0, 2, 1, *(axis + 1 for axis in spatial)])
        weight = weight.reshape([group * inputs, outputs // group, *kernel])
    axes = [axis for axis in spatial if shape[axis] > 1]
    if not axes:
        return weight
    backwards = at.constant([-1] * len(axes))
    beyond = at.constant([-(2**31)] * len(axes))
    return weight.op("Slice", backwards, beyond, at.constant(axes), backwards)


def _weight(at: Call, seen: Term, given: Term, window: Window) -> Term:
    """The gradient of a convolution's weight ``(M, C / group, *kernel)``: ``seen`` (N, C, *sizes)
    convolved with ``given`` (N, M, *places), the samples in the part of the channels."""
    group = at.integer("group", 1)
    exchange = [1, 0, *window.spatial]
    if group == 1:
        apart = seen.transpose(exchange)
    else:
        channels, sizes = extent(at.b, 1), seen.op("Shape", start=2)
        apart = seen.reshape(vector([0, group, channels, -1], seen)).transpose([2, 1, 0, 3])
        apart = apart.reshape(vector([channels, -1], seen).concat(sizes, axis=0))
    found = apart.op(
        "Conv",
        given.transpose(exchange),
        strides=list(window.dilations),
        dilations=list(window.strides),
        pads=[*window.begins, *window.ends],
        group=group,
    )
    if not window.steps_by_one:  # what no place reached makes the kernel look longer
        start = at.constant([0] * len(window.kernel))
        found = found.op(
            "Slice", start, at.constant(window.kernel), at.constant(list(window.spatial))
        )
    return found.transpose(exchange)


# where the window stands


def _conv_window(node: ir.Node) -> Window | None:
    kernel, seen = _kernel(node), node.inputs[0]
    return None if kernel is None or seen is None else window_of(node, kernel, seen)


def _transposed_window(node: ir.Node) -> Window | None:
    """The window with which the output of a ConvTranspose is seen from its input."""
    kernel, given = _kernel(node), node.inputs[0]
    if kernel is None or given is None:
        return None
    rank = len(kernel)
    strides = integers(node, "strides") or (1,) * rank
    dilations = integers(node, "dilations") or (1,) * rank
    window = Window(kernel, strides, dilations, (0,) * rank, (0,) * rank)
    auto, shape = auto_pad(node), integers(node, "output_shape")[-rank:]
    if auto == "NOTSET" and not shape:
        pads = integers(node, "pads") or (0,) * (2 * rank)
        return Window(kernel, strides, dilations, pads[:rank], pads[rank:])
    if auto == "VALID" and not shape:
        return window
    more = integers(node, "output_padding") or (0,) * rank
    sizes = all_known(given)
    if not shape:  # one size after the other cancels out of what SAME asks for
        sizes, shape = (1,) * rank, strides
    elif sizes is None:
        return None
    totals = [
        max(0, strides[axis] * (sizes[axis] - 1) + more[axis] + window.spans[axis] - shape[axis])
        for axis in range(rank)
    ]
    begins, ends = zip(*(halves(total, auto) for total in totals), strict=True)
    return Window(kernel, strides, dilations, begins, ends)


def _kernel(node: ir.Node) -> tuple[int, ...] | None:
    """The spatial shape of the weight; None where it is not known."""
    weight = node.inputs[1]
    return integers(node, "kernel_shape") or (None if weight is None else all_known(weight))


def _refusal(node: ir.Node) -> str:
    unranked = known_rank(0)(node)
    if unranked:
        return unranked
    if _kernel(node) is None:
        return "the size of its kernel is not known"
    if min(integers(node, "pads"), default=0) < 0:
        return "it has negative padding"
    if node.op_type == "Conv":
        return "" if _conv_window(node) is not None else needs_sizes(node)
    window = _transposed_window(node)
    if window is None:
        return (
            "its padding follows from output_shape and the spatial size of its input, which is not "
            "known; give the model a fixed input size"
        )
    more = integers(node, "output_padding")
    if any(given >= stride for given, stride in zip(more, window.strides, strict=False)):
        return "its output_padding is not smaller than its stride"
    return ""


rule("Conv", _input_of_conv, _weight_of_conv, _bias, refusal=_refusal)
rule("ConvTranspose", _input_of_transposed, _weight_of_transposed, _bias, refusal=_refusal)
