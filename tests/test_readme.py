"""Every command and every line of Python in the README is run, in its order."""

from __future__ import annotations

import os
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import shapes

README = (Path(__file__).resolve().parents[1] / "README.md").read_text(encoding="utf-8")
ELSEWHERE = ("make", "pip")  # set-up: CI runs the one, the Dockerfile's steps the other


def blocks(language: str = "") -> list[str]:
    """The fenced blocks of the README that are marked as ``language``."""
    return re.findall(rf"^```{language}\n(.*?)^```", README, flags=re.DOTALL | re.MULTILINE)


def commands() -> list[list[str]]:
    """The lines of the shell blocks, continued lines joined, comments left out."""
    lines = "".join(blocks()).replace("\\\n", " ").splitlines()
    return [words for line in lines if (words := shlex.split(line, comments=True))]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """What the README takes for granted: model.onnx, inputs.npy, labels.npy and pictures/."""
    shutil.copy(shapes.MODEL, tmp_path / "model.onnx")
    shapes.inputs(tmp_path, 12)
    module = shapes.drawing_module()
    module.write_folder(module.draw(4, 3, "shuffled"), tmp_path / "pictures")
    return tmp_path


def test_the_commands_and_the_client_of_the_readme_work(folder: Path) -> None:
    environment = {**os.environ, "MHO_THREADS": "1", "MHO_PROVIDER": "cpu"}
    program = [sys.executable, "-m", "mho.cli"]
    ran = []
    server: subprocess.Popen[str] | None = None
    try:
        for words in commands():
            if words[0] in ELSEWHERE:
                continue
            assert words[0] == "mho", words
            if words[1] == "serve":
                server = subprocess.Popen(
                    [*program, *words[1:]],
                    cwd=folder,
                    env=environment,
                    stdout=subprocess.PIPE,
                    stderr=subprocess.DEVNULL,
                    text=True,
                )
                assert server.stdout is not None
                if not server.stdout.readline():
                    pytest.skip("port 50061, which the README uses, is taken on this machine")
                continue
            done = subprocess.run(
                [*program, *words[1:]], cwd=folder, env=environment, capture_output=True, text=True
            )
            assert done.returncode == 0, (words, done.stderr)
            ran.append(words[1])
        for source in blocks("python"):
            done = subprocess.run(
                [sys.executable, "-c", source], cwd=folder, capture_output=True, text=True
            )
            assert done.returncode == 0, done.stderr
            assert len(done.stdout.splitlines()) == 10
    finally:
        if server is not None:
            server.terminate()
            server.wait(timeout=60)
            assert server.stdout is not None
            server.stdout.close()
    assert {"layers", "methods", "run", "submit", "list"} <= set(ran)
    written = {path.parent.name for path in (folder / "results").glob("*/result.json")}
    assert {"shapley", "conductance", "ablation", "served"} <= written
    here, there = (
        np.load(folder / "results" / name / "scores.npz")["conv1/relu"]
        for name in ("shapley", "served")
    )
    np.testing.assert_array_equal(here, there)
