"""Where a data set lies."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class Source:
    """Files of a data set, as a user names them.

    inputs: .npy (one graph input), .npz (keyed by graph input name; further keys ``labels``,
        ``targets``, ``groups/<name>``, ``concepts/<name>``), a folder of images or a ZIP of one.
    labels: .npy ``(inputs,)`` of integers, or .tsv with the columns ``file`` and ``label``; .npy
        ``(inputs, outputs)`` of floats, the targets of a regressor.
    preprocess: a spec as YAML or JSON text, a file that holds one, or the name of a preset; images
        need one.
    """

    inputs: Path
    labels: Path | None = None
    preprocess: str | None = None

    def to_json(self) -> dict[str, Any]:
        return {
            "inputs": str(self.inputs),
            "labels": None if self.labels is None else str(self.labels),
            "preprocess": self.preprocess,
        }

    @staticmethod
    def from_json(value: Mapping[str, Any]) -> Source:
        labels = value.get("labels")
        return Source(
            inputs=Path(value["inputs"]),
            labels=None if labels is None else Path(labels),
            preprocess=value.get("preprocess"),
        )
