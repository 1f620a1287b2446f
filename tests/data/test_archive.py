"""ZIPs and folders, and what is hidden in them."""

from __future__ import annotations

import stat
import warnings
import zipfile
from pathlib import Path

import pytest

from mho.data import archive
from mho.errors import InvalidData

LIMIT = 10_000_000


def zipped(path: Path, members: dict[str, bytes]) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as file:
        for name, content in members.items():
            file.writestr(name, content)
    return path


def names(path: Path) -> tuple[str, ...]:
    with archive.opened(path, max_bytes=LIMIT) as files:
        return files.names


def test_a_zip_of_one_folder_reads_like_the_folder(tmp_path: Path) -> None:
    members = {"b.png": b"B", "sub/a.png": b"A", "labels.tsv": b"L"}
    folder = tmp_path / "photos"
    for name, content in members.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(content)
    wrapped = zipped(tmp_path / "w.zip", {f"photos/{n}": c for n, c in members.items()})
    bare = zipped(tmp_path / "b.zip", members)
    for path in (folder, wrapped, bare):
        with archive.opened(path, max_bytes=LIMIT) as files:
            assert files.names == ("b.png", "labels.tsv", "sub/a.png")
            assert [files.read(name) for name in files.names] == [b"B", b"L", b"A"]


def test_hidden_things_are_left_out(tmp_path: Path) -> None:
    members = {"p/a.png": b"", "__MACOSX/p/._a.png": b"", "p/.DS_Store": b"", "p/.git/x.png": b""}
    assert names(zipped(tmp_path / "x.zip", members)) == ("a.png",)
    (tmp_path / "f" / ".cache").mkdir(parents=True)
    (tmp_path / "f" / ".cache" / "x.png").touch()
    (tmp_path / "f" / "a.png").touch()
    assert names(tmp_path / "f") == ("a.png",)


@pytest.mark.parametrize(
    "name", ["../a.png", "x/../../a.png", "/etc/a.png", "..\\a.png", "C:/a.png", "\\\\host\\a.png"]
)
def test_names_that_lead_out_are_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(InvalidData, match="leads out of the ZIP"):
        names(zipped(tmp_path / "x.zip", {"ok.png": b"", name: b""}))


def test_links_are_refused(tmp_path: Path) -> None:
    link = zipfile.ZipInfo("a.png")
    link.external_attr = (stat.S_IFLNK | 0o777) << 16
    with zipfile.ZipFile(tmp_path / "x.zip", "w") as file:
        file.writestr(link, "/etc/passwd")
    with pytest.raises(InvalidData, match=r"'a.png' in .* is a symbolic link"):
        names(tmp_path / "x.zip")


def test_exotic_compression_and_encryption_are_refused(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "l.zip", "w", zipfile.ZIP_LZMA) as file:
        file.writestr("a.png", b"x" * 1000)
    with pytest.raises(InvalidData, match="another way than deflate"):
        names(tmp_path / "l.zip")
    content = bytearray(zipped(tmp_path / "e.zip", {"a.png": b"x"}).read_bytes())
    directory = content.index(b"PK\x01\x02")
    content[directory + 8] |= 1
    (tmp_path / "e.zip").write_bytes(content)
    with pytest.raises(InvalidData, match="is encrypted"):
        names(tmp_path / "e.zip")


def test_the_same_name_twice_is_refused(tmp_path: Path) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # zipfile's own
        with zipfile.ZipFile(tmp_path / "x.zip", "w") as file:
            file.writestr("a.png", b"1")
            file.writestr("a.png", b"2")
    with pytest.raises(InvalidData, match=r"holds 'a.png' twice"):
        names(tmp_path / "x.zip")


def test_a_zip_bomb_is_refused_before_it_is_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bomb = zipped(tmp_path / "x.zip", {f"{i}.png": b"\0" * 2_000_000 for i in range(6)})
    with pytest.raises(InvalidData, match="has 12000000 bytes or more; at most 10000000"):
        names(bomb)
    monkeypatch.setattr(archive, "_MAX_RATIO_FREE_BYTES", 1000)
    with (
        pytest.raises(InvalidData, match="claims to unpack to 12000000, more than 200 times"),
        archive.opened(bomb, max_bytes=10 * LIMIT),
    ):
        pass


def test_too_many_files_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(archive, "MAX_FILES", 3)
    path = zipped(tmp_path / "x.zip", {f"{i}.png": b"" for i in range(4)})
    with pytest.raises(InvalidData, match="more than 3 files"):
        names(path)


def test_more_bytes_than_declared_are_never_handed_out(tmp_path: Path) -> None:
    content = bytearray(zipped(tmp_path / "x.zip", {"a.png": b"x" * 5000}).read_bytes())
    directory = content.index(b"PK\x01\x02")
    content[directory + 24 : directory + 28] = (10).to_bytes(4, "little")
    (tmp_path / "x.zip").write_bytes(content)
    with (
        archive.opened(tmp_path / "x.zip", max_bytes=LIMIT) as files,
        pytest.raises(InvalidData, match=r"'a.png' in .* is damaged"),
    ):
        files.read("a.png")


def test_a_damaged_or_truncated_zip_is_named(tmp_path: Path) -> None:
    path = zipped(tmp_path / "x.zip", {"a.png": bytes(range(256)) * 20})
    content = bytearray(path.read_bytes())
    path.write_bytes(content[:-30])
    with pytest.raises(InvalidData, match="is no ZIP that can be read"):
        names(path)
    content[40] ^= 0xFF
    path.write_bytes(content)
    with (
        archive.opened(path, max_bytes=LIMIT) as files,
        pytest.raises(InvalidData, match="damaged"),
    ):
        files.read("a.png")


def test_a_folder_s_files_are_read_within_the_limit(tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(b"x" * 100)
    with (
        archive.opened(tmp_path, max_bytes=99) as files,
        pytest.raises(InvalidData, match=r"a.png has 100 bytes or more"),
    ):
        files.read("a.png")
