"""Derivatives of the operators of ai.onnx.ml, which exports of scikit-learn hold.

Their outputs are float32 whatever the input is.
"""

from __future__ import annotations

import numpy as np
import onnx_ir as ir

from mho.graph.flow import constant_integers, dims
from mho.graph.place import add_back, extent, known_extent, less, padded, put_back
from mho.graph.rule import (
    PERTURBED,
    Call,
    known_rank,
    no_gradient,
    refuse,
    rule,
    rule_all,
    rule_each,
)
from mho.graph.term import Term

_ML = "ai.onnx.ml"
# preparation of features


def _scaler(at: Call) -> Term:
    return (at.dy * at.constant(_floats(at.node, "scale"), at.dy)).cast(at.x)


def _imputer(at: Call) -> Term:
    """What was missing has no gradient."""
    missing = at.number("replaced_value_float", 0.0)
    replaced = at.x.op("IsNaN") if np.isnan(missing) else at.x.equals(missing)
    return at.dy * replaced.op("Not").cast(at.dy)


def _normalizer(at: Call) -> Term:
    """Rows divided by their length; a row of zeros stays as it is."""
    x, y, dy = at.x.cast(at.dy), at.y, at.dy
    rough = at.text("norm", "MAX") == "L1"
    length = x.op("Abs").sum([-1]) if rough else (x * x).sum([-1]).op("Sqrt")
    length = length + length.equals(0.0).cast(length)
    along = (dy * y).sum([-1])
    return ((dy - along * (x.sign() if rough else y)) / length).cast(at.x)


def _unclear_norm(node: ir.Node) -> str:
    norm = node.attributes.get("norm")
    if norm is None or norm.as_string() not in ("L1", "L2"):
        return "it divides by the largest element"
    return _no_matrix(node)


def _extracted(at: Call) -> Term:
    """Along the last axis; a vector becomes a matrix of one row."""
    dy = at.dy.reshape([-1]) if at.rank() == 1 else at.dy
    length, indices = known_extent(at.x, -1), constant_integers(at.node.inputs[1])
    if indices is not None and length is not None and len(set(indices)) == len(indices):
        return put_back(dy, -1, indices, length, len(indices))
    return add_back(dy, -1, at.input(1).reshape([-1]), at.x.zeros())


def _joined(at: Call, position: int) -> Term:
    """The columns that were taken; what was cut off has no gradient, and what was added is
    dropped."""
    widths, x = at.integers("inputdimensions"), at.input(position)
    start = sum(widths[:position])
    numbers = [at.dy.integers([number]) for number in (start, start + widths[position], -1)]
    added = less(extent(x, -1), widths[position], x)
    return padded(at.dy.op("Slice", *numbers), -1, 0, added).cast(x)


def _no_matrix(node: ir.Node) -> str:
    for value in node.inputs:
        shape = None if value is None else dims(value)
        if shape is None or len(shape) != 2:
            return "an input is no matrix"
    return ""


rule("Scaler", _scaler, domain=_ML)
rule("Imputer", _imputer, domain=_ML)
rule("Normalizer", _normalizer, domain=_ML, refusal=_unclear_norm)
rule("ArrayFeatureExtractor", _extracted, None, domain=_ML, refusal=known_rank(0))
rule_each("FeatureVectorizer", _joined, domain=_ML, refusal=_no_matrix)
# categories and flags
no_gradient("Binarizer", "OneHotEncoder", "LabelEncoder", "CategoryMapper", domain=_ML)

# linear models


def _linear_regressor(at: Call) -> Term:
    return (at.dy @ _coefficients(at, at.integer("targets", 1), at.dy)).cast(at.x)


@rule_all("LinearClassifier", 0, domain=_ML, refusal=lambda node: _unclear_scores(node))
def _linear_classifier(at: Call) -> dict[int, Term]:
    scores, dy = at.output(1), at.cotangent(1)
    way = at.text("post_transform", "NONE")
    if way == "LOGISTIC":
        dy = dy * scores * (1 - scores)
    elif way == "SOFTMAX":
        dy = scores * (dy - (dy * scores).sum([1]))
    return {0: (dy @ _coefficients(at, _classes(at.node), dy)).cast(at.x)}


def _coefficients(at: Call, rows: int, like: Term) -> Term:
    return at.constant(_floats(at.node, "coefficients").reshape(rows, -1), like)


def _classes(node: ir.Node) -> int:
    """How many scores are computed; onnxruntime makes a second one of one."""
    labels = ("classlabels_ints", "classlabels_strings")
    return sum(len(node.attributes[name].value) for name in labels if name in node.attributes)


def _plain(node: ir.Node, served: tuple[str, ...]) -> str:
    way = node.attributes.get("post_transform")
    if way is not None and way.as_string() not in served:
        return f"its post_transform is '{way.as_string()}'"
    return _no_matrix(node)


def _unclear_scores(node: ir.Node) -> str:
    shape = dims(node.inputs[0]) if node.inputs[0] is not None else None
    classes, count = _classes(node), len(_floats(node, "coefficients"))
    width = shape[1] if shape is not None and len(shape) == 2 else None
    if classes < 2 or count % classes or (isinstance(width, int) and count != classes * width):
        return "it has coefficients for one class alone"
    return _plain(node, ("NONE", "LOGISTIC", "SOFTMAX"))


rule(
    "LinearRegressor",
    _linear_regressor,
    domain=_ML,
    refusal=lambda node: _plain(node, ("NONE",)),
)

# other models


refuse(
    f"its trees are constant between their thresholds; {PERTURBED}",
    *("TreeEnsemble", "TreeEnsembleClassifier", "TreeEnsembleRegressor"),
    domain=_ML,
)
refuse(
    f"support vector machines have no rule; {PERTURBED}",
    "SVMClassifier",
    "SVMRegressor",
    domain=_ML,
)
refuse("it makes or reads a map", "ZipMap", "CastMap", "DictVectorizer", domain=_ML)


def _floats(node: ir.Node, name: str) -> np.ndarray:
    return np.asarray(node.attributes[name].as_floats())
