from graph.vjp_case import case, fixed, normal

CASES = [
    *(case(op, normal(2, 3), note="default") for op in ("Softmax", "LogSoftmax")),
    *(
        case(op, normal(2, 3, 4), axis=axis)
        for op in ("Softmax", "LogSoftmax")
        for axis in (0, 1, 2, -2)
    ),
    *(case(op, normal(4), note="vector") for op in ("Softmax", "LogSoftmax")),
    case("LogSoftmax", fixed([[0.0, 200.0, -200.0]]), note="far"),
]
