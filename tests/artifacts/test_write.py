"""The files of a result: whole or not at all, and readable by any numpy."""

from __future__ import annotations

import json
import os
from pathlib import Path

import numpy as np
import pytest

from mho.artifacts import write as writing
from mho.artifacts.chart import Chart
from mho.artifacts.context import Context
from mho.artifacts.write import check_folder, write
from mho.errors import InvalidOption, ResourceExhausted
from mho.evaluation import Layer
from mho.results import Result

LAYER = Layer("fire9/concat", "Concat", 3, ("N", 3, 2, 2), 1)


def context(**more: object) -> Context:
    known = {
        "method": "shapley",
        "options": {"seed": 0},
        "seed": 0,
        "engine": "",
        "why": "",
        "model_digest": "a" * 64,
        "data_digest": "b" * 64,
        "layers": {LAYER.name: LAYER},
        "names": ("0", "1"),
    }
    return Context(**{**known, **more})  # type: ignore[arg-type]


def result(shift: float = 0.0) -> Result:
    return Result(
        estimand="what",
        scores={LAYER.name: np.array([0.1, -0.5, 0.3]) + shift},
        std_error={LAYER.name: np.array([0.01, 0.02, 0.04])},
        curves={
            "removed": np.array([0.0, 1, 3]),
            "top": np.array([0.9, 0.5, 0.1]),
            "random": np.array([[0.9, 0.8, 0.1], [0.9, 0.6, 0.1]]),
        },
    )


@pytest.fixture
def undrawn(monkeypatch: pytest.MonkeyPatch) -> None:
    """One picture that costs nothing, for results with curves."""

    def chart(of: Result, _: Context) -> list[Chart]:
        return [Chart("curves.png", "title", "caption", b"PNG")] if of.curves else []

    monkeypatch.setattr(writing, "charts", chart)


