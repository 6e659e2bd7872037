"""A real S3-compatible server (`s3s-fs`) with one bucket, and a door before it that counts, refuses and adds."""

from __future__ import annotations

import hashlib
import hmac
import http.client
import shutil
import subprocess
import threading
import time
import urllib.parse
from collections import Counter
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import TracebackType

from bundle import Bundle, write
from server import ROOT, free_port

BINARY = ROOT / "target" / "tools" / "bin" / "s3s-fs"
ACCESS_KEY, SECRET_KEY, REGION, BUCKET = "a-key", "a-secret-of-the-tests", "us-east-1", "shop"
PREFIX = "ranking/models"
URL = f"s3://{BUCKET}/{PREFIX}"


def sha256(content: bytes) -> str:
    """Returns the sum as S3 and manifests write it."""
    return hashlib.sha256(content).hexdigest()


def signature(method: str, host: str, path: str, query: str, content: bytes) -> dict[str, str]:
    """Returns the headers that sign a request; see AWS Signature Version 4."""
    now = datetime.now(UTC)
    day, moment = now.strftime("%Y%m%d"), now.strftime("%Y%m%dT%H%M%SZ")
    signed = {"host": host, "x-amz-content-sha256": sha256(content), "x-amz-date": moment}
    names = ";".join(signed)
    headers = "".join(f"{name}:{value}\n" for name, value in signed.items())
    request = "\n".join([method, path, query, headers, names, sha256(content)])
    scope = f"{day}/{REGION}/s3/aws4_request"
    text = "\n".join(["AWS4-HMAC-SHA256", moment, scope, sha256(request.encode())])
    key = f"AWS4{SECRET_KEY}".encode()
    for part in (day, REGION, "s3", "aws4_request"):
        key = hmac.digest(key, part.encode(), "sha256")
    sealed = hmac.new(key, text.encode(), "sha256").hexdigest()
    credential = f"AWS4-HMAC-SHA256 Credential={ACCESS_KEY}/{scope}, SignedHeaders={names}, Signature={sealed}"
    return signed | {"authorization": credential}


class Store:
    """An S3 server with one bucket; it can be killed and started again on the same port."""

    def __init__(self, path: Path) -> None:
        """Starts the server over an empty bucket."""
        assert BINARY.exists(), f"{BINARY} is not there: run `make test-python`, which builds it"
        self.root = path / "s3"
        self.staging = path / "staging"
        (self.root / BUCKET).mkdir(parents=True)
        self.port = free_port()
        self.log = path / "s3.log"
        self.process: subprocess.Popen[bytes] | None = None
        self.start()

    def start(self) -> None:
        """Starts the server, and waits until it answers."""
        with self.log.open("ab") as output:
            self.process = subprocess.Popen(
                [str(BINARY), "--host", "127.0.0.1", "--port", str(self.port), "--access-key", ACCESS_KEY,
                 "--secret-key", SECRET_KEY, str(self.root)],
                stdin=subprocess.DEVNULL, stdout=output, stderr=output, env={"RUST_LOG": "error"},
            )  # fmt: skip
        give_up = time.monotonic() + 30
        while True:
            try:
                self.call("GET", "", query="list-type=2")
            except OSError:
                assert self.process.poll() is None, self.log.read_text()
                assert time.monotonic() < give_up, self.log.read_text()
                time.sleep(0.02)
            else:
                return

    def kill(self) -> None:
        """Ends the server at once; what it has stays on disk."""
        if self.process is not None:
            self.process.kill()
            self.process.wait()

    def call(self, method: str, key: str, content: bytes = b"", query: str = "") -> bytes:
        """Makes a signed request that must succeed, and returns what was answered."""
        path = urllib.parse.quote(f"/{BUCKET}/{key}")
        host = f"127.0.0.1:{self.port}"
        connection = http.client.HTTPConnection(host, timeout=20)
        query_signed = "=".join([query, ""]) if query and "=" not in query else query
        headers = signature(method, host, path, query_signed, content)
        connection.request(method, f"{path}?{query}" if query else path, content, headers)
        answer = connection.getresponse()
        body = answer.read()
        connection.close()
        assert answer.status < 300, f"{method} {key}: {answer.status} {body.decode(errors='replace')}"
        return body

    def put(self, key: str, content: bytes) -> None:
        """Uploads an object below the prefix."""
        self.call("PUT", f"{PREFIX}/{key}", content)

    def delete(self, key: str) -> None:
        """Deletes an object below the prefix."""
        self.call("DELETE", f"{PREFIX}/{key}")

    def say(self, text: str) -> None:
        """Replaces `serving.toml`."""
        self.put("serving.toml", text.encode())

    def files(self, bundle: Bundle) -> dict[str, bytes]:
        """Writes a bundle on this machine and returns its files, the manifest last."""
        shutil.rmtree(bundle.directory(self.staging), ignore_errors=True)
        directory = write(bundle, self.staging)
        paths = sorted(directory.iterdir(), key=lambda path: path.name == "model.toml")
        return {path.name: path.read_bytes() for path in paths}

    def upload(self, bundle: Bundle, files: dict[str, bytes]) -> None:
        """Uploads files of a bundle, one after the other."""
        for name, content in files.items():
            self.put(f"{bundle.name}/{bundle.version}/{name}", content)

    def publish(self, bundle: Bundle) -> None:
        """Uploads a bundle, its manifest last."""
        self.upload(bundle, self.files(bundle))

    def remove(self, bundle: Bundle) -> None:
        """Deletes a version, its manifest first."""
        for name in reversed(self.files(bundle)):
            self.delete(f"{bundle.name}/{bundle.version}/{name}")

    def __enter__(self) -> Store:
        """Returns the running server."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Ends the server."""
        self.kill()


