from graph.vjp_case import apart, case, normal, positive

CASES = [
    *(case(op, normal(2, 3), normal(2, 3)) for op in ("Add", "Sub", "Mul")),
    *(case(op, normal(2, 3), normal(3), note="row") for op in ("Add", "Sub", "Mul")),
    *(case(op, normal(2, 1, 3), normal(4, 1), note="both") for op in ("Add", "Sub", "Mul")),
    *(case(op, normal(), normal(2, 3), note="scalar") for op in ("Add", "Sub", "Mul")),
    case("Div", normal(2, 3), positive(2, 3)),
    case("Div", normal(2, 3), positive(3), note="row"),
    case("Sum", normal(2, 3), normal(3), normal(2, 1)),
    case("Relu", apart(3, 4)),
    case("Tanh", normal(3, 4)),
    case("Sigmoid", normal(3, 4)),
    case("Exp", normal(3, 4)),
    case("Identity", normal(3, 4)),
]
