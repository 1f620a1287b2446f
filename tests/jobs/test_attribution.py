"""Whole attributions on the example's model: what they give, and that resuming changes nothing."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest

import shapes
from mho.config import Settings
from mho.data.source import Source
from mho.errors import InvalidOption, MhoError, TooExpensive, UnknownLayer
from mho.jobs.attribution import Run, open_run
from mho.jobs.task import Task
from mho.runtime import cost
from mho.types import Array

SETTINGS = Settings(threads=1, provider="cpu")
LAYERS = ["conv1/relu", "conv2/relu", "conv3/relu"]


def task(folder: Path, method: str, count: int = 12, **options: Any) -> Task:
    files = {
        name: options.pop(name)
        for name in ("scores", "baseline", "groups")
        if isinstance(options.get(name), Path)
    }
    inputs, labels = shapes.inputs(folder, count)
    return Task(method, options, shapes.MODEL, Source(inputs, labels), files)


def finish(run: Run, folder: Path) -> Mapping[str, Array]:
    while not run.done:
        run.step()
    run.write(folder)
    with np.load(folder / "scores.npz") as found:
        return dict(found)


def accuracy_with(folder: Path, constants: Mapping[str, Array], count: int) -> float:
    """Accuracy of the model in which whole layers were replaced by constants, by hand."""
    model = onnx.load(shapes.MODEL)
    for name, value in constants.items():
        for node in model.graph.node:
            if name in node.output:
                model.graph.node.remove(node)
                break
        tensor = onnx.numpy_helper.from_array(value.astype(np.float32), name)
        model.graph.initializer.append(tensor)
    session = onnxruntime.InferenceSession(
        model.SerializeToString(), providers=["CPUExecutionProvider"]
    )
    inputs, labels = shapes.inputs(folder, count)
    images, answers = np.load(inputs), np.load(labels)
    hits = [
        int(np.argmax(session.run(["logits"], {"image": image[None]})[0])) == answer
        for image, answer in zip(images, answers, strict=True)
    ]
    return float(np.mean(hits))


def test_conductance_is_complete_on_every_layer_that_cuts(tmp_path: Path) -> None:
    run = open_run(
        task(tmp_path, "conductance", 3, layers=["conv3/relu", "dense1/relu"], tolerance=0.02),
        SETTINGS,
    )
    scores = finish(run, tmp_path / "out")
    summary = json.loads((tmp_path / "out" / "result.json").read_text())
    assert {name: value.shape for name, value in scores.items()} == {
        "conv3/relu": (3, 32),
        "dense1/relu": (3, 48),
    }
    assert summary["engine"] == "gradient"
    assert summary["why"] == "auto: every operator on the way has a derivative rule"
    for entry in summary["completeness"]:
        (layer,) = entry["layers"]
        difference, floor = np.array(entry["difference"]), np.array(entry["floor"])
        assert entry["gap"]["max"] <= 0.02
        signed = scores[layer].sum(axis=1) - difference
        assert np.all(np.abs(signed) <= 0.02 * np.maximum(np.abs(difference), floor) + 1e-4)


def test_conductance_equals_a_reference_of_a_thousand_steps(tmp_path: Path) -> None:
    """Eq. 3 at ``pool3`` by hand: gradients of the dense head in NumPy, in 1,000 steps."""
    run = open_run(task(tmp_path, "conductance", 2, layers=["pool3"]), SETTINGS)
    scores = finish(run, tmp_path / "out")["pool3"]
    model = onnx.load(shapes.MODEL)
    model.graph.output.append(
        onnx.helper.make_tensor_value_info("pool3", onnx.TensorProto.FLOAT, None)
    )
    session = onnxruntime.InferenceSession(
        model.SerializeToString(), providers=["CPUExecutionProvider"]
    )
    weights = {t.name: onnx.numpy_helper.to_array(t) for t in model.graph.initializer}
    first, bias, last = (weights[n] for n in ("dense1.weight", "dense1.bias", "logits.weight"))
    first = first if first.shape[0] == 48 else first.T
    last = last if last.shape[0] == 6 else last.T
    inputs, _ = shapes.inputs(tmp_path, 2)
    for index, image in enumerate(np.load(inputs)):
        alphas = np.linspace(0, 1, 2001, dtype=np.float32)  # every second one is a middle
        parts = [
            session.run(["logits", "pool3"], {"image": a[:, None, None, None] * image[None]})
            for a in np.array_split(alphas, 16)
        ]
        logits, pooled = (np.concatenate(arrays) for arrays in zip(*parts, strict=True))
        flat = pooled.reshape(len(pooled), -1).astype(np.float64)
        on = flat[1::2] @ first.T + bias > 0
        gradient = (on * last[np.argmax(logits[-1])]) @ first
        flow = (gradient * np.diff(flat[0::2], axis=0)).sum(axis=0)
        reference = flow.reshape(pooled.shape[1], -1).sum(axis=1)
        error = np.linalg.norm(scores[index] - reference) / np.linalg.norm(reference)
        assert error < 0.03


def test_neurons_of_a_channel_add_up_to_the_channel(tmp_path: Path) -> None:
    channel = finish(
        open_run(task(tmp_path, "conductance", 1, layers=["pool3"], tolerance=0.05), SETTINGS),
        tmp_path / "a",
    )
    neuron = finish(
        open_run(
            task(
                tmp_path, "conductance", 1, layers=["pool3"], tolerance=0.05, granularity="neuron"
            ),
            SETTINGS,
        ),
        tmp_path / "b",
    )
    assert neuron["pool3"].shape == (1, 32, 6, 6)
    np.testing.assert_allclose(neuron["pool3"].sum(axis=(2, 3)), channel["pool3"], atol=0.15)


def test_keeping_all_and_removing_all_equal_hand_edited_models(tmp_path: Path) -> None:
    run = open_run(task(tmp_path, "shapley", 40, layers=["dense1/relu"], evaluations=100), SETTINGS)
    finish(run, tmp_path / "out")
    report = json.loads((tmp_path / "out" / "result.json").read_text())["report"]
    activation = finish(
        open_run(task(tmp_path, "activation", 40, layers=["dense1/relu"]), SETTINGS),
        tmp_path / "act",
    )
    mean = activation["dense1/relu"].mean(axis=0)
    assert report["v_full"] == pytest.approx(accuracy_with(tmp_path, {}, 40))
    assert report["v_empty"] == pytest.approx(
        accuracy_with(tmp_path, {"dense1/relu": mean[None]}, 40)
    )


def test_exact_shapley_of_groups_equals_permutations_within_their_intervals(tmp_path: Path) -> None:
    groups = tmp_path / "groups.json"
    members = {f"g{i}": {"conv3/relu": list(range(4 * i, 4 * i + 4))} for i in range(8)}
    groups.write_text(json.dumps(members))
    exact = finish(
        open_run(task(tmp_path, "shapley", 30, groups=groups, estimator="exact"), SETTINGS),
        tmp_path / "a",
    )
    sampled = finish(
        open_run(
            task(tmp_path, "shapley", 30, groups=groups, evaluations=900, estimator="permutation"),
            SETTINGS,
        ),
        tmp_path / "b",
    )
    assert exact["groups"].shape == (8,)
    error = sampled["groups/std_error"]
    assert np.all(np.abs(sampled["groups"] - exact["groups"]) <= 3.5 * error + 1e-12)
    report = json.loads((tmp_path / "b" / "result.json").read_text())["report"]
    assert abs(report["efficiency_gap"]) < 1e-9


@pytest.mark.parametrize(
    ("method", "options"),
    [
        ("activation", {}),
        ("conductance", {"layers": ["dense1/relu", "pool3"], "tolerance": 0.1}),
        ("shapley", {"layers": ["conv1/relu"], "evaluations": 300}),
        ("shapley", {"layers": ["conv1/relu"], "estimator": "permutation", "evaluations": 80}),
        ("ablation", {"layers": ["conv1/relu"], "evaluations": 120}),
    ],
)
def test_resumed_after_every_step_equals_undisturbed(
    tmp_path: Path, method: str, options: dict[str, Any]
) -> None:
    asked = task(tmp_path, method, 4, **options)
    whole = finish(open_run(asked, SETTINGS), tmp_path / "whole")
    first, second = open_run(asked, SETTINGS), open_run(asked, SETTINGS)
    steps = 0
    while not first.done:  # two processes take turns: each resumes from what the other left
        first.step()
        second.restore(first.checkpoint())
        first, second = second, first
        steps += 1
    resumed = finish(first, tmp_path / "resumed")
    assert steps > 0
    assert whole.keys() == resumed.keys()
    for name in whole:
        np.testing.assert_array_equal(resumed[name], whole[name])


def test_ablation_takes_the_ranking_of_another_run(tmp_path: Path) -> None:
    finish(
        open_run(
            task(
                tmp_path, "shapley", 20, layers=LAYERS[:1], estimator="permutation", evaluations=100
            ),
            SETTINGS,
        ),
        tmp_path / "ranking",
    )
    scores = finish(
        open_run(
            task(tmp_path, "ablation", 20, layers=LAYERS[:1], scores=tmp_path / "ranking", draws=2),
            SETTINGS,
        ),
        tmp_path / "out",
    )
    with np.load(tmp_path / "ranking" / "scores.npz") as ranking:
        np.testing.assert_allclose(scores["conv1/relu"], ranking["conv1/relu"])
    assert scores["curves/top"].shape == scores["curves/removed"].shape == (17,)
    assert scores["curves/random"].shape == (2, 17)


def test_options_without_meaning_are_said_and_not_swallowed(tmp_path: Path) -> None:
    run = open_run(task(tmp_path, "activation", 2, target="label"), SETTINGS)
    assert any("'target' was set, but has no meaning for activation" in note for note in run.notes)


@pytest.mark.parametrize(
    ("method", "options", "kind", "message"),
    [
        ("gradient", {"engine": "finite_difference"}, InvalidOption, "take conductance"),
        ("conductance", {"layers": ["conv9"]}, UnknownLayer, "conv9"),
        ("conductance", {"target": "6"}, InvalidOption, "classes 0 to 5"),
        ("conductance", {"target": "star"}, InvalidOption, "class index, argmax or label"),
        ("conductance", {"baseline": "nowhere.npy"}, InvalidOption, "nowhere.npy"),
        ("conductance", {"baseline": "black"}, InvalidOption, "--preprocess"),
        ("conductance", {"output": "nothing"}, UnknownLayer, "logits"),
        ("shapley", {"value": "beauty"}, InvalidOption, "accuracy"),
        ("shapley", {"evaluations": 10}, InvalidOption, "too few"),
        ("shapley", {"value": "cross_entropy", "score": "probability"}, InvalidOption, "logit"),
        ("divination", {}, InvalidOption, "conductance"),
    ],
)
def test_what_cannot_be_done_is_refused_by_name(
    tmp_path: Path, method: str, options: dict[str, Any], kind: type[MhoError], message: str
) -> None:
    with pytest.raises(kind, match=message):
        open_run(task(tmp_path, method, 2, **options), SETTINGS).progress()


def test_a_run_beyond_the_cost_limit_stops_with_the_estimate(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("mho.jobs.attribution._PROJECT_AFTER", 0.0)
    cheap = Settings(threads=1, provider="cpu", cost_limit_seconds=1e-3)
    run = open_run(task(tmp_path, "shapley", 10, layers=LAYERS, evaluations=2000), cheap)

    def steps() -> None:
        for _ in range(100):
            run.step()

    with pytest.raises(TooExpensive, match=r"estimated to take .* fewer layers .* accept the cost"):
        steps()
    run.accept_cost()
    run.step()


def test_the_result_tells_the_files_that_options_named(tmp_path: Path) -> None:
    groups = tmp_path / "groups.json"
    members = {f"group {i}": {"conv3/relu": [i]} for i in range(12)}
    groups.write_text(json.dumps(members))
    baseline = tmp_path / "start.npy"
    np.save(baseline, np.zeros((3, 48, 48), np.float32))
    asked = task(
        tmp_path,
        "shapley",
        4,
        groups=groups,
        baseline=baseline,
        evaluations=40,
        estimator="permutation",
    )
    run = open_run(asked, SETTINGS)
    assert any("'baseline' was set, but has no meaning for shapley" in note for note in run.notes)
    finish(run, tmp_path / "out")
    summary = json.loads((tmp_path / "out" / "result.json").read_text())
    assert summary["options"]["groups"] == "groups.json"
    assert summary["options"]["baseline"] == "start.npy"
    assert summary["attachments"]["groups"] == {
        "name": "groups.json",
        "digest": hashlib.sha256(groups.read_bytes()).hexdigest(),
    }
    assert summary["report"]["groups"] == list(members)


def test_a_resumed_run_counts_all_its_evaluations(tmp_path: Path) -> None:
    asked = task(tmp_path, "conductance", 2, layers=["pool3"], tolerance=0.1)
    whole, first, second = (open_run(asked, SETTINGS) for _ in range(3))
    finish(whole, tmp_path / "whole")
    for _ in range(3):
        first.step()
    second.restore(first.checkpoint())
    finish(second, tmp_path / "resumed")
    spent = [
        json.loads((tmp_path / name / "result.json").read_text())["evaluations"]
        for name in ("whole", "resumed")
    ]
    assert spent[0] == spent[1]
    assert spent[0]["gradient"] > 0


def test_a_target_that_labels_overrule_is_said(tmp_path: Path) -> None:
    run = open_run(task(tmp_path, "shapley", 2, target="3"), SETTINGS)
    assert any("value 'accuracy' judges by the labels" in note for note in run.notes)


def test_units_that_would_play_twice_are_said(tmp_path: Path) -> None:
    asked = task(tmp_path, "shapley", 2, layers=["dense1", "dense1/relu"])
    assert any(
        "dense1 holds units that play elsewhere" in n for n in open_run(asked, SETTINGS).notes
    )


def test_ablation_of_attacked_inputs_with_all_orders(tmp_path: Path) -> None:
    orders = ["activation", "weight_norm", "conductance", "gradient_x_activation"]
    run = open_run(
        task(
            tmp_path, "ablation", players="layers", masked="before", substitute="resample",
            attack="pgd", epsilon=0.2, attack_steps=5, orders=orders, draws=1,
        ),
        SETTINGS,
    )  # fmt: skip
    scores = finish(run, tmp_path / "out")
    summary = json.loads((tmp_path / "out" / "result.json").read_text())
    assert summary["report"]["groups"] == [layer["name"] for layer in summary["layers"]]
    players = len(summary["report"]["groups"])
    assert scores["groups"].shape == (players,)
    for order in orders:
        assert scores[f"curves/{order}"].shape == (players + 1,)
        assert scores[f"curves/{order}"][0] == summary["report"]["v_full"]
    attack = summary["report"]["attack"]
    assert attack["fooled_after"] > attack["fooled_before"]
    assert summary["report"]["v_full"] == pytest.approx(1 - attack["fooled_after"])
    assert len(summary["report"]["donors"]) == 12


def test_an_attack_beyond_the_limit_of_cost(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cost, "_PROJECT_AFTER", 0.0)
    small = replace(SETTINGS, memory_bytes=1, cost_limit_seconds=1e-9)  # one input at a time
    asked = task(tmp_path, "ablation", 3, layers=["dense1/relu"], attack="fgsm")
    with pytest.raises(TooExpensive, match="attack fgsm over 3 inputs is estimated to take"):
        open_run(asked, small)
    accepted = open_run(replace(asked, cost_accepted=True), small)
    assert accepted.evaluator.samples == 3
