import numpy as np

from graph.vjp_case import Draw, case, fixed, normal


def whole(number: int) -> Draw:
    return fixed(np.array(number, dtype=np.int64))


CASES = [
    case("DFT", normal(2, 5, 1)),
    case("DFT", normal(2, 5, 2)),
    case("DFT", normal(2, 5, 1), onesided=1),
    case("DFT", normal(2, 4, 1), onesided=1, note="even"),
    case("DFT", normal(2, 5, 2), inverse=1),
    case("DFT", normal(2, 3, 4, 2), axis=2),
    case("DFT", normal(2, 3, 4, 2), axis=-3),
    case("DFT", normal(2, 3, 1), whole(5), note="longer"),
    case("DFT", normal(2, 3, 2), None, whole(-2), opset=20),
    case("DFT", normal(2, 3, 4, 1), None, whole(1), opset=20, onesided=1),
    case("DFT", normal(2, 3, 1), opset=20, note="by default"),
    case("DFT", normal(2, 5, 1), whole(3), note="shorter"),
    case("DFT", normal(2, 3, 2), whole(5), note="computed", computed=[1]),
    case("DFT", normal(2, 5, 2), whole(3), inverse=1, computed=[1], opset=20),
    # onnx infers a wrong shape where onesided is left out
    case("STFT", normal(2, 9, 1), whole(2), normal(4), constant=[2], onesided=1),
    case("STFT", normal(2, 9, 1), whole(3), normal(4), whole(4), constant=[2], onesided=0),
    case("STFT", normal(1, 7, 1), whole(2), None, whole(3), onesided=1),
    case("STFT", normal(1, 7, 1), whole(2), None, whole(3), onesided=1, computed=[1, 3]),
    case("STFT", normal(1, 7, 2), whole(2), normal(3), constant=[2], onesided=0),
]
