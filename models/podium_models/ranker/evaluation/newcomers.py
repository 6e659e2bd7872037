"""Measures shoppers of whom little is known: histories cut to their latest few purchases.

A purchase is a basket (all of the vocabulary that was bought on one day) or an item (one event).
Everything that a request is made of comes from the cut history: candidates, counts, ages and the
user embedding. What is bought in the target weeks comes from the whole one.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from podium_models.bundle.manifest import MODEL
from podium_models.measure.averages import by_owner
from podium_models.ranker.config import Config
from podium_models.ranker.data.assemble import Arrays
from podium_models.ranker.data.histories import Histories
from podium_models.ranker.data.pairs import build_pairs
from podium_models.ranker.data.prepared import Prepared
from podium_models.ranker.data.signatures import PURCHASE
from podium_models.ranker.evaluation.baselines import frequency_scores, popularity_scores
from podium_models.ranker.evaluation.groups import Bought, Groups, held_out_groups
from podium_models.ranker.evaluation.metrics import ranking_metrics
from podium_models.ranker.evaluation.onnx_scorer import OnnxScorer
from podium_models.ranker.evaluation.report import compare_orders
from podium_models.ranker.evaluation.scoring import Scorer, score_groups
from podium_models.ranker.evaluation.tables import as_text, table
from podium_models.ranker.export.manifest import VERSION

Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float32]
Scores = npt.NDArray[np.floating]

BASKET, ITEM = "basket", "item"
METRIC = "ndcg@10"
FILE, TABLES_FILE = "known-purchases.json", "known-purchases.md"
PROMOTIONS = ("display", "mailer")
POPULARITY, POPULARITY_OF_ALL = "popularity", "popularity, all weeks"


@dataclass(frozen=True)
class Known:
    """Says how much of a history is known: its latest ``count`` baskets, or items."""

    count: int
    unit: str

    def __str__(self) -> str:
        if self.count == 0:
            return "nothing known"
        return f"{self.count} {self.unit}{'' if self.count == 1 else 's'}"


def cases(counts: Sequence[int]) -> list[Known]:
    """Lists what is measured: every count in baskets, then in items; nothing known only once."""
    some = [count for count in counts if count > 0]
    none = [Known(0, BASKET)] if 0 in counts else []
    return [*none, *(Known(count, unit) for unit in (BASKET, ITEM) for count in some)]


def cut_histories(histories: Histories, cutoff: int, known: Known) -> Histories:
    """Keeps the latest known purchases up to and including week ``cutoff``, of every household."""
    kept = [np.empty(0, dtype=np.int64)]
    for household in range(len(histories.households)):
        start, stop = histories.bounds(household, cutoff)
        days = histories.days[start:stop]
        if known.unit == ITEM or known.count == 0:
            first = stop - known.count
        else:
            shopping = np.unique(days)[-known.count :]
            first = start + int(np.searchsorted(days, shopping[0])) if len(shopping) else start
        kept.append(np.arange(max(start, first), stop, dtype=np.int64))
    places = np.concatenate(kept)
    return Histories(
        households=histories.households,
        offsets=np.cumsum([len(one) for one in kept], dtype=np.int64),
        items=histories.items[places],
        days=histories.days[places],
        weeks=histories.weeks[places],
    )


def cut_prepared(prepared: Prepared, cutoff: int, known: Known) -> Prepared:
    """Returns the data as if only the known purchases had happened, with their candidates."""
    histories = cut_histories(prepared.histories, cutoff, known)
    pairs = build_pairs(histories, prepared.features, [cutoff], prepared.data)
    return dataclasses.replace(prepared, histories=histories, pairs=pairs)


def cut_groups(prepared: Prepared, cut: Prepared, groups: Groups) -> Groups:
    """Returns the same household-weeks with the candidates of the cut histories."""
    bought = Bought(prepared.histories, np.arange(prepared.items.size), prepared.items.size)
    candidates = groups.candidates(cut).astype(np.int64)
    relevant = bought.contains(groups.household[:, None], groups.week[:, None], candidates)
    return dataclasses.replace(groups, relevant=relevant)


@dataclass(frozen=True)
class Without:
    """A scorer that is kept from something: ``embedding`` [states, width] replaces everybody's."""

    scorer: Scorer
    embedding: Floats | None = None
    week: bool = False
    promotions: bool = False

    def embed(self, inputs: Arrays) -> Floats:
        """Returns the user embedding [users, states, width] float32."""
        if self.embedding is None:
            return self.scorer.embed(inputs)
        return np.repeat(self.embedding[None], len(inputs["mask"]), axis=0)

    def rank(self, embedding: Floats, week: Floats, rows: Arrays) -> tuple[Floats, ...]:
        """Returns the logits of every head, each [rows] float32."""
        if self.promotions:
            rows = rows | {name: np.zeros_like(rows[name]) for name in PROMOTIONS}
        return self.scorer.rank(embedding, np.zeros_like(week) if self.week else week, rows)


def default_embedding(scorer: Scorer) -> Floats:
    """Returns what the encoder makes of an empty history, as the server does: [states, width]."""
    empty = {name: np.zeros((1, 1), dtype=np.int64) for name in ("item", "category")}
    empty |= {name: np.zeros((1, 1), dtype=np.float32) for name in ("gap", "mask")}
    return scorer.embed(empty)[0]


