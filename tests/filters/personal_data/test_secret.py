"""No value that redaction replaced is in anything that a person or another program reads: a search through all of it.

Only the parts of the work folder before redaction may hold one: the index (URLs as crawled), the texts of extract, and
the scratch files of dedup.
"""

import base64
import json
import re
import zlib
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from click.testing import CliRunner

from pipelines.cli.main import main
from tests.support.hostile import packed

SECRETS = {
    "email": "odile.martin@courrier.example",
    "phone": "+33 1 43 27 65 18",
    "iban": "FR14 2004 1010 0505 0001 3M02 606",
    "payment_card": "5555 5555 5555 4444",
    "key": "ghp_R7kQ2mZ9xW4vT1bN8cL5sJ3hG6fD0aYeUoPi",
    "ip_address": "93.184.215.14",
    "national_id": "190084308474470",
    "mac_address": "00:1A:2B:3C:4D:5E",
    "coordinates": "48.85837, 2.29448",
    "crypto_address": "1BvBMSEYstWetqTFn5Au4m4GFg7xJaNVN2",
    "user": "@odile_m75",
}
COPY = "jean.petit@courrier.example"  # only in a near-copy
ADDRESS = "http://page.test/contact?from=odile.martin%40courrier.example&x=1"
STORY = (
    "La rivière est sortie de son lit pendant la nuit de mardi, et les habitants du bas de la ville sont partis.",
    "Les pompiers ont travaillé jusqu'au matin avec des pompes que la région voisine leur a prêtées pour la semaine.",
    "La mairie a ouvert l'école pour ceux qui n'avaient plus de toit, et des voisins y ont porté du pain et du café.",
    "Personne n'a été blessé, mais les dégâts sont grands et il faudra des mois avant que tout ne soit réparé.",
    "Le vieux moulin, qui tient depuis trois siècles, a perdu une roue que le courant a emportée jusqu'au pont.",
    "Dans la vallée, les paysans comptent leurs bêtes et se demandent ce que deviendront les champs semés en automne.",
    "On se souvient ici d'une autre crue, celle que racontaient les grands-parents quand la neige fondait trop vite.",
    "Le train ne passe plus depuis mercredi, parce que la voie est couverte de boue sur toute la longueur du tunnel.",
    "Une famille a trouvé refuge chez le boulanger, dont le four est resté chaud toute la nuit pour sécher les habits.",
    "Les enfants, eux, ont gardé de ces jours le souvenir d'une grande fête, avec des lits de camp et des histoires.",
)
MADE = re.compile(r"index/|[a-z]{2}/(?:extract|dedup/[a-z]+)/|inputs\.json$")  # of the work folder: before redaction


def page(number: int, address: str, text: str) -> bytes:
    body = f"<html lang=fr><head><title>La crue</title></head><body><article>{text}</article></body></html>".encode()
    block = b"HTTP/1.1 200 OK\r\nContent-Type: text/html; charset=utf-8\r\n\r\n" + body
    head = (
        f"WARC/1.0\r\nWARC-Type: response\r\nWARC-Record-ID: <urn:uuid:{number:032d}>\r\nWARC-Target-URI: {address}\r\n"
        f"WARC-Date: 2024-05-06T07:08:09Z\r\nContent-Type: application/http; msgtype=response\r\n"
        f"Content-Length: {len(block)}\r\n\r\n"
    )
    return head.encode() + block + b"\r\n\r\n"


def crawl(path: Path) -> Path:
    """A page for each kind, the first with the e-mail address in its own URL, and a near-copy with another one."""
    pages = []
    for number, (kind, value) in enumerate(SECRETS.items()):
        lines = [STORY[(number * step + step) % 10] for step in (1, 3, 7)] + [
            STORY[number % 10],
            STORY[(number + 5) % 10],
        ]
        lines.insert(2, f"Pour joindre la famille ({kind}) : {value} ou passez la voir.")
        pages.append((f"http://page{number}.test/{number}", [*dict.fromkeys(lines), f"Jour {chr(97 + number)}."]))
    first = pages[0][1]
    copy = [f"Pour écrire aux siens : {COPY}." if SECRETS["email"] in line else line for line in first]
    pages = [(ADDRESS, [*first, *STORY[:4]]), ("http://copy.test/2", [*copy, *STORY[:4]]), *pages[1:]]
    records = [
        page(number, address, "".join(f"<p>{line}</p>" for line in lines))
        for number, (address, lines) in enumerate(pages, 1)
    ]
    path.write_bytes(packed(*records))
    return path