def names(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


def test_the_folder_holds_what_result_json_says(tmp_path: Path) -> None:
    folder = tmp_path / "deep" / "out"
    written = write(result(), context(), folder)
    found = json.loads((folder / "result.json").read_text(encoding="utf-8"))
    assert written[0] == folder / "result.json"
    assert names(folder) == {path.name for path in written} == set(found["files"])
    assert names(folder) == {
        *("result.json", "scores.npz", "index.html", "curves.png", "units.png", "layers.png")
    }


@pytest.mark.usefixtures("undrawn")
def test_the_arrays_are_keyed_as_promised(tmp_path: Path) -> None:
    write(result(), context(), tmp_path)
    with np.load(tmp_path / "scores.npz", allow_pickle=False) as arrays:
        assert arrays.files == [
            *("fire9/concat", "fire9/concat/std_error"),
            *("curves/removed", "curves/top", "curves/random"),
        ]
        np.testing.assert_array_equal(arrays["fire9/concat"], [0.1, -0.5, 0.3])
        np.testing.assert_array_equal(arrays["fire9/concat/std_error"], [0.01, 0.02, 0.04])
        assert arrays["curves/random"].shape == (2, 3)


def test_maps_are_kept_and_an_earlier_result_s_picture_of_them_goes(tmp_path: Path) -> None:
    maps = np.random.default_rng(0).normal(size=(2, 4, 4))
    mapped = Result("what", {LAYER.name: np.ones((2, 3))}, {LAYER.name: maps})
    write(mapped, context(), tmp_path)
    with np.load(tmp_path / "scores.npz") as arrays:
        assert arrays.files == ["fire9/concat", "maps/fire9/concat"]
        np.testing.assert_array_equal(arrays["maps/fire9/concat"], maps)
    found = json.loads((tmp_path / "result.json").read_text(encoding="utf-8"))
    assert found["maps"] == ["fire9/concat"]
    assert "maps.png" in found["files"]
    assert (tmp_path / "maps.png").read_bytes().startswith(b"\x89PNG")
    write(result(), context(), tmp_path)
    assert "maps.png" not in names(tmp_path)


@pytest.mark.usefixtures("undrawn")
@pytest.mark.parametrize(
    "name", ["file", "allow_pickle", "../up", "/abs", "a b", "層", "x.npy", ""]
)
def test_any_tensor_name_makes_the_round_trip(tmp_path: Path, name: str) -> None:
    layer = Layer(name, "Relu", 2, ("N", 2), 1)
    write(Result("what", {name: np.array([1.0, 2])}), context(layers={name: layer}), tmp_path)
    with np.load(tmp_path / "scores.npz") as arrays:
        np.testing.assert_array_equal(arrays[f"{name}.npy"], [1, 2])
    found = json.loads((tmp_path / "result.json").read_text(encoding="utf-8"))
    assert found["top_units"][name][0]["unit"] == 1


def test_equal_results_are_equal_files(tmp_path: Path) -> None:
    one, two = (
        write(result(), context(), tmp_path / "1"),
        write(result(), context(), tmp_path / "2"),
    )
    assert [path.read_bytes() for path in one] == [path.read_bytes() for path in two]


@pytest.mark.usefixtures("undrawn")
def test_an_earlier_result_is_replaced_and_its_other_pictures_go(tmp_path: Path) -> None:
    write(result(), context(), tmp_path)
    (tmp_path / "my-notes.txt").write_text("kept", encoding="utf-8")
    write(Result("what", {LAYER.name: np.array([9.0, 8, 7])}), context(), tmp_path)
    assert "curves.png" not in names(tmp_path)
    assert (tmp_path / "my-notes.txt").read_text(encoding="utf-8") == "kept"
    assert np.load(tmp_path / "scores.npz")[LAYER.name][0] == 9


@pytest.mark.usefixtures("undrawn")
def test_a_folder_of_other_things_is_refused_and_left_alone(tmp_path: Path) -> None:
    (tmp_path / "thesis.tex").write_text("years of work", encoding="utf-8")
    with pytest.raises(InvalidOption, match=r"holds other things \(thesis.tex\)"):
        write(result(), context(), tmp_path)
    assert names(tmp_path) == {"thesis.tex"}
    (tmp_path / "result.json").write_text('{"mine": 1}', encoding="utf-8")
    (tmp_path / "thesis.tex").unlink()
    with pytest.raises(InvalidOption, match=r"holds other things \(result.json\)"):
        check_folder(tmp_path)
    with pytest.raises(InvalidOption, match="is a file; name a folder"):
        check_folder(tmp_path / "result.json")
    check_folder(tmp_path / "new")
    assert names(tmp_path) == {"result.json"}


def test_a_folder_that_cannot_be_made_is_found_out_beforehand(tmp_path: Path) -> None:
    (tmp_path / "x.npy").write_bytes(b"")
    (tmp_path / "gone").symlink_to(tmp_path / "nothing")
    for folder, words in (
        (tmp_path / "x.npy" / "sub" / "out", r"x\.npy is a file; name a folder .*out cannot be"),
        (tmp_path / "gone", "gone is a link to nothing"),
        (tmp_path / ("x" * 300), "cannot be written to .*too long"),
    ):
        with pytest.raises(InvalidOption, match=words):
            check_folder(folder)
    check_folder(tmp_path / "new" / "out")
    assert names(tmp_path) == {"x.npy", "gone"}


@pytest.mark.skipif(not Path("/proc/self").exists(), reason="needs a folder that takes nothing")
def test_root_is_told_as_well_that_a_folder_takes_nothing() -> None:
    with pytest.raises(InvalidOption, match="cannot be written to /proc/out"):
        check_folder(Path("/proc/out"))


def fail(*_: object, **__: object) -> None:
    raise OSError(28, "No space left on device")


@pytest.mark.usefixtures("undrawn")
@pytest.mark.parametrize("step", ["write_npz", "_flush", "page"])
def test_a_full_disk_leaves_the_earlier_result_or_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    write(result(), context(), tmp_path / "old")
    before = {path.name: path.read_bytes() for path in (tmp_path / "old").iterdir()}
    monkeypatch.setattr(writing, step, fail)
    for folder in ("old", "new"):
        with pytest.raises(ResourceExhausted, match=f"the disk is full while .*{folder}"):
            write(result(1.0), context(), tmp_path / folder)
    assert not (tmp_path / "new").exists()
    assert {path.name: path.read_bytes() for path in (tmp_path / "old").iterdir()} == before


@pytest.mark.usefixtures("undrawn")
def test_an_interrupted_write_leaves_no_summary_and_can_be_repeated(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(result(), context(), tmp_path)
    replace, moved = Path.replace, []

    class Killed(BaseException):
        pass

    def until_killed(self: Path, target: Path) -> Path:
        if len(moved) == 2:
            raise Killed
        moved.append(target)
        return replace(self, target)

    monkeypatch.setattr(Path, "replace", until_killed)
    monkeypatch.setattr(writing.shutil, "rmtree", lambda *_, **__: None)  # the process is dead
    with pytest.raises(Killed):
        write(result(1.0), context(), tmp_path)
    monkeypatch.undo()
    assert "result.json" not in names(tmp_path)
    assert np.load(tmp_path / "scores.npz")[LAYER.name][0] == 1.1  # whole, as every file is
    write(result(2.0), context(), tmp_path)
    found = json.loads((tmp_path / "result.json").read_text(encoding="utf-8"))
    assert names(tmp_path) == set(found["files"])


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_a_folder_that_may_not_be_written_is_named(tmp_path: Path) -> None:
    tmp_path.chmod(0o500)
    with pytest.raises(InvalidOption, match="cannot be written to"):
        write(result(), context(), tmp_path / "out")
