"""Fuzzes for as long as it is told, and keeps what failed.

    python tests/fuzz/campaign.py --minutes 15 --seed 1 --out failures

Run it with ``tests`` on PYTHONPATH. Each round is one hypothesis run of one target under a seed of
its own: that of the first round is ``--seed``, and it rises by one. The smallest request, model or
data that fails is described in a file of ``--out``, whose name has target and seed. The exit status
is 1 where anything failed.
"""

from __future__ import annotations

import argparse
import itertools
import sys
import tempfile
import time
import traceback
from collections.abc import Callable, Iterator
from pathlib import Path

from hypothesis import given, seed, settings

from fuzz.files import uploads
from fuzz.models import models
from fuzz.place import Place, place
from fuzz.test_bytes import METHODS, send_upload
from fuzz.test_requests import BOUNDED, CALLS, requests_of

EXAMPLES = 60


def targets(found: Place) -> Iterator[tuple[str, Callable[[int], None]]]:
    """(name, run under a seed) of everything that is fuzzed, round and round."""
    freely = settings(BOUNDED, derandomize=False, max_examples=EXAMPLES, report_multiple_bugs=False)

    def of_call(path: str) -> Callable[[int], None]:
        def run(number: int) -> None:
            @seed(number)
            @freely
            @given(requests_of(found, path))
            def sent(messages: list[bytes]) -> None:
                found.send(path, messages)

            sent()

        return run

    def of_models(number: int) -> None:
        @seed(number)
        @freely
        @given(models(), METHODS)
        def sent(content: bytes, method: str) -> None:
            found.try_model({"m.onnx": content}, "m.onnx", method, seconds=3)

        sent()

    def of_data(number: int) -> None:
        @seed(number)
        @freely
        @given(uploads())
        def sent(upload: object) -> None:
            send_upload(found, upload)  # type: ignore[arg-type]  # drawn from uploads()

        sent()

    heavy = [("models", of_models), ("data", of_data)]
    return itertools.cycle([*heavy, *((path, of_call(path)) for path in CALLS), *heavy])


def main() -> int:
    parser = argparse.ArgumentParser(description="Fuzzes the API, models and data.")
    parser.add_argument("--minutes", type=float, default=15, help="when to stop; default 15")
    parser.add_argument("--seed", type=int, default=0, help="the first round's; default 0")
    parser.add_argument("--only", default="", help="targets whose name holds this; default all")
    parser.add_argument(
        "--out", type=Path, default=Path("fuzz-failures"), help="folder of failures"
    )
    arguments = parser.parse_args()
    until = time.monotonic() + 60 * arguments.minutes
    failed = rounds = 0
    with tempfile.TemporaryDirectory() as folder, place(Path(folder) / "data") as found:
        for number, (name, run) in enumerate(targets(found), arguments.seed):
            if time.monotonic() > until:
                break
            if arguments.only not in name:
                continue
            rounds += 1
            try:
                run(number)
                found.healthy()
            except Exception:  # noqa: BLE001 whatever failed is kept, and the campaign goes on
                failed += 1
                arguments.out.mkdir(parents=True, exist_ok=True)
                file = arguments.out / f"{name.replace('/', '.')}-{number}.txt"
                file.write_text(traceback.format_exc(), encoding="utf-8", errors="backslashreplace")
                sys.stderr.write(f"round {number} of {name} failed: {file}\n")
        for outcome, count in sorted(found.outcomes.items()):
            sys.stdout.write(f"{count:7d}  {outcome}\n")
    sys.stdout.write(f"{rounds} rounds of at most {EXAMPLES}, {failed} failed\n")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
