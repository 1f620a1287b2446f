from typing import Any

import numpy as np

from graph.vjp_case import Case, Draw, apart, case, fixed, normal


def learn(op: str, *inputs: Draw, **more: Any) -> Case:
    return case(op, *inputs, domain="ai.onnx.ml", **more)


def ints(*numbers: Any) -> Draw:
    return fixed(np.array(numbers, dtype=np.int64))


def some(seed: int, count: int) -> list[float]:
    return [float(n) for n in np.random.default_rng(seed).standard_normal(count).round(3)]


def with_gaps(rng: np.random.Generator) -> np.ndarray:
    x = rng.standard_normal((3, 3))
    x[1, 0] = x[2, 2] = np.nan
    return x


def classifier(classes: int, features: int, way: str) -> Case:
    """Its scores are float32 for onnx.reference too, whatever goes in."""
    weights, offsets = some(1, classes * features), some(2, classes)

    def scores(x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        found = x @ np.reshape(weights, (classes, features)).T + offsets
        if way == "LOGISTIC":
            found = 1 / (1 + np.exp(-found))
        elif way == "SOFTMAX":
            found = np.exp(found) / np.exp(found).sum(axis=1, keepdims=True)
        return found.argmax(axis=1), found

    return learn(
        "LinearClassifier",
        normal(2, features),
        note=f"{classes} classes",
        coefficients=weights,
        intercepts=offsets,
        classlabels_ints=list(range(classes)),
        post_transform=way,
        outputs=2,
        oracle=scores,
    )


CASES = [
    learn("Scaler", normal(2, 3), offset=[0.5, -1.0, 2.0], scale=[2.0, 0.25, -1.0]),
    learn("Scaler", normal(2, 3), offset=[0.5], scale=[0.25]),
    learn("Imputer", normal(2, 3), imputed_value_floats=[1.0], replaced_value_float=9.0),
    learn("Imputer", with_gaps, imputed_value_floats=[1.0, 2.0, 3.0], replaced_value_float=np.nan),
    learn("Normalizer", apart(3, 4), norm="L1"),
    learn("Normalizer", normal(3, 4), norm="L2"),
    learn("ArrayFeatureExtractor", normal(2, 4), ints(3, 1)),
    learn("ArrayFeatureExtractor", normal(2, 4), ints([2])),
    learn("ArrayFeatureExtractor", normal(2, 4), ints(1, 1, 0), note="twice"),
    learn("ArrayFeatureExtractor", normal(2, 4), ints(2, 3), computed=[1]),
    learn("ArrayFeatureExtractor", normal(4), ints(2, 3), note="a vector"),
    learn("ArrayFeatureExtractor", normal(2, 2, 3), ints(2, 0), note="rank three"),
    learn("LinearRegressor", normal(2, 3), coefficients=some(1, 3), intercepts=[0.5]),
    learn(
        "LinearRegressor", normal(2, 3), coefficients=some(1, 6), intercepts=some(2, 2), targets=2
    ),
    *(classifier(3, 4, way) for way in ("NONE", "LOGISTIC", "SOFTMAX")),
    classifier(2, 3, "LOGISTIC"),
    learn("FeatureVectorizer", normal(2, 3), normal(2, 1), inputdimensions=[3, 1]),
    learn("FeatureVectorizer", normal(2, 3), normal(2, 4), inputdimensions=[1, 2], note="cut"),
    learn(
        "FeatureVectorizer",
        normal(2, 2),
        normal(2, 1),
        inputdimensions=[3, 2],
        oracle=lambda a, b: np.concatenate([a, 0 * b, b, 0 * b], axis=1),
    ),
]
