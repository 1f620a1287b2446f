import numpy as np

from graph.vjp_case import Case, Draw, apart, case, fixed, normal, positive


def _each(op: str, draw: Draw, note: str = "") -> list[Case]:
    """A reduction of (2, 3, 2) over no, one, two and all axes; axes are integers, so constant."""
    axes = [fixed(np.int64(given)) for given in ([1], [0, -1], [0, 1, 2])]
    none = fixed(np.zeros(0, np.int64))
    return [
        *(case(op, draw, given, note=f"{note}{i}") for i, given in enumerate(axes)),
        *(case(op, draw, given, note=f"{note}{i}", keepdims=0) for i, given in enumerate(axes)),
        case(op, draw, note=f"{note}all"),
        case(op, draw, note=f"{note}all", keepdims=0),
        case(op, draw, none, note=f"{note}empty", keepdims=0),
        case(op, draw, none, note=f"{note}empty", noop_with_empty_axes=1),
        case(op, draw, note=f"{note}none", noop_with_empty_axes=1, keepdims=0),
    ]


def _computed(op: str, draw: Draw) -> list[Case]:
    """The same with axes that are known, and that may be none, only when the graph is run."""
    return [
        case(
            op, draw, fixed(axes), computed=[1], keepdims=keep, noop_with_empty_axes=noop, note=said
        )
        for axes, said in (
            (np.int64([1]), "computed one"),
            (np.int64([0, -1]), "computed two"),
            (np.zeros(0, np.int64), "computed none"),
        )
        for keep in (0, 1)
        for noop in (0, 1)
    ]


_OF_ANY = ("ReduceSum", "ReduceMean", "ReduceSumSquare", "ReduceProd", "ReduceMax")
_ZEROS = np.array([[1.5, 0, 2, -0.7], [0, 0, 1, 2], [0.5, 2, 3, 1], [0, 0, 0, 1]])

CASES = [
    *_each("ReduceSum", normal(2, 3, 2)),
    *_each("ReduceMean", normal(2, 3, 2)),
    *_each("ReduceSumSquare", normal(2, 3, 2)),
    *_each("ReduceL1", apart(2, 3, 2)),
    *_each("ReduceL2", apart(2, 3, 2)),
    *_each("ReduceLogSum", positive(2, 3, 2)),
    *_each("ReduceLogSumExp", normal(2, 3, 2)),
    *_each("ReduceProd", normal(2, 3, 2)),
    *_each("ReduceMax", apart(2, 3, 2)),
    *_each("ReduceMin", apart(2, 3, 2)),
    *(made for op in _OF_ANY for made in _computed(op, apart(2, 3, 2))),
    case("ReduceMax", apart(2, 3), fixed(np.int64([1])), opset=20, note="newer"),
    case("ReduceSum", normal(), note="scalar"),
    case("ReduceMean", normal(), note="scalar", keepdims=0),
    case("ReduceProd", fixed(_ZEROS), fixed(np.int64([1])), note="zeros"),
    case("ReduceProd", fixed(_ZEROS), note="zeros", keepdims=0),
    *(
        case("TopK", apart(2, 5), fixed(np.int64([3])), outputs=2, largest=largest)
        for largest in (0, 1)
    ),
    # of several, unsorted, the order is left open
    case("TopK", apart(2, 5), fixed(np.int64([1])), outputs=2, sorted=0),
    case("TopK", apart(4, 3), fixed(np.int64([2])), outputs=2, axis=0),
    case("TopK", apart(2, 3, 2), fixed(np.int64([2])), outputs=2, axis=-2, note="middle"),
    *(
        case("CumSum", normal(2, 3), fixed(np.int64(axis)), exclusive=ex, reverse=back, note=note)
        for axis, note in ((1, "last"), (-2, "first"))
        for ex in (0, 1)
        for back in (0, 1)
    ),
]
