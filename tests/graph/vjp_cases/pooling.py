from typing import Any

from graph.vjp_case import Case, Draw, apart, case, normal
from graph.windows import lp_pool, max_pool

X1, X2, X3 = apart(2, 2, 7), apart(1, 2, 5, 6), apart(1, 1, 4, 3, 4)
WINDOWS: list[dict[str, Any]] = [
    {"kernel_shape": [2, 2]},
    {"kernel_shape": [3, 2], "strides": [2, 3]},
    {"kernel_shape": [3, 3], "strides": [2, 2], "pads": [1, 1, 1, 1]},
    {"kernel_shape": [3, 2], "pads": [1, 0, 2, 1]},
    {"kernel_shape": [2, 3], "strides": [2, 2], "ceil_mode": 1},
    {"kernel_shape": [3, 3], "strides": [2, 2], "pads": [0, 1, 1, 1], "ceil_mode": 1},
    {"kernel_shape": [1, 2], "strides": [3, 2]},
    {"kernel_shape": [2, 2], "dilations": [2, 3]},
    {"kernel_shape": [2, 3], "dilations": [3, 2], "pads": [1, 2, 1, 1], "strides": [2, 1]},
    {"kernel_shape": [3, 2], "auto_pad": "SAME_UPPER"},
    {"kernel_shape": [2, 3], "auto_pad": "SAME_LOWER"},
    {"kernel_shape": [3, 2], "strides": [2, 2], "auto_pad": "VALID"},
]


PADS = {"SAME_UPPER": [1, 0, 1, 1], "SAME_LOWER": [1, 1, 0, 1], "VALID": [0, 0, 0, 0]}


def spelled(attributes: dict[str, Any]) -> dict[str, Any]:
    """For the windows of NumPy, which know no auto_pad."""
    changed = {"kernel": attributes["kernel_shape"]}
    if "auto_pad" in attributes:
        changed["pads"] = PADS[attributes["auto_pad"]]
    kept = ("strides", "dilations", "pads", "ceil_mode")
    return {key: attributes[key] for key in kept if key in attributes} | changed


def max_case(x: Draw, **attributes: Any) -> Case:
    """onnx.reference has Indices wrong."""
    return case("MaxPool", x, oracle=max_pool(**spelled(attributes)), **attributes)


CASES = [
    *(max_case(X2, **window) for window in WINDOWS),
    max_case(X2, note="large", kernel_shape=[4, 3], pads=[1, 1, 2, 0]),
    max_case(X2, note="indices", kernel_shape=[3, 2], outputs=2),
    max_case(X2, note="indices", kernel_shape=[3, 2], outputs=2, storage_order=1),
    max_case(X2, note="columns", kernel_shape=[4, 3], storage_order=1),
    max_case(apart(1, 1, 6, 4), note="tiles", kernel_shape=[2, 2], strides=[2, 2]),
    max_case(X1, note="1d", kernel_shape=[3], strides=[2], pads=[1, 1]),
    max_case(X1, note="1d", kernel_shape=[2], strides=[2], ceil_mode=1),
    max_case(X1, note="1d", kernel_shape=[2], dilations=[3]),
    max_case(X3, note="3d", kernel_shape=[2, 3, 2], strides=[2, 1, 1], pads=[0, 1, 0] * 2),
    case("GlobalMaxPool", apart(2, 3, 2, 4)),
    case("GlobalMaxPool", apart(2, 3, 4), note="1d", oracle=max_pool([4])),
    *(case("AveragePool", X2, opset=19, **window) for window in WINDOWS),
    *(case("AveragePool", X2, opset=19, count_include_pad=1, **window) for window in WINDOWS),
    case("AveragePool", normal(1, 2, 6, 4), note="tiles", kernel_shape=[3, 2], strides=[3, 2]),
    case("AveragePool", normal(1, 2, 5, 4), note="rest", kernel_shape=[2, 2], strides=[2, 2]),
    case("AveragePool", X1, note="1d", kernel_shape=[3], strides=[2], pads=[1, 1]),
    case("AveragePool", X1, note="1d", kernel_shape=[3], pads=[1, 1], count_include_pad=1),
    case("AveragePool", X3, note="3d", kernel_shape=[2, 3, 2], pads=[0, 1, 1] * 2),
    case("AveragePool", X3, note="3d tiles", kernel_shape=[2, 3, 2], strides=[2, 3, 2]),
    case("GlobalAveragePool", normal(2, 3, 2, 4)),
    case("GlobalAveragePool", normal(2, 3, 4), note="1d"),
    *(case("LpPool", X2, oracle=lp_pool(**spelled(window)), **window) for window in WINDOWS),
    *(
        case("LpPool", X2, p=p, oracle=lp_pool(p=p, **spelled(window)), **window)
        for p in (1, 3, 4)
        for window in WINDOWS[1:5]
    ),
    case("LpPool", X1, note="1d", kernel_shape=[3], strides=[2], pads=[1, 1]),
    *(case("GlobalLpPool", apart(2, 2, 2, 3), p=p, oracle=lp_pool([2, 3], p)) for p in (1, 2, 3)),
    case("GlobalLpPool", apart(2, 2, 3), note="1d", oracle=lp_pool([3])),
]
