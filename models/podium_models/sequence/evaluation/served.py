"""Answers ``evaluate --target``: ranks held-out items through a running server, user by user."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from tqdm import tqdm

from podium_models.bundle.manifest import MODEL
from podium_models.bundle.vocabulary import FIRST
from podium_models.sequence.config import Config
from podium_models.sequence.data.interactions import Interactions
from podium_models.sequence.evaluation.histories import HeldOut, history, sample, test_events
from podium_models.sequence.evaluation.onnx_scorer import GraphPair, GraphScorer
from podium_models.sequence.evaluation.ranks import Ints, rank_held_out
from podium_models.sequence.export.published import Published
from podium_models.server.calls import responses
from podium_models.server.stubs import Stubs, load_stubs

TOP = 10
METRIC_TOLERANCE = 1e-4
RANK_TOLERANCE = 1e-3
"""Share of users whose item may stand elsewhere: equal scores round differently by batch shape."""


def build_request(
    stubs: Stubs, data: Interactions, bundles: Published, user: int, start: int
) -> Any:
    """Builds one ``RankRequest``: the whole catalogue but the history, the ten best back.

    The history itself is the server's: the bundle ships it under the user's pseudonym.
    """
    kept = np.ones(data.items.size, dtype=bool)
    kept[:FIRST] = False
    kept[history(data, user, start)] = False
    kept[data.event_items[start]] = True
    request = stubs.messages.RankRequest(request_id=str(user), top_k=TOP)
    request.model.name, request.model.version = bundles.ranker, bundles.version
    request.user.id = data.users[user]
    ids = data.items.names
    request.candidates.ids.extend(ids[item - FIRST] for item in np.nonzero(kept)[0])
    return request


def requests(stubs: Stubs, data: Interactions, bundles: Published, parts: HeldOut) -> Iterator[Any]:
    """Builds the requests of all users, each for the first of the held-out items."""
    for user, start in zip(parts.users.tolist(), parts.starts.tolist(), strict=True):
        yield build_request(stubs, data, bundles, user, start)


def served_ranks(target: str, data: Interactions, bundles: Published, parts: HeldOut) -> Ints:
    """Ranks through the server: [users] int64, 10 for whatever is not among the ten best."""
    stubs = load_stubs()
    ranks = np.full(len(parts.users), TOP, dtype=np.int64)
    answers = responses(stubs, target, requests(stubs, data, bundles, parts))
    for place, answer in enumerate(tqdm(answers, total=len(ranks), unit="request", mininterval=2)):
        wanted = data.items.names[data.event_items[parts.starts[place]] - FIRST]
        found = [rank for rank, item in enumerate(answer.items) if item.id == wanted]
        ranks[place] = found[0] if found else TOP
    return ranks


def means(ranks: Ints) -> dict[str, float]:
    """Returns HR@10 and NDCG@10 of ranks [users] that stop at 10."""
    hit = ranks < TOP
    gain = np.where(hit, 1.0 / np.log2(ranks + 2.0), 0.0)
    return {"hr@10": float(hit.mean()), "ndcg@10": float(gain.mean())}


def evaluate_served(
    bundles: Published, data: Interactions, config: Config, target: str, count: int | None
) -> None:
    """Compares the ranks that the server gives with those of ONNX Runtime in Python.

    Raises ``AssertionError`` where HR@10 or NDCG@10 differ by more than 1e-4, or more than one
    user in a thousand has another rank.
    """
    parts = test_events(data)
    if count is not None:
        parts = sample(parts, count, config.measure.seed)
    known = data.event_items[parts.starts] >= FIRST
    parts = HeldOut(parts.users[known], parts.starts[known], parts.starts[known] + 1)
    graphs = GraphPair(bundles.encoder_directory / MODEL, bundles.ranker_directory / MODEL)
    scorer = GraphScorer(graphs, data.items.size)
    offline = rank_held_out(data, parts, config.model.max_length, scorer).ranks
    offline = np.minimum(offline, TOP)
    served = served_ranks(target, data, bundles, parts)
    differ = int((served != offline).sum())
    print(f"{len(served)} users: {differ} with another rank among the ten best")
    through, beside = means(served), means(offline)
    for metric, value in through.items():
        print(f"{metric}: server {value:.6f}, offline {beside[metric]:.6f}")
        if abs(value - beside[metric]) > METRIC_TOLERANCE:
            raise AssertionError(f"{metric} differs: server {value:.6f}, {beside[metric]:.6f}")
    if differ > RANK_TOLERANCE * len(served):
        raise AssertionError(f"{differ} of {len(served)} users have another rank")
