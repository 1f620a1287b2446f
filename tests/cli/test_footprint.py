"""What the control process holds: never what parses or runs a model, and little memory."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import psutil

import shapes
from mho_client import Client

SERVE = """
import atexit, sys
from mho.cli import main
atexit.register(lambda: sys.stdout.write(" ".join(sys.modules)))
main(["serve", "--port", "0", "--data-dir", sys.argv[1]])
"""
FOR_WORKERS = {"onnx", "onnx_ir", "onnxruntime", "matplotlib", "torch"}
MOST_BYTES = 150e6


def test_a_server_keeps_out_of_models(tmp_path: Path) -> None:
    inputs, _ = shapes.inputs(tmp_path, 2)
    server = subprocess.Popen(
        [sys.executable, "-c", SERVE, tmp_path / "data"],
        env=os.environ | {"MHO_THREADS": "1", "MHO_PROVIDER": "cpu"},
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    try:
        assert server.stdout is not None
        address = server.stdout.readline().split()[-1]
        idle = psutil.Process(server.pid).memory_info().rss
        assert idle < MOST_BYTES, f"{idle / 1e6:.0f} MB"
        with Client(address) as client:
            model = client.upload_model(shapes.MODEL)
            data = client.upload_dataset(model, inputs)
            result = client.submit("activation", model, data, layers=["conv1/relu"]).result()
            assert np.isfinite(result.scores["conv1/relu"]).all()
        server.send_signal(signal.SIGTERM)
        modules = {name.partition(".")[0] for name in server.communicate(timeout=60)[0].split()}
    finally:
        server.kill()
        server.wait()
    assert "grpc" in modules
    assert not modules & FOR_WORKERS
