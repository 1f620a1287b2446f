"""``kill -9`` of a real server in the middle of a real job: the job goes on to the same arrays."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

import shapes
from mho.cli import main
from mho_client import Client, MhoClientError

ENVIRONMENT = {
    **os.environ,
    "MHO_THREADS": "1",
    "MHO_PROVIDER": "cpu",
    "MHO_CHECKPOINT_SECONDS": "0.05",
}


def serve(data_dir: Path, port: int = 0) -> tuple[subprocess.Popen[str], str]:
    """A server in a process group of its own, and its address."""
    process = subprocess.Popen(
        [sys.executable, "-m", "mho.cli", "serve", "--port", str(port), "--data-dir", data_dir],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        env=ENVIRONMENT,
        start_new_session=True,
    )
    assert process.stdout is not None
    return process, process.stdout.readline().split()[-1]


@pytest.mark.parametrize("share", [0.05, 0.4, 0.8])
def test_a_killed_server_loses_nothing(
    tmp_path: Path, share: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    inputs, labels = shapes.inputs(tmp_path, 24)
    options = {"layers": ["conv1/relu", "conv2/relu"], "value": "cross_entropy", "evaluations": 400}
    server, address = serve(tmp_path / "data")
    try:
        with Client(address) as client:
            model = client.upload_model(shapes.MODEL)
            data = client.upload_dataset(model, inputs, labels=labels)
            job = client.submit("shapley", model, data, **options)
            for event in job.watch(timeout=60):
                if event.progress is not None and event.progress.fraction >= share:
                    break
            os.killpg(server.pid, signal.SIGKILL)
            server.wait()
            server.stdout.close()  # type: ignore[union-attr]
        server, address = serve(tmp_path / "data")
        with Client(address) as client:
            resumed = client.job(job.name)
            status = resumed.wait(timeout=60)
            assert status.state == "SUCCEEDED"
            found = resumed.result()
            assert [other.name for other in client.jobs()] == [job.name]
    finally:
        server.terminate()
        server.wait(timeout=60)
        server.stdout.close()  # type: ignore[union-attr]
    monkeypatch.setenv("MHO_THREADS", "1")
    monkeypatch.setenv("MHO_PROVIDER", "cpu")
    line = ["run", "shapley", shapes.MODEL, "--inputs", inputs, "--labels", labels,
            "--out", tmp_path / "local",
            "--layers", *options["layers"], "--value", "cross_entropy", "--evaluations", 400]  # type: ignore[misc]  # fmt: skip
    assert main([str(word) for word in line]) == 0
    with np.load(tmp_path / "local" / "scores.npz") as undisturbed:
        for layer in options["layers"]:  # type: ignore[attr-defined]
            np.testing.assert_array_equal(found.scores[layer], undisturbed[layer])
            np.testing.assert_array_equal(found.std_error[layer], undisturbed[f"{layer}/std_error"])


def test_workers_die_with_their_server(tmp_path: Path) -> None:
    inputs, labels = shapes.inputs(tmp_path, 24)
    server, address = serve(tmp_path / "data")
    with Client(address, retry_seconds=0) as client:
        model = client.upload_model(shapes.MODEL)
        data = client.upload_dataset(model, inputs, labels=labels)
        job = client.submit("shapley", model, data, evaluations=1_000_000, accept_cost=True)
        next(event for event in job.watch(timeout=60) if event.progress is not None)
        children = _descendants(server.pid)
        assert children
        os.kill(server.pid, signal.SIGKILL)
        server.wait()
        server.stdout.close()  # type: ignore[union-attr]
        with pytest.raises(MhoClientError):
            job.status()
    end = time.monotonic() + 20
    while any(_alive(pid) for pid in children) and time.monotonic() < end:
        time.sleep(0.05)
    assert not [pid for pid in children if _alive(pid)]


def _descendants(pid: int) -> list[int]:
    import psutil

    return [child.pid for child in psutil.Process(pid).children(recursive=True)]


def _alive(pid: int) -> bool:
    import psutil

    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False
