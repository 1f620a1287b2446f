"""Whether a job fits its model and its data, told from what was found out about them at upload."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest

from mho.errors import InvalidOption, MhoError, UnknownLayer
from mho.jobs.job import DatasetRecord, FileRef, JobSpec, ModelRecord
from mho.jobs.specification import check_fit, checked
from mho.types import JSON

FOUND = {
    "layers": [{"name": name} for name in ("block1/relu", "block2/relu", "fc[0]")],
    "tensors": ["x", "block1/relu", "hidden", "block2/relu", "fc[0]"],
    "outputs": [{"name": "logits"}, {"name": "features"}],
}


def model(summary: Mapping[str, Any] = FOUND) -> ModelRecord:
    return ModelRecord("acme", "m1", "a net", "", {}, "net.onnx", summary, 0.0)


def dataset(**summary: Any) -> DatasetRecord:
    ref = FileRef("inputs.npy", "0" * 64)
    return DatasetRecord("acme", "d1", "pictures", "", ref, None, None, "m1", summary, 0.0)


def fit(method: str, options: Mapping[str, JSON], of: ModelRecord, data: DatasetRecord) -> None:
    spec = checked(JobSpec("m1", "d1", method, options), "mho.methods")
    check_fit(spec, "mho.methods", of, data)


@pytest.mark.parametrize(
    ("method", "options", "labels"),
    [
        ("shapley", {}, True),
        ("shapley", {"value": "logit"}, False),
        ("shapley", {"layers": ["block*", "hidden", "fc[0]"]}, True),
        ("ablation", {"value": "logit", "target": "3"}, False),
        ("conductance", {"path_input": "x", "output": "features", "target": "label"}, True),
        # What means nothing to a method does no harm: a note in the result says so.
        ("activation", {"target": "label", "output": "q", "path_input": "q"}, False),
        ("shapley", {"path_input": "q"}, True),
    ],
)
def test_what_fits(method: str, options: dict[str, JSON], labels: bool) -> None:
    fit(method, options, model(), dataset(labels=labels))


@pytest.mark.parametrize(
    ("method", "options", "error", "subject", "message"),
    [
        ("activation", {"layers": ["hiden"]}, UnknownLayer, "layers", "did you mean 'hidden'"),
        (
            "activation",
            {"layers": ["x", "conv*"]},
            UnknownLayer,
            "layers",
            r"'layers' names 'conv\*', but model 'a net' has no layer .* 'mho layers'",
        ),
        # Globs go over the layers; another tensor is named exactly.
        ("activation", {"layers": ["hid*"]}, UnknownLayer, "layers", "did you mean 'hidden'"),
        ("conductance", {"path_input": "q"}, UnknownLayer, "path_input", "'path_input' names 'q'"),
        ("shapley", {"output": "q"}, UnknownLayer, "output", "outputs are logits, features"),
        ("conductance", {"target": "dog"}, InvalidOption, "target", "'dog'; it must be a class"),
        ("conductance", {"target": "-1"}, InvalidOption, "target", "'-1'; it must be a class"),
        (
            "shapley",
            {},
            InvalidOption,
            "value",
            "'accuracy' needs .* 'pictures' .* value logit or margin or probability$",
        ),
        ("ablation", {"value": "cross_entropy"}, InvalidOption, "value", "'cross_entropy' needs"),
        (
            "ablation",
            {"value": "logit", "target": "label"},
            InvalidOption,
            "target",
            "target 'label' needs a label for every input, but data set 'pictures' has none",
        ),
        ("conductance", {"target": "label"}, InvalidOption, "target", "needs a label"),
        ("shapley", {"value": "beauty"}, InvalidOption, "value", "'beauty' does not exist"),
        ("shapley", {"estimator": "x"}, InvalidOption, "estimator", "choose one of .*exact"),
        ("shapley", {"seed": 10**400}, InvalidOption, "seed", "about 400 digits"),
    ],
)
def test_what_does_not_fit(
    method: str, options: dict[str, JSON], error: type[MhoError], subject: str, message: str
) -> None:
    with pytest.raises(error, match=message) as caught:
        fit(method, options, model(), dataset(labels=False))
    assert caught.value.subject == subject


@pytest.mark.parametrize(
    ("options", "summary", "subject", "message"),
    [
        ({"value": "recall"}, {}, "classes", "'recall' is that of one class .* --classes"),
        ({"value": "recall", "classes": ["dog"]}, {}, "classes", "'dog' of --classes is no class"),
        ({"value": "recall", "classes": ["-1"]}, {}, "classes", "'-1' of --classes is no class"),
        ({"value": "gap"}, {}, "subgroups", "'gap' is that of subgroups"),
        ({"value": "gap", "subgroups": ["a", "b", "c"]}, {}, "subgroups", "names 3; name two"),
        (
            {"value": "gap", "subgroups": ["a", "x"]},
            {"groups": ["a", "b"]},
            "subgroups",
            "data set 'pictures' has no subgroup 'x'; it has a, b: name",
        ),
        (
            {"value": "subgroup_accuracy", "subgroups": ["x"]},
            {"groups": []},
            "subgroups",
            "no subgroup 'x'; it has none",
        ),
        (
            {"value": "squared_error"},
            {"truth": False},
            "value",
            "'squared_error' needs the targets .* 'pictures' has none; .*'targets', or take",
        ),
    ],
)
def test_values_that_do_not_fit_their_options_or_the_data(
    options: dict[str, JSON], summary: dict[str, Any], subject: str, message: str
) -> None:
    with pytest.raises(InvalidOption, match=message) as caught:
        fit("shapley", options, model(), dataset(labels=True, **summary))
    assert caught.value.subject == subject


@pytest.mark.parametrize(
    ("options", "summary"),
    [
        ({"value": "recall", "classes": ["3", "7"]}, {"labels": True}),
        ({"value": "gap", "subgroups": ["a"]}, {"labels": True, "groups": ["a"]}),
        ({"value": "squared_error"}, {"labels": False, "truth": True}),
        ({"value": "squared_error", "target": "label"}, {"labels": False}),
        ({"value": "gap", "subgroups": ["a"]}, {}),
    ],
)
def test_values_that_fit(options: dict[str, JSON], summary: dict[str, Any]) -> None:
    """What a record of an earlier version does not say is left to the worker."""
    fit("shapley", options, model(), dataset(**summary))


def test_a_name_is_suggested_once() -> None:
    with pytest.raises(UnknownLayer) as caught:
        fit("activation", {"layers": ["block1/rel"]}, model(), dataset(labels=True))
    assert caught.value.message.count("'block1/relu'") == 1


@pytest.mark.parametrize("missing", ["layers", "tensors"])
def test_what_is_not_known_of_a_model_is_left_to_the_worker(missing: str) -> None:
    """Records of an earlier version do not list the tensors, or the labels."""
    partly = {name: value for name, value in FOUND.items() if name != missing}
    fit("shapley", {"layers": ["anything"]}, model(partly), dataset())
    fit("shapley", {"output": "anything"}, model({}), dataset())


@pytest.mark.parametrize(
    ("method", "options", "error", "subject", "message"),
    [
        ("edit", {"remove": ["hiden:3"]}, UnknownLayer, "remove", "'remove' names 'hiden'"),
        ("conductance", {"units": ["hiden:3"]}, UnknownLayer, "units", "'units' names 'hiden'"),
        ("edit", {"remove": ["hidden"]}, InvalidOption, "remove", "named by layer and index"),
        ("edit", {}, InvalidOption, "remove", "nothing says which units go"),
    ],
)
def test_options_that_name_units_are_read_before_a_job_is_accepted(
    method: str, options: dict[str, JSON], error: type[MhoError], subject: str, message: str
) -> None:
    with pytest.raises(error, match=message) as caught:
        fit(method, options, model(), dataset(labels=True))
    assert caught.value.subject == subject
    fit("edit", {"remove": ["hidden:3", "block1/relu:0-2"]}, model(), dataset(labels=True))