def variants(scorer: Scorer, name: str, known: Known) -> dict[str, Scorer]:
    """Lists the ranker as it is served, and kept from what it is served with."""
    default = default_embedding(scorer)
    found: dict[str, Scorer] = {name: scorer}
    if known.count:
        found["the unknown shopper's embedding"] = Without(scorer, default)
    found["zeros as the embedding"] = Without(scorer, np.zeros_like(default))
    if not known.count:
        found["without the week"] = Without(scorer, week=True)
        found["without the week, displays, mailers"] = Without(scorer, week=True, promotions=True)
    return found


def score_cut(scorer: Scorer, cut: Prepared, groups: Groups, known: Known, length: int) -> Floats:
    """Scores all candidates, [groups, candidates]; one week's strangers are all alike."""
    if known.count:
        return score_groups(scorer, cut, groups, length)[PURCHASE]
    _, first, place = np.unique(groups.week, return_index=True, return_inverse=True)
    return score_groups(scorer, cut, groups.take(first), length)[PURCHASE][place]


def popularity_of_all(prepared: Prepared, candidates: Ints, cutoff: int) -> Scores:
    """Scores candidates by household-weeks that bought them, from the first week to the cutoff."""
    histories = prepared.histories
    owner = np.repeat(np.arange(len(histories.households)), np.diff(histories.offsets))
    past = histories.weeks <= cutoff
    events = np.stack([owner[past], histories.weeks[past], histories.items[past]])
    bought = np.unique(events, axis=1)[2]
    counts = np.bincount(bought, minlength=prepared.items.size).astype(np.float64)
    return np.asarray(counts[candidates])


def weeks_ahead(scores: dict[str, Scores], groups: Groups, ours: str) -> dict[str, int]:
    """Counts the target weeks in which our mean over households is above each other method's."""
    means = {
        name: by_owner(
            ranking_metrics(one.astype(np.float64), groups.relevant, groups.bought)[METRIC],
            groups.week,
        )
        for name, one in scores.items()
    }
    return {name: int((means[ours] > one).sum()) for name, one in means.items() if name != ours}


def measure_known(
    scorer: Scorer, prepared: Prepared, groups: Groups, known: Known, config: Config
) -> dict[str, Any]:
    """Measures one case: each method's metrics, our paired gains and the weeks we are ahead."""
    cutoff, ours = config.split.last_validation_week, config.bundle.ranker
    cut = cut_prepared(prepared, cutoff, known)
    mine = cut_groups(prepared, cut, groups)
    scores: dict[str, Any] = {
        name: score_cut(one, cut, mine, known, config.model.max_length)
        for name, one in variants(scorer, ours, known).items()
    }
    scores[POPULARITY] = popularity_scores(cut, mine, cutoff)
    candidates = mine.candidates(cut).astype(np.int64)
    scores[POPULARITY_OF_ALL] = popularity_of_all(prepared, candidates, cutoff)
    if known.count:
        scores["own frequency"] = frequency_scores(cut, mine, cutoff)
    events = np.diff(cut.histories.offsets)[np.unique(groups.household)]
    return {
        "households": len(events),
        "household_weeks": len(groups.week),
        "events_known": round(float(events.mean()), 6),
        "households_without_events": int((events == 0).sum()),
        "candidate_recall": round(float((mine.relevant.sum(1) / mine.bought).mean()), 6),
        "target_weeks": len(np.unique(groups.week)),
        **compare_orders(scores, mine, ours),
        "gains_of_popularity": compare_orders(scores, mine, POPULARITY)["gains"],
        "weeks_ahead": weeks_ahead(scores, mine, ours),
    }


def known_tables(results: dict[str, dict[str, Any]]) -> str:
    """Renders NDCG@10 of every method, paired gains, and in how many weeks we are ahead."""

    def rows(part: str, render: Any) -> list[list[str]]:
        names = dict.fromkeys(name for one in results.values() for name in one[part])
        return [
            [
                name,
                *(render(one[part][name]) if name in one[part] else "" for one in results.values()),
            ]
            for name in names
        ]

    def interval(entry: dict[str, dict[str, float]]) -> str:
        return as_text(entry[METRIC])

    weeks = next(iter(results.values()))["target_weeks"]
    return "\n".join(
        [
            table([METRIC, *results], rows("metrics", interval)),
            table(["gain over", *results], rows("gains", interval)),
            table(["gain of popularity over", *results], rows("gains_of_popularity", interval)),
            table([f"weeks of {weeks} ahead of", *results], rows("weeks_ahead", str)),
        ]
    )


def evaluate_known(
    run: Path, models: Path, prepared: Prepared, config: Config, counts: Sequence[int]
) -> dict[str, Any]:
    """Measures the bundles in ``models`` on the test weeks; writes and prints the tables."""
    encoder, ranker = (
        models / name / str(VERSION) / MODEL
        for name in (config.bundle.encoder, config.bundle.ranker)
    )
    scorer, groups = OnnxScorer(encoder, ranker), held_out_groups(prepared, config)
    if len(groups.week) == 0:
        raise ValueError("nothing was bought in the test weeks")
    results = {
        str(known): measure_known(scorer, prepared, groups, known, config)
        for known in cases(counts)
    }
    households = len(np.unique(groups.household))
    print(f"{households} households, {len(groups.week)} household-weeks\n")
    print(known_tables(results))
    (run / FILE).write_text(json.dumps(results, indent=2) + "\n", encoding="utf-8")
    (run / TABLES_FILE).write_text(known_tables(results), encoding="utf-8")
    return results
