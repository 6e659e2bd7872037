"""Measures the bundled models through a running server and holds them against ONNX Runtime."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from tqdm import tqdm

from podium_models.bundle.manifest import MODEL
from podium_models.bundle.vocabulary import FIRST
from podium_models.ranker.config import Config
from podium_models.ranker.data.prepared import Prepared
from podium_models.ranker.data.signatures import PURCHASE, RANKER_OUTPUTS
from podium_models.ranker.evaluation.groups import Groups, held_out_groups
from podium_models.ranker.evaluation.metrics import METRICS
from podium_models.ranker.evaluation.onnx_scorer import OnnxScorer
from podium_models.ranker.evaluation.quality import sigmoid
from podium_models.ranker.evaluation.scoring import Scores, household_means, score_groups
from podium_models.ranker.export.manifest import VERSION
from podium_models.server.calls import responses
from podium_models.server.stubs import Stubs, load_stubs

SCORE_TOLERANCE = 1e-5
METRIC_TOLERANCE = 1e-4


def probabilities(logits: Scores) -> Scores:
    """Applies the activation that the manifest declares to every head, rounded to float32."""
    return {name: sigmoid(values).astype(np.float32) for name, values in logits.items()}


def some_groups(groups: Groups, count: int) -> Groups:
    """Takes ``count`` evenly spread groups."""
    places = np.linspace(0, len(groups.week) - 1, count).round().astype(np.int64)
    return groups.take(np.unique(places))


def build_request(stubs: Stubs, prepared: Prepared, group: Groups, place: int, name: str) -> Any:
    """Builds the ``RankRequest`` of one group: who, when, candidates, the week's promotions.

    Price, discount and popularity are left to the server's catalogue, histories to its store.
    """
    items, week = group.candidates(prepared)[0], int(group.week[0])
    request = stubs.messages.RankRequest(request_id=str(place))
    request.model.name, request.model.version = name, VERSION
    request.user.id = str(prepared.histories.households[group.household[0]])
    context = request.context.add(name="week")
    context.floats.values.append(float(prepared.calendar[week]))
    request.candidates.ids.extend(prepared.items.names[item - FIRST] for item in items)
    for planned in ("display", "mailer"):
        column = request.candidates.columns.add(name=planned)
        column.floats.values.extend(getattr(prepared.features, planned)[week, items].tolist())
    return request


def read_response(response: Any, count: int) -> npt.NDArray[np.float32]:
    """Returns every head's values by candidate, [heads, count] float32, and checks the order."""
    values = np.full((len(RANKER_OUTPUTS), count), np.nan, dtype=np.float32)
    scores = [item.score for item in response.items]
    if scores != sorted(scores, reverse=True) or len(scores) != count:
        raise AssertionError(f"request {response.request_id}: not all items, best first")
    for item in response.items:
        outputs = {one.name: one.value for one in item.outputs}
        others = (outputs.get(name, np.nan) for name in RANKER_OUTPUTS[1:])
        values[:, item.index] = item.score, *others
    return values


def score_served(target: str, prepared: Prepared, groups: Groups, name: str) -> Scores:
    """Scores all groups through the server: probabilities by head, [groups, candidates]."""
    stubs, shape = load_stubs(), groups.relevant.shape
    found = np.empty((len(RANKER_OUTPUTS), *shape), np.float32)
    requests = (
        build_request(stubs, prepared, groups.take(np.array([place])), place, name)
        for place in range(shape[0])
    )
    answers = responses(stubs, target, requests)
    for place, answer in enumerate(tqdm(answers, total=shape[0], unit="request", mininterval=2)):
        found[:, place] = read_response(answer, shape[1])
    return dict(zip(RANKER_OUTPUTS, found, strict=True))


def assert_equal(served: Scores, offline: Scores) -> float:
    """Returns the largest difference of any probability; above 1e-5 raises ``AssertionError``."""
    worst = max(float(np.max(np.abs(served[name] - offline[name]))) for name in offline)
    if not worst <= SCORE_TOLERANCE:
        raise AssertionError(f"server and ONNX Runtime differ by {worst:.2e} > {SCORE_TOLERANCE}")
    return worst


def evaluate_served(
    models: Path, prepared: Prepared, config: Config, target: str, requests: int | None
) -> None:
    """Compares server and offline scores; without ``requests`` also all household metrics.

    Raises ``AssertionError`` where a score differs by more than 1e-5, or a mean metric by more
    than 1e-4 (two candidates whose scores differ in the last bit may change places).
    """
    groups = held_out_groups(prepared, config)
    if requests is not None:
        groups = some_groups(groups, requests)
    encoder, ranker = (
        models / name / str(VERSION) / MODEL
        for name in (config.bundle.encoder, config.bundle.ranker)
    )
    scorer = OnnxScorer(encoder, ranker)
    offline = probabilities(score_groups(scorer, prepared, groups, config.model.max_length))
    served = score_served(target, prepared, groups, config.bundle.ranker)
    worst = assert_equal(served, offline)
    print(f"{len(groups.week)} requests: largest difference of a score {worst:.2e}")
    if requests is not None:
        return
    through, beside = (household_means(one[PURCHASE], groups) for one in (served, offline))
    for metric in METRICS:
        left, right = float(np.nanmean(through[metric])), float(np.nanmean(beside[metric]))
        print(f"{metric}: server {left:.6f}, offline {right:.6f}")
        if abs(left - right) > METRIC_TOLERANCE:
            raise AssertionError(f"{metric} differs: server {left:.6f}, offline {right:.6f}")
