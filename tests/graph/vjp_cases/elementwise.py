import math

import numpy as np

from graph.vjp_case import apart, between, case, fixed, normal, positive

# without ties at the maximum, and with a broadcast
_THREE = (normal(2, 3), normal(3), normal(2, 1))
_TRUE_OR_FALSE = fixed(np.array([[True, False, True], [False, False, True]]))

CASES = [
    *(case(op, normal(2, 3), normal(2, 3)) for op in ("Add", "Sub", "Mul")),
    *(case(op, normal(2, 3), normal(3), note="row") for op in ("Add", "Sub", "Mul")),
    *(case(op, normal(2, 1, 3), normal(4, 1), note="both") for op in ("Add", "Sub", "Mul")),
    *(case(op, normal(), normal(2, 3), note="scalar") for op in ("Add", "Sub", "Mul")),
    case("Div", normal(2, 3), positive(2, 3)),
    case("Div", normal(2, 3), positive(3), note="row"),
    case("Div", normal(3), positive(2, 3), note="wider divisor"),
    *(case(op, *_THREE) for op in ("Sum", "Mean", "Max", "Min")),
    *(case(op, normal(2, 3), note="one") for op in ("Sum", "Mean", "Max", "Min")),
    *(case(op, apart(2, 3), fixed(0.0), note="constant", constant=[1]) for op in ("Max", "Min")),
    *(case(op, fixed(0.0), apart(2, 3), note="constant first", constant=[0]) for op in ("Max",)),
    case("Mod", between(-3, 3, 2, 3), between(0.7, 1.2, 3), fmod=1),
    case("Mod", between(-3, 3, 2, 3), between(-1.2, -0.7, 2, 1), fmod=1, note="negative"),
    # powers: a constant exponent, of either sign and type, and one that varies
    *(
        case("Pow", normal(2, 3), fixed(float(p)), note=f"to {p}", constant=[1])
        for p in (0, 1, 2, 3, 4, 5)
    ),
    *(
        case("Pow", positive(2, 3), fixed(p), note=f"to {p}", constant=[1])
        for p in (0.5, 1.5, -0.5, -1.0, -2.0, 0.3)
    ),
    case("Pow", apart(2, 3), fixed(np.int64(3)), note="to a whole number"),
    case("Pow", apart(2, 3), fixed(np.int32([1, 2, 3])), note="to whole numbers"),
    case("Pow", apart(2, 3), fixed(np.float64([[[2.0]]])), note="of more axes", constant=[1]),
    case("Pow", fixed(np.zeros(4)), fixed(np.float64([0, 1, 2, 3])), note="zeros", constant=[1]),
    case("Pow", fixed(np.zeros(4)), fixed(2.0), note="zero squared", constant=[1]),
    case("Pow", positive(2, 3), normal(3)),
    case("Pow", positive(3), normal(2, 1), note="both"),
    case("Pow", fixed(2.0), normal(2, 3), note="of a constant", constant=[0]),
    case("Where", _TRUE_OR_FALSE, normal(2, 3), normal(2, 3)),
    case("Where", _TRUE_OR_FALSE, normal(3), normal(2, 2, 1), note="broadcast"),
    case("Where", fixed(np.array([True, False, True])), normal(2, 1), normal(), note="condition"),
    # bounds: both, one, none, varying, crossed
    case("Clip", apart(2, 3), fixed(-0.45), fixed(0.35), constant=[1, 2]),
    case("Clip", apart(2, 3), fixed(0.0), note="low", constant=[1]),
    case("Clip", apart(2, 3), None, fixed(0.0), note="high", constant=[2]),
    case("Clip", apart(2, 3), note="none"),
    case("Clip", apart(2, 3), fixed(-0.35), fixed(0.45), note="varying"),
    case("Clip", apart(2, 3), fixed(0.35), fixed(-0.25), note="crossed"),
    case("Clip", apart(2, 3), fixed(0.35), note="varying low"),
    case("Clip", apart(2, 3), None, fixed(-0.25), note="varying high"),
    # functions
    *(case(op, normal(3, 4)) for op in ("Neg", "Exp", "Sin", "Cos", "Atan", "Sinh", "Cosh")),
    *(case(op, positive(3, 4)) for op in ("Reciprocal", "Sqrt", "Log")),
    *(case(op, between(-0.9, 0.9, 3, 4)) for op in ("Tan", "Asin", "Acos", "Atanh")),
    case("Reciprocal", apart(3, 4), note="of both signs"),
    # the reference has no Erf in double precision
    case("Erf", normal(3, 4), oracle=np.vectorize(math.erf)),
    case("Abs", apart(3, 4)),
    case("Asinh", normal(3, 4)),
    case("Acosh", between(1.2, 3, 3, 4)),
    # unchanged elements
    case("Identity", normal(3, 4)),
    case("Identity", normal(), note="scalar"),
    case("Dropout", normal(3, 4)),
    case("Dropout", normal(3, 4), fixed(0.3), note="ratio", constant=[1], outputs=2),
    case("Dropout", normal(3, 4), fixed(0.3), fixed(np.array(False)), note="varying ratio"),
    case("Dropout", normal(3, 4), fixed(0.0), fixed(np.array(True)), note="trained", constant=[1]),
    # in the reference its result is rounded; other types are in test_vjp_conventions.py
    case("Cast", normal(3, 4), to=1, oracle=lambda x: x),
    case("CastLike", normal(3, 4), normal(2)),
    # by position
    case("Trilu", normal(3, 4)),
    case("Trilu", normal(2, 4, 3), fixed(np.int64(1)), note="diagonal"),
    case("Trilu", normal(2, 4, 3), fixed(np.int64(-1)), note="diagonal", upper=0),
    case("Range", fixed(0.3), fixed(2.15), fixed(0.4)),
    case("Range", fixed(2.0), fixed(-1.15), fixed(-0.5), note="downwards"),
    case("OneHot", fixed(np.int64([[0, 2], [1, -1]])), fixed(np.int64(3)), normal(2)),
    case("OneHot", fixed(np.int64([0, 2, 7])), fixed(np.int64(3)), normal(2), axis=0),
]
