"""A model repository that a test writes while a server follows it."""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from bundle import Bundle, write
from client import Client

# How long is waited for what comes about by itself, on a machine that has other tests to run as well.
SOON = 60.0


class Repository:
    """A directory of bundles; what is published appears in one step."""

    def __init__(self, path: Path) -> None:
        """Makes an empty repository, with a place beside it where bundles are written."""
        self.path = path / "models"
        self.staging = path / "staging"
        self.path.mkdir()
        self.staging.mkdir()

    def stage(self, bundle: Bundle) -> Path:
        """Writes a bundle where no server looks."""
        shutil.rmtree(bundle.directory(self.staging), ignore_errors=True)
        return write(bundle, self.staging)

    def publish(self, bundle: Bundle) -> Path:
        """Writes a bundle and renames it into its place."""
        return self.move_in(self.stage(bundle), bundle.name, bundle.version)

    def move_in(self, directory: Path, name: str, version: str | int) -> Path:
        """Renames a directory into the place of a version."""
        target = self.path / name / str(version)
        target.parent.mkdir(exist_ok=True)
        directory.rename(target)
        return target

    def remove(self, name: str, version: int | None = None) -> None:
        """Takes a version away in one step, or a model with all of its versions."""
        gone = self.path / name if version is None else self.path / name / str(version)
        trash = self.staging / f"gone-{time.monotonic_ns()}"
        gone.rename(trash)
        shutil.rmtree(trash)

    def say(self, text: str) -> None:
        """Replaces `serving.toml` in one step."""
        new = self.path / "serving.toml.new"
        new.write_text(text, encoding="utf-8")
        os.replace(new, self.path / "serving.toml")


def until(what: Callable[[], Any], why: str, seconds: float = SOON) -> Any:
    """Waits until something is true, and returns it."""
    give_up = time.monotonic() + seconds
    while not (got := what()):
        assert time.monotonic() < give_up, f"not within {seconds} s: {why}"
        time.sleep(0.02)
    return got


def states(client: Client, name: str) -> dict[int, str]:
    """Returns the state of each version of a model, as `READY`."""
    return {
        model.version: client.enum_name("ModelState", model.state).removeprefix("MODEL_STATE_")
        for model in client.info().models
        if model.name == name
    }


def reason(client: Client, name: str, version: int) -> str:
    """Returns why a version is what it is."""
    told: str = next(m.state_reason for m in client.info().models if (m.name, m.version) == (name, version))
    return told


def reaches(client: Client, name: str, want: dict[int, str], seconds: float = SOON) -> None:
    """Waits until the versions of a model have exactly these states."""
    until(lambda: states(client, name) == want, f"{name}: {want}, but {states(client, name)}", seconds)
