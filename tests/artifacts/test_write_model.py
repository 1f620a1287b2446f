"""A model among the files of a result: whole, and never over somebody's own."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from mho.artifacts import write as writing
from mho.artifacts.context import Context
from mho.artifacts.write import check_folder, write
from mho.errors import InvalidOption, ResourceExhausted
from mho.results import Result

CONTEXT = Context("edit", {}, 0, "", "", "a" * 64, "b" * 64, {}, ("0", "1"))
EDITS = [
    {"layer": "a<b", "units": [1, 2], "changed": ["Conv 'c'"], "node": None, "why": None},
    {"layer": "d", "units": [0], "changed": [], "node": "n", "why": "it is no Conv"},
]
REPORT = {
    "v_full": 0.5,
    "v_edited": 0.75,
    "v_random": {"mean": 0.4, "min": 0.1, "max": 0.45, "values": [0.1, 0.45]},
    "edits": EDITS,
}


@dataclass(frozen=True)
class Made:
    """Bytes in the place of a model."""

    content: bytes = b"made"
    names: tuple[str, ...] = ("model.onnx",)

    def write(self, folder: Path) -> None:
        for name in self.names:
            (folder / name).write_bytes(self.content)


BOTH = Made(names=("model.onnx", "model.onnx.data"))
EDITED = Result("what", model=Made(), report=REPORT)
PLAIN = Result("what")


def names(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


def test_the_model_is_one_of_the_files(tmp_path: Path) -> None:
    write(replace(EDITED, model=BOTH), CONTEXT, tmp_path / "out")
    found = json.loads((tmp_path / "out" / "result.json").read_text())
    assert set(found["files"]) == names(tmp_path / "out")
    assert {"model.onnx", "model.onnx.data"} < names(tmp_path / "out")
    assert (tmp_path / "out" / "model.onnx").read_bytes() == b"made"


def test_the_page_tells_what_was_changed(tmp_path: Path) -> None:
    write(EDITED, CONTEXT, tmp_path / "out")
    page = (tmp_path / "out" / "index.html").read_text()
    for text in ("value of the edited model", "2 draws: 0.1 to 0.45", "Removed for good"):
        assert text in page
    assert "a&lt;b" in page
    assert "node &#x27;n&#x27;, because it is no Conv" in page or "node 'n', because" in page
    assert "Scores estimate" not in page


def test_a_later_result_takes_the_place_of_the_model(tmp_path: Path) -> None:
    write(replace(EDITED, model=BOTH), CONTEXT, tmp_path / "out")
    write(replace(EDITED, model=Made(b"again")), CONTEXT, tmp_path / "out")
    assert (tmp_path / "out" / "model.onnx").read_bytes() == b"again"
    assert "model.onnx.data" not in names(tmp_path / "out")
    write(PLAIN, CONTEXT, tmp_path / "out")
    assert "model.onnx" not in names(tmp_path / "out")


def test_somebodys_own_model_is_never_touched(tmp_path: Path) -> None:
    own = tmp_path / "model.onnx"
    own.write_bytes(b"own")
    for result in (PLAIN, EDITED):
        with pytest.raises(InvalidOption, match=r"holds other things \(model\.onnx\)"):
            write(result, CONTEXT, tmp_path)
    own.unlink()
    write(PLAIN, CONTEXT, tmp_path)
    own.write_bytes(b"own")
    write(PLAIN, CONTEXT, tmp_path)
    check_folder(tmp_path)
    for act in (
        lambda: check_folder(tmp_path, model=True),
        lambda: write(EDITED, CONTEXT, tmp_path),
    ):
        with pytest.raises(InvalidOption, match=r"holds a file model\.onnx that is of no earlier"):
            act()
    assert own.read_bytes() == b"own"


@pytest.mark.parametrize("stop", ["model.onnx", "result.json"])
def test_what_was_interrupted_can_be_written_again(
    stop: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The process ends when ``stop`` is to be moved into its place."""
    folder = tmp_path / "out"
    folder.mkdir()
    moved = Path.replace

    def replace_(self: Path, target: Path) -> Path:
        if Path(target) == folder / stop:
            raise KeyboardInterrupt
        return moved(self, target)

    with monkeypatch.context() as patch:
        patch.setattr(Path, "replace", replace_)
        patch.setattr(
            writing.shutil, "rmtree", lambda *_, **__: None
        )  # it ended: nothing cleans up
        with pytest.raises(KeyboardInterrupt):
            write(EDITED, CONTEXT, folder)
    assert "result.json" not in names(folder)
    assert any(name.startswith(".mho-") for name in names(folder))
    write(EDITED, CONTEXT, folder)
    assert names(folder) == {"result.json", "scores.npz", "index.html", "model.onnx"}


def test_a_model_that_cannot_be_written_leaves_the_earlier_result(tmp_path: Path) -> None:
    class Full(Made):
        def write(self, folder: Path) -> None:
            (folder / "model.onnx").write_bytes(b"ha")
            raise OSError(28, "No space left on device")

    write(EDITED, CONTEXT, tmp_path)
    with pytest.raises(ResourceExhausted, match="disk is full"):
        write(replace(EDITED, model=Full()), CONTEXT, tmp_path)
    assert (tmp_path / "model.onnx").read_bytes() == b"made"
    assert (tmp_path / "result.json").exists()
    assert not [name for name in names(tmp_path) if name.startswith(".mho-")]
