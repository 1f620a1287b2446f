"""What a result's files say besides the result itself: what was asked, of what, and by what."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from mho.evaluation import Layer
from mho.types import JSON, IntArray

Picture = NDArray[np.uint8]
"""``(height, width, 3)``, RGB."""


def no_pictures(index: int) -> Picture | None:
    """The inputs cannot be shown."""
    del index
    return None


@dataclass(frozen=True)
class Context:
    """The circumstances of one run.

    method, options: what was asked; the options by field name of the method.
    engine, why: how derivatives were had, and the reason; both empty where none are needed.
    model_digest, data_digest: SHA-256, hex. model_name, data_name: what the user called them.
    layers: the scored layers by tensor name, in the order of the graph.
    names: of the inputs. labels: ``(inputs,)`` or None. class_names: class index -> name.
    seconds: wall clock of the run. provider: what onnxruntime ran on.
    versions: of mho and of what it rests on.
    pictures: index of an input -> the picture to show of it, or None.
    attachments: option -> ``{"name", "digest"}`` of the file that it named.
    """

    method: str
    options: Mapping[str, JSON]
    seed: int
    engine: str
    why: str
    model_digest: str
    data_digest: str
    layers: Mapping[str, Layer]
    names: tuple[str, ...]
    labels: IntArray | None = None
    class_names: Mapping[int, str] = field(default_factory=dict)
    seconds: float = 0.0
    provider: str = ""
    versions: Mapping[str, str] = field(default_factory=dict)
    pictures: Callable[[int], Picture | None] = no_pictures
    model_name: str = ""
    data_name: str = ""
    attachments: Mapping[str, Mapping[str, str]] = field(default_factory=dict)

    def input_name(self, index: int) -> str:
        """What input ``index`` is called."""
        return self.names[index] if index < len(self.names) else str(index)

    def class_name(self, index: int) -> str | None:
        """The class of input ``index`` in words; None without labels."""
        if self.labels is None or index >= len(self.labels):
            return None
        label = int(self.labels[index])
        return self.class_names.get(label, f"class {label}")

    def sample(self, inputs: int, most: int) -> IntArray:
        """Up to ``most`` of ``inputs`` inputs, at even steps over the data, sorted by label."""
        count = min(most, inputs)
        shown = np.unique(np.linspace(0, inputs - 1, count).round().astype(np.int64))
        if self.labels is not None and len(self.labels) >= inputs:
            shown = shown[np.argsort(self.labels[shown], kind="stable")]
        return shown
