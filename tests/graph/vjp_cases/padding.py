from collections.abc import Callable

import numpy as np

from graph.vjp_case import Draw, case, fixed, normal

MODES = ("reflect", "edge", "wrap")


def ints(*numbers: int) -> Draw:
    return fixed(np.array(numbers, dtype=np.int64))


def pad(mode: str) -> Callable[..., np.ndarray]:
    """Of all axes; a negative width crops first, where onnx.reference fails."""

    def padded(x: np.ndarray, widths: np.ndarray) -> np.ndarray:
        ends = widths.reshape(2, -1).T
        for axis, (before, after) in enumerate(np.minimum(ends, 0)):
            x = np.take(x, np.arange(-before, x.shape[axis] + after), axis=axis)
        return np.pad(x, np.maximum(ends, 0), mode=mode)  # type: ignore[call-overload]

    return padded


CASES = [
    case("Pad", normal(2, 3), ints(0, 0, 0, 0), note="nothing to do"),
    case("Pad", normal(2, 3), ints(1, 0, 0, 2)),
    case("Pad", normal(2, 3), ints(1, 2, 3, 0), mode="constant"),
    case("Pad", normal(2, 3), ints(0, 1, 0, 1), fixed(np.array(0.5)), note="value", constant=[2]),
    case("Pad", normal(2, 3, 2), ints(1, 2, 0, 1), None, ints(-1, 0), note="axes"),
    case("Pad", normal(2, 3, 2), ints(1, 2), None, ints(1), note="computed axes", computed=[3]),
    case("Pad", normal(3, 4), ints(-1, 1, 0, -2), note="cropped", oracle=pad("constant")),
    case(
        "Pad",
        normal(3, 4),
        ints(-1, 1, 2, -2),
        note="computed",
        computed=[1],
        oracle=pad("constant"),
    ),
    *(case("Pad", normal(3, 4), ints(1, 0, 0, 2), mode=mode, opset=19) for mode in MODES),
    *(case("Pad", normal(3, 4), ints(2, 3, 2, 3), mode=mode, opset=19) for mode in MODES),
    *(
        case("Pad", normal(2, 3, 4), ints(2, 1), None, ints(-1), mode=mode, opset=19)
        for mode in MODES
    ),
    *(
        case("Pad", normal(4, 5), ints(-1, 2, 1, -1), mode=mode, oracle=pad(mode), opset=19)
        for mode in MODES
    ),
    case("Pad", normal(2, 3), ints(5, 0, 3, 7), mode="edge", note="wider than it was"),
    case("Pad", normal(2, 3), ints(5, 0, 3, 7), mode="wrap", note="many times", opset=19),
    case("Pad", normal(1, 1), ints(1, 2, 1, 0), mode="edge", note="of one element"),
    case("CenterCropPad", normal(3, 4), ints(5, 2)),
    case("CenterCropPad", normal(4, 5), ints(3, 7)),
    case("CenterCropPad", normal(4, 5), ints(1, 5), note="nothing to do along one axis"),
    case("CenterCropPad", normal(2, 4, 5), ints(7, 2), axes=[-1, 1]),
    case("CenterCropPad", normal(2, 4, 5), ints(8), axes=[-2], note="computed", computed=[1]),
]