@pytest.fixture(scope="module")
def outputs(tmp_path_factory) -> tuple[Path, str]:
    """The folder of a run and a release, and the output of every command that reads them."""
    root = tmp_path_factory.mktemp("secret")
    work, release, archive = root / "work", root / "release", crawl(root / "crawl.warc.gz")
    (root / "list.txt").write_text(f"{ADDRESS}\n")
    (root / "bad.txt").write_text(f"https://a.test/\nplease remove {SECRETS['email']}\n")
    commands = [
        ["run", work, "--input", archive, "--lang", "fr", "--executor", "serial", "--log", root / "run.jsonl"],
        *(["why", address, "--work", work] for address in (ADDRESS, "http://copy.test/2", "http://page3.test/3")),
        ["status", work],
        ["verify", work],
        ["report", work, "--lang", "fr", "--to", root / "report.html"],
        ["publish", work, "--to", release, "--set", "publish.contact=x", "--executor", "serial"],
        ["pointers", release, "--to", root / "pointers", "--executor", "serial"],
        ["rebuild", root / "pointers", "--input", archive, "--to", root / "again", "--executor", "serial"],
        ["takedown", release, "--list", root / "bad.txt", "--set", "takedown.signed_off_by=A", "--executor", "serial"],
        ["takedown", release, "--list", root / "list.txt", "--set", "takedown.signed_off_by=A", "--executor", "serial"],
    ]
    said = []
    for command in commands:
        done = CliRunner().invoke(main, [str(part) for part in command], catch_exceptions=False)
        assert done.exit_code == (2 if root / "bad.txt" in command else 0), done.output
        said.append(done.output)
        if command[0] == "publish":
            (root / "published.json").write_text(json.dumps(everything(release)))
    return root, "\n".join(said)


def everything(folder: Path) -> dict[str, str]:
    """The content of all files of a folder, by name; tables as rows."""
    found: dict[str, str] = {}
    for path in sorted(path for path in folder.rglob("*") if path.is_file()):
        name = path.relative_to(folder).as_posix()
        if path.suffix == ".parquet":
            found[name] = str(pq.read_table(path).to_pylist()) + str(pq.read_metadata(path).metadata)
        elif path.suffix == ".arrow":
            found[name] = str(pa.ipc.open_stream(path).read_all().to_pylist())
        else:
            found[name] = path.read_bytes().decode("utf-8", "replace")
    return found


def unpacked(page: str) -> str:
    """The blocks of a report, unpacked as its script unpacks them."""
    blocks = (base64.b64decode(part + "=" * (-len(part) % 4)) for part in re.findall(r"[A-Za-z0-9+/]{80,}={0,2}", page))
    return "".join(zlib.decompress(block).decode("utf-8", "replace") for block in blocks if block[:1] == b"\x78")


def leaks(text: str) -> list[str]:
    """Kinds whose value is in a text, as written, or as in a URL or JSON."""
    values = {**SECRETS, "copy": COPY, "encoded": SECRETS["email"].replace("@", "%40")}
    return [kind for kind, value in values.items() if value in text or json.dumps(value)[1:-1] in text]


def test_the_search_finds_what_is_there(outputs):
    root, _ = outputs
    crawled = [*everything(root / "work/fr/extract").values(), *everything(root / "work/index").values()]
    assert set(leaks("\n".join(crawled))) == {*SECRETS, "copy", "encoded"}


def test_every_kind_was_replaced_in_a_document_that_was_published(outputs):
    root, _ = outputs
    files = json.loads((root / "published.json").read_text())
    rows = "\n".join(text for name, text in files.items() if name.startswith("data/"))
    for kind in SECRETS:
        assert f"'kind': '{kind}'" in rows


def test_no_value_is_in_the_work_folder_after_redaction(outputs):
    root, _ = outputs
    files = {name: text for name, text in everything(root / "work").items() if not MADE.match(name)}
    assert {name.split("/")[1] for name in files if name.startswith("fr/")} >= {"redact", "shards", "manifest.json"}
    assert {name: leaks(text) for name, text in files.items() if leaks(text)} == {}


def test_no_value_is_in_release_pointers_rebuilt_release_takedown_or_log(outputs):
    root, _ = outputs
    files = json.loads((root / "published.json").read_text())
    for folder in ("release", "pointers", "again"):
        files |= {f"{folder}/{name}": text for name, text in everything(root / folder).items()}
    files["log"] = (root / "run.jsonl").read_text()
    assert len(files) > 15
    assert {name: leaks(text) for name, text in files.items() if leaks(text)} == {}


def test_no_value_is_in_the_report(outputs):
    root, _ = outputs
    page = (root / "report.html").read_text()
    assert "rivière" in unpacked(page)
    assert leaks(page + unpacked(page)) == []


def test_no_value_is_in_the_output_of_commands_except_the_address_given_to_them(outputs):
    _, said = outputs
    assert "only here: Pour écrire aux siens : PI:EMAIL." in said  # why shows where the copies differ
    assert leaks(said.replace(ADDRESS, "")) == []


def test_a_page_is_taken_down_by_its_url_even_if_that_has_a_value(outputs):
    root, _ = outputs
    assert "contact?from=" in (root / "published.json").read_text()
    assert "contact?from=" not in str(everything(root / "release"))
