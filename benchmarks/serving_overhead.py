"""What a synchronous call over gRPC costs, over the same attribution in this process.

    python benchmarks/serving_overhead.py [--repeats 15] [--threads 2] [--inputs 1] [--profile]

Both sides are warm: sessions are loaded, and the method is bound to the model. In process, it is
bound to the input, stepped to its end and made into a result, by the same code that a serving
worker runs; the call adds the client, gRPC, the server's checks, the pipe to the worker, and the
way back.
The server is a process of its own. The two sides of every pair run in turn; given are the median of
the ratios, and the smallest and the largest of them. ``--profile`` prints where the time goes on
the side of this process.
"""

from __future__ import annotations

import argparse
import cProfile
import os
import pstats
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from cases import Case, machine, often_enough, present, ratios, row, seconds, spread, table

from mho.config import Settings
from mho.data.dataset import Dataset
from mho.data.request import from_arrays
from mho.graph.load import load
from mho.method import Method, build
from mho.registry import find
from mho.runtime.bind import bind
from mho.runtime.prepare import prepare
from mho.runtime.session import Sessions
from mho_client import Client


def main() -> None:
    """Print a table in Markdown."""
    arguments = argparse.ArgumentParser(description="what a synchronous call adds")
    arguments.add_argument("--repeats", type=int, default=15)
    arguments.add_argument("--threads", type=int, default=len(os.sched_getaffinity(0)))
    arguments.add_argument("--inputs", type=int, default=1)
    arguments.add_argument("--profile", action="store_true")
    given = arguments.parse_args()
    settings = Settings(threads=given.threads, provider="cpu")
    print(machine(given.threads), end="\n\n")
    sides = ["ms in process", "ms by gRPC", "gRPC / in process", "range"]
    table(["model", "method", "layers", *sides])
    with served(given.threads) as address, Client(address) as client:
        for case in present():
            for method, options in asked(case):
                here, layers = in_process(case, method, options, given.inputs, settings)
                call = by_grpc(client, case, method, options, given.inputs)
                found = ratios(call, here, given.repeats)
                times = [f"{1000 * seconds(work, often_enough(work)):.3g}" for work in (here, call)]
                row([case.name, method, layers, *times, *spread(found)])
                if given.profile:
                    profile(here)


def asked(case: Case) -> Iterator[tuple[str, dict[str, Any]]]:
    """Methods with their options: chosen layers, all layers, and the input."""
    chosen = {"layers": list(case.layers)}
    yield from (("activation", chosen), ("gradient", chosen), ("conductance", chosen))
    yield "gradient", {}
    if not case.words:  # of tokens the answer would be the embedding
        yield "integrated_gradients", {}


def by_grpc(
    client: Client, case: Case, method: str, options: Mapping[str, Any], inputs: int
) -> Callable[[], None]:
    """The same by a call."""
    model, array = client.upload_model(case.model), case.inputs(inputs)

    def attribute() -> None:
        client.attribute(model, method, array, **options)

    return attribute


def in_process(
    case: Case, method: str, options: Mapping[str, Any], inputs: int, settings: Settings
) -> tuple[Callable[[], None], int]:
    """A warm attribution of new inputs in this process, and how many layers it scores."""
    kind = find("mho.methods", Method, method, subject="method")
    made = build(kind, options)
    model, sessions = load(case.model), Sessions(settings)

    def data() -> Dataset:
        return from_arrays({"": case.inputs(inputs)}, model.inputs)

    first = data()
    prepared = prepare(model, sessions, first.inputs)
    bound = bind(made, prepared, first, None, {}, sessions, settings)
    array = case.inputs(inputs)

    def attribute() -> None:
        assert bound.again is not None
        own = bound.again(from_arrays({"": array}, model.inputs))
        state = made.init(own.evaluator)
        while not made.done(state):
            state = made.step(state, own.evaluator)
        made.result(state, own.evaluator)

    return attribute, len(bound.layers)


def profile(work: Callable[[], None]) -> None:
    """Print what takes the time of ten runs."""
    work()
    watched = cProfile.Profile()
    watched.enable()
    for _ in range(10):
        work()
    watched.disable()
    pstats.Stats(watched, stream=sys.stdout).sort_stats("tottime").print_stats(14)


@contextmanager
def served(threads: int) -> Iterator[str]:
    """The address of a server on a folder of its own."""
    with tempfile.TemporaryDirectory() as folder, (Path(folder) / "log").open("w") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "mho.cli", "serve", "--port", "0"],
            stdout=log,
            stderr=log,
            cwd=folder,
            env=os.environ
            | {
                "MHO_DATA_DIR": str(Path(folder) / "data"),
                "MHO_THREADS": str(threads),
                "MHO_PROVIDER": "cpu",
                "PYTHONPATH": os.pathsep.join(str(Path(p).absolute()) for p in sys.path if p),
            },
        )
        try:
            while not (found := re.search(r"127\.0\.0\.1:\d+", Path(log.name).read_text())):
                if process.poll() is not None:
                    raise RuntimeError(Path(log.name).read_text())
                time.sleep(0.1)
            yield found[0]
        finally:
            process.terminate()
            process.wait()


if __name__ == "__main__":
    main()
