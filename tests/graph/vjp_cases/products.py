from graph.vjp_case import case, normal

_MATRICES = [
    ((3,), (3,)),
    ((3,), (3, 4)),
    ((2, 3), (3,)),
    ((2, 3), (3, 4)),
    ((5, 2, 3), (3, 4)),
    ((2, 5, 2, 3), (3, 4)),
    ((2, 3), (5, 3, 4)),
    ((3,), (5, 3, 4)),
    ((3,), (2, 5, 3, 4)),
    ((5, 2, 3), (3,)),
    ((2, 5, 2, 3), (3,)),
    ((5, 2, 3), (5, 3, 4)),
    ((1, 2, 3), (5, 3, 4)),
    ((2, 1, 2, 3), (5, 3, 4)),
    ((5, 2, 3), (2, 1, 3, 4)),
    ((2, 1, 1, 1), (3, 1, 2)),
    ((1, 3), (3, 1)),
]


def _shapes(*shapes: tuple[int, ...]) -> str:
    return " ".join("x".join(map(str, shape)) for shape in shapes)


CASES = [
    *(case("MatMul", normal(*a), normal(*b), note=_shapes(a, b)) for a, b in _MATRICES),
    case("MatMul", normal(5, 2, 3), normal(3, 4), note="constant weight", constant=[1]),
    case("MatMul", normal(2, 3), normal(5, 3, 4), note="constant first", constant=[0]),
    *(
        case(
            "Gemm",
            normal(*((3, 2) if flip_a else (2, 3))),
            normal(*((4, 3) if flip_b else (3, 4))),
            normal(4),
            transA=flip_a,
            transB=flip_b,
            alpha=0.5,
            beta=1.5,
        )
        for flip_a in (0, 1)
        for flip_b in (0, 1)
    ),
    case("Gemm", normal(2, 3), normal(3, 4), note="default"),
    *(
        case("Gemm", normal(2, 3), normal(3, 4), normal(*c), note=f"bias {_shapes(c)}")
        for c in ((), (1,), (1, 1), (2, 1), (1, 4), (2, 4), (4,))
    ),
    case("Gemm", normal(2, 1), normal(1, 4), normal(4), note="inner 1"),
    case("Gemm", normal(2, 3), normal(4, 3), normal(4), transB=1, constant=[1, 2], note="weight"),
]
