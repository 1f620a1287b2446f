from typing import Any

import numpy as np

from graph.vjp_case import Draw, case, fixed, normal

MAX, MIN = 2**63 - 1, -(2**63)


def ints(*numbers: Any) -> Draw:
    return fixed(np.array(numbers, dtype=np.int64))


def narrow(*numbers: Any) -> Draw:
    return fixed(np.array(numbers, dtype=np.int32))


def flags(*numbers: int) -> Draw:
    return fixed(np.array(numbers, dtype=bool))


def scalar(number: int) -> Draw:
    return fixed(np.array(number, dtype=np.int64))


def scattered(data: np.ndarray, indices: np.ndarray, updates: np.ndarray) -> np.ndarray:
    """Along axis 1, in as many rows as there are updates."""
    found = data.copy()
    np.put_along_axis(found[: len(indices)], indices, updates, axis=1)
    return found


SLICES = {
    "all": (ints(0), ints(MAX), ints(0)),
    "inside": (ints(1), ints(3), ints(0)),
    "two axes": (ints(1, 0), ints(4, -1), ints(0, -1)),
    "the last": (ints(-1), ints(MAX), ints(-1)),
    "but the last": (ints(0), ints(-1), ints(1)),
    "clamped": (ints(-9, 2), ints(9, 9), ints(0, 1)),
    "nothing": (ints(3), ints(1), ints(0)),
    "nothing beyond": (ints(9), ints(12), ints(1)),
    "narrow": (narrow(1), narrow(2**31 - 1), narrow(0)),
    "every second": (ints(0), ints(MAX), ints(1), ints(2)),
    "every third of both": (ints(1, 0), ints(5, 6), ints(0, 1), ints(3, 3)),
    "one of two axes": (ints(1, 1), ints(4, MAX), ints(0, 1), ints(1, 2)),
    "backwards": (ints(-1), ints(MIN), ints(0), ints(-1)),
    "backwards from beyond": (ints(9), ints(0), ints(1), ints(-2)),
    "backwards to the first": (ints(3), ints(-9), ints(-1), ints(-1)),
    "backwards, nothing": (ints(1), ints(3), ints(0), ints(-1)),
    "beyond by steps": (ints(1), ints(99), ints(1), ints(4)),
    "narrow steps": (narrow(4), narrow(0), narrow(0), narrow(-3)),
}
BATCHED = ints([[0, 1], [1, 0], [0, 1]], [[2, 1], [0, 0], [2, 1]])

