"""Which onnxruntime is installed, and whether the provider that is asked for loads."""

from __future__ import annotations

from collections.abc import Iterator

from mho.config import Settings
from mho.doctor.check import Check, Finding
from mho.errors import Unsupported
from mho.runtime import cuda_libraries
from mho.runtime.provider import CPU, choose, installed


class Onnxruntime(Check):
    name = "onnxruntime"
    remedy = "install exactly one of mho[cpu] and mho[gpu], and set provider to auto, cuda or cpu"

    def findings(self, settings: Settings) -> Iterator[Finding]:
        package = installed()
        absent = [] if settings.provider == "cpu" else cuda_libraries.missing()
        lacks = f"; of the libraries of CUDA {', '.join(absent)} cannot be loaded" if absent else ""
        remedy = (
            "install the NVIDIA driver and what is named, or set provider to cpu"
            if absent
            else self.remedy
        )
        try:
            provider = choose(settings)
        except Unsupported as error:
            yield self.failed(f"{error.message}{lacks}", remedy)
            return
        found = f"{package}, {provider.name}"
        if provider.name == CPU and lacks:
            yield self.warning(f"{found}{lacks}", remedy)
        else:
            yield self.ok(found)
