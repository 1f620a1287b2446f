"""Stands in for ``mho.jobs.attribution`` in a worker: a run that sums numbers from a seeded RNG.

The option ``behaviour`` says what happens when: ``crash@3`` kills the process in step 3,
``hang@3`` sleeps for a minute, ``raise@3`` raises a plain error, ``mho@3`` a domain error,
``memory@3`` a MemoryError, ``full@3`` a full disk, ``noise@3`` writes rubbish into the pipe,
``link@3`` leaves a link in the result, ``say@3`` prints a line, ``unkept@3`` has no room for
checkpoints from then on, ``cramped@2`` none for the result twice, ``roomless@3`` none ever, and
does not wait for it.
``once`` in front (``once-crash@3``) means in the first attempt only.
"""

from __future__ import annotations

import errno
import hashlib
import json
import os
import signal
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from mho.config import Settings
from mho.data.source import Source
from mho.errors import InvalidData, InvalidModel, TooExpensive
from mho.jobs import checkpoint, run_loop
from mho.jobs.task import Task
from mho.method import Progress


def no_room(*_: Any, **__: Any) -> None:
    raise OSError(errno.ENOSPC, "No space left on device", "/somewhere")


class Run:
    state_version = "toy-1"
    notes = ("the toy was wound up",)

    def __init__(self, task: Task, settings: Settings) -> None:
        options = task.options
        self.total = int(options.get("steps", 10))
        self.pause = float(options.get("pause", 0.0))
        self.seed = int(options.get("seed", 0))
        what, _, at = str(options.get("behaviour", "")).partition("@")
        self.what, self.at = what.removeprefix("once-"), int(at or -1)
        self.once = what.startswith("once-")
        self.marker = (
            task.model.parent.parent
            / f"marker-{hashlib.sha256(repr(options).encode()).hexdigest()[:8]}"
        )
        self.data = task.data.inputs.read_bytes()
        self.attached = {name: path.read_bytes() for name, path in task.attachments.items()}
        self.count = 0
        self.sums = np.zeros(8)

    def progress(self) -> Progress:
        return Progress(self.count, self.total, "steps", f"pid {os.getpid()}")

    @property
    def done(self) -> bool:
        return self.count >= self.total

    def step(self) -> None:
        if self.pause:
            time.sleep(self.pause)
        if self.count == self.at and not (self.once and self.marker.exists()):
            if self.once:
                self.marker.touch()
            self.misbehave()
        draws = np.random.Generator(np.random.Philox(key=self.seed, counter=[0, 0, 0, self.count]))
        self.sums = self.sums + draws.normal(size=8)
        self.count += 1

    def misbehave(self) -> None:
        if self.what == "crash":
            os.kill(os.getpid(), signal.SIGKILL)
        elif self.what == "hang":
            time.sleep(60)
        elif self.what == "raise":
            raise RuntimeError("secret of the server")
        elif self.what == "mho":
            raise TooExpensive(
                "the estimate is 10 h; choose fewer layers with layers", subject="layers"
            )
        elif self.what == "memory":
            raise MemoryError
        elif self.what == "full":
            raise OSError(errno.ENOSPC, "No space left on device", "/somewhere")
        elif self.what == "unkept":
            checkpoint.save = no_room
        elif self.what == "roomless":
            run_loop._ROOM_SECONDS = 0.0
        elif self.what == "say":
            sys.stderr.write("the toy speaks\n")
        elif self.what == "noise":
            os.write(int(sys.argv[1]), b"\x00\x00\x00\x05rubbi")
            time.sleep(60)

    def checkpoint(self) -> dict[str, np.ndarray]:
        return {"count": np.asarray(self.count), "a/b\x1fsums": self.sums}

    def restore(self, arrays: Mapping[str, np.ndarray]) -> None:
        self.count = int(arrays["count"])
        self.sums = np.asarray(arrays["a/b\x1fsums"])

    def write(self, folder: Path) -> None:
        summary = {"steps": self.count, "attached": sorted(self.attached), "data": len(self.data)}
        (folder / "result.json").write_text(json.dumps(summary))
        if self.what == "cramped" and self.at:
            self.at -= 1
            no_room()
        if self.what == "roomless":
            no_room()
        np.savez(folder / "scores.npz", layer=self.sums)
        (folder / "pictures").mkdir()
        (folder / "pictures" / "units.png").write_bytes(b"\x89PNG")
        if self.what == "link":
            (folder / "passwd").symlink_to("/etc/passwd")


def open_run(task: Task, settings: Settings) -> Run:
    return Run(task, settings)


def inspect_model(path: Path, settings: Settings) -> dict[str, Any]:
    content = path.read_bytes()
    if content.startswith(b"hang"):
        time.sleep(60)
    if content.startswith(b"crash"):
        os.kill(os.getpid(), signal.SIGKILL)
    if content.startswith(b"raise"):
        raise RuntimeError(f"secret {path}")
    if not content.startswith(b"toy"):
        raise InvalidModel(f"{path} is no toy model, see {path.parent}", subject=str(path))
    return {"digest": hashlib.sha256(content).hexdigest(), "layers": [], "pid": os.getpid()}


def inspect_data(model: Path, source: Source, settings: Settings) -> dict[str, Any]:
    content = source.inputs.read_bytes()
    assert model.read_bytes().startswith(b"toy")
    if b"bad" in content:
        raise InvalidData(f"{source.inputs} does not fit {model}", subject=source.inputs.name)
    return {
        "digest": hashlib.sha256(content).hexdigest(),
        "inputs": 3,
        "labels": bool(source.labels),
    }
