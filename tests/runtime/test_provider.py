"""Which provider is taken; what was asked for and is missing is an error."""

from __future__ import annotations

import importlib.metadata
import os

import onnxruntime
import pytest

from mho.config import Settings
from mho.errors import Unsupported
from mho.runtime import provider
from mho.runtime.provider import CPU, CUDA, Provider, choose, installed, threads


def install(monkeypatch: pytest.MonkeyPatch, **versions: str) -> None:
    found = {name.replace("_", "-"): number for name, number in versions.items()}

    def version(name: str) -> str:
        if name not in found:
            raise importlib.metadata.PackageNotFoundError(name)
        return found[name]

    monkeypatch.setattr(importlib.metadata, "version", version)


def test_one_distribution(monkeypatch: pytest.MonkeyPatch) -> None:
    install(monkeypatch, onnxruntime_gpu="1.30")
    assert installed() == "onnxruntime-gpu 1.30"


def test_no_distribution_and_both(monkeypatch: pytest.MonkeyPatch) -> None:
    install(monkeypatch)
    with pytest.raises(Unsupported, match=r"not installed; install exactly one"):
        installed()
    install(monkeypatch, onnxruntime="1.2", onnxruntime_gpu="1.3")
    with pytest.raises(Unsupported, match=r"onnxruntime 1.2 and onnxruntime-gpu 1.3 are both"):
        choose(Settings(provider="cpu"))


def test_the_cpu(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(provider, "_cuda_works", lambda: True)
    assert choose(Settings(provider="cpu")) == Provider(CPU)


def test_cuda_where_it_works(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(provider, "_cuda_works", lambda: True)
    for wanted in ("auto", "cuda"):
        found = choose(Settings(provider=wanted))
        assert found.name == CUDA
        assert ("use_tf32", "0") in found.options


def test_cuda_where_it_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(provider, "_cuda_works", lambda: False)
    assert choose(Settings(provider="auto")) == Provider(CPU)
    with pytest.raises(
        Unsupported, match="provider 'cuda' was asked for, but onnxruntime"
    ) as error:
        choose(Settings(provider="cuda"))
    assert error.value.subject == "provider"


class _Fallen:
    """A session as onnxruntime makes it where CUDA is listed and cannot be loaded."""

    def __init__(self, *_: object, providers: list[str], **__: object) -> None:
        self.providers = providers

    def get_providers(self) -> list[str]:
        return [CPU]


def test_a_provider_that_is_listed_and_does_not_load(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(onnxruntime, "get_available_providers", lambda: [CUDA, CPU])
    monkeypatch.setattr(onnxruntime, "preload_dlls", lambda: None, raising=False)
    monkeypatch.setattr(onnxruntime, "InferenceSession", _Fallen)
    assert choose(Settings(provider="auto")) == Provider(CPU)
    with pytest.raises(Unsupported, match="no usable CUDA device"):
        choose(Settings(provider="cuda"))


def test_the_probe_is_a_model() -> None:
    session = onnxruntime.InferenceSession(provider._IDENTITY, providers=[CPU])
    assert session.get_providers() == [CPU]


def test_an_unknown_provider() -> None:
    with pytest.raises(Unsupported, match="provider 'tpu' is unknown; choose auto, cuda or cpu"):
        choose(Settings(provider="tpu"))


def test_threads_are_shared_among_workers(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(8)), raising=False)
    assert threads(Settings()) == 8
    assert threads(Settings(workers=3)) == 2
    assert threads(Settings(workers=100)) == 1
    assert threads(Settings(threads=5, workers=3)) == 5
