"""Ranks the judged lists through a running server and holds them against ONNX Runtime."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl
from tokenizers import Tokenizer
from tqdm import tqdm

from podium_models.bundle.manifest import MODEL
from podium_models.server.stubs import Stubs, load_stubs
from podium_models.text.config import Config
from podium_models.text.data.prepared import Prepared
from podium_models.text.evaluation.lists import ndcg_at
from podium_models.text.evaluation.onnx_lists import ListFeeds, OnnxRanker
from podium_models.text.names import TOKENIZER, VERSION
from podium_models.text.texts import FULL, SHORT, VIEWS, product_texts

Floats = npt.NDArray[np.float64]

TOLERANCE = 1e-4
"""Of a probability. The graph rounds rows to int8, where a last bit may tip a value over."""
DEADLINE_SECONDS = 20.0

COLUMNS = {SHORT: ("title", "brand"), FULL: ("title", "brand", "description")}


def build_request(stubs: Stubs, query: str, products: pl.DataFrame, view: str) -> Any:
    """Builds a ``RankRequest`` of one judged list with the columns of a view."""
    request = stubs.messages.RankRequest(query=query)
    request.candidates.ids.extend(products["item"].to_list())
    for name in COLUMNS[view]:
        column = request.candidates.columns.add(name=name)
        column.strings.values.extend(products[name].to_list())
    return request


def served_scores(response: Any, count: int) -> Floats:
    """Returns scores by candidate, [count]; checks that all came, best first."""
    scores = [item.score for item in response.items]
    if scores != sorted(scores, reverse=True) or len(scores) != count:
        raise AssertionError("the answer does not hold all items, best first")
    found = np.full(count, np.nan)
    for item in response.items:
        found[item.index] = item.score
    return found


def answers(
    stubs: Stubs, target: str, bundle: str, prepared: Prepared, jobs: list[tuple[int, str]]
) -> Iterator[Floats]:
    """Sends one request a list and view to a bundle's first version, and yields scores."""
    import grpc

    with grpc.insecure_channel(target) as channel:
        rank = stubs.services.RankServiceStub(channel).Rank
        for place, view in jobs:
            one = prepared.lists[place]
            request = build_request(stubs, one.query, prepared.products[one.places], view)
            request.model.name, request.model.version = bundle, VERSION
            try:
                response = rank(request, timeout=DEADLINE_SECONDS)
            except grpc.RpcError as error:
                raise AssertionError(f"{target}: {error.code()}: {error.details()}") from error
            yield served_scores(response, len(one.places))


def same_order(served: Floats, offline: Floats) -> bool:
    """Says whether both order alike, but for neighbours within the tolerance."""
    ranked = offline[np.argsort(-served, kind="stable")]
    return bool((np.diff(ranked) <= TOLERANCE).all())


def evaluate_served(
    models: Path, prepared: Prepared, config: Config, target: str, requests: int | None
) -> None:
    """Compares server and offline scores of judged lists; ``requests`` sends only so many.

    Raises ``AssertionError`` where a score differs by more than 1e-4 or an order differs.
    """
    directory = models / config.model.bundle / str(VERSION)
    if not (directory / MODEL).is_file():
        raise FileNotFoundError(f"{directory} holds no bundle; run `export` first")
    tokenizer = Tokenizer.from_file(str(directory / TOKENIZER))
    ranker = OnnxRanker(directory / MODEL, ListFeeds(tokenizer, config.model))
    jobs = [(place, view) for place in range(len(prepared.lists)) for view in VIEWS][:requests]
    worst, reached = 0.0, {view: ([], []) for view in VIEWS}  # type: ignore[var-annotated]
    found = answers(load_stubs(), target, config.model.bundle, prepared, jobs)
    for (place, view), served in zip(jobs, tqdm(found, total=len(jobs)), strict=True):
        one = prepared.lists[place]
        texts = product_texts(prepared.products[one.places], view)
        offline = 1.0 / (1.0 + np.exp(-ranker.score(one.query, texts)))
        worst = max(worst, float(np.abs(served - offline).max()))
        if worst > TOLERANCE or not same_order(served, offline):
            raise AssertionError(f"{one.query!r}: server and ONNX Runtime differ by {worst:.2e}")
        if one.mixed:
            for values, scores in zip(reached[view], (served, offline), strict=True):
                values.append(ndcg_at(scores, one.ratings))
    print(f"{len(jobs)} requests: largest difference of a score {worst:.2e}")
    for view, (served_values, offline_values) in reached.items():
        if served_values:
            means = np.mean(served_values), np.mean(offline_values)
            print(f"{view}: NDCG@10 server {means[0]:.6f}, offline {means[1]:.6f} (queries seen)")
