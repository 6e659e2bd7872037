"""Scores requests as `docs/bundle.md` says, from a bundle's manifest: slow, plain, sharing no code with the server.

It knows the sources that a ranker over rows with a user encoder uses, and refuses the others.
"""

from __future__ import annotations

import csv
import functools
import gzip
import tomllib
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import onnxruntime

Tensor = npt.NDArray[Any]
Events = list[tuple[str, int]]
DAY = 86_400


def read_text(path: Path) -> str:
    """Returns a file's text, gzipped or plain."""
    return gzip.decompress(path.read_bytes()).decode() if path.suffix == ".gz" else path.read_text()


@dataclass(frozen=True)
class Asked:
    """One request: candidates, and the columns that the request itself brings."""

    ids: list[str]
    history: Events = field(default_factory=list)
    columns: dict[str, list[float]] = field(default_factory=dict)
    context: dict[str, float] = field(default_factory=dict)


class Reference:
    """One bundle, read once."""

    def __init__(self, repository: Path, name: str, version: int) -> None:
        """Reads manifest, tables and graph, and those of the encoder that the ranker names."""
        self.path = repository / name / str(version)
        self.manifest = tomllib.loads((self.path / "model.toml").read_text())
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 1
        self.graph = onnxruntime.InferenceSession(self.path / "model.onnx", options, providers=["CPUExecutionProvider"])
        self.max_length: int = self.manifest["history"]["max_length"]
        encoder = self.manifest.get("encoder")
        self.encoder = Reference(repository, encoder["name"], encoder["version"]) if encoder else None

    @functools.cached_property
    def catalogue(self) -> dict[str, dict[str, str]]:
        """The catalogue's rows by item."""
        spec = self.manifest["catalogue"]
        rows = csv.DictReader(read_text(self.path / spec["file"]).splitlines())
        return {row[spec["key"]]: row for row in rows}

    @functools.cached_property
    def histories(self) -> dict[str, Events]:
        """The stored histories by user."""
        users: dict[str, Events] = {}
        for row in csv.DictReader(read_text(self.path / self.manifest["history"]["file"]).splitlines()):
            users.setdefault(row["user"], []).append((row["item"], int(row["time"])))
        return users

    @functools.cache  # noqa: B019  (a bundle lives as long as the tests do)
    def vocabulary(self, name: str) -> dict[str, int]:
        """Returns the index of each text of a vocabulary."""
        spec = self.manifest["vocabularies"][name]
        lines = read_text(self.path / spec["file"]).removesuffix("\n").split("\n")
        return {line: spec.get("first_index", 0) + place for place, line in enumerate(lines)}

    def index(self, name: str, text: str | None) -> int:
        """Returns a text's index, or the out-of-vocabulary one."""
        oov: int = self.manifest["vocabularies"][name]["oov"]
        return oov if text is None else self.vocabulary(name).get(text, oov)

    def looked_up(self, column: str, item: str) -> str | None:
        """Returns the catalogue's value, or nothing where it has none."""
        value = self.catalogue.get(item, {}).get(column)
        return value or None

    def embed(self, history: Events) -> Tensor:
        """Runs an encoder on one user's history, [1, …]."""
        recent = history[-self.max_length :]
        inputs = {spec["name"]: self.history_input(spec, recent)[None] for spec in self.manifest["inputs"]}
        output: Tensor = self.graph.run([self.manifest["outputs"][0]["name"]], inputs)[0]
        return output

    def history_input(self, spec: dict[str, Any], recent: Events) -> Tensor:
        """Returns one input of an encoder, [length]; one event of zeros where there is none."""
        if not recent:
            return np.zeros(1, spec["dtype"])
        if spec["source"] == "history_mask":
            return np.ones(len(recent), spec["dtype"])
        if spec["source"] != "history":
            raise NotImplementedError(spec["source"])
        kind = spec["field"]
        if kind == "gap_days":
            times = np.array([time for _, time in recent], np.float64)
            return self.transformed(spec, np.diff(times, prepend=times[0]) / DAY)
        texts = [item if kind == "item" else self.looked_up(kind, item) for item, _ in recent]
        return np.array([self.index(spec["vocabulary"], text) for text in texts], spec["dtype"])

    @staticmethod
    def transformed(spec: dict[str, Any], values: Tensor) -> Tensor:
        """Applies clip, log and dtype, in this order."""
        if "clip" in spec:
            values = np.clip(values, *spec["clip"])
        return (np.log1p(values) if spec.get("log") else values).astype(spec["dtype"])

    def candidate(self, spec: dict[str, Any], asked: Asked) -> Tensor:
        """Returns a feature of the request, else of the catalogue, else the default, [rows]."""
        name = spec.get("feature", spec["name"])
        if name in asked.columns:
            return self.transformed(spec, np.array(asked.columns[name]))
        texts = [self.looked_up(name, item) for item in asked.ids]
        if "vocabulary" in spec:
            return np.array([self.index(spec["vocabulary"], text) for text in texts], spec["dtype"])
        return self.transformed(spec, np.array([spec["default"] if text is None else float(text) for text in texts]))

    def user_item(self, spec: dict[str, Any], asked: Asked) -> Tensor:
        """Returns how often, or how many days ago, the history has what matches each candidate, [rows]."""
        recent = asked.history[-self.max_length :]
        column = spec.get("match", "item")

        def key(item: str) -> str | None:
            return item if column == "item" else self.looked_up(column, item)

        def stat(item: str) -> float:
            times = [time for met, time in recent if key(met) == key(item) and key(item) is not None]
            if spec["stat"] == "count":
                return len(times)
            return (recent[-1][1] - times[-1]) / DAY if times else float(spec["default"])

        return self.transformed(spec, np.array([stat(item) for item in asked.ids]))

    def inputs(self, asked: Asked) -> dict[str, Tensor]:
        """Returns the graph's inputs for one request."""
        sources: dict[str, Callable[[dict[str, Any]], Tensor]] = {
            "user_embedding": lambda _: self.embedding(asked.history),
            "user_index": lambda spec: np.zeros(len(asked.ids), spec["dtype"]),
            "item_index": lambda spec: np.array([self.index(spec["vocabulary"], item) for item in asked.ids]),
            "context": lambda spec: self.transformed(
                spec, np.array([asked.context.get(spec["name"], spec.get("default", np.nan))])
            ),
            "candidate": lambda spec: self.candidate(spec, asked),
            "user_item": lambda spec: self.user_item(spec, asked),
        }
        return {spec["name"]: sources[spec["source"]](spec) for spec in self.manifest["inputs"]}

    def embedding(self, history: Events) -> Tensor:
        """Returns what the ranker's encoder makes of a history."""
        if self.encoder is None:
            raise NotImplementedError("a ranker without an encoder")
        return self.encoder.embed(history)

    def scores(self, asked: Asked) -> list[Tensor]:
        """Returns each head's value of each candidate, after its activation."""
        outputs = self.manifest["outputs"]
        raw = self.graph.run([output["name"] for output in outputs], self.inputs(asked))
        heads = []
        for output, values in zip(outputs, raw, strict=True):
            sigmoid = output.get("activation", "none") == "sigmoid"
            heads.append(1 / (1 + np.exp(-values.astype(np.float64))) if sigmoid else values)
        return heads
