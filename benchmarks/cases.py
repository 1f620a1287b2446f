"""The models that are measured, with inputs for them, and how two things are timed fairly."""

from __future__ import annotations

import math
import platform
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

import numpy as np

from mho.runtime.provider import CPU
from mho.types import Array

ROOT = Path(__file__).resolve().parents[1]
SHARED = ROOT.parent / "shared" / "data"
_LEAST_SECONDS = 0.15


@dataclass(frozen=True)
class Case:
    """A model with one input.

    shape: of the input without its batch. words: how many words a token model knows, 0 where the
    input is floats. layers: some that cut the graph, from early to late. samples: inputs of a game.
    """

    name: str
    model: Path
    shape: tuple[int, ...]
    layers: tuple[str, ...]
    words: int = 0
    samples: int = 16

    def inputs(self, count: int) -> Array:
        """``(count, *shape)``, the same on every call. Time does not depend on what is in them."""
        generator = np.random.default_rng(1)
        if self.words:
            return generator.integers(self.words, size=(count, *self.shape))
        return generator.normal(size=(count, *self.shape)).astype(np.float32)


_ALL = (
    Case(
        "shapes (the example)",
        ROOT / "examples/shapes/shapes.onnx",
        (3, 48, 48),
        ("conv1/relu", "conv3/relu", "dense1/relu"),
        samples=64,
    ),
    Case(
        "SqueezeNet 1.0",
        SHARED / "squeezenet1.0.onnx",
        (3, 227, 227),
        ("fire5/concat", "fire9/concat"),
        samples=8,
    ),
    Case(
        "text CNN",
        SHARED / "textcnn_mr.onnx",
        (64,),
        ("cat",),
        words=5000,
        samples=64,
    ),
)


def present() -> list[Case]:
    """Those whose model is here."""
    return [case for case in _ALL if case.model.exists()]


def ratios(above: Callable[[], object], below: Callable[[], object], repeats: int) -> list[float]:
    """Time of ``above`` over time of ``below``, pair by pair, after one of each to warm up.

    Whatever else the machine does meets both sides of a pair, and the pair that it upsets is one of
    many; so the median of the ratios is steadier than the ratio of two medians.
    """
    above()
    below()
    first, second = often_enough(above), often_enough(below)
    return [seconds(above, first) / seconds(below, second) for _ in range(repeats)]


def often_enough(work: Callable[[], object]) -> int:
    """How often to repeat ``work`` in one measurement for the clock and the scheduler not to show.

    ``work`` is warm: it has run before.
    """
    return max(1, math.ceil(_LEAST_SECONDS / seconds(work)))


def seconds(work: Callable[[], object], times: int = 1) -> float:
    """Wall clock of ``work``, the mean over ``times`` calls in a row."""
    started = time.perf_counter()
    for _ in range(times):
        work()
    return (time.perf_counter() - started) / times


def spread(values: Sequence[float]) -> tuple[str, str]:
    """The median, and the smallest and largest, as two cells."""
    return f"{np.median(values):.2f}", f"{min(values):.2f} to {max(values):.2f}"


def table(head: Sequence[str]) -> None:
    """Print the head of a table in Markdown."""
    row(head)
    row(["---"] * len(head))


def row(cells: Sequence[object]) -> None:
    """Print a row; at once, because the next one may take a minute."""
    print("| " + " | ".join(str(cell) for cell in cells) + " |", flush=True)


def machine(threads: int) -> str:
    """What was measured on, in a line."""
    return (
        f"{time.strftime('%Y-%m-%d')}, {platform.machine()}, onnxruntime "
        f"{version('onnxruntime')} ({CPU}), {threads} thread{'s' * (threads > 1)}"
    )
