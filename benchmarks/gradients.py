"""The gradient graph beside torch and Captum, on the same weights and photographs, in one run.

    python benchmarks/gradients.py [--threads 2] [--repeats 5] [--photographs 1] [--all]

Backward: time of forward and backward (gradients with respect to all convolutions, from one logit)
over time of the forward pass alone, for the gradient graph in onnxruntime and for torch eager.

Conductance: CPU seconds, peak memory and completeness gap of mho for all convolutions of SqueezeNet
in one pass, and for one, against Captum's LayerConductance, one layer after the other; Captum's
steps are doubled until its own gap is within the same tolerance, layer by layer. Captum is run on
every fourth cut of the graph, and its cost for all convolutions is told from these; ``--all`` runs
it on all of them, for half an hour a photograph. Every measurement of conductance is a process of
its own, so that peak memory means something.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx_ir as ir
from cases import ROOT, SHARED, machine, ratios, row, spread, table

from mho.config import Settings
from mho.data.source import Source
from mho.graph.backward import slopes
from mho.graph.cut import pruned
from mho.graph.emit import Emitter, tensor_named
from mho.graph.load import load
from mho.graph.model import Model
from mho.graph.target import SCORES, TARGET, TARGET_SCORE, scored, targeted
from mho.jobs.attribution import open_run
from mho.jobs.task import Task
from mho.runtime.session import Sessions

PREPROCESS = "{crop: 227, channels: BGR, mean: [104, 117, 123]}"
SQUEEZENET = SHARED / "squeezenet1.0.onnx"
TOLERANCE = 0.01
ONE_LAYER = "fire5/concat"
_BATCH = 8
_FIRST_STEPS, _MOST_STEPS = 50, 1600


def main() -> None:
    """Print two tables in Markdown; or, as a child process, one measurement as JSON."""
    arguments = argparse.ArgumentParser(description="the gradient graph beside torch and Captum")
    arguments.add_argument("--threads", type=int, default=2)
    arguments.add_argument("--repeats", type=int, default=5)
    arguments.add_argument("--photographs", type=int, default=1)
    arguments.add_argument("--all", action="store_true")
    arguments.add_argument("--child", default="", help=argparse.SUPPRESS)
    given = arguments.parse_args()
    if given.child:
        print(json.dumps(_child(json.loads(given.child))))
        return
    print(machine(given.threads), end="\n\n")
    backward(given.threads, given.repeats)
    if SQUEEZENET.exists():
        print()
        conductance(given.threads, given.photographs, every=1 if given.all else 4)


# forward and backward


def backward(threads: int, repeats: int) -> None:
    """The first table."""
    table(
        [
            "model",
            "rows a batch",
            "mho: forward + backward / forward",
            "range",
            "torch: forward + backward / forward",
            "range",
            "torch / mho, forward + backward",
            "range",
        ]
    )
    for name, model, shape in _networks():
        row([name, _BATCH, *_backward(model, shape, threads, repeats)])


def _backward(model: Model, shape: tuple[int, ...], threads: int, repeats: int) -> list[str]:
    convolutions = [n.outputs[0].name or "" for n in model.graph if n.op_type == "Conv"]
    plain = pruned(scored(model))
    sessions = Sessions(Settings(threads=threads, provider="cpu"))
    whole = sessions.get(plain)
    both = sessions.get(_differentiated(plain, convolutions))
    rows = np.random.default_rng(0).normal(size=(_BATCH, *shape)).astype(np.float32)
    (fed,) = (spec.name for spec in plain.inputs)
    feeds = {fed: rows, TARGET: np.zeros(_BATCH, dtype=np.int64)}

    def ours_forward() -> object:
        return whole.run(feeds)

    def ours() -> object:
        return both.run(feeds)

    forward, theirs = _torch_sides(plain, convolutions, rows, threads)
    return [
        *spread(ratios(ours, ours_forward, repeats)),
        *spread(ratios(theirs, forward, repeats)),
        *spread(ratios(theirs, ours, repeats)),
    ]


def _networks() -> list[tuple[str, Model, tuple[int, ...]]]:
    found = []
    if SQUEEZENET.exists():
        found.append(("SqueezeNet 1.0", load(SQUEEZENET), (3, 227, 227)))
    sys.path.insert(0, str(ROOT / "tests"))
    from graph.light import light
    from graph.nets import loaded
    from mho.graph.batch import symbolic

    residual = loaded(light("resnet50"))
    found.append(("ResNet-50", symbolic(residual) or residual, (3, 224, 224)))
    return found


def _differentiated(model: Model, layers: list[str]) -> Model:
    """``model`` with the means of the gradients at ``layers`` as outputs: small, but needed."""

    def rewrite(copy: ir.Model) -> None:
        graph = copy.graph
        emit = Emitter(graph, "benchmark")
        target = tensor_named(graph, TARGET_SCORE)
        values = [tensor_named(graph, name) for name in layers]
        found = slopes(graph, emit, target, values)
        for value, term in found.items():
            mean = term.sum([1, 2, 3], keepdims=False)
            emit.output(mean.value, f"gradient/{value.name}", ir.DataType.FLOAT, ("N",))
        graph.sort()

    return pruned(targeted(model).rewritten(rewrite))


def _torch_sides(
    model: Model, layers: list[str], rows: Any, threads: int
) -> tuple[Callable[[], object], Callable[[], object]]:
    import torch
    from torch_twin import Twin

    torch.set_num_threads(threads)
    twin = Twin(model, model.graph.outputs[0].name or SCORES)
    given = torch.from_numpy(rows)
    held: list[Any] = []
    for name in layers:
        twin.layer(name).register_forward_hook(
            lambda _module, _given, made: held.append(made) if made.requires_grad else None
        )

    def forward() -> object:
        with torch.no_grad():
            return twin(given)

    def both() -> object:
        held.clear()
        score = twin(given.clone().requires_grad_())[:, 0].sum()
        return torch.autograd.grad(score, held)

    return forward, both


# conductance


def conductance(threads: int, photographs: int, every: int) -> None:
    """The second table."""
    table(
        [
            "what",
            "who",
            "CPU seconds a photograph",
            "peak memory, MiB",
            "points a path",
            "median gap |Σ - ΔF| / |ΔF|",
            "largest",
        ]
    )
    layers = [n.outputs[0].name or "" for n in load(SQUEEZENET).graph if n.op_type == "Conv"]
    for what, names in ((f"{len(layers)} convolutions", layers), (ONE_LAYER, [ONE_LAYER])):
        asked = {"layers": names, "threads": threads, "photographs": photographs, "every": every}
        found = {who: _measured({**asked, "who": who}) for who in ("mho", "captum")}
        for who, entry in found.items():
            gap = np.array(entry["gap"])
            row(
                [
                    what,
                    who,
                    f"{entry['cpu'] / photographs:.1f}",
                    f"{entry['memory']:,.0f}",
                    entry["points"],
                    f"{100 * np.median(gap):.2f} %",
                    f"{100 * gap.max():.2f} %",
                ]
            )
        ratio = found["captum"]["cpu"] / found["mho"]["cpu"]
        print(f"\nCaptum / mho, {what}: {ratio:.1f} times the CPU\n", flush=True)


def _measured(asked: dict[str, Any]) -> dict[str, Any]:
    made = subprocess.run(
        [sys.executable, __file__, "--child", json.dumps(asked)], stdout=subprocess.PIPE, check=True
    )
    found: dict[str, Any] = json.loads(made.stdout.splitlines()[-1])
    return found


def _child(asked: dict[str, Any]) -> dict[str, Any]:
    found = (_mho if asked["who"] == "mho" else _captum)(asked)
    found["memory"] = _memory("VmHWM") - found["memory"]
    return found


def _memory(kind: str) -> float:
    """MiB that this process holds (``VmRSS``), or held at most (``VmHWM``); Linux alone tells."""
    lines = Path("/proc/self/status").read_text().splitlines()
    (line,) = (line for line in lines if line.startswith(kind))
    return int(line.split()[1]) / 1024


def _photographs(count: int, folder: Path) -> None:
    """``count`` photographs at even steps, with labels, as a folder of images."""
    source = SHARED / "imagenet600"
    lines = (source / "labels.tsv").read_text().splitlines()
    head, rows = lines[0], lines[1:]
    chosen = [rows[i] for i in np.linspace(0, len(rows) - 1, count).astype(int)]
    for line in chosen:
        name = line.split("\t")[0]
        (folder / name).write_bytes((source / name).read_bytes())
    (folder / "labels.tsv").write_text("\n".join([head, *chosen]) + "\n")


def _opened(asked: dict[str, Any], folder: Path) -> Any:
    _photographs(asked["photographs"], folder)
    options = {"layers": asked["layers"], "engine": "gradient", "tolerance": TOLERANCE}
    task = Task(
        "conductance",
        options,
        SQUEEZENET,
        Source(folder, preprocess=PREPROCESS),
        cost_accepted=True,
    )
    return open_run(task, Settings(threads=asked["threads"], provider="cpu"))


def _mho(asked: dict[str, Any]) -> dict[str, Any]:
    with tempfile.TemporaryDirectory() as name:
        run = _opened(asked, Path(name))
    before, memory = time.process_time(), _memory("VmRSS")
    while not run.done:
        run.step()
    spent = time.process_time() - before
    result = run.result()
    gap = [
        abs(total - difference) / abs(difference)
        for entry in result.completeness
        for total, difference in zip(entry.total, entry.difference, strict=True)
    ]
    points = f"{result.evaluations['gradient'] / asked['photographs']:.0f} in all"
    return {"cpu": spent, "memory": memory, "points": points, "gap": gap}


def _captum(asked: dict[str, Any]) -> dict[str, Any]:
    import torch
    from captum.attr import LayerConductance
    from torch_twin import Twin

    torch.set_num_threads(asked["threads"])
    with tempfile.TemporaryDirectory() as name:
        run = _opened({**asked, "layers": [ONE_LAYER]}, Path(name))
        lines = run.evaluator._lines
    end = torch.from_numpy(np.array(lines.end["data"]))
    start = torch.from_numpy(np.array(lines.start["data"]))
    target = torch.from_numpy(lines.fixed[TARGET])
    twin = Twin(load(SQUEEZENET), "logits")
    with torch.no_grad():
        columns = torch.arange(len(end))
        change = (twin(end)[columns, target] - twin(start)[0, target]).numpy()
    memory = _memory("VmRSS")
    cuts = list(dict.fromkeys(_cut_of(layer) for layer in asked["layers"]))
    tried = cuts[:: asked["every"]]
    cpu, steps_taken, gaps = 0.0, [], []
    for cut in tried:
        steps = _FIRST_STEPS
        while True:
            before = time.process_time()
            total = np.zeros(len(end))
            for layer in cut:
                method = LayerConductance(twin, twin.layer(layer))
                for i in range(len(end)):
                    scores = method.attribute(
                        end[i : i + 1],
                        start,
                        target=target[i : i + 1],
                        n_steps=steps,
                        internal_batch_size=_BATCH,
                    )
                    total[i] += float(scores.detach().sum())
            taken = time.process_time() - before
            gap = np.abs(total - change) / np.abs(change)
            if gap.max() <= TOLERANCE or steps >= _MOST_STEPS:
                break
            steps *= 2
        cpu += taken  # of the number of steps that was enough, as if it had been known
        steps_taken.append(steps)
        gaps += gap.tolist()
    share = sum(len(cut) for cut in cuts) / sum(len(cut) for cut in tried)
    points = f"{min(steps_taken)} to {max(steps_taken)} for each layer"
    return {"cpu": cpu * share, "memory": memory, "points": points, "gap": gaps}


def _cut_of(layer: str) -> tuple[str, ...]:
    """The convolutions that together cut the graph: the two expanding ones of a fire module."""
    if layer.endswith(("conv1x1_2", "conv3x3_2")):
        stem = layer.rpartition("/")[0]
        return (f"{stem}/conv1x1_2", f"{stem}/conv3x3_2")
    return (layer,)


if __name__ == "__main__":
    main()
