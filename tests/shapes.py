"""The example's model and pictures, for tests that want a real model with planted truth."""

from __future__ import annotations

import importlib.util
import sys
from functools import cache
from pathlib import Path
from types import ModuleType

import numpy as np

FOLDER = Path(__file__).resolve().parents[1] / "examples" / "shapes"
MODEL = FOLDER / "shapes.onnx"
PREPROCESS = FOLDER / "preprocess.yaml"


@cache
def drawing_module() -> ModuleType:
    """``examples/shapes/draw.py``, which belongs to no package."""
    spec = importlib.util.spec_from_file_location("shapes_draw", FOLDER / "draw.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


def inputs(folder: Path, count: int, seed: int = 5) -> tuple[Path, Path]:
    """``count`` pictures as the model's own arrays, and their labels, as .npy files in
    ``folder``."""
    drawn = drawing_module().draw(count, seed, "shuffled")
    pixels = drawn.images.astype(np.float32).transpose(0, 3, 1, 2)
    np.save(folder / "inputs.npy", (pixels / 255 - 0.5) / 0.5)
    np.save(folder / "labels.npy", drawn.labels)
    return folder / "inputs.npy", folder / "labels.npy"


def pictures(folder: Path, count: int, seed: int = 5) -> Path:
    """``count`` pictures with their labels as a ZIP in ``folder``."""
    module = drawing_module()
    module.write_zip(module.draw(count, seed, "shuffled"), folder / "pictures.zip")
    return folder / "pictures.zip"
