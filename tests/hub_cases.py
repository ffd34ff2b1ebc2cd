"""A stand-in for the hub's HTTP interface, as far as huggingface_hub asks it here: repositories, commits, files."""

from __future__ import annotations

import base64
import hashlib
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import unquote, urlsplit

TOKEN = "hf_stand_in"


@dataclass
class Repository:
    """Branches and commits; a commit is all files of it."""

    private: bool = False
    commits: dict[str, dict[str, bytes]] = field(default_factory=dict)
    branches: dict[str, str] = field(default_factory=dict)
    messages: list[str] = field(default_factory=list)

    def commit(self, branch: str, files: dict[str, bytes], message: str = "") -> str:
        whole = json.dumps(
            [message, len(self.commits), sorted((n, hashlib.sha1(c).hexdigest()) for n, c in files.items())]
        )
        sha = hashlib.sha1(whole.encode()).hexdigest()
        self.commits[sha], self.branches[branch] = files, sha
        self.messages.append(message)
        return sha

    def files(self, revision: str) -> tuple[str, dict[str, bytes]] | None:
        sha = self.branches.get(revision, revision)
        return (sha, self.commits[sha]) if sha in self.commits else None


@dataclass
class Hub:
    """The server's memory, and what it was asked."""

    address: str = ""
    repositories: dict[str, Repository] = field(default_factory=dict)
    stored: dict[str, bytes] = field(default_factory=dict)  # large files, by SHA-256
    asked: list[str] = field(default_factory=list)


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    hub: Hub

    def log_message(self, *of: Any) -> None:
        pass

    def answer(self, status: int, value: Any = None, headers: dict[str, str] | None = None) -> None:
        content = value if isinstance(value, bytes) else json.dumps(value).encode()
        self.send_response(status)
        for name, text in {"Content-Length": str(len(content)), **(headers or {})}.items():
            self.send_header(name, text)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(content)

    def body(self) -> bytes:
        if self.headers.get("Transfer-Encoding") != "chunked":
            return self.rfile.read(int(self.headers.get("Content-Length", 0)))
        parts = []
        while size := int(self.rfile.readline(), 16):
            parts.append(self.rfile.read(size))
            self.rfile.readline()
        self.rfile.readline()
        return b"".join(parts)

    def missing(self, code: str) -> None:
        self.answer(404, {"error": code}, {"X-Error-Code": code})

    def do(self) -> None:
        path = unquote(urlsplit(self.path).path)
        self.hub.asked.append(f"{self.command} {path}")
        content = self.body()
        writes = self.command not in ("GET", "HEAD")
        if writes and not path.startswith("/store/") and self.headers.get("Authorization") != f"Bearer {TOKEN}":
            return self.answer(401, {"error": "Invalid username or password."})
        parts = path.strip("/").split("/")
        if path == "/api/repos/create":
            return self.create(json.loads(content))
        if path == "/api/validate-yaml":  # of the card
            front = json.loads(content)["content"].split("---\n")[1]
            return self.answer(200, {"errors": [] if "library_name" in front else [{"message": "no"}], "warnings": []})
        if parts[0] == "store":
            self.hub.stored[parts[1]] = content
            return self.answer(200, {})
        if parts[2:5] == ["info", "lfs", "objects"]:  # owner/name.git/info/lfs/objects/batch
            return self.batch(json.loads(content))
        name = "/".join(parts[2:4] if parts[0] == "api" else parts[:2])
        repository = self.hub.repositories.get(name)
        if repository is None:
            return self.missing("RepoNotFound")
        if parts[0] == "api":
            return self.api(repository, name, parts[4:], content)
        self.resolve(repository, parts[3], "/".join(parts[4:]))

    do_GET = do_HEAD = do_POST = do_PUT = do

    def create(self, asked: dict[str, Any]) -> None:
        name = f"{asked['organization']}/{asked['name']}"
        private = bool(asked.get("private")) or asked.get("visibility") == "private"
        there = name in self.hub.repositories
        if not there:
            self.hub.repositories[name] = Repository(private)
            self.hub.repositories[name].commit("main", {".gitattributes": b""})
        self.answer(409 if there else 200, {"url": f"{self.hub.address}/{name}"})

    def batch(self, asked: dict[str, Any]) -> None:
        def of(entry: dict[str, Any]) -> dict[str, Any]:
            if entry["oid"] in self.hub.stored:  # which is said by having nothing to do
                return entry
            return {**entry, "actions": {"upload": {"href": f"{self.hub.address}/store/{entry['oid']}"}}}

        objects = [of(entry) for entry in asked["objects"]]
        self.answer(200, {"transfer": "basic", "objects": objects}, {"Content-Type": "application/vnd.git-lfs+json"})

    def api(self, repository: Repository, name: str, words: list[str], content: bytes) -> None:
        if words[:1] == ["preupload"]:
            files = json.loads(content)["files"]
            modes = ["lfs" if of["path"].endswith((".safetensors", ".png")) else "regular" for of in files]
            plans = [{"path": of["path"], "uploadMode": mode} for of, mode in zip(files, modes, strict=True)]
            return self.answer(200, {"files": [{**plan, "shouldIgnore": False, "oid": None} for plan in plans]})
        if words[:1] == ["branch"]:
            there = words[1] in repository.branches
            repository.branches.setdefault(words[1], repository.branches["main"])
            return self.answer(409 if there else 200, {})
        if words[:1] == ["commit"]:
            return self.commit(repository, name, words[1], content)
        found = repository.files(words[1] if words[:1] == ["revision"] else "main")
        if found is None:
            return self.missing("RevisionNotFound")
        sha, files = found
        siblings = [{"rfilename": path, "size": len(of), "blobId": "0" * 40} for path, of in files.items()]
        self.answer(200, {"id": name, "sha": sha, "private": repository.private, "siblings": siblings, "tags": []})

    def commit(self, repository: Repository, name: str, branch: str, content: bytes) -> None:
        found = repository.files(branch)
        if found is None:
            return self.missing("RevisionNotFound")
        files, message = dict(found[1]), ""
        for line in content.splitlines():
            entry = json.loads(line)
            key, value = entry["key"], entry["value"]
            if key == "header":
                message = value["summary"]
            elif key == "file":
                files[value["path"]] = base64.b64decode(value["content"])
            elif key == "lfsFile":
                files[value["path"]] = self.hub.stored[value["oid"]]
            elif key == "deletedFile":
                del files[value["path"]]
        sha = repository.commit(branch, files, message)
        self.answer(200, {"success": True, "commitOid": sha, "commitUrl": f"{self.hub.address}/{name}/commit/{sha}"})

    def resolve(self, repository: Repository, revision: str, path: str) -> None:
        found = repository.files(revision)
        if found is None or path not in found[1]:
            return self.missing("EntryNotFound" if found else "RevisionNotFound")
        content = found[1][path]
        etag = f'"{hashlib.sha256(content).hexdigest()}"'
        self.answer(200, content, {"X-Repo-Commit": found[0], "ETag": etag})


class Server(ThreadingHTTPServer):
    """One that a client may ask many things at once."""

    request_queue_size = 128
    daemon_threads = True


@contextmanager
def serving() -> Iterator[Hub]:
    """The hub, on a port of this machine, until the block ends."""
    hub = Hub()
    with Server(("127.0.0.1", 0), type("Bound", (Handler,), {"hub": hub})) as server:
        hub.address = f"http://127.0.0.1:{server.server_port}"
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
        thread.start()
        yield hub
        server.shutdown()
        thread.join()