CASES = [
    *(case("Slice", normal(5, 6), *given, note=note) for note, given in SLICES.items()),
    *(
        case("Slice", normal(5, 6), *given, note=f"computed {note}", computed=[1, 2])
        for note, given in SLICES.items()
    ),
    case("Slice", normal(5, 6), ints(1, 2), ints(3, 4), note="all axes"),
    case("Slice", normal(5, 6), ints(1, 2), ints(3, 4), note="all axes computed", computed=[1, 2]),
    case("Slice", normal(5, 6), ints(-2), ints(4), ints(-1), note="axes computed", computed=[3]),
    case("Slice", normal(5, 6), ints(4), ints(0), ints(-1), ints(-2), note="steps", computed=[4]),
    # along one axis
    case("Gather", normal(5, 3), scalar(2), note="one"),
    case("Gather", normal(5, 3), scalar(-1), axis=1, note="the last"),
    case("Gather", normal(5, 3, 2), scalar(-2), axis=-2, note="computed", computed=[1]),
    case("Gather", normal(5, 3, 2), scalar(1), axis=2, note="computed one", computed=[1]),
    case("Gather", normal(5, 3), ints(2), note="one kept"),
    case("Gather", normal(5, 3), ints(-5), note="one computed", computed=[1]),
    case("Gather", normal(5, 3), ints(1, 2, 3), note="in a row"),
    case("Gather", normal(3, 5), ints(4, 3, 2, 1, 0), axis=-1, note="all reversed"),
    case("Gather", normal(3, 5), ints(4, -5, 2), axis=1, note="each once"),
    case("Gather", normal(3, 5), ints(4, -1, 0, 4), axis=1, note="some twice"),
    case("Gather", normal(3, 5), ints(4, -1, 0), axis=1, note="computed", computed=[1]),
    case("Gather", normal(3, 5), narrow(1, 0), axis=1, note="narrow"),
    case("Gather", normal(3, 5), narrow(-1), axis=1, note="narrow computed", computed=[1]),
    case("Gather", normal(7, 4), ints([3, 3, 0], [6, 0, 1]), note="embedding", computed=[1]),
    case("Gather", normal(7, 4), ints([3, 3, 0], [6, 0, 1]), note="embedding of constants"),
    case("Gather", normal(7, 4), ints([3, 2], [6, 1]), note="each once, of rank two"),
    case("Gather", normal(2, 4, 3), ints([3, 0], [1, 1]), axis=1, note="rank two within"),
    case("Gather", normal(2, 3, 4), ints([3, 0], [-1, 1]), axis=-1, note="computed", computed=[1]),
    case("Gather", normal(2, 3), ints([[1, 0]]), axis=1, note="rank three"),
    case("Gather", normal(4), scalar(3), note="of a vector"),
    case("Compress", normal(3, 4), flags(0, 1, 1), axis=0),
    case("Compress", normal(3, 4), flags(1, 0, 1), axis=-1, note="shorter"),
    case("Compress", normal(3, 4), flags(1, 0, 1, 0, 1, 1, 0, 1), note="of all"),
    case("Compress", normal(3, 4), flags(0, 0, 0, 0), axis=1, note="nothing"),
    case("Compress", normal(3, 4), flags(1, 0, 1), axis=0, note="computed", computed=[1]),
    case("Compress", normal(3, 4), flags(1, 0, 1, 0, 1), note="computed of all", computed=[1]),
    case("GatherElements", normal(3, 4), ints([0, 1, 2, 0], [-1, 1, 0, 0])),
    case("GatherElements", normal(3, 4), ints([0, 0, -1], [3, 1, 1], [2, 0, 1]), axis=1),
    case(
        "GatherElements",
        normal(3, 4),
        ints([0], [2], [1]),
        axis=-1,
        computed=[1],
        oracle=lambda x, indices: np.take_along_axis(x, indices, axis=-1),
    ),
    case(
        "GatherElements",
        normal(3, 4),
        ints([0, 3], [1, 1]),
        axis=1,
        note="of some rows",
        oracle=lambda x, indices: np.take_along_axis(x[:2], indices, axis=1),
    ),
    case("ReverseSequence", normal(4, 3, 2), ints(4, 1, 2)),
    case("ReverseSequence", normal(3, 4, 2), ints(3, 1, 4), batch_axis=0, time_axis=1),
    case("ReverseSequence", normal(3, 4), ints(3, 1, 4), batch_axis=0, time_axis=1, computed=[1]),
    # along several axes
    case("GatherND", normal(3, 4), ints([0, 1], [2, -1]), note="each once"),
    case("GatherND", normal(3, 4), ints([0, 1], [2, 3], [0, 1]), note="one twice"),
    case("GatherND", normal(3, 4), ints([1], [0], [-2]), note="rows"),
    case("GatherND", normal(3, 4, 2), ints([[0, 1], [2, -1]], [[0, 1], [1, 0]]), computed=[1]),
    case("GatherND", normal(3, 2, 2), ints([1, 0, 1], [1, 0, -1]), note="all", computed=[1]),
    case("GatherND", normal(3), ints([1], [1]), note="of a vector"),
    case("GatherND", normal(2, 3, 4), BATCHED, batch_dims=1, note="pairs"),
    case("GatherND", normal(2, 3, 4), ints([1], [-1]), batch_dims=1, note="rows"),
    case("GatherND", normal(2, 2, 3), ints([[2], [0]], [[1], [1]]), batch_dims=2, computed=[1]),
    case("GatherND", normal(2, 3, 2), ints([[0], [0]], [[1], [2]]), batch_dims=1, computed=[1]),
    # put in places
    case("ScatterElements", normal(3, 2), ints([0, 1], [2, -3]), normal(2, 2), reduction="none"),
    case("ScatterElements", normal(2, 4), ints([3, 0], [1, 2]), normal(2, 2), axis=1),
    case("ScatterElements", normal(2, 4), ints([3], [1]), normal(2, 1), axis=-1, constant=[0]),
    case("ScatterElements", normal(3, 2), ints([0, 1]), normal(1, 2), constant=[2], computed=[1]),
    case(
        "ScatterElements",
        normal(2, 4),
        ints([3, 3], [1, -3]),
        normal(2, 2),
        axis=-1,
        reduction="add",
        computed=[1],
    ),
    case(
        "ScatterElements",
        normal(3, 4),
        ints([3, 0], [1, 2]),
        normal(2, 2),
        axis=1,
        note="in some rows",
        oracle=scattered,
    ),
    case("ScatterND", normal(3, 4), ints([0, 1], [2, -1]), normal(2)),
    case("ScatterND", normal(3, 4), ints([2], [0]), normal(2, 4)),
    case("ScatterND", normal(3, 4), ints([2], [2]), normal(2, 4), reduction="add"),
    case("ScatterND", normal(3, 4), ints([2], [0]), normal(2, 4), constant=[2], computed=[1]),
    case("ScatterND", normal(3, 4), ints([2], [0]), normal(2, 4), constant=[0]),
    case("TensorScatter", normal(2, 4, 3), normal(2, 2, 3), opset=24),
    case("TensorScatter", normal(2, 4, 3), normal(2, 2, 3), ints(1, 2), opset=24),
    case("TensorScatter", normal(2, 4, 3), normal(2, 2, 3), ints(3, 2), mode="circular", opset=24),
    case(
        "TensorScatter",
        normal(2, 4, 1, 2),
        normal(2, 3, 1, 2),
        ints(0, 1),
        axis=1,
        opset=24,
        computed=[2],
    ),
]
