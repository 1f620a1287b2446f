"""A window that slides over the spatial axes of a tensor ``(batch, channels, *spatial)``: where it
stands, and how what it gave is spread back over what it saw.

Convolutions and poolings share it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import onnx_ir as ir

from mho.graph.flow import dims, integer
from mho.graph.rule import Call
from mho.graph.term import Term


@dataclass(frozen=True)
class Window:
    """Per spatial axis: how long it is, how far it moves, how far its elements lie apart, and the
    padding before the first and after the last element. ceil: whether the last place may stand
    out at the end.
    """

    kernel: tuple[int, ...]
    strides: tuple[int, ...]
    dilations: tuple[int, ...]
    begins: tuple[int, ...]
    ends: tuple[int, ...]
    ceil: bool = False

    @property
    def spans(self) -> tuple[int, ...]:
        """From the first to the last element, both counted."""
        return tuple(
            dilation * (length - 1) + 1
            for length, dilation in zip(self.kernel, self.dilations, strict=True)
        )

    @property
    def steps_by_one(self) -> bool:
        return all(stride == 1 for stride in self.strides)

    @property
    def dilated(self) -> bool:
        return any(dilation != 1 for dilation in self.dilations)

    @property
    def padded(self) -> bool:
        return any((*self.begins, *self.ends))

    @property
    def spatial(self) -> tuple[int, ...]:
        """The axes of the tensor that it slides over."""
        return tuple(range(2, 2 + len(self.kernel)))

    def places(self, sizes: Sequence[int]) -> tuple[int, ...]:
        """At how many places it stands over ``sizes``.

        With ``ceil`` none of them begins in the padding at the end. onnx's shape inference counts
        those before opset 22; onnxruntime never does.
        """
        counts = []
        for size, span, stride, begin, end in zip(
            sizes, self.spans, self.strides, self.begins, self.ends, strict=True
        ):
            room = size + begin + end - span
            count = (-(-room // stride) if self.ceil else room // stride) + 1
            outside = self.ceil and (count - 1) * stride >= size + begin
            counts.append(count - 1 if outside else count)
        return tuple(counts)

    def pads_to_return(self) -> tuple[int, ...] | None:
        """The padding with which a window that moves by one, turned round, leads from its places
        back to what it saw, negative where something is to be cut off first; None for a window that
        moves further."""
        before = [s - 1 - pad for s, pad in zip(self.spans, self.begins, strict=True)]
        after = [s - 1 - pad for s, pad in zip(self.spans, self.ends, strict=True)]
        return (*before, *after) if self.steps_by_one else None


def window_of(node: ir.Node, kernel: Sequence[int], seen: ir.Value) -> Window | None:
    """The window of a node with the usual attributes over ``seen``; None where its padding follows
    from sizes that are not known."""
    rank = len(kernel)
    strides = integers(node, "strides") or (1,) * rank
    dilations = integers(node, "dilations") or (1,) * rank
    ceil = integer(node, "ceil_mode", 0) != 0
    bare = Window(tuple(kernel), strides, dilations, (0,) * rank, (0,) * rank, ceil)
    auto = auto_pad(node)
    if auto == "VALID":
        return bare
    if auto == "NOTSET":
        pads = integers(node, "pads") or (0,) * (2 * rank)
        return replace(bare, begins=pads[:rank], ends=pads[rank:])
    begins, ends = [], []
    sizes = spatial_sizes(seen) or (None,) * rank
    for size, stride, span in zip(sizes, strides, bare.spans, strict=True):
        if stride == 1:
            total = span - 1
        elif size is None:
            return None
        else:
            total = max(0, (-(-size // stride) - 1) * stride + span - size)
        begin, end = halves(total, auto)
        begins.append(begin)
        ends.append(end)
    return replace(bare, begins=tuple(begins), ends=tuple(ends))


def halves(total: int, auto: str) -> tuple[int, int]:
    """``total`` before and after: the odd one comes after with SAME_UPPER, else before."""
    less = total // 2
    return (less, total - less) if auto == "SAME_UPPER" else (total - less, less)


def spread(at: Call, dy: Term, weight: Term, window: Window, *, group: int = 1) -> Term:
    """``dy``, one number per place of the window, times ``weight``, added up over all that the
    window saw at each place: the adjoint of a convolution, in the spatial sizes of ``at.x``.

    ``dy``: (batch, channels, *places). ``weight``: (channels, channels of x / group, *kernel).
    """
    sizes = all_known(at.x.value)
    begins, ends, rank = list(window.begins), list(window.ends), len(window.kernel)
    extra = [0] * rank
    exact = window.steps_by_one
    if not exact and sizes is not None:
        exact = True
        for axis, (size, count) in enumerate(zip(sizes, window.places(sizes), strict=True)):
            reached = (count - 1) * window.strides[axis] + window.spans[axis]
            rest = size - (reached - begins[axis] - ends[axis])
            extra[axis] = max(rest, 0)
            ends[axis] += max(-rest, 0)  # rounding up lets the last window stand out
    if not exact:
        begins, ends = [0] * rank, [0] * rank
        extra = [stride - 1 for stride in window.strides]
    wide = dy.op(
        "ConvTranspose",
        weight,
        strides=list(window.strides),
        dilations=list(window.dilations),
        pads=begins + ends,
        output_padding=extra,
        group=group,
    )
    if exact:
        return wide
    first = at.constant(window.begins)
    last = at.x.op("Shape", start=2)
    if any(window.begins):
        last = last + first
    return wide.op("Slice", first, last, at.constant(window.spatial))


def needs_sizes(node: ir.Node) -> str:
    """Why a window can't be placed, in the words of a refusal."""
    return (
        f"its padding, {auto_pad(node)}, depends on the spatial size of its input, which is not "
        "known; give the model a fixed input size"
    )


def auto_pad(node: ir.Node) -> str:
    found = node.attributes.get("auto_pad")
    return "NOTSET" if found is None else found.as_string()


def integers(node: ir.Node, name: str) -> tuple[int, ...]:
    """The attribute; empty where it is left out."""
    found = node.attributes.get(name)
    return () if found is None else tuple(found.as_ints())


def spatial_sizes(value: ir.Value) -> tuple[int | None, ...] | None:
    """The sizes after batch and channels, None for one that is not known; None without a rank."""
    shape = dims(value)
    if shape is None:
        return None
    return tuple(size if isinstance(size, int) else None for size in shape[2:])


def all_known(value: ir.Value) -> tuple[int, ...] | None:
    """The sizes after batch and channels; None where one of them is not known."""
    sizes = spatial_sizes(value)
    if sizes is None:
        return None
    known = tuple(size for size in sizes if size is not None)
    return known if len(known) == len(sizes) else None
