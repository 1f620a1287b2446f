"""Models that jobs make, fetched with the Python client."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from api import toy_entry
from mho_client import Client, Job, MhoClientError


def made(client: Client, folder: Path, *asked: str) -> Job:
    (folder / "toy.onnx").write_bytes(b"toy model")
    model = client.upload_model(folder / "toy.onnx")
    data = client.upload_dataset(model, np.arange(6.0), labels=[0, 1])
    job = client.submit("activation", model, data, layers=["steps=1", *asked])
    job.wait()
    return job


def test_a_model_comes_as_bytes_and_as_a_file(client: Client, tmp_path: Path) -> None:
    job = made(client, tmp_path, "model")
    assert job.model_bytes() == toy_entry.MODEL
    counted: list[tuple[int, int]] = []
    path = tmp_path / "deep" / "better.onnx"
    assert job.save_model(path, lambda done, total: counted.append((done, total))) == [path]
    assert path.read_bytes() == toy_entry.MODEL
    assert counted[-1] == (len(toy_entry.MODEL), len(toy_entry.MODEL))
    artifact = next(entry for entry in job.artifacts() if entry.path == "model.onnx")
    assert artifact.media_type == "application/onnx"
    job.fetch(tmp_path / "all")
    assert (tmp_path / "all" / "model.onnx").read_bytes() == toy_entry.MODEL


def test_weights_beside_a_model_keep_the_name_by_which_it_knows_them(
    client: Client, tmp_path: Path
) -> None:
    job = made(client, tmp_path, "model=apart")
    paths = job.save_model(str(tmp_path / "better.onnx"))
    assert paths == [tmp_path / "better.onnx", tmp_path / "model.onnx.data"]
    assert paths[1].read_bytes() == toy_entry.WEIGHTS
    with pytest.raises(MhoClientError, match="call save_model") as caught:
        job.model_bytes()
    assert (caught.value.code, caught.value.reason) == ("FAILED_PRECONDITION", "UNSUPPORTED")
    with pytest.raises(MhoClientError, match="is what the model's weights are called"):
        job.save_model(tmp_path / "model.onnx.data")


def test_a_job_without_a_model_says_so(client: Client, tmp_path: Path) -> None:
    job = made(client, tmp_path)
    for ask in (job.model_bytes, lambda: job.save_model(tmp_path / "better.onnx")):
        with pytest.raises(MhoClientError, match="has made no model") as caught:
            ask()
        assert caught.value.code == "FAILED_PRECONDITION"
    assert not (tmp_path / "better.onnx").exists()
