"""Operators that must not be differentiated, each with its reason."""

from __future__ import annotations

from mho.graph.rule import PERTURBED, no_gradient, refuse

# control flow, and what is no tensor

refuse(f"what its subgraph computes is not followed; {PERTURBED}", "If", "Loop", "Scan")
refuse(
    f"sequences of tensors are not followed; {PERTURBED}",
    *("SequenceConstruct", "SequenceEmpty", "SequenceInsert", "SequenceErase", "SequenceAt"),
    *("SequenceMap", "SplitToSequence", "ConcatFromSequence"),
)
refuse(f"optional tensors are not followed; {PERTURBED}", "Optional", "OptionalGetElement")
no_gradient("SequenceLength", "OptionalHasElement")

# newer than the rules

refuse(
    "export the model with opset 22 or lower, where it is several operators that have rules",
    *("Attention", "RotaryEmbedding"),
)
refuse(
    "export the model with opset 26 or lower, where it is several operators that have rules",
    *("CausalConvWithState", "LinearAttention", "SwiGLU"),
)

# older than the rules

refuse("it is of opset 10 or lower; raise the model's opset to 18", "Scatter", "Upsample")

# losses

refuse(
    "it is a loss; take the scores that it reads as the target",
    *("SoftmaxCrossEntropyLoss", "NegativeLogLikelihoodLoss"),
)

# the rest

refuse(
    f"its regions are found in the image, and their edges are not followed; {PERTURBED}",
    *("RoiAlign", "MaxRoiPool"),
)
refuse(f"its kernel moves with the offsets that it reads; {PERTURBED}", "DeformConv")
refuse(f"no operator of ONNX inverts a matrix, as its gradient would; {PERTURBED}", "Det")
refuse(f"its gradient would divide by elements that may be zero; {PERTURBED}", "CumProd")
refuse("it takes the bits of one number for another number", "BitCast")
refuse("the edges of its bands must not vary", "MelWeightMatrix")
refuse(
    "no rule is written for operators that are a preview", "FlexAttention", domain="ai.onnx.preview"
)
refuse(
    "it is a step of training",
    *("Adagrad", "Adam", "Momentum", "Gradient"),
    domain="ai.onnx.preview.training",
)
no_gradient("Constant")
