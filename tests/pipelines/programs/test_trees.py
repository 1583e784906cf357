"""Source trees: every form gives the same files, no path leads out, bounds hold against hostile archives."""

import gzip
import io
import os
import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

from pipelines.archives.limits import Limits
from pipelines.programs import trees as source_trees
from pipelines.programs.trees import clean_path, is_source_tree, origin, read_tree, url_of
from roots.errors import InputError
from roots.identity import sha256_of_folder

FILES = {"README.md": b"# A project\n", "src/a.py": b"print(1)\n", "src/deep/b.py": b"print(2)\n" * 57}
LIMITS = Limits(body_bytes=10_000)


def folder(root: Path) -> Path:
    for name, data in FILES.items():
        path = root / "tree" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
    return root / "tree"


def tar_of(
    root: Path, members: list[tuple[tarfile.TarInfo, bytes]], mode: str = "w:gz", name: str = "t.tar.gz"
) -> Path:
    path = root / name
    with tarfile.open(path, mode) as archive:  # type: ignore[call-overload]
        for member, data in members:
            member.size = len(data)
            archive.addfile(member, io.BytesIO(data))
    return path


def regular(files: dict[str, bytes]) -> list[tuple[tarfile.TarInfo, bytes]]:
    return [(tarfile.TarInfo(name), data) for name, data in files.items()]


def zip_of(root: Path, files: dict[str | zipfile.ZipInfo, bytes], name: str = "t.zip") -> Path:
    with zipfile.ZipFile(root / name, "w", zipfile.ZIP_DEFLATED) as archive:
        for key, data in files.items():
            archive.writestr(key, data)
    return root / name


FORMS: dict[str, Callable[[Path], Path]] = {
    "folder": folder,
    "tar": lambda root: tar_of(root, regular(FILES), "w", "t.tar"),
    "tar.gz": lambda root: tar_of(root, regular(FILES)),
    "tar.bz2": lambda root: tar_of(root, regular(FILES), "w:bz2", "t.tar.bz2"),
    "tar.xz": lambda root: tar_of(root, regular(FILES), "w:xz", "t.tar.xz"),
    "zip": lambda root: zip_of(root, dict(FILES)),
}


@pytest.mark.parametrize("form", FORMS)
def test_every_form_gives_the_same_files(form: str, tmp_path: Path) -> None:
    path = FORMS[form](tmp_path)
    assert is_source_tree(path)
    found = list(read_tree(path, LIMITS))
    assert {file.path: file.data for file in found} == FILES
    assert [file.place for file in found] == [0, 1, 2]
    assert not any(file.problem for file in found)


def test_web_archives_and_other_files_are_no_source_trees(tmp_path: Path) -> None:
    page = tmp_path / "a.warc.gz"
    page.write_bytes(gzip.compress(b"WARC/1.0\r\n\r\n" + bytes(600)))
    assert not is_source_tree(page)
    assert not is_source_tree(zip_of(tmp_path, {"datapackage.json": b"{}", "archive/a.warc.gz": b""}, "a.wacz"))
    (tmp_path / "short").write_bytes(b"x")
    assert not is_source_tree(tmp_path / "short")
    with pytest.raises(InputError, match="no file"):
        is_source_tree(tmp_path / "missing")


@pytest.mark.parametrize(
    ("name", "clean"),
    [
        ("a/b.py", "a/b.py"), ("./a//b.py", "a/b.py"), ("/etc/passwd", None), ("a/../../b", None), ("..", None),
        ("C:/x", None), ("a\\b", None), ("a\0b", None), ("", None), ("é/ş.py", "é/ş.py"), ("..a/b..c", "..a/b..c"),
    ],
)  # fmt: skip
def test_paths_stay_within_the_tree(name: str, clean: str | None) -> None:
    assert clean_path(name) == clean


def test_links_devices_and_paths_out_of_a_tar_are_rows_without_content(tmp_path: Path) -> None:
    link, hard, pipe = (tarfile.TarInfo(name) for name in ("link.py", "hard.py", "pipe.py"))
    link.type, link.linkname = tarfile.SYMTYPE, "/etc/passwd"
    hard.type, hard.linkname = tarfile.LNKTYPE, "a.py"
    pipe.type = tarfile.FIFOTYPE
    members = [
        (link, b""),
        (hard, b""),
        (pipe, b""),
        *regular({"../out.py": b"print(1)", ".git/config": b"x", "a.py": b"1"}),
    ]
    found = {file.path: (file.problem, file.data) for file in read_tree(tar_of(tmp_path, members), LIMITS)}
    assert found == {
        "link.py": ("link", b""), "hard.py": ("link", b""), "pipe.py": ("special", b""),
        "../out.py": ("bad_path", b""), "a.py": (None, b"1"),
    }  # fmt: skip


def test_links_of_a_folder_are_not_followed(tmp_path: Path) -> None:
    secret = tmp_path / "secret.py"
    secret.write_text("password")
    tree = folder(tmp_path)
    (tree / "link.py").symlink_to(secret)
    (tree / "up").symlink_to(tmp_path)
    os.mkfifo(tree / "pipe.py")
    found = {file.path: file for file in read_tree(tree, LIMITS)}
    assert set(found) == {*FILES, "link.py", "up", "pipe.py"}
    assert [found[name].problem for name in ("link.py", "up", "pipe.py")] == ["link", "link", "special"]
    assert not any(b"password" in file.data for file in found.values())


