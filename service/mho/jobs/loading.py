"""Models are read within the limits of the settings."""

from __future__ import annotations

from pathlib import Path

from mho.config import Settings
from mho.graph import load as loading
from mho.graph.load import Limits
from mho.graph.model import Model


def load_model(path: Path, settings: Settings) -> Model:
    """The model at ``path``; InvalidModel."""
    limits = Limits(
        max_bytes=settings.max_model_bytes,
        max_nodes=settings.max_nodes,
        max_nesting=settings.max_nesting,
    )
    return loading.load(path, limits)
