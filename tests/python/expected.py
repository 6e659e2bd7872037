"""What the test bundles have to answer, computed with ONNX Runtime from features made here."""

from __future__ import annotations

import functools
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt
import onnxruntime

import tiny
from bundle import float32
from server import TEST_MODELS

Floats = npt.NDArray[np.float32]
DAY = 86_400
TOLERANCE = 1e-5


@functools.cache
def graph(model: str, version: int = 1) -> onnxruntime.InferenceSession:
    """Returns a session on the bundle's graph."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    path = TEST_MODELS / model / str(version) / "model.onnx"
    return onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])


def run(model: str, inputs: dict[str, Any], version: int = 1) -> dict[str, Floats]:
    """Runs a bundle's graph on raw tensors."""
    session = graph(model, version)
    names = [output.name for output in session.get_outputs()]
    return dict(zip(names, session.run(names, inputs), strict=True))


def sigmoid(values: Floats) -> Floats:
    """Returns 1 / (1 + exp(-x))."""
    return float32(1 / (1 + np.exp(-values.astype(np.float64))))


def item_index(item: str) -> int:
    """Returns the item's index in the tiny vocabulary."""
    return tiny.ITEMS.index(item) + tiny.FIRST_INDEX if item in tiny.ITEMS else 1


Events = list[tuple[str, int]]


def embedding_of(inputs: dict[str, Any]) -> Floats:
    """Runs the tiny encoder for one user."""
    user: Floats = run("tiny-encoder", inputs)["user"][0]
    return user


def embedding(history: Events) -> Floats:
    """Returns the tiny encoder's embedding of a history, [4]."""
    recent = history[-tiny.MAX_HISTORY :]
    if not recent:
        inputs: dict[str, Any] = {"item": np.zeros((1, 1), np.int64)}
        inputs |= {"gap": np.zeros((1, 1), np.float32), "mask": np.zeros((1, 1), np.float32)}
        return embedding_of(inputs)
    times = np.array([time for _, time in recent], np.float64)
    gaps = np.concatenate([[0.0], np.diff(times) / DAY])
    inputs = {
        "item": np.array([[item_index(item) for item, _ in recent]], np.int64),
        "gap": np.log1p(np.clip(gaps, 0, 30))[None].astype(np.float32),
        "mask": np.ones((1, len(recent)), np.float32),
    }
    return embedding_of(inputs)


@dataclass(frozen=True)
class TinyRequest:
    """What the tiny ranker is asked; what is None is left out of the request."""

    ids: list[str]
    prices: list[float]
    history: Events = field(default_factory=list)
    user: Floats | None = None
    hour: float = 12.0
    boost: list[float] | None = None
    popularity: list[float] | None = None

    def catalogue(self) -> list[float]:
        """Returns the items' popularity in the catalogue, 0.25 where there is none."""
        return [tiny.popularity(tiny.ITEMS.index(item)) if item in tiny.ITEMS else 0.25 for item in self.ids]

    def bought(self) -> tuple[list[int], list[int]]:
        """Returns how often the history holds each item, and its department."""
        recent = [item for item, _ in self.history[-tiny.MAX_HISTORY :]]
        kin = [tiny.department(tiny.ITEMS.index(item)) for item in recent if item in tiny.ITEMS]
        known = [item in tiny.ITEMS for item in self.ids]
        return [recent.count(item) for item in self.ids], [
            kin.count(tiny.department(tiny.ITEMS.index(item))) if there else 0
            for item, there in zip(self.ids, known, strict=True)
        ]

    def inputs(self) -> dict[str, Any]:
        """Returns the graph's inputs."""
        bought, same_department = self.bought()
        user = embedding(self.history) if self.user is None else self.user
        return {
            "user": user[None],
            "user_index": np.zeros(len(self.ids), np.int64),
            "item": np.array([item_index(item) for item in self.ids], np.int64),
            "popularity": np.array(self.popularity or self.catalogue(), np.float32),
            "boost": np.array(self.boost or [0.5] * len(self.ids), np.float32),
            "price": np.log1p(np.clip(self.prices, 0, 1000)).astype(np.float32),
            "bought": np.array(bought, np.float32),
            "same_department": np.array(same_department, np.float32),
            "hour": np.array([self.hour], np.float32),
        }

    def scores(self, version: int = 2) -> tuple[Floats, Floats]:
        """Returns click and margin of each candidate, in the order of the request."""
        outputs = run("tiny-ranker", self.inputs(), version)
        return sigmoid(outputs["click"]), outputs["margin"]


def column(name: str, values: list[float]) -> dict[str, Any]:
    """Returns a column of floats."""
    return {"name": name, "floats": {"values": values}}


def tiny_request(asked: TinyRequest, version: int | None = None) -> dict[str, Any]:
    """Returns the fields of the `RankRequest` that asks the same, without the user."""
    columns = [column("price", asked.prices)]
    if asked.boost is not None:
        columns.append(column("boost", asked.boost))
    if asked.popularity is not None:
        columns.append(column("popularity", asked.popularity))
    selector = {"name": "tiny-ranker"} | ({} if version is None else {"version": version})
    request: dict[str, Any] = {"model": selector, "candidates": {"ids": asked.ids, "columns": columns}}
    if asked.hour != 12.0:
        request["context"] = [column("hour", [asked.hour])]
    return request


def inline_history(history: Events) -> list[dict[str, Any]]:
    """Returns the events of a request's user."""
    return [{"item_id": item, "kind": 3, "time": {"seconds": time}} for item, time in history]


def check_scores(response: Any, wanted: Floats) -> None:
    """Holds the scores and the order of a full answer against the wanted scores, [candidates]."""
    got = {item.index: item.score for item in response.items}
    assert sorted(got) == list(range(len(wanted)))
    np.testing.assert_allclose([got[index] for index in range(len(wanted))], wanted, rtol=TOLERANCE, atol=TOLERANCE)
    assert [item.rank for item in response.items] == list(range(1, len(wanted) + 1))
    ordered = [item.score for item in response.items]
    assert ordered == sorted(ordered, reverse=True)


def head(item: Any, name: str) -> float:
    """Returns the value of one further output of an answered item."""
    values = [output.value for output in item.outputs if output.name == name]
    assert len(values) == 1, f"{name} in {item}"
    value: float = values[0]
    return value
