from __future__ import annotations

import errno
import os
from pathlib import Path

import numpy as np
import pytest

from mho.errors import ResourceExhausted
from mho.jobs import checkpoint
from mho.jobs.checkpoint import Checkpoint, load, save

ARRAYS = {
    "a/b\x1fc": np.arange(6.0).reshape(2, 3),
    "names": np.asarray(["x", "yz"]),
    "header": np.asarray(True),
    "empty": np.zeros((0, 3), np.float32),
}


def kept(file: Path) -> Checkpoint:
    save(file, Checkpoint("task", "1", 7, ARRAYS))
    found, note = load(file, task="task", version="1")
    assert note == ""
    assert found is not None
    return found


def test_arrays_come_back(tmp_path: Path) -> None:
    found = kept(tmp_path / "c.npz")
    assert found.steps == 7
    assert list(found.arrays) == list(ARRAYS)
    for name, array in ARRAYS.items():
        np.testing.assert_array_equal(found.arrays[name], array, strict=True)
    assert [path.name for path in tmp_path.iterdir()] == ["c.npz"]


def test_none_is_no_error(tmp_path: Path) -> None:
    assert load(tmp_path / "c.npz", task="task", version="1") == (None, "")


@pytest.mark.parametrize(
    ("task", "version", "words"),
    [("other", "1", "another job"), ("task", "2", "another version")],
)
def test_a_foreign_one_is_not_taken(tmp_path: Path, task: str, version: str, words: str) -> None:
    kept(tmp_path / "c.npz")
    found, note = load(tmp_path / "c.npz", task=task, version=version)
    assert found is None
    assert words in note


def test_a_torn_one_is_not_taken(tmp_path: Path) -> None:
    file = tmp_path / "c.npz"
    kept(file)
    content = file.read_bytes()
    for length in range(0, len(content), 37):
        file.write_bytes(content[:length])
        found, note = load(file, task="task", version="1")
        assert found is None
        assert "damaged" in note


def test_a_flipped_byte_is_never_taken_for_data(tmp_path: Path) -> None:
    file = tmp_path / "c.npz"
    kept(file)
    content = file.read_bytes()
    for place in range(0, len(content), 11):
        file.write_bytes(content[:place] + bytes([content[place] ^ 0xFF]) + content[place + 1 :])
        found, note = load(file, task="task", version="1")
        if found is None:
            assert note
            continue
        for name, array in ARRAYS.items():
            np.testing.assert_array_equal(found.arrays[name], array, strict=True)


def test_pickles_are_refused(tmp_path: Path) -> None:
    file = tmp_path / "c.npz"
    np.savez(file, header=np.asarray([{"a": 1}], dtype=object))
    found, note = load(file, task="task", version="1")
    assert found is None
    assert "damaged" in note


def test_a_full_disk_keeps_the_old_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "c.npz"
    kept(file)

    def full(descriptor: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as patched:
        patched.setattr(checkpoint.os, "fsync", full)
        with pytest.raises(ResourceExhausted, match="disk is full while a checkpoint"):
            save(file, Checkpoint("task", "1", 9, ARRAYS))
    assert [path.name for path in tmp_path.iterdir()] == ["c.npz"]
    found, _ = load(file, task="task", version="1")
    assert found is not None
    assert found.steps == 7
