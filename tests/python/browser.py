"""Drives a headless Chromium over its DevTools protocol."""

from __future__ import annotations

import base64
import json
import shutil
import subprocess
import time
import urllib.request
from pathlib import Path
from types import TracebackType
from typing import Any

import websocket

NAMES = ("chromium", "chromium-browser", "google-chrome")
START_SECONDS = 60.0
WAIT_SECONDS = 30.0


def find_browser() -> str:
    """Returns the browser's path."""
    for name in NAMES:
        if path := shutil.which(name):
            return path
    raise AssertionError(
        "there is no Chromium: run `make test-python`, which installs it (Debian: apt-get install chromium)"
    )


class Page:
    """One open page; keeps what its console said and what it asked for."""

    def __init__(self, address: str) -> None:
        """Connects to the page's target."""
        self.socket = websocket.create_connection(address, timeout=WAIT_SECONDS, suppress_origin=True)
        self.number = 0
        self.complaints: list[str] = []
        self.requested: list[str] = []
        for domain in ("Page", "Runtime", "Log", "Network"):
            self.call(f"{domain}.enable")

    def call(self, method: str, **parameters: Any) -> dict[str, Any]:
        """Calls a method of the protocol and returns its result."""
        self.number += 1
        self.socket.send(json.dumps({"id": self.number, "method": method, "params": parameters}))
        while True:
            message = json.loads(self.socket.recv())
            if message.get("id") == self.number:
                assert "error" not in message, f"{method}: {message['error']}"
                result: dict[str, Any] = message.get("result", {})
                return result
            self._note(message)

    def _note(self, message: dict[str, Any]) -> None:
        parameters = message.get("params", {})
        match message.get("method"):
            case "Runtime.exceptionThrown":
                self.complaints.append(json.dumps(parameters["exceptionDetails"]))
            case "Runtime.consoleAPICalled" if parameters["type"] in ("error", "warning", "assert"):
                self.complaints.append(json.dumps(parameters["args"]))
            case "Log.entryAdded" if parameters["entry"]["level"] in ("error", "warning"):
                self.complaints.append(json.dumps(parameters["entry"]))
            case "Network.requestWillBeSent":
                self.requested.append(parameters["request"]["url"])

    def evaluate(self, script: str) -> Any:
        """Returns the value of an expression, which may be a promise."""
        result = self.call("Runtime.evaluate", expression=script, returnByValue=True, awaitPromise=True)
        assert "exceptionDetails" not in result, f"{script}: {result['exceptionDetails']}"
        return result["result"].get("value")

    def wait_for(self, script: str, timeout: float = WAIT_SECONDS) -> None:
        """Waits until an expression has a value that counts as true."""
        give_up = time.monotonic() + timeout
        while not self.evaluate(f"Boolean({script})"):
            assert time.monotonic() < give_up, f"never true: {script}"
            time.sleep(0.05)

    def open(self, url: str) -> None:
        """Opens a page and waits until it is loaded."""
        self.call("Page.navigate", url=url)
        self.wait_for(f"location.href.startsWith({json.dumps(url)}) && document.readyState === 'complete'")

    def look(self, width: int, height: int, scheme: str) -> None:
        """Looks through a window of that size, in the light or the dark."""
        self.call(
            "Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=width < 600
        )
        self.call("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": scheme}])

    def screenshot(self, path: Path, whole: bool = True) -> None:
        """Writes a PNG of the page."""
        picture = self.call("Page.captureScreenshot", format="png", captureBeyondViewport=whole)
        path.write_bytes(base64.b64decode(picture["data"]))

    def close(self) -> None:
        """Leaves the page."""
        self.socket.close()


class Browser:
    """A running browser with a profile of its own; a context manager."""

    def __init__(self, folder: Path) -> None:
        """Starts the browser and waits until it can be spoken to."""
        folder.mkdir(parents=True, exist_ok=True)
        told = folder / "DevToolsActivePort"
        # Without its own sandbox, which does not start as root or in most containers; it opens our pages only.
        flags = ["--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run",
                 "--disable-background-networking", "--disable-component-update", "--hide-scrollbars",
                 "--remote-debugging-port=0", f"--user-data-dir={folder}"]  # fmt: skip
        self.log = (folder.parent / f"{folder.name}.log").open("wb")
        self.process = subprocess.Popen(
            [find_browser(), *flags, "about:blank"], stdin=subprocess.DEVNULL, stdout=self.log, stderr=self.log
        )
        give_up = time.monotonic() + START_SECONDS
        while not (told.exists() and told.read_text().count("\n")):
            if self.process.poll() is not None or time.monotonic() > give_up:
                self.close()
                raise AssertionError(f"the browser does not start: {Path(self.log.name).read_text(errors='replace')}")
            time.sleep(0.05)
        self.port = int(told.read_text().split("\n")[0])

    def page(self) -> Page:
        """Opens an empty page."""
        request = urllib.request.Request(f"http://127.0.0.1:{self.port}/json/new?about:blank", method="PUT")
        with urllib.request.urlopen(request, timeout=WAIT_SECONDS) as answer:
            return Page(json.load(answer)["webSocketDebuggerUrl"])

    def close(self) -> None:
        """Ends the browser."""
        if self.process.poll() is None:
            self.process.terminate()
            try:
                self.process.wait(10)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
        self.log.close()

    def __enter__(self) -> Browser:
        """Returns the running browser."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Ends it."""
        self.close()
