"""What a worker sees of the server's environment."""

from __future__ import annotations

import pytest

from mho.jobs.processes import _environment


def test_a_worker_sees_no_secret_and_no_model_sets_options_of_its_session(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret")
    monkeypatch.setenv("MHO_DATABASE", "postgresql://user:secret@host/mho")
    monkeypatch.setenv("ORT_LOAD_CONFIG_FROM_MODEL", "1")
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "0")
    seen = _environment()
    assert "secret" not in "".join(seen.values())
    assert seen["ORT_LOAD_CONFIG_FROM_MODEL"] == "0"
    assert seen["CUDA_VISIBLE_DEVICES"] == "0"
