"""Operators whose gradient is zero by nature."""

from __future__ import annotations

from mho.graph.rule import no_gradient, refuse

# steps: constant almost everywhere

no_gradient("Sign", "Floor", "Ceil", "Round", "Hardmax")

# what is true or false, and whole numbers

no_gradient("Equal", "Less", "LessOrEqual", "Greater", "GreaterOrEqual", "IsNaN", "IsInf")
no_gradient("And", "Or", "Xor", "Not")
no_gradient("BitShift", "BitwiseAnd", "BitwiseOr", "BitwiseXor", "BitwiseNot")
no_gradient("ArgMax", "ArgMin", "NonZero", "NonMaxSuppression")

# shapes, and what is made of them alone

no_gradient("Shape", "Size", "ConstantOfShape", "EyeLike")
no_gradient("HannWindow", "HammingWindow", "BlackmanWindow")

# at random: a draw is a step of the probabilities that it is made with

no_gradient("RandomNormal", "RandomUniform", "RandomNormalLike", "RandomUniformLike")
no_gradient("Bernoulli", "Multinomial")

# texts and files

no_gradient("StringConcat", "StringNormalizer", "StringSplit", "RegexFullMatch")
no_gradient("TfIdfVectorizer", "ImageDecoder")

# how many elements the output has depends on what the input holds

refuse("equal elements become one, whichever they are", "Unique")
