"""Processes that die while they look at an upload: killed by whoever it was, or by the upload."""

from __future__ import annotations

import os
import signal

import pytest

from jobs.server import TENANT, model, upload
from mho.errors import InvalidModel, Unavailable
from mho.jobs import inspection
from mho.jobs.control import Control
from mho.jobs.messages import Message, PipeClosed
from mho.jobs.processes import WorkerProcess


class Dying(WorkerProcess):
    """Dies of the next ``deaths`` requests."""

    deaths = 0

    def send(self, message: Message) -> None:
        if message["kind"] == "inspect_model" and Dying.deaths:
            Dying.deaths -= 1
            os.kill(self.pid, signal.SIGKILL)
        super().send(message)


class Stillborn(WorkerProcess):
    def ready(self) -> None:
        raise PipeClosed("nobody there")


def test_a_killed_inspector_is_not_the_models_fault(
    server: Control, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(inspection, "WorkerProcess", Dying)
    Dying.deaths = 1
    assert model(server)
    Dying.deaths = 2
    digest = upload(server, b"toy bomb")
    with pytest.raises(InvalidModel, match=r"checking 'm.onnx' ended the process .*, twice"):
        server.create_model(TENANT, display_name="", files={"m.onnx": digest}, main="m.onnx")
    assert Dying.deaths == 0
    server.create_model(TENANT, display_name="", files={"m.onnx": digest}, main="m.onnx")


def test_an_inspector_that_does_not_start_is_the_servers_fault(
    server: Control, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(inspection, "WorkerProcess", Stillborn)
    with pytest.raises(Unavailable, match="do not start; try again soon"):
        model(server)
    monkeypatch.undo()
    assert model(server)
