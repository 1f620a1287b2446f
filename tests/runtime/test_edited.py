"""Games made permanent: the edited file gives what the mask gives, one way or another."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime as ort
import pytest
from onnx import numpy_helper, parser

from graph.nets import normal
from mho.data.dataset import Dataset
from mho.errors import InvalidModel, InvalidOption, Unsupported
from mho.graph import hold
from mho.graph.load import load
from mho.graph.model import Model
from mho.methods.edit import Edit
from mho.results import Result
from runtime.bound import bound, data, finished

W, U, V = normal(1, 5, 2, 3, 3), normal(2, 4, 5, 1, 1), normal(3, 4, 3)
X = normal(4, 6, 2, 6, 6)
LABELS = [0, 1, 2, 0, 1, 2]
CNN = """a = Conv(x, w)  r = Relu(a)  b = Conv(r, u)  s = Sigmoid(b)
    g = GlobalAveragePool(s)  f = Flatten(g)  z = Gemm(f, v)  y = Softmax(z)"""


def written(
    folder: Path,
    body: str = CNN,
    signature: str = "float[N,2,6,6] x",
    output: str = "float[N,3]",
    **weights: Any,
) -> Model:
    """The model, read from a file that stays."""
    proto = parser.parse_model(
        f'<ir_version: 8, opset_import: ["" : 17]> g ({signature}) => ({output} y) {{ {body} }}'
    )
    for name, array in (weights or {"w": W, "u": U, "v": V}).items():
        proto.graph.initializer.append(numpy_helper.from_array(np.asarray(array), name))
    (folder / "given.onnx").write_bytes(proto.SerializeToString())
    return load(folder / "given.onnx")


def edit(
    model: Model,
    given: Dataset | None = None,
    *,
    files: dict[str, Path] | None = None,
    reference: Dataset | None = None,
    single: bool = False,
    **options: Any,
) -> Result:
    method = Edit(**{"draws": 3, **options})
    made = bound(method, model, given or data(X, LABELS), files=files, reference=reference,
                 single=single)  # fmt: skip
    result: Result = finished(method, made.evaluator)
    return result


def scores_of(result: Result, folder: Path, x: np.ndarray = X, *, rows: int = 0) -> np.ndarray:
    """The edited file in plain onnxruntime; ``rows``: how many inputs it takes at a time."""
    assert result.model is not None
    folder.mkdir(exist_ok=True)
    result.model.write(folder)
    onnx.checker.check_model(folder / "model.onnx", full_check=True)
    session = ort.InferenceSession(folder / "model.onnx", providers=["CPUExecutionProvider"])
    rows = rows or len(x)
    found = [session.run(None, {"x": x[i : i + rows]})[0] for i in range(0, len(x), rows)]
    return np.concatenate(found)


def by_hand(x: np.ndarray, r: dict[int, float], s: dict[int, float]) -> np.ndarray:
    """What the model answers where units of r and s are constants."""
    windows = np.lib.stride_tricks.sliding_window_view(x, (3, 3), axis=(2, 3))
    first = np.maximum(np.einsum("nihwkl,oikl->nohw", windows, W), 0)
    for unit, value in r.items():
        first[:, unit] = value
    second = 1 / (1 + np.exp(-np.einsum("nihw,oi->nohw", first, U[:, :, 0, 0])))
    for unit, value in s.items():
        second[:, unit] = value
    logits = second.mean(axis=(2, 3)) @ V
    exp = np.exp(logits - logits.max(axis=1, keepdims=True))
    return np.asarray(exp / exp.sum(axis=1, keepdims=True))


def means() -> tuple[np.ndarray, np.ndarray]:
    windows = np.lib.stride_tricks.sliding_window_view(X, (3, 3), axis=(2, 3))
    r = np.maximum(np.einsum("nihwkl,oikl->nohw", windows, W), 0)
    s = 1 / (1 + np.exp(-np.einsum("nihw,oi->nohw", r, U[:, :, 0, 0])))
    return r.mean(axis=(0, 2, 3)), s.mean(axis=(0, 2, 3))


def test_units_by_name_become_their_means(tmp_path: Path) -> None:
    result = edit(written(tmp_path), remove=("r:1-2", "s:3"))
    r, s = means()
    expected = by_hand(X, {1: r[1], 2: r[2]}, {3: s[3]})
    np.testing.assert_allclose(scores_of(result, tmp_path / "out"), expected, rtol=1e-4)
    report = result.report
    assert report["removed"] == {"r": [1, 2], "s": [3]}
    assert [entry["changed"] for entry in report["edits"]] == [["Conv 'a'"], ["Conv 'b'"]]
    assert report["players"] == 9
    accuracy = (expected.argmax(axis=1) == LABELS).mean()
    np.testing.assert_allclose(report["v_edited"], accuracy)
    plain = (by_hand(X, {}, {}).argmax(axis=1) == LABELS).mean()
    np.testing.assert_allclose(report["v_full"], plain)
    assert report["deviation"]["largest"] <= 1e-6 * report["deviation"]["of"]
    assert report["deviation"]["inputs"] == len(X)
    assert report["opset"] == 17
    assert "the edited model is of opset 17 as its file is" in result.notes


def test_a_wrong_fold_is_caught_and_its_layer_gets_a_node(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    right = hold.preimage

    def wrong(function: Any, wanted: np.ndarray, stored: np.dtype) -> np.ndarray:
        found = right(function, wanted, stored)
        return found if wanted.max() > 1 else found + 0.5

    monkeypatch.setattr(hold, "preimage", wrong)
    np.savez(tmp_path / "s.npz", r=np.full(5, 2.0), s=np.full(4, 0.3))
    files = {"substitute": tmp_path / "s.npz"}
    result = edit(written(tmp_path), files=files, substitute="s.npz", remove=("r:1", "s:3"))
    first, second = result.report["edits"]
    assert first["changed"] == ["Conv 'a'"]
    assert not second["changed"]
    assert second["why"] == "changed weights gave other scores than the masked model"
    expected = by_hand(X, {1: 2.0}, {3: 0.3})
    np.testing.assert_allclose(scores_of(result, tmp_path / "out"), expected, rtol=1e-4)
    assert result.report["deviation"]["largest"] <= 1e-6 * result.report["deviation"]["of"]
    assert any("s: a node of the edited model replaces the units" in n for n in result.notes)


def test_a_fold_that_is_wrong_beside_others_only(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No layer alone can be blamed, so all get nodes."""
    right, calls = hold.preimage, []

    def wrong(function: Any, wanted: np.ndarray, stored: np.dtype) -> np.ndarray:
        calls.append(wanted)
        return right(function, wanted, stored) + (0.5 if len(calls) <= 2 else 0)

    monkeypatch.setattr(hold, "preimage", wrong)
    result = edit(written(tmp_path), remove=("r:1", "s:3"))
    assert all(entry["node"] for entry in result.report["edits"])


