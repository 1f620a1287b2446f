"""Derivatives of matrix products.

Each gradient is a product of the same kind, of the output's gradient and the other operand. A
weight is transposed, not multiplied out: onnxruntime transposes a constant when it loads the model.
"""

from __future__ import annotations

from mho.graph.broadcast import unbroadcast
from mho.graph.rule import Call, known_rank, rule
from mho.graph.term import Term


def _swapped(term: Term, rank: int) -> Term:
    """With the last two axes exchanged."""
    return term.transpose([*range(rank - 2), rank - 1, rank - 2])


def _left(at: Call) -> Term:
    """dy·bᵀ, summed over the batch where only ``b`` has it."""
    rank_a, rank_b = at.rank(0), at.rank(1)
    if rank_b == 1:
        return (at.dy if rank_a == 1 else at.dy.unsqueeze([-1])) * at.b
    if rank_a == 1:
        if rank_b == 2:
            return at.b @ at.dy
        products = at.b * at.dy.unsqueeze([-2])
        return products.sum([*range(rank_b - 2), rank_b - 1], keepdims=False)
    if rank_b == 2:
        if rank_a == 2:
            return at.dy.op("Gemm", at.b, transB=1)
        return at.dy @ _swapped(at.b, 2)
    return _batched(at, at.dy @ _swapped(at.b, rank_b), at.a)


def _right(at: Call) -> Term:
    """aᵀ·dy, summed over the batch where only ``a`` has it."""
    rank_a, rank_b = at.rank(0), at.rank(1)
    if rank_a == 1:
        if rank_b == 1:
            return at.dy * at.a
        return at.a.unsqueeze([-1]) * at.dy.unsqueeze([-2])
    if rank_b == 1:
        if rank_a == 2:
            return at.dy @ at.a
        products = at.a * at.dy.unsqueeze([-1])
        return products.sum([*range(rank_a - 1)], keepdims=False)
    if rank_b == 2:
        rows = [t if rank_a == 2 else t.op("Flatten", axis=-1) for t in (at.a, at.dy)]
        return rows[0].op("Gemm", rows[1], transA=1)
    products = _swapped(at.a, rank_a) @ at.dy
    return products if rank_a == 2 else _batched(at, products, at.b)


def _batched(at: Call, term: Term, operand: Term) -> Term:
    """``term``, which has the output's batch and the operand's matrices, in the operand's shape."""
    whole, own = at.y.dims, operand.dims
    have = None if whole is None or own is None else (*whole[:-2], *own[-2:])
    return unbroadcast(term, operand, have)


rule("MatMul", _left, _right, refusal=known_rank(0, 1))

# alpha·A′·B′ + beta·C, where ′ transposes or does not


def _gemm(at: Call, first: Term, second: Term, *, flip_a: int = 0, flip_b: int = 0) -> Term:
    alpha = at.number("alpha", 1.0)
    return first.op("Gemm", second, alpha=alpha, transA=flip_a, transB=flip_b)


def _gemm_a(at: Call) -> Term:
    flip_b = at.integer("transB", 0)
    if at.integer("transA", 0):
        return _gemm(at, at.b, at.dy, flip_a=flip_b, flip_b=1)
    return _gemm(at, at.dy, at.b, flip_b=1 - flip_b)


def _gemm_b(at: Call) -> Term:
    flip_a = at.integer("transA", 0)
    if at.integer("transB", 0):
        return _gemm(at, at.dy, at.a, flip_a=1, flip_b=flip_a)
    return _gemm(at, at.a, at.dy, flip_a=1 - flip_a)


def _gemm_c(at: Call) -> Term:
    beta = at.number("beta", 1.0)
    total = unbroadcast(at.dy, at.input(2), at.y.dims)
    return total if beta == 1 else total * beta


rule("Gemm", _gemm_a, _gemm_b, _gemm_c)
