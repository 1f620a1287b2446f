"""``mho submit``, ``watch``, ``fetch``, ``cancel`` and ``list`` against ``mho serve``, as
processes."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import shapes
from mho.cli import main

ENVIRONMENT = {**os.environ, "MHO_THREADS": "1", "MHO_PROVIDER": "cpu"}


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    folder = tmp_path_factory.mktemp("server")
    with (folder / "log").open("w") as log:
        process = subprocess.Popen(
            [
                sys.executable,
                "-m",
                "mho.cli",
                "serve",
                "--port",
                "0",
                "--data-dir",
                folder / "data",
            ],
            stdout=subprocess.PIPE,
            stderr=log,
            text=True,
            env=ENVIRONMENT,
        )
        assert process.stdout is not None
        line = process.stdout.readline()
        assert line.startswith("mho serves at 127.0.0.1:"), (folder / "log").read_text()
        yield line.split()[-1]
        process.send_signal(signal.SIGTERM)
        assert process.wait(timeout=60) == 0
        process.stdout.close()


def mho(*arguments: Any) -> int:
    return main([str(argument) for argument in arguments])


def conductance(folder: Path, *more: Any) -> list[Any]:
    return [
        "conductance", shapes.MODEL, "--inputs", shapes.pictures(folder, 3),
        "--preprocess", shapes.PREPROCESS,
        "--layers", "dense1/relu", *more,
    ]  # fmt: skip


def test_submit_gives_the_arrays_of_a_local_run(
    address: str,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("MHO_THREADS", "1")
    monkeypatch.setenv("MHO_PROVIDER", "cpu")
    assert mho("run", *conductance(tmp_path, "--out", tmp_path / "local")) == 0
    assert (
        mho("submit", *conductance(tmp_path, "--server", address, "--out", tmp_path / "remote"))
        == 0
    )
    text = capsys.readouterr().out
    assert "tenants/default/jobs/" in text
    with (
        np.load(tmp_path / "local/scores.npz") as local,
        np.load(tmp_path / "remote/scores.npz") as remote,
    ):
        assert set(local) == set(remote)
        for name in local:
            np.testing.assert_array_equal(local[name], remote[name])
    here, there = (
        json.loads((tmp_path / x / "result.json").read_text()) for x in ("local", "remote")
    )
    for key in ("method", "options", "engine", "completeness", "evaluations", "top_units"):
        assert here[key] == there[key], key
    assert here["model"]["digest"] == there["model"]["digest"]
    assert here["data"]["digest"] == there["data"]["digest"]


def test_submit_watch_fetch_list(
    address: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert mho("submit", *conductance(tmp_path, "--server", address)) == 0
    job = capsys.readouterr().out.strip()
    assert mho("watch", job, "--server", address) == 0
    assert "SUCCEEDED" in capsys.readouterr().out
    assert mho("fetch", job, "--server", address, "--out", tmp_path / "out") == 0
    assert (tmp_path / "out" / "result.json").exists()
    capsys.readouterr()
    assert mho("list", "--server", address, "--json") == 0
    listed = json.loads(capsys.readouterr().out)["jobs"]
    known = {
        "name": job, "method": "conductance", "state": "SUCCEEDED",
        "cancelling": False, "error": None,
    }  # fmt: skip
    assert known.items() <= listed[0].items()
    assert listed[0]["progress"]["fraction"] == 1
    assert mho("list", "--server", address) == 0
    assert f"{job}  conductance  SUCCEEDED      100%" in capsys.readouterr().out


def test_the_same_request_id_is_the_same_job(
    address: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for _ in range(2):
        assert (
            mho("submit", *conductance(tmp_path, "--server", address, "--request-id", "once")) == 0
        )
    first, second = capsys.readouterr().out.split()
    assert first == second


def test_the_terms_of_a_job_are_flags(
    address: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    terms = ["--priority", "high", "--deadline", "2h", "--label", "run=7", "--label", "mine"]
    assert mho("submit", *conductance(tmp_path, "--server", address, *terms)) == 0
    job = capsys.readouterr().out.strip()
    assert mho("list", "--server", address, "--json", "--label", "run=7") == 0
    (listed,) = json.loads(capsys.readouterr().out)["jobs"]
    assert (listed["name"], listed["priority"]) == (job, "HIGH")
    assert listed["labels"] == {"run": "7", "mine": ""}
    left = datetime.fromisoformat(listed["deadline"]) - datetime.now(UTC)
    assert timedelta(hours=1) < left < timedelta(hours=2)
    assert mho("list", "--server", address, "--json", "--label", "run=8") == 0
    assert json.loads(capsys.readouterr().out)["jobs"] == []


def test_a_deadline_that_is_none_is_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit):
        mho("submit", *conductance(tmp_path, "--deadline", "soon"))
    assert "neither a duration such as 30m" in capsys.readouterr().err


def test_a_ranking_and_labels_travel(address: str, tmp_path: Path) -> None:
    inputs, labels = shapes.inputs(tmp_path, 6)
    data = ["--inputs", inputs, "--labels", labels, "--layers", "conv1/relu", "--server", address]
    assert (
        mho(
            "submit",
            "shapley",
            shapes.MODEL,
            *data,
            "--estimator",
            "permutation",
            "--evaluations",
            40,
            "--out",
            tmp_path / "s",
        )
        == 0
    )
    assert (
        mho(
            "submit",
            "ablation",
            shapes.MODEL,
            *data,
            "--scores",
            tmp_path / "s",
            "--out",
            tmp_path / "a",
        )
        == 0
    )
    with np.load(tmp_path / "s/scores.npz") as ranking, np.load(tmp_path / "a/scores.npz") as used:
        np.testing.assert_allclose(used["conv1/relu"], ranking["conv1/relu"])


def test_a_failing_job_is_an_error_that_names_the_thing(
    address: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    inputs, _ = shapes.inputs(tmp_path, 2)
    out = tmp_path / "out"
    line = [
        "submit",
        "shapley",
        shapes.MODEL,
        "--inputs",
        inputs,
        "--server",
        address,
        "--out",
        out,
    ]
    assert mho(*line) == 2
    assert "label" in capsys.readouterr().err
    assert not out.exists()


def test_a_failed_job_is_watched_and_listed_with_its_error(
    address: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    inputs, _ = shapes.inputs(tmp_path, 2)
    data = ["--inputs", inputs, "--server", address, "--target", 77]
    assert mho("submit", "conductance", shapes.MODEL, *data) == 0
    job = capsys.readouterr().out.strip()
    assert mho("watch", job, "--server", address) == 2
    printed = capsys.readouterr()
    assert printed.out == ""
    assert "77" in printed.err
    assert mho("list", "--server", address, "--json") == 0
    listed = {entry["name"]: entry for entry in json.loads(capsys.readouterr().out)["jobs"]}
    assert listed[job]["state"] == "FAILED"
    assert "77" in listed[job]["error"]["message"]
    assert mho("list", "--server", address) == 0
    assert listed[job]["error"]["reason"] in capsys.readouterr().out


@pytest.mark.skipif(sys.platform == "win32", reason="needs a terminal that can be faked")
def test_the_name_of_a_job_goes_to_stdout_also_at_a_terminal(address: str, tmp_path: Path) -> None:
    inputs, _ = shapes.inputs(tmp_path, 2)
    outer, inner = os.openpty()

    def drain() -> None:
        with suppress(OSError):
            while os.read(outer, 4096):
                pass

    reader = threading.Thread(target=drain)
    reader.start()
    line = ["submit", "activation", shapes.MODEL, "--inputs", inputs, "--server", address]
    try:
        done = subprocess.run(
            [sys.executable, "-m", "mho.cli", *line],
            stdout=subprocess.PIPE,
            stderr=inner,
            text=True,
            timeout=60,
        )
    finally:
        os.close(inner)
        reader.join()
        os.close(outer)
    assert done.returncode == 0
    assert done.stdout.startswith("tenants/default/jobs/")


@pytest.mark.parametrize(
    ("more", "words"),
    [
        (["--port", "{taken}"], "cannot be had"),
        (["--port", "70000"], "between 0"),
        (["--config", "{config}"], "0.0.0.0"),
    ],
)
def test_a_server_that_cannot_start_leaves_nothing(
    address: str, tmp_path: Path, more: list[str], words: str
) -> None:
    (tmp_path / "config.yaml").write_text("host: 0.0.0.0\n")
    known = {"taken": address.split(":")[-1], "config": str(tmp_path / "config.yaml")}
    line = ["serve", "--data-dir", str(tmp_path / "data"), *(x.format(**known) for x in more)]
    done = subprocess.run(
        [sys.executable, "-m", "mho.cli", *line], capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 2
    assert len(done.stderr.splitlines()) == 1
    assert words in done.stderr
    assert not (tmp_path / "data").exists()


def test_cancel_stops_a_job(
    address: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    inputs, labels = shapes.inputs(tmp_path, 64)
    data = ["--inputs", inputs, "--labels", labels, "--server", address, "--yes"]
    assert mho("submit", "shapley", shapes.MODEL, *data, "--evaluations", 1_000_000) == 0
    job = capsys.readouterr().out.strip()
    assert mho("cancel", job, "--server", address) == 0
    assert mho("watch", job, "--server", address) == 2
    assert "cancelled" in capsys.readouterr().err
    assert mho("fetch", job, "--server", address, "--out", tmp_path / "out") == 2
    assert not (tmp_path / "out").exists()


def test_no_server_is_said_with_its_address(capsys: pytest.CaptureFixture[str]) -> None:
    assert mho("list", "--server", "127.0.0.1:9") == 2
    assert "127.0.0.1:9" in capsys.readouterr().err


def test_unknown_jobs_are_not_found(address: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert mho("watch", "tenants/default/jobs/nosuchjob", "--server", address) == 2
    assert "nosuchjob" in capsys.readouterr().err


def test_a_model_edited_by_a_server_is_that_of_a_local_run(address: str, tmp_path: Path) -> None:
    inputs, labels = shapes.inputs(tmp_path, 12)
    edit = ["edit", shapes.MODEL, "--inputs", inputs, "--labels", labels, "--draws", 2]
    edit += ["--remove", "conv1/relu:3", "conv2/relu:4-6"]
    assert mho("run", *edit, "--out", tmp_path / "local") == 0
    assert mho("submit", *edit, "--server", address, "--out", tmp_path / "served") == 0
    local, served = ((tmp_path / name / "model.onnx") for name in ("local", "served"))
    assert local.read_bytes() == served.read_bytes()
    reports = [
        json.loads((p.parent / "result.json").read_text())["report"] for p in (local, served)
    ]
    assert reports[0] == reports[1]
