"""Operators by what they do; the one place where such lists are kept."""

from __future__ import annotations


def _of(names: str) -> frozenset[str]:
    return frozenset(names.split())


ACTIVATIONS = _of(
    "Relu LeakyRelu PRelu Elu Selu Celu Sigmoid HardSigmoid Tanh Softplus Softsign Gelu HardSwish "
    "Mish Swish Clip Max Min ThresholdedRelu FastGelu QuickGelu BiasGelu"
)
"""Activations of one node; Max and Min are meant with a constant."""

ARITHMETIC = _of("Add Sub Mul Div Sum Mean Max Min Pow Where")
"""Several operands, broadcast against one another."""

SUMS = _of("Add Sum Mean")
"""Joins of layers, where no operand is constant."""

FUNCTIONS = _of("Erf Exp Log Neg Abs Sqrt Reciprocal Square Sin Cos Tan")
"""One operand, element by element, and smooth almost everywhere."""

STEPS = _of("Sign Floor Ceil Round")
"""One operand, element by element, constant almost everywhere."""

LOGIC = _of("And Or Xor Not Equal Less Greater LessOrEqual GreaterOrEqual IsNaN IsInf")

UNCHANGED = _of("Identity Dropout Cast CastLike")
"""The elements stay as they are, except for their type."""

POINTWISE = ACTIVATIONS | ARITHMETIC | FUNCTIONS | STEPS | LOGIC | UNCHANGED | _of("Mod BitShift")
"""Every element of the result depends on the elements at its place."""

CONVOLUTIONS = _of("Conv ConvTranspose FusedConv")
DENSE = _of("Gemm FusedGemm")
PRODUCTS = _of("MatMul FusedMatMul MatMulNBits")
"""Matrix products; they make units where the second matrix is constant."""

RECURRENT = _of("LSTM GRU RNN")
NESTED = _of("If Loop Scan")

NORMALISATIONS = _of(
    "BatchNormalization InstanceNormalization GroupNormalization LayerNormalization "
    "RMSNormalization SimplifiedLayerNormalization"
)

POOLS = _of("MaxPool AveragePool LpPool GlobalAveragePool GlobalMaxPool GlobalLpPool LRN MaxUnpool")
"""Work on (batch, channels, space) and keep the channels apart, or nearly so (LRN)."""

REDUCTIONS = _of(
    "ReduceMean ReduceSum ReduceMax ReduceMin ReduceL1 ReduceL2 ReduceLogSum ReduceLogSumExp "
    "ReduceProd ReduceSumSquare"
)

SOFTMAXES = _of("Softmax LogSoftmax Hardmax")

QUANTISED = _of("QuantizeLinear DequantizeLinear DynamicQuantizeLinear")
"""Differentiable by convention (straight through), though integers lie between."""

ONLY_SHAPES = _of("Shape Size EyeLike RandomNormalLike RandomUniformLike")
"""What they give depends on the shape of the input, not on what it holds."""

NO_DERIVATIVE = (
    ONLY_SHAPES
    | STEPS
    | LOGIC
    | _of(
        "ArgMax ArgMin NonZero OneHot Bernoulli Multinomial ConstantOfShape Range NonMaxSuppression"
    )
)
"""The derivative is zero or does not exist."""
