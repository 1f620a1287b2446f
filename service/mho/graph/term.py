"""Tensors in an expression: arithmetic on a ``Term`` appends nodes, so that a derivative rule reads
like its formula.

Numbers in an expression take the element type of the tensor that they meet.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import onnx_ir as ir

from mho.graph.emit import Emitter
from mho.graph.flow import dims

_STEEP = 3e38
"""The slope that float32 has room for."""


class Term:
    """A tensor, and the emitter that appends what is made of it."""

    __slots__ = ("emit", "value")

    def __init__(self, emit: Emitter, value: ir.Value) -> None:
        self.emit = emit
        self.value = value

    @property
    def dims(self) -> tuple[int | str | None, ...] | None:
        """The shape as far as it is known; None where not even the rank is."""
        return dims(self.value)

    @property
    def dtype(self) -> ir.DataType:
        return self.value.dtype or ir.DataType.FLOAT

    def op(self, op_type: str, *others: Term | None, **attributes: Any) -> Term:
        """``op_type`` of this tensor and ``others``."""
        inputs = [None if other is None else other.value for other in others]
        return Term(self.emit, self.emit.op(op_type, self.value, *inputs, **attributes))

    def ops(
        self, op_type: str, *others: Term | None, outputs: int, **attributes: Any
    ) -> tuple[Term, ...]:
        """The ``outputs`` tensors of one node."""
        inputs = [None if other is None else other.value for other in others]
        made = self.emit.ops(op_type, self.value, *inputs, outputs=outputs, **attributes)
        return tuple(Term(self.emit, value) for value in made)

    def number(self, number: float) -> Term:
        """A scalar of this tensor's element type."""
        return Term(self.emit, self.emit.constant(number, dtype=self.dtype.numpy()))

    def integers(self, numbers: Sequence[int] | int) -> Term:
        """A constant int64 tensor."""
        return Term(self.emit, self.emit.constant(np.asarray(numbers, dtype=np.int64)))

    # arithmetic

    def __add__(self, other: Term | float) -> Term:
        return self.op("Add", self._term(other))

    def __radd__(self, other: float) -> Term:
        return self._term(other).op("Add", self)

    def __sub__(self, other: Term | float) -> Term:
        return self.op("Sub", self._term(other))

    def __rsub__(self, other: float) -> Term:
        return self._term(other).op("Sub", self)

    def __mul__(self, other: Term | float) -> Term:
        return self.op("Mul", self._term(other))

    def __rmul__(self, other: float) -> Term:
        return self._term(other).op("Mul", self)

    def __truediv__(self, other: Term | float) -> Term:
        return self.op("Div", self._term(other))

    def __rtruediv__(self, other: float) -> Term:
        return self._term(other).op("Div", self)

    def __pow__(self, other: Term | float) -> Term:
        return self.op("Pow", self._term(other))

    def __neg__(self) -> Term:
        return self.op("Neg")

    def __matmul__(self, other: Term) -> Term:
        return self.op("MatMul", other)

    # comparisons give bool tensors; equality of terms as objects is Python's own

    def __gt__(self, other: Term | float) -> Term:
        return self.op("Greater", self._term(other))

    def __ge__(self, other: Term | float) -> Term:
        return self.op("GreaterOrEqual", self._term(other))

    def __lt__(self, other: Term | float) -> Term:
        return self.op("Less", self._term(other))

    def __le__(self, other: Term | float) -> Term:
        return self.op("LessOrEqual", self._term(other))

    def equals(self, other: Term | float) -> Term:
        return self.op("Equal", self._term(other))

    def above_zero(self) -> Term:
        """1 where this tensor is above 0, else 0, in its own type.

        A steep HardSigmoid is one pass over the memory; Greater and Cast are two and take three to
        seven times as long in onnxruntime. It is 0 for numbers below 1e-38, too.
        """
        if self.dtype in (ir.DataType.FLOAT, ir.DataType.DOUBLE):
            return self.op("HardSigmoid", alpha=_STEEP, beta=0.0)
        return (self > 0).cast(self)

    def choose(self, yes: Term, no: Term) -> Term:
        """``yes`` where this bool tensor is true, else ``no``."""
        return self.op("Where", yes, no)

    def sign(self) -> Term:
        """-1, 0 or 1. By comparisons, for onnxruntime's Sign takes ten times as long on the CPU."""
        return (self > 0).cast(self) - (self < 0).cast(self)

    # types and shapes

    def cast(self, like: Term) -> Term:
        """In the element type of ``like``."""
        return self if self.dtype == like.dtype else self.op("Cast", to=like.dtype)

    def single(self) -> Term:
        """In float32; before anything is added up, for a sum may not fit a smaller type."""
        return self if self.dtype == ir.DataType.FLOAT else self.op("Cast", to=ir.DataType.FLOAT)

    @property
    def shape(self) -> Term:
        """The shape as an int64 tensor ``(rank,)``; a constant where it is known."""
        known = self.dims
        if known is not None and all(isinstance(dim, int) for dim in known):
            return self.integers([dim for dim in known if isinstance(dim, int)])
        return self.op("Shape")

    def length(self, axes: Sequence[int]) -> Term:
        """The number of elements along ``axes`` together, an int64 scalar."""
        known = self.dims
        if known is not None:
            along = [known[axis] for axis in axes]
            if all(isinstance(dim, int) for dim in along):
                return self.integers(int(np.prod([d for d in along if isinstance(d, int)])))
        if len(axes) == 1:
            return self.shape.gather(axes[0])
        picked = self.shape.op("Gather", self.integers(list(axes)), axis=0)
        return picked.op("ReduceProd", keepdims=0)

    def sum(self, axes: Sequence[int] | Term, *, keepdims: bool = True) -> Term:
        return self._reduced("ReduceSum", axes, keepdims=keepdims)

    def mean(self, axes: Sequence[int] | Term, *, keepdims: bool = True) -> Term:
        return self._reduced("ReduceMean", axes, keepdims=keepdims)

    def reshape(self, shape: Sequence[int] | Term) -> Term:
        """``shape`` may hold one -1; a 0 copies the dimension at its place."""
        return self.op("Reshape", self._integers(shape))

    def reshaped_like(self, other: Term, have: Sequence[int | str | None] | None = None) -> Term:
        """In the shape of ``other``, which has as many elements; ``have`` is what is known of the
        own shape."""
        shape = _reshaping(other.dims, have or ())
        if shape is None:
            return self.op("Reshape", other.op("Shape"), allowzero=1)
        return self.reshape(shape)

    def expand(self, shape: Sequence[int] | Term) -> Term:
        return self.op("Expand", self._integers(shape))

    def transpose(self, order: Sequence[int]) -> Term:
        return self.op("Transpose", perm=list(order))

    def squeeze(self, axes: Sequence[int]) -> Term:
        return self.op("Squeeze", self.integers(list(axes)))

    def unsqueeze(self, axes: Sequence[int]) -> Term:
        return self.op("Unsqueeze", self.integers(list(axes)))

    def gather(self, indices: Sequence[int] | int | Term, axis: int = 0) -> Term:
        return self.op("Gather", self._integers(indices), axis=axis)

    def concat(self, *others: Term, axis: int) -> Term:
        return self.op("Concat", *others, axis=axis)

    def zeros(self) -> Term:
        """Zeros of this tensor's shape and type."""
        return self.number(0.0).expand(self.shape)

    def _reduced(self, op_type: str, axes: Sequence[int] | Term, *, keepdims: bool) -> Term:
        if not isinstance(axes, Term) and not len(axes):
            return self
        # no axes at run time: nothing is reduced
        return self.op(
            op_type, self._integers(axes), keepdims=int(keepdims), noop_with_empty_axes=1
        )

    def _term(self, other: Term | float) -> Term:
        return other if isinstance(other, Term) else self.number(other)

    def _integers(self, numbers: Sequence[int] | int | Term) -> Term:
        return numbers if isinstance(numbers, Term) else self.integers(numbers)


def _reshaping(
    want: Sequence[int | str | None] | None, have: Sequence[int | str | None]
) -> list[int] | None:
    """A constant that Reshape takes for ``want``: a 0 copies, -1 is worked out; None where there is
    no such constant.

    So that nothing has to be kept for its shape alone.
    """
    if want is None or 0 in want:
        return None
    open_ = [axis for axis, dim in enumerate(want) if not isinstance(dim, int)]
    named = [axis for axis in open_ if want[axis] is not None and axis < len(have)]
    copied = {axis for axis in named if want[axis] == have[axis]}
    if len(open_) == 1:
        copied = set()  # -1 holds for an empty batch too, where 0 beside a -1 does not
    if len(open_) - len(copied) > 1:
        return None
    return [
        dim if isinstance(dim, int) else 0 if axis in copied else -1
        for axis, dim in enumerate(want)
    ]
