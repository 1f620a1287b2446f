"""What is to be computed: a method with options, a model, data, and files that options name."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from mho.data.source import Source
from mho.types import JSON


@dataclass(frozen=True)
class Task:
    """One attribution, ready to run on this machine.

    options: by field name of the method, as JSON. An option that names a file (``baseline``,
        ``substitute``, ``reference``, ``groups``, ``scores``) holds any text that is no keyword.
    attachments: the option's name -> that file; for ``reference``, what ``--inputs`` takes.
    cost_accepted: run even where the estimate is beyond the limit.
    """

    method: str
    options: Mapping[str, JSON]
    model: Path
    data: Source
    attachments: Mapping[str, Path] = field(default_factory=dict)
    cost_accepted: bool = False

    def to_json(self) -> dict[str, Any]:
        return {
            "method": self.method,
            "options": dict(self.options),
            "model": str(self.model),
            "data": self.data.to_json(),
            "attachments": {name: str(path) for name, path in self.attachments.items()},
            "cost_accepted": self.cost_accepted,
        }

    @staticmethod
    def from_json(value: Mapping[str, Any]) -> Task:
        return Task(
            method=value["method"],
            options=value["options"],
            model=Path(value["model"]),
            data=Source.from_json(value["data"]),
            attachments={name: Path(path) for name, path in value["attachments"].items()},
            cost_accepted=bool(value["cost_accepted"]),
        )
