"""The generated methods.proto and the stubs are what their sources say; numbers never move."""

from __future__ import annotations

import re
import subprocess
import sys
import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import pytest

from mho.api import schema
from mho.errors import FailedPrecondition
from mho.method import Method, option

ROOT = Path(__file__).parents[2]
STUBS = ROOT / "clients" / "python" / "src" / "mho_client" / "v1"


class Steps:
    """What makes a method class concrete."""

    def state_class(self) -> Any: ...
    def init(self, evaluator: Any) -> Any: ...
    def step(self, state: Any, evaluator: Any) -> Any: ...
    def done(self, state: Any) -> Any: ...
    def progress(self, state: Any) -> Any: ...
    def result(self, state: Any, evaluator: Any) -> Any: ...


@dataclass(frozen=True, kw_only=True)
class First(Steps, Method[Any, Any]):
    name: ClassVar[str] = "grad-cam"
    summary: ClassVar[str] = "One."
    uses: ClassVar[frozenset[str]] = frozenset({"layers"})
    steps: int = option(3, "how many", minimum=1, maximum=9)
    exact: bool = option(False, "whether")


@dataclass(frozen=True, kw_only=True)
class WithMore(First):
    rate: float = option(0.5, "how fast")


@dataclass(frozen=True, kw_only=True)
class WithLess(Steps, Method[Any, Any]):
    name: ClassVar[str] = "grad-cam"
    summary: ClassVar[str] = "One."
    uses: ClassVar[frozenset[str]] = frozenset()
    exact: bool = option(False, "whether")


@dataclass(frozen=True, kw_only=True)
class Retyped(First):
    steps: str = option("3", "how many")  # type: ignore[assignment]


@dataclass(frozen=True, kw_only=True)
class Second(First):
    name: ClassVar[str] = "another"


def numbers(text: str) -> dict[str, int]:
    return {member: pin[1] for member, pin in schema.read(text)["GradCamOptions"].fields.items()}


def test_the_file_is_what_the_methods_say() -> None:
    assert schema.main(["--check"]) == 0


def test_check_fails_on_a_difference(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    changed = tmp_path / "methods.proto"
    changed.write_text(schema.PATH.read_text().replace("Layers to score", "Layers"))
    assert schema.main(["--check", "--path", str(changed)]) == 1
    assert "--write" in capsys.readouterr().err
    assert schema.main(["--write", "--path", str(changed)]) == 0
    assert changed.read_text() == schema.PATH.read_text()


def test_every_option_of_every_method_is_in_the_stubs() -> None:
    from mho_client.v1 import methods_pb2

    fields = methods_pb2.MethodOptions.DESCRIPTOR.fields_by_name
    for name, kind in schema.methods().items():
        known = set(fields[schema.field_name(name)].message_type.fields_by_name)
        assert known == {entry.name for entry, _ in schema.options_of(kind)}


def test_an_option_says_what_it_does_and_what_it_may_be() -> None:
    text = schema.write({"grad-cam": First}, "")
    assert "GradCamOptions grad_cam = 1;" in text
    assert "  // How many. From 1 to 9. Default: 3.\n  optional int64 steps = 11;" in text
    assert "optional bool exact = 12;" in text
    assert "repeated string layers = 1;" in text
    assert "Not heeded" in text.split("optional string target")[0].rsplit("\n\n", 1)[1]


def test_writing_twice_changes_nothing() -> None:
    once = schema.write({"grad-cam": First}, "")
    assert schema.write({"grad-cam": First}, once) == once


def test_a_new_option_takes_the_next_free_number() -> None:
    before = schema.write({"grad-cam": First}, "")
    after = schema.write({"grad-cam": WithMore}, before)
    assert numbers(after) == numbers(before) | {"rate": 13}


def test_a_removed_option_stays_reserved_for_ever() -> None:
    before = schema.write({"grad-cam": WithMore}, "")
    after = schema.write({"grad-cam": WithLess}, before)
    assert "reserved 11, 13;" in after
    assert 'reserved "rate", "steps";' in after
    assert numbers(after)["exact"] == 12
    assert schema.write({"grad-cam": WithLess}, after) == after
    with pytest.raises(FailedPrecondition, match=r"GradCamOptions\.steps was removed"):
        schema.write({"grad-cam": First}, after)


def test_a_changed_type_is_refused() -> None:
    before = schema.write({"grad-cam": First}, "")
    with pytest.raises(FailedPrecondition, match="was 'optional int64' and is now 'optional str"):
        schema.write({"grad-cam": Retyped}, before)


def test_a_new_method_moves_none_and_a_removed_one_stays_reserved() -> None:
    before = schema.write({"grad-cam": First}, "")
    both = schema.write({"grad-cam": First, "another": Second}, before)
    assert "GradCamOptions grad_cam = 1;" in both
    assert "AnotherOptions another = 2;" in both
    after = schema.write({"another": Second}, both)
    assert "  reserved 1;\n" in after.split("message AnotherOptions")[0]
    assert schema.read(after)["GradCamOptions"].reserved_numbers == set(range(1, 13))


def test_the_stubs_are_what_the_protos_say() -> None:
    done = subprocess.run(
        [sys.executable, str(ROOT / "proto" / "generate.py"), "--check"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr


def test_stubs_of_another_generator_are_compared_by_their_descriptors(tmp_path: Path) -> None:
    for path in STUBS.glob("*.py"):
        text = path.read_text()
        if path.name == "__init__.py":
            text = re.sub(r"grpcio-tools \S+\.\n", "grpcio-tools 1.0.0.\n", text)
        (tmp_path / path.name).write_text("# another form\n" + text)
    command = [sys.executable, str(ROOT / "proto" / "generate.py"), "--check", "--target"]
    assert subprocess.run([*command, str(tmp_path)], check=False).returncode == 0
    changed = (tmp_path / "files_pb2.py").read_text().replace("sha256", "sha512")
    (tmp_path / "files_pb2.py").write_text(changed)
    done = subprocess.run([*command, str(tmp_path)], capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert "files_pb2.py differs" in done.stderr


def test_the_client_asks_for_what_its_stubs_need() -> None:
    wanted = tomllib.loads((ROOT / "clients/python/pyproject.toml").read_text())
    bounds = dict(entry.split(">=") for entry in wanted["project"]["dependencies"])
    version = re.search(r"Protobuf Python Version: (\S+)", (STUBS / "jobs_pb2.py").read_text())
    assert version is not None
    assert bounds["protobuf"] == version[1]
    generated = re.search(r"= '([\d.]+)'", (STUBS / "jobs_pb2_grpc.py").read_text())
    assert generated is not None
    assert bounds["grpcio"] == generated[1]
