"""A server on loopback that speaks as much of the Hub's protocol as huggingface_hub's client uses for a push."""

import base64
import hashlib
import json
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import yaml


class Hub:
    """Repositories, objects, and what was asked of the server. `fail_after` uploads, uploads fail."""

    def __init__(self) -> None:
        self.repos: dict[str, dict[str, Any]] = {}
        self.objects: dict[str, bytes] = {}
        self.uploads: list[str] = []
        self.fail_after: int | None = None
        self.lose: str | None = None  # a path that commits silently pass over
        self.url = ""

    def files(self, repo: str) -> dict[str, bytes]:
        return self.repos[repo]["commits"][-1]["files"]

    def get(self, path: str) -> tuple[int, Any]:
        if found := re.fullmatch(r"/api/datasets/([^/]+/[^/]+)/tree/main", path):
            if found[1] not in self.repos:
                return 404, {"error": "Repository not found"}
            return 200, [self._item(name, data) for name, data in sorted(self.files(found[1]).items())]
        if found := re.fullmatch(r"/api/datasets/([^/]+/[^/]+)(?:/revision/main)?", path):
            if found[1] not in self.repos:
                return 404, {"error": "Repository not found"}
            sha = self.repos[found[1]]["commits"][-1]["oid"]
            return 200, {"id": found[1], "sha": sha, "private": self.repos[found[1]]["private"], "siblings": []}
        return 404, {"error": path}

    @staticmethod
    def _item(name: str, data: bytes) -> dict[str, Any]:
        blob = hashlib.sha1(b"blob %d\0" % len(data) + data).hexdigest()
        item: dict[str, Any] = {"type": "file", "path": name, "size": len(data), "oid": blob}
        if name.endswith(".parquet"):
            item["lfs"] = {"oid": hashlib.sha256(data).hexdigest(), "size": len(data), "pointerSize": 134}
        return item

    def post(self, path: str, body: bytes) -> tuple[int, Any]:
        if path == "/api/repos/create":
            asked = json.loads(body)
            repo = f"{asked.get('organization') or 'me'}/{asked['name']}"
            if repo in self.repos:
                return 409, {"error": "exists", "url": f"{self.url}/datasets/{repo}"}
            private = asked.get("private", asked.get("visibility") == "private")
            self.repos[repo] = {"private": private, "commits": [{"oid": "0" * 40, "files": {}, "message": ""}]}
            return 200, {"url": f"{self.url}/datasets/{repo}"}
        if path == "/api/validate-yaml":
            errors = [{"message": each} for each in self._card_errors(json.loads(body)["content"])]
            return (400 if errors else 200), {"errors": errors, "warnings": []}
        if found := re.fullmatch(r"/api/datasets/(.+)/preupload/main", path):
            return 200, {"files": [self._mode(found[1], each["path"]) for each in json.loads(body)["files"]]}
        if re.fullmatch(r"/datasets/(.+)\.git/info/lfs/objects/batch", path):
            return 200, {"transfer": "basic", "objects": [self._action(each) for each in json.loads(body)["objects"]]}
        if found := re.fullmatch(r"/api/datasets/(.+)/commit/main", path):
            return self._commit(found[1], [json.loads(line) for line in body.splitlines()])
        if found := re.fullmatch(r"/api/datasets/(.+)/super-squash/main", path):
            self.repos[found[1]]["commits"] = self.repos[found[1]]["commits"][-1:]
            return 200, {}
        return 404, {"error": path}

    @staticmethod
    def _card_errors(content: str) -> Iterator[str]:
        """What the Hub says of a licence in a card's head."""
        head = yaml.safe_load(content.split("---")[1])
        if not re.fullmatch(r"[a-z0-9.+-]+", head["license"]):
            yield f'"license" must be one of the known ones, not {head["license"]}'

    def _mode(self, repo: str, name: str) -> dict[str, Any]:
        old = self.files(repo).get(name)
        oid = None if old is None else self._item(name, old)["oid"]
        return {
            "path": name,
            "uploadMode": "lfs" if name.endswith(".parquet") else "regular",
            "shouldIgnore": False,
            "oid": oid,
        }

    def _action(self, asked: dict[str, Any]) -> dict[str, Any]:
        if asked["oid"] in self.objects:
            return dict(asked)
        return {**asked, "actions": {"upload": {"href": f"{self.url}/upload/{asked['oid']}"}}}

    def put(self, path: str, body: bytes) -> tuple[int, Any]:
        oid = path.rpartition("/")[2]
        if self.fail_after is not None and len(self.uploads) >= self.fail_after:
            return 403, {"error": "the link is broken"}
        assert hashlib.sha256(body).hexdigest() == oid
        self.objects[oid] = body
        self.uploads.append(oid)
        return 200, {}

    def _commit(self, repo: str, lines: list[dict[str, Any]]) -> tuple[int, Any]:
        files = dict(self.files(repo))
        message = ""
        for line in lines:
            value = line["value"]
            if line["key"] == "header":
                message = value["summary"]
            elif line["key"] == "deletedFile":
                del files[value["path"]]
            elif value["path"] != self.lose:
                files[value["path"]] = (
                    self.objects[value["oid"]] if line["key"] == "lfsFile" else base64.b64decode(value["content"])
                )
        oid = hashlib.sha1(f"{len(self.repos[repo]['commits'])}{message}".encode()).hexdigest()
        self.repos[repo]["commits"].append({"oid": oid, "files": files, "message": message})
        return 200, {"commitUrl": f"{self.url}/datasets/{repo}/commit/{oid}", "commitOid": oid}


@contextmanager
def serve() -> Iterator[Hub]:
    """A running server."""
    hub = Hub()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def _body(self) -> bytes:
            if self.headers.get("Transfer-Encoding") != "chunked":
                return self.rfile.read(int(self.headers.get("Content-Length", 0)))
            parts = []
            while size := int(self.rfile.readline(), 16):
                parts.append(self.rfile.read(size))
                self.rfile.readline()
            self.rfile.readline()
            return b"".join(parts)

        def _answer(self, status: int, value: Any) -> None:
            data = json.dumps(value).encode()
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        def do_GET(self) -> None:
            self._answer(*hub.get(self.path.partition("?")[0]))

        def do_POST(self) -> None:
            self._answer(*hub.post(self.path.partition("?")[0], self._body()))

        def do_PUT(self) -> None:
            self._answer(*hub.put(self.path, self._body()))

        def log_message(self, *_: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    hub.url = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield hub
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