def test_links_and_encrypted_files_of_a_zip_are_rows_without_content(tmp_path: Path) -> None:
    link = zipfile.ZipInfo("link.py")
    link.external_attr = 0o120777 << 16
    path = zip_of(tmp_path, {link: b"/etc/passwd", "b.py": b"print(1)"})
    data = bytearray(path.read_bytes())
    entry = data.rfind(b"PK\x01\x02")
    data[entry + 8] |= 1  # of b.py: encrypted
    path.write_bytes(data)
    assert [(file.path, file.problem, file.data) for file in read_tree(path, LIMITS)] == [
        ("link.py", "link", b""), ("b.py", "encrypted", b""),
    ]  # fmt: skip


@pytest.mark.parametrize("form", ["tar.gz", "zip"])
def test_an_archive_that_unpacks_to_too_much_is_cut_with_a_row(
    form: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(source_trees, "_FREE_BYTES", 100_000)
    files = {f"{number}.py": bytes(9000) for number in range(200)}
    path = tar_of(tmp_path, regular(files)) if form == "tar.gz" else zip_of(tmp_path, dict(files))
    found = list(read_tree(path, Limits(body_bytes=10_000, unpacked_bytes=100_000)))
    assert 5 <= len(found) < 20
    assert found[-1].problem == "too_large"
    assert found[-1].path == path.name


@pytest.mark.parametrize("form", ["tar.gz", "zip", "folder"])
def test_a_file_above_the_bound_is_a_row_without_content(form: str, tmp_path: Path) -> None:
    found = {file.path: file for file in read_tree(FORMS[form](tmp_path), Limits(body_bytes=100))}
    assert (found["src/deep/b.py"].problem, found["src/deep/b.py"].data) == ("too_large", b"")
    assert found["src/deep/b.py"].size == 9 * 57
    assert found["src/a.py"].data == FILES["src/a.py"]


def test_a_header_that_claims_gigabytes_is_not_read(tmp_path: Path) -> None:
    header = tarfile.TarInfo("pax")
    header.type, header.size = tarfile.XHDTYPE, 8 << 30
    path = tmp_path / "a.tar"
    path.write_bytes(header.tobuf() + bytes(10_240))
    assert [file.problem for file in read_tree(path, LIMITS)] == ["broken"]


@pytest.mark.parametrize("form", ["tar", "tar.gz", "tar.xz", "zip"])
def test_a_damaged_archive_gives_rows_and_an_end(form: str, tmp_path: Path) -> None:
    path = FORMS[form](tmp_path)
    whole = path.read_bytes()
    for cut in range(1, len(whole), max(1, len(whole) // 40)):
        path.write_bytes(whole[:cut])
        found = list(read_tree(path, LIMITS)) if is_source_tree(path) else []
        assert all(file.problem or FILES[file.path] == file.data for file in found)
        flipped = bytearray(whole)
        flipped[cut] ^= 0xFF
        path.write_bytes(flipped)
        assert len(list(read_tree(path, LIMITS)) if is_source_tree(path) else []) <= 4


def test_a_zip_whose_directory_is_too_large_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(source_trees, "DIRECTORY_BYTES", 50)
    with pytest.raises(InputError, match="unpack it"):
        list(read_tree(zip_of(tmp_path, dict(FILES)), LIMITS))


CONFIG = '[core]\n\tbare = false\n[remote "origin"]\n\turl = {url}\n\tfetch = +refs/heads/*:refs/remotes/origin/*\n'
COMMIT = "1f2e" * 10


@pytest.mark.parametrize(
    ("url", "address"),
    [
        ("https://host.example/owner/name.git", "https://host.example/owner/name/blob/" + COMMIT),
        ("https://me:secret@host.example/o/n", "https://host.example/o/n/blob/" + COMMIT),
        ("git@host.example:o/n.git", "https://host.example/o/n/blob/" + COMMIT),
        ("ssh://git@host.example:22/o/n.git", "https://host.example/o/n/blob/" + COMMIT),
        ("/srv/git/n.git", None), ("file:///srv/n", None), ("https://host:bad:port/x", None),
    ],
)  # fmt: skip
def test_the_address_of_a_checkout_is_read_from_its_files(url: str, address: str | None, tmp_path: Path) -> None:
    tree = folder(tmp_path)
    (tree / ".git" / "refs" / "heads").mkdir(parents=True)
    (tree / ".git" / "config").write_text(CONFIG.format(url=url))
    (tree / ".git" / "HEAD").write_text("ref: refs/heads/main\n")
    assert origin(tree) is None
    (tree / ".git" / "packed-refs").write_text(f"# pack-refs\n{COMMIT} refs/heads/main\n")
    assert origin(tree) == address
    assert {file.path for file in read_tree(tree, LIMITS)} == set(FILES)
    assert url_of("tree", origin(tree), "a b#.py") == (address or "tree") + "/a%20b%23.py"


def test_the_digest_of_a_folder_depends_on_names_and_contents(tmp_path: Path) -> None:
    tree = folder(tmp_path)
    first = sha256_of_folder(tree)
    os.utime(tree / "src" / "a.py", (1, 1))
    (tree / ".git" / "objects").mkdir(parents=True)
    (tree / ".git" / "objects" / "x").write_text("x")
    assert sha256_of_folder(tree) == first
    (tree / "src" / "a.py").write_text("print(3)")
    second = sha256_of_folder(tree)
    (tree / "src" / "a.py").rename(tree / "src" / "c.py")
    (tree / ".git" / "HEAD").write_text(COMMIT)
    third = sha256_of_folder(tree)
    (tree / "link").symlink_to("nowhere")
    assert len({first, second, third, sha256_of_folder(tree)}) == 4
