import math

import numpy as np

from graph.vjp_case import apart, case, fixed, normal


def _gelu(x: np.ndarray) -> np.ndarray:
    """The reference has no Erf in double precision."""
    return 0.5 * x * (1 + np.vectorize(math.erf)(x * math.sqrt(0.5)))


CASES = [
    case("Relu", apart(3, 4)),
    *(case("LeakyRelu", apart(3, 4), alpha=alpha) for alpha in (0.1, 0.0, 1.0, 1.5, -0.3)),
    case("LeakyRelu", apart(3, 4), note="default"),
    case("PRelu", apart(2, 3, 4), normal(3, 1)),
    case("PRelu", apart(2, 3), normal(2, 3), note="slope each"),
    case("PRelu", apart(2, 3), normal(1), note="one slope"),
    case("PRelu", apart(2, 3), fixed([0.25]), note="constant slope", constant=[1]),
    *(case("ThresholdedRelu", apart(3, 4), alpha=alpha) for alpha in (0.4, 0.0, -0.4)),
    case("ThresholdedRelu", apart(3, 4), note="default"),
    case("Shrink", normal(3, 4)),
    *(case("Shrink", apart(3, 4), lambd=0.42, bias=bias) for bias in (0.3, 0.0, -0.2)),
    case("Shrink", apart(3, 4), lambd=-0.42, bias=0.2),
    case("Elu", apart(3, 4)),
    *(case("Elu", apart(3, 4), alpha=alpha) for alpha in (0.5, 2.0, 0.0, -0.5)),
    case("Selu", apart(3, 4)),
    case("Selu", apart(3, 4), alpha=1.0, gamma=1.5),
    case("Selu", apart(3, 4), alpha=-0.7, gamma=1.5),
    case("Selu", apart(3, 4), alpha=0.7, gamma=-1.5),
    case("Selu", apart(3, 4), alpha=-0.7, gamma=-1.5),
    case("Celu", apart(3, 4)),
    *(case("Celu", apart(3, 4), alpha=alpha) for alpha in (0.5, 2.0)),
    case("Sigmoid", normal(3, 4)),
    case("Tanh", normal(3, 4)),
    case("HardSigmoid", normal(3, 4, scale=3)),
    case("HardSigmoid", apart(3, 4), alpha=0.7, beta=0.3),
    case("HardSigmoid", apart(3, 4), alpha=-0.7, beta=0.3),
    case("Softsign", apart(3, 4)),
    case("Softplus", normal(3, 4, scale=3)),
    case("HardSwish", normal(3, 4, scale=3)),
    case("Mish", normal(3, 4, scale=3)),
    case("Mish", fixed([-60.0, -20.0, 0.0, 20.0, 60.0]), note="far"),
    case("Gelu", normal(3, 4, scale=2), opset=20, oracle=_gelu),
    case("Gelu", normal(3, 4, scale=2), approximate="tanh", opset=20),
    case("Gelu", fixed([-9.0, 0.0, 9.0]), note="far", opset=20, oracle=_gelu),
    case("Gelu", fixed([-9.0, 0.0, 9.0]), note="far", approximate="tanh", opset=20),
    case("Swish", normal(3, 4, scale=2), opset=24),
    case("Swish", normal(3, 4, scale=2), alpha=1.7, opset=24),
]