def test_a_model_that_draws_random_numbers_is_refused(tmp_path: Path) -> None:
    body = CNN.replace("z = Gemm(f, v)", "n = RandomNormalLike(f)  o = Add(f, n)  z = Gemm(o, v)")
    with pytest.raises(Unsupported, match="draws random numbers cannot be edited"):
        edit(written(tmp_path, body), remove=("r:1",))


def test_substitutes_other_than_the_mean(tmp_path: Path) -> None:
    model = written(tmp_path)
    zero = edit(model, remove=("r:0", "s:1"), substitute="zero")
    expected = by_hand(X, {0: 0.0}, {1: 0.0})
    np.testing.assert_allclose(scores_of(zero, tmp_path / "zero"), expected, rtol=1e-4)
    assert not any(entry["node"] for entry in zero.report["edits"])
    other = data(normal(9, 3, 2, 6, 6))
    moved = edit(model, remove=("r:0",), reference=other)
    assert moved.report["v_edited"] is not None
    at_positions = edit(model, remove=("r:0",), substitute="position_mean")
    assert at_positions.report["edits"][0]["why"] == "the substitute differs between positions"
    with pytest.raises(InvalidOption, match="'resample' is another for every input"):
        edit(model, remove=("r:0",), substitute="resample")


def test_before_the_activation(tmp_path: Path) -> None:
    result = edit(written(tmp_path), remove=("a:1", "b:2"), masked="before")
    assert result.report["removed"] == {"a": [1], "b": [2]}
    assert [entry["changed"] for entry in result.report["edits"]] == [
        ["Conv 'a'"],
        ["Conv 'b'"],
    ]


def test_groups_and_whole_layers_by_name(tmp_path: Path) -> None:
    model = written(tmp_path)
    (tmp_path / "g.json").write_text(
        json.dumps({"late": {"s": [0, 3], "r": [4]}, "early": {"r": [0, 1]}})
    )
    files = {"groups": tmp_path / "g.json"}
    result = edit(model, files=files, groups="g.json", remove=("late",))
    assert result.report["removed"] == {"r": [4], "s": [0, 3]}
    assert "1 of 2 groups" in result.estimand
    with pytest.raises(InvalidOption, match="remove names 'lat', which does not play"):
        edit(model, files=files, groups="g.json", remove=("lat",))
    layers = edit(model, players="layers", remove=("r",))
    assert layers.report["removed"] == {"r": [0, 1, 2, 3, 4]}
    assert layers.report["players"] == 2


