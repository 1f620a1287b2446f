"""Fused operators with every option that is understood, and models of one node each."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import onnx
from onnx import helper, numpy_helper

B, S, T, N, H = 3, 5, 7, 2, 4
"""Batch, places, other places, heads, features of a head."""
D = N * H

Draw = Callable[[np.random.Generator], np.ndarray]


def normal(*shape: int) -> Draw:
    return lambda rng: rng.standard_normal(shape).astype(np.float32)


def whole(*numbers: Any) -> Draw:
    return lambda rng: np.asarray(numbers[0] if len(numbers) == 1 else numbers, np.int32)


def ids(below: int, *shape: int) -> Draw:
    return lambda rng: rng.integers(0, below, shape).astype(np.int32)


@dataclass(frozen=True)
class Case:
    """fed: inputs that the model is given; the others are weights. None is left out.

    outputs: names of the node's outputs, '' for one that is left out. formula: gives what
    onnxruntime's CPU has no kernel for.
    """

    op: str
    fed: dict[int, Draw]
    weights: dict[int, Draw] = field(default_factory=dict)
    attributes: dict[str, Any] = field(default_factory=dict)
    note: str = ""
    outputs: tuple[str, ...] = ("y",)
    domain: str = "com.microsoft"
    formula: Callable[..., np.ndarray] | None = None

    def __str__(self) -> str:
        said = ",".join(f"{k}={v}" for k, v in self.attributes.items())
        return "-".join(part for part in (self.op, self.note, said) if part)

    def inputs(self) -> dict[int, np.ndarray]:
        rng = np.random.default_rng(0)
        return {i: make(rng) for i, make in {**self.fed, **self.weights}.items()}


def case(op: str, *inputs: Draw | None, weights: int = 0, **more: Any) -> Case:
    """The last ``weights`` inputs that are there are weights; other keywords are attributes."""
    known = {k: more.pop(k) for k in list(more) if k in Case.__dataclass_fields__}
    there = {i: make for i, make in enumerate(inputs) if make is not None}
    own = list(there)[len(there) - weights :]
    fed = {i: make for i, make in there.items() if i not in own}
    return Case(op, fed, {i: there[i] for i in own}, more, **known)


def gelu(x: np.ndarray) -> np.ndarray:
    return x * 0.5 * (1 + np.vectorize(math.erf)(x / math.sqrt(2)))


def group_norm(
    x: np.ndarray, gamma: np.ndarray, beta: np.ndarray, *more: np.ndarray, **options: Any
) -> np.ndarray:
    """Channel after channel, the channels last."""
    for added in more:
        x = x + (added[:, None, None, :] if added.ndim == 2 else added)
    groups, last = options["groups"], options.get("channels_last", 1)
    x = x if last else np.moveaxis(x, 1, -1)
    result = np.zeros_like(x)
    for part in np.split(np.arange(x.shape[-1]), groups):
        own = x[..., part]
        mean = own.mean((1, 2, 3), keepdims=True)
        variance = own.var((1, 2, 3), keepdims=True)
        result[..., part] = (own - mean) / np.sqrt(variance + options.get("epsilon", 1e-5))
    result = result * gamma + beta
    if options["activation"]:
        result = result / (1 + np.exp(-result))
    return result if last else np.moveaxis(result, -1, 1)


def attention(*more: Draw | None, v: int = D, note: str = "", **attributes: Any) -> Case:
    weights = {1: normal(D, 2 * D + v), 2: normal(2 * D + v)}
    fed = {0: normal(B, S, D), **{3 + i: d for i, d in enumerate(more) if d is not None}}
    return Case("Attention", fed, weights, {"num_heads": N, **attributes}, note)


def heads(*more: Draw | None, v: int = D, keys: int = T, note: str = "", **attributes: Any) -> Case:
    fed = {0: normal(B, S, D), 1: normal(B, keys, D), 2: normal(B, keys, v)}
    fed |= {3 + i: draw for i, draw in enumerate(more) if draw is not None}
    return Case("MultiHeadAttention", fed, {}, {"num_heads": N, **attributes}, note)


PADDED = [[1] * S, [1, 1, 1, 0, 0], [1, 0, 0, 0, 0]]
SQUARE = np.tril(np.ones((B, S, S))).astype(int).tolist()
EMBEDDED = (ids(7, B, S), ids(2, B, S), normal(7, D), normal(9, D), normal(2, D))
AFTER = (normal(D), normal(D))


def rotary(x: Draw, places: np.ndarray, half: int, **attributes: Any) -> Case:
    return Case(
        "RotaryEmbedding",
        {0: x, 1: lambda rng: places.astype(np.int64)},
        {2: normal(9, half), 3: normal(9, half)},
        attributes,
        note=f"rank {len(x(np.random.default_rng(0)).shape)}, {places.shape}",
    )


ROWS = np.array([[0, 1, 2, 3, 4], [3, 4, 5, 6, 7], [8, 0, 8, 0, 8]])

CASES = [
    case("Gelu", normal(B, S, D)),
    case("BiasGelu", normal(B, S, D), normal(D), weights=1),
    case("FastGelu", normal(B, S, D)),
    case("FastGelu", normal(B, S, D), normal(D), weights=1, note="bias"),
    case("QuickGelu", normal(B, S, D)),
    case("QuickGelu", normal(B, S, D), alpha=1.0),
    case(
        "BiasSplitGelu",
        normal(B, S, D),
        normal(D),
        weights=1,
        formula=lambda x, b: (x + b)[..., : D // 2] * gelu((x + b)[..., D // 2 :]),
    ),
    case(
        "BiasAdd",
        normal(B, S, D),
        normal(D),
        normal(B, S, D),
        formula=lambda x, b, skip: x + b + skip,
    ),
    # normalisations
    case("LayerNormalization", normal(B, S, D), *AFTER, weights=2, domain="", epsilon=1e-3),
    case("LayerNormalization", normal(B, S, D), AFTER[0], weights=1, domain="", axis=2),
    case("SimplifiedLayerNormalization", normal(B, S, D), AFTER[0], weights=1, domain=""),
    case(
        "SimplifiedLayerNormalization",
        normal(B, S, D),
        normal(S, D),
        weights=1,
        domain="",
        axis=1,
        epsilon=0.1,
    ),
    *(
        case(op, normal(B, S, D), skip, *more, weights=len(more), note=note, outputs=outputs)
        for op, skip, more, note, outputs in (
            ("SkipLayerNormalization", normal(B, S, D), AFTER, "", ("y",)),
            ("SkipLayerNormalization", normal(B, S, D), AFTER[:1], "no beta", ("y",)),
            ("SkipLayerNormalization", normal(1, S, D), (*AFTER, normal(D)), "bias", ("y",)),
            ("SkipLayerNormalization", normal(S, D), AFTER, "sum", ("y", "", "", "sum")),
            ("SkipSimplifiedLayerNormalization", normal(B, S, D), AFTER[:1], "", ("y",)),
            ("SkipSimplifiedLayerNormalization", normal(B, S, D), AFTER, "bias", ("y",)),
            (
                "SkipSimplifiedLayerNormalization",
                normal(B, S, D),
                AFTER,
                "sum",
                ("y", "", "", "sum"),
            ),
        )
    ),
    case("EmbedLayerNormalization", *EMBEDDED, *AFTER, weights=5, epsilon=0.1, mask_index_type=0),
    case(
        "EmbedLayerNormalization",
        EMBEDDED[0],
        None,
        *EMBEDDED[2:4],
        None,
        *AFTER,
        weights=4,
        note="no segments",
        outputs=("y", "open"),
    ),
    Case(
        "EmbedLayerNormalization",
        {0: EMBEDDED[0], 1: EMBEDDED[1], 7: whole(PADDED)},
        {2: EMBEDDED[2], 3: EMBEDDED[3], 4: EMBEDDED[4], 5: AFTER[0], 6: AFTER[1]},
        note="mask",
        outputs=("y", "open", "sum"),
    ),
    Case(
        "EmbedLayerNormalization",
        {0: EMBEDDED[0], 1: EMBEDDED[1], 8: ids(9, B, S)},
        {2: EMBEDDED[2], 3: EMBEDDED[3], 4: EMBEDDED[4], 5: AFTER[0], 6: AFTER[1]},
        note="places",
        outputs=("y", "open"),
    ),
    *(
        case(
            "GroupNorm",
            normal(B, 3, 4, 6) if last else normal(B, 6, 3, 4),
            normal(6),
            normal(6),
            weights=2,
            formula=group_norm,
            groups=groups,
            activation=activation,
            channels_last=last,
        )
        for groups, activation, last in ((2, 0, 1), (3, 1, 1), (2, 1, 0))
    ),
    *(
        Case(
            "SkipGroupNorm",
            {0: normal(B, 3, 4, 6), 3: skip},
            {1: normal(6), 2: normal(6), 4: normal(6)},
            {"groups": 2, "activation": 1},
            note,
            formula=group_norm,
        )
        for note, skip in (("whole", normal(B, 3, 4, 6)), ("row", normal(B, 6)))
    ),
    # products
    *(
        case("FusedMatMul", normal(*a), normal(*b), **attributes)
        for a, b, attributes in (
            ((3, 2, 4), (2, 4, 5), {"transBatchA": 1}),
            ((B, N, S, H), (B, N, T, H), {"transB": 1, "alpha": 0.5}),
            ((B, N, H, S), (B, N, H, T), {"transA": 1}),
            ((4, 3), (4, 5), {"transA": 1, "alpha": 2.0}),
            ((3, 4), (5, 4), {"transB": 1}),
            ((S, B, N, H), (T, B, N, H), {"transBatchA": 1, "transBatchB": 1, "transB": 1}),
            ((H, B, N, S), (B, N, H, T), {"transBatchA": 1, "transA": 1}),
            ((B, 3, 4), (5, 4), {"transB": 1}),
            ((4,), (5, 4), {"transB": 1}),
        )
    ),
    case("TransposeMatMul", normal(4, 3), normal(5, 4), transA=1, transB=1),
    # attention
    attention(),
    attention(scale=0.3),
    Case("Attention", {0: normal(B, S, D)}, {1: normal(D, 3 * D)}, {"num_heads": N}, "no bias"),
    attention(v=2 * D, qkv_hidden_sizes=[D, D, 2 * D]),
    attention(unidirectional=1),
    attention(whole(S, 3, 1), note="ends"),
    attention(whole(S, 4, 5, 0, 2, 1), note="ends and starts"),
    attention(whole(PADDED), note="mask"),
    attention(whole(PADDED), note="mask", unidirectional=1),
    attention(whole(PADDED), note="mask", mask_filter_value=-50.0),
    attention(whole(SQUARE), note="square mask"),
    attention(whole(SQUARE), note="square mask", unidirectional=1),
    attention(whole([[0] * S, *PADDED[1:]]), note="nothing open"),
    attention(whole([[1]] * B), note="mask without effect"),
    attention(None, None, normal(B, N, S, S), note="added"),
    attention(whole(PADDED), None, normal(1, N, S, S), note="mask and added", unidirectional=1),
    heads(),
    heads(scale=0.2),
    heads(v=2 * D),
    heads(normal(3 * D), note="bias"),
    heads(normal(2 * D + 4 * D), v=4 * D, note="bias"),
    heads(None, whole([[1] * T, [0] + [1] * (T - 1), [1] + [0] * (T - 1)]), note="mask"),
    heads(None, whole(T, 1, 2), note="ends"),
    heads(None, whole(np.ones((B, S, T), int).tolist()), note="square mask"),
    heads(None, None, normal(B, 1, S, T), note="added"),
    heads(None, None, normal(1, N, S, S), note="added", unidirectional=1, keys=S),
    Case(
        "MultiHeadAttention",
        {0: normal(B, S, D), 1: normal(B, N, T, H), 2: normal(B, N, T, H)},
        {},
        {"num_heads": N},
        "by head",
    ),
    # positions
    rotary(normal(B, S, N * 2 * H), ROWS, H),
    rotary(normal(B, S, N * 2 * H), ROWS, H, interleaved=1),
    rotary(normal(B, S, N * 2 * H), np.array([2]), H),
    rotary(normal(B, N, S, 2 * H), ROWS, H),
    rotary(normal(B, N, S, 2 * H), np.array([2]), H, interleaved=1),
    rotary(normal(B, S, N * 2 * H), ROWS, 2, num_heads=N, rotary_embedding_dim=4),
    rotary(normal(B, N, S, 2 * H), ROWS, 2, num_heads=N, rotary_embedding_dim=4, interleaved=1),
]


def model_of(
    case: Case, inputs: dict[int, np.ndarray], opset: int, *, symbolic: bool
) -> onnx.ModelProto:
    """The node between two others; '' for the outputs that it leaves out."""
    names = [f"x{i}" if i in inputs else "" for i in range(max(inputs) + 1)]
    node = helper.make_node(
        case.op, names, case.outputs, name="fused", domain=case.domain, **case.attributes
    )
    fed = []
    for i, array in inputs.items():
        if i not in case.weights:
            shape: list[Any] = list(array.shape)
            if symbolic:
                known = {B: "batch", S: "places", T: "others", 2 * B: None}
                shape = [known.get(dim, dim) if axis < 2 else dim for axis, dim in enumerate(shape)]
            element = helper.np_dtype_to_tensor_dtype(array.dtype)
            fed.append(helper.make_tensor_value_info(f"x{i}", element, shape))
    held = [numpy_helper.from_array(inputs[i], f"x{i}") for i in case.weights]
    kinds = {"open": onnx.TensorProto.INT32}
    given = [
        helper.make_tensor_value_info(name, kinds.get(name, onnx.TensorProto.FLOAT), None)
        for name in case.outputs
        if name
    ]
    graph = helper.make_graph([node], "g", fed, given, held)
    imports = [helper.make_opsetid("", opset), helper.make_opsetid("com.microsoft", 1)]
    return helper.make_model(graph, opset_imports=imports, ir_version=8)
