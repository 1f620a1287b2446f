"""External data: only ordinary files of the model's own folder are read."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, parser

from mho.errors import InvalidModel
from mho.graph.load import Limits, load
from mho.graph.model import Model, serialized

ENTRIES = {"location": "w.bin", "offset": "4", "length": "12"}


def written(folder: Path, *, data: bytes | None = None, **entries: str | None) -> Path:
    """A model that adds a weight of three floats, kept at byte 4 of ``w.bin``."""
    model = parser.parse_model(
        '<ir_version: 8, opset_import: ["" : 18]> g (float[N,3] x) => (float[N,3] y) '
        "{ y = Add(x, w) }"
    )
    tensor = model.graph.initializer.add(
        name="w", dims=[3], data_type=TensorProto.FLOAT, data_location=TensorProto.EXTERNAL
    )
    for key, value in {**ENTRIES, **entries}.items():
        if value is not None:
            tensor.external_data.add(key=key, value=value)
    path = folder / "model.onnx"
    path.write_bytes(model.SerializeToString())
    if data is None:
        data = b"pad." + np.asarray([1, 2, 3], np.float32).tobytes()
    (folder / "w.bin").write_bytes(data)
    return path


def weight(model: Model) -> list[float]:
    value = model.graph.initializers["w"].const_value
    assert value is not None
    return [float(number) for number in value.numpy()]


def test_it_is_read_at_its_offset(tmp_path: Path) -> None:
    assert weight(load(written(tmp_path))) == [1, 2, 3]


def test_it_may_lie_in_a_folder_below(tmp_path: Path) -> None:
    path = written(tmp_path, location="parts/w.bin")
    (tmp_path / "parts").mkdir()
    (tmp_path / "w.bin").rename(tmp_path / "parts" / "w.bin")
    assert weight(load(path)) == [1, 2, 3]


def test_offset_and_length_may_be_left_out(tmp_path: Path) -> None:
    data = np.asarray([4, 5, 6], np.float32).tobytes()
    assert weight(load(written(tmp_path, data=data, offset=None, length=None))) == [4, 5, 6]


def test_the_digest_covers_names_and_contents(tmp_path: Path) -> None:
    first = load(written(tmp_path)).digest
    assert load(written(tmp_path)).digest == first
    assert load(written(tmp_path, data=b"pad." + bytes(12))).digest != first
    path = written(tmp_path, location="v.bin")
    (tmp_path / "w.bin").rename(tmp_path / "v.bin")
    assert load(path).digest != first


def test_its_size_counts(tmp_path: Path) -> None:
    path = written(tmp_path, data=bytes(10_000))
    with pytest.raises(InvalidModel, match="with its external data"):
        load(path, Limits(max_bytes=5_000))


LOCATIONS = {
    "/etc/passwd": "absolute",
    "C:\\w.bin": "absolute",
    "C:w.bin": "absolute",
    "\\\\host\\w.bin": "absolute",
    "~/w.bin": "absolute",
    "../w.bin": "leads elsewhere",
    "a/../../w.bin": "leads elsewhere",
    "a\\..\\w.bin": "leads elsewhere",
    "w.bin\0.txt": "control characters",
    "": "without a location",
    ".": "a folder",
    "none.bin": "is missing",
    "model.onnx/w.bin": "no folder",
    "*/_ORT_MEM_ADDR_/*": "is missing",
}


@pytest.mark.parametrize("location", LOCATIONS)
def test_a_path_that_leads_elsewhere_is_refused(location: str, tmp_path: Path) -> None:
    with pytest.raises(InvalidModel, match=LOCATIONS[location]) as caught:
        load(written(tmp_path, location=location))
    assert "'w'" in caught.value.message


NUMBERS: dict[str, tuple[dict[str, str], str]] = {
    "negative offset": ({"offset": "-4"}, "offset .* is '-4'"),
    "no number": ({"offset": "four"}, "is 'four'"),
    "hexadecimal": ({"offset": "0x4"}, "is '0x4'"),
    "overflowing offset": ({"offset": "9" * 19}, "a whole number"),
    "huge offset": ({"offset": str(2**62)}, "which has 16"),
    "beyond the end": ({"offset": "8"}, "bytes 8 to 20 of 'w.bin', which has 16"),
    "too short": ({"length": "8"}, "needs 12 bytes"),
    "too long": ({"length": "16"}, "needs 12 bytes"),
}


@pytest.mark.parametrize("fault", NUMBERS)
def test_numbers_that_do_not_fit_are_refused(fault: str, tmp_path: Path) -> None:
    entries, words = NUMBERS[fault]
    with pytest.raises(InvalidModel, match=words):
        load(written(tmp_path, **entries))


def replaced_by(make: Callable[[Path, Path], object]) -> Callable[[Path], None]:
    def replace(file: Path) -> None:
        other = file.with_name("other.bin")
        file.rename(other)
        make(file, other)

    return replace


def through_a_linked_folder(file: Path) -> None:
    real = file.with_name("real")
    real.mkdir()
    file.rename(real / "w.bin")
    file.with_name("parts").symlink_to(real)


FILES: dict[str, tuple[Callable[[Path], object], str]] = {
    "symbolic link": (replaced_by(lambda file, other: file.symlink_to(other)), "symbolic link"),
    "hard link": (replaced_by(lambda file, other: os.link(other, file)), "2 hard links"),
    "pipe": (replaced_by(lambda file, other: os.mkfifo(file)), "no ordinary file"),
    "folder": (replaced_by(lambda file, other: file.mkdir()), "no ordinary file"),
    "device": (replaced_by(lambda file, other: file.symlink_to("/dev/zero")), "symbolic link"),
}


@pytest.mark.parametrize("kind", FILES)
@pytest.mark.timeout(10)
def test_only_ordinary_files_are_read(kind: str, tmp_path: Path) -> None:
    path = written(tmp_path)
    change, words = FILES[kind]
    change(tmp_path / "w.bin")
    with pytest.raises(InvalidModel, match=words):
        load(path)


def test_a_linked_folder_is_refused(tmp_path: Path) -> None:
    path = written(tmp_path, location="parts/w.bin")
    through_a_linked_folder(tmp_path / "w.bin")
    with pytest.raises(InvalidModel, match="'parts' is a symbolic link"):
        load(path)


def test_names_that_differ_only_in_case_are_refused(tmp_path: Path) -> None:
    path = written(tmp_path)
    model = onnx.load(path, load_external_data=False)
    second = model.graph.initializer.add()
    second.CopyFrom(model.graph.initializer[0])
    second.name = "v"
    second.external_data[0].value = "W.bin"
    path.write_bytes(model.SerializeToString())
    (tmp_path / "W.bin").write_bytes(bytes(16))
    with pytest.raises(InvalidModel, match="differ only in case"):
        load(path)


def test_a_key_given_twice_is_refused(tmp_path: Path) -> None:
    path = written(tmp_path)
    model = onnx.load(path, load_external_data=False)
    model.graph.initializer[0].external_data.add(key="location", value="/etc/passwd")
    path.write_bytes(model.SerializeToString())
    with pytest.raises(InvalidModel, match="'location' twice"):
        load(path)


def test_attributes_of_nodes_are_looked_at_too(tmp_path: Path) -> None:
    path = written(tmp_path)
    model = onnx.load(path, load_external_data=False)
    constant = helper.make_node("Constant", [], ["c"])
    attribute = constant.attribute.add(name="value", type=onnx.AttributeProto.TENSOR)
    attribute.t.CopyFrom(model.graph.initializer[0])
    attribute.t.external_data[0].value = "../w.bin"
    model.graph.node.append(constant)
    path.write_bytes(model.SerializeToString())
    with pytest.raises(InvalidModel, match="attribute 'value'"):
        load(path)


def test_two_weights_may_share_bytes(tmp_path: Path) -> None:
    path = written(tmp_path)
    model = onnx.load(path, load_external_data=False)
    second = model.graph.initializer.add()
    second.CopyFrom(model.graph.initializer[0])
    second.name = "v"
    model.graph.node.append(helper.make_node("Add", ["y", "v"], ["z"]))
    model.graph.output.append(helper.make_tensor_value_info("z", TensorProto.FLOAT, ["N", 3]))
    path.write_bytes(model.SerializeToString())
    assert weight(load(path)) == [1, 2, 3]


def test_a_constant_node_may_be_external(tmp_path: Path) -> None:
    path = written(tmp_path)
    model = onnx.load(path, load_external_data=False)
    constant = helper.make_node("Constant", [], ["w"])
    attribute = constant.attribute.add(name="value", type=onnx.AttributeProto.TENSOR)
    attribute.t.CopyFrom(model.graph.initializer[0])
    model.graph.ClearField("initializer")
    model.graph.node.insert(0, constant)
    path.write_bytes(model.SerializeToString())
    found = load(path)
    (tmp_path / "w.bin").unlink()  # it has been read in
    assert weight(found) == [1, 2, 3]
    assert b"w.bin" not in (serialized(found.ir) or b"")