class Door:
    """Stands before the store: what podium asks goes through it."""

    def __init__(self, store: Store) -> None:
        """Opens the door."""
        self.store = store
        self.gets: Counter[str] = Counter()
        # Answered instead of whatever was asked, while it is set.
        self.status: int | None = None
        # A key whose object is not answered while it is set.
        self.held: str | None = None
        # Keys that listings have beside those of the store.
        self.more_keys: list[str] = []
        door = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def forward(self) -> None:
                length = int(self.headers.get("content-length") or 0)
                content = self.rfile.read(length)
                status, headers, body = door.answer(self.command, self.path, dict(self.headers.items()), content)
                self.send_response(status)
                for name, value in headers.items():
                    self.send_header(name, value)
                if self.command != "HEAD":
                    self.send_header("content-length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            do_GET = do_PUT = do_HEAD = do_DELETE = forward  # noqa: N815

            def log_message(self, format: str, *args: object) -> None:
                """Says nothing."""

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        self.thread = threading.Thread(target=self.server.serve_forever, daemon=True)
        self.thread.start()

    @property
    def port(self) -> int:
        """Returns where the door is."""
        return int(self.server.server_address[1])

    def answer(
        self, method: str, path: str, headers: dict[str, str], content: bytes
    ) -> tuple[int, dict[str, str], bytes]:
        """Asks the store, unless the door has an answer of its own."""
        key = urllib.parse.unquote(path.split("?", maxsplit=1)[0]).removeprefix(f"/{BUCKET}/{PREFIX}/")
        give_up = time.monotonic() + 8
        while self.held == key and time.monotonic() < give_up:
            time.sleep(0.02)
        if self.status is not None:
            return (
                self.status,
                {},
                b"<Error><Code>NotToday</Code><RequestId>%d</RequestId></Error>" % time.monotonic_ns(),
            )
        if method == "GET":
            self.gets[key] += 1
        connection = http.client.HTTPConnection("127.0.0.1", self.store.port, timeout=20)
        try:
            connection.request(method, path, content, headers)
            reply = connection.getresponse()
            body = reply.read()
        except OSError:
            return 503, {}, b""
        finally:
            connection.close()
        if "list-type=2" in path and reply.status == 200:
            body = body.replace(b"</ListBucketResult>", self._more() + b"</ListBucketResult>")
        hop = {"content-length", "transfer-encoding", "connection"}
        return reply.status, {n: v for n, v in reply.getheaders() if n.lower() not in hop}, body

    def _more(self) -> bytes:
        rest = "<LastModified>2026-01-01T00:00:00.000Z</LastModified><ETag>x</ETag><Size>1</Size>"
        return "".join(f"<Contents><Key>{key}</Key>{rest}</Contents>" for key in self.more_keys).encode()

    def close(self) -> None:
        """Closes the door."""
        self.server.shutdown()
        self.server.server_close()


def settings(port: int, cache: Path, **more: str) -> dict[str, str]:
    """Returns the environment of a server that follows the bucket by this port."""
    return {
        "AWS_ACCESS_KEY_ID": ACCESS_KEY,
        "AWS_SECRET_ACCESS_KEY": SECRET_KEY,
        "AWS_REGION": REGION,
        "AWS_ENDPOINT": f"http://127.0.0.1:{port}",
        "AWS_ALLOW_HTTP": "true",
        "PODIUM_MODELS__CACHE_DIR": str(cache),
        "PODIUM_MODELS__POLL_INTERVAL": "100ms",
    } | more