@pytest.mark.parametrize(
    ("end", "gone"), [("bottom", {"r": [4], "s": [0]}), ("top", {"r": [0, 2]})]
)
def test_the_lowest_and_the_highest_scores(end: str, gone: Any, tmp_path: Path) -> None:
    np.savez(tmp_path / "scores.npz", r=[9.0, 1, 8, 2, -7], s=[-3.0, 0, 1, 2])
    files = {"scores": tmp_path / "scores.npz"}
    result = edit(written(tmp_path), files=files, scores="scores.npz", count=2, end=end)
    assert result.report["removed"] == gone
    assert result.report["chosen"] == f"{end} of the scores"


def test_tokens_that_lie_in_the_batch(tmp_path: Path) -> None:
    w, v = normal(1, 4, 3), normal(2, 3, 2)
    model = written(
        tmp_path,
        """f = Reshape(x, flat)  h = Gemm(f, w)  r = Relu(h)  t = Reshape(r, back)
        m = ReduceMean<axes = [1], keepdims = 0>(t)  y = Gemm(m, v)""",
        "float[N,6,4] x",
        "float[N,2]",
        w=w, v=v, flat=np.array([-1, 4]), back=np.array([-1, 6, 3]),
    )  # fmt: skip
    x = normal(3, 5, 6, 4)
    result = edit(model, data(x), remove=("r:1",), value="logit")
    r = np.maximum(x @ w, 0)
    r[..., 1] = r[..., 1].mean()
    found = scores_of(result, tmp_path / "out", x)
    np.testing.assert_allclose(found, r.mean(axis=1) @ v, rtol=1e-4, atol=1e-5)
    assert result.report["edits"][0]["changed"] == ["Gemm 'h'"]
    with pytest.raises(InvalidOption, match="holds inputs and tokens in one dimension"):
        edit(model, data(x), remove=("r:1",), value="logit", substitute="position_mean")


@pytest.mark.parametrize("rows", [1, 2])
def test_a_file_whose_batch_is_fixed_keeps_it(rows: int, tmp_path: Path) -> None:
    model = written(tmp_path, signature=f"float[{rows},2,6,6] x", output=f"float[{rows},3]")
    result = edit(model, remove=("r:1", "s:0"))
    r, s = means()
    found = scores_of(result, tmp_path / "out", rows=rows)
    np.testing.assert_allclose(found, by_hand(X, {1: r[1]}, {0: s[0]}), rtol=1e-4)
    shape = onnx.load(tmp_path / "out" / "model.onnx").graph.input[0].type.tensor_type.shape
    assert shape.dim[0].dim_value == rows


def test_one_input_at_a_time(tmp_path: Path) -> None:
    many, one = (edit(written(tmp_path), remove=("r:1",), single=s) for s in (False, True))
    assert many.report["edits"] == one.report["edits"]
    np.testing.assert_allclose(many.report["v_edited"], one.report["v_edited"])


def test_what_cannot_be_removed(tmp_path: Path) -> None:
    model = written(tmp_path)
    for remove, message in (
        (("r:5",), "'r:5', but layer 'r' has the units 0 to 4"),
        (("r:0-999999999",), "has the units 0 to 4"),
        (("r",), "holds 'r'; units are named by layer and index"),
        (("r:4-2",), "holds 'r:4-2'"),
        ((), "nothing says which units go"),
    ):
        with pytest.raises(InvalidOption, match=message):
            edit(model, remove=remove)
    with pytest.raises(InvalidOption, match="remove names 's', which does not play"):
        edit(model, remove=("s:1",), layers=("r",))
    np.savez(tmp_path / "scores.npz", r=np.ones(5))
    files = {"scores": tmp_path / "scores.npz"}
    with pytest.raises(InvalidOption, match="count is 6, but only 5 players have scores"):
        edit(model, files=files, scores="scores.npz", count=6)
    with pytest.raises(InvalidOption, match="--remove and --scores both say"):
        edit(model, files=files, scores="scores.npz", remove=("r:1",))
    (tmp_path / "given.onnx").unlink()
    with pytest.raises(InvalidModel, match="does not exist"):
        edit(model, remove=("r:1",))
