"""Fine-tunes the upper part of a ranker on judged lists, held close to what it was."""

from __future__ import annotations

import copy
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from tqdm import tqdm

from podium_models.text.config import TrainConfig
from podium_models.text.data.prepared import RatedList
from podium_models.text.evaluation.lists import ndcg_at
from podium_models.text.forms import BI
from podium_models.text.nn.embed import mixed_precision
from podium_models.text.nn.ranker import Top
from podium_models.text.training.examples import Examples
from podium_models.text.training.losses import listwise, pairwise, pointwise
from podium_models.text.training.states import pad_states

Ints = npt.NDArray[np.int64]
Entry = dict[str, float]

CLIP_NORM = 1.0
SCALE_RATE = 0.02


class Drawn(NamedTuple):
    """Rows drawn from one list for one step: places of their states, and their ratings."""

    query: int
    rows: Ints
    ratings: Tensor


class Subset(NamedTuple):
    """Lists that train, with the rows of each that may be used, and rows that may be strangers."""

    lists: list[int]
    allowed: dict[int, Ints]
    strangers: tuple[Ints, ...]


class Task(NamedTuple):
    """What one ranker is fitted on, and the lists that say when to stop."""

    examples: Examples
    lists: Sequence[RatedList]
    subset: Subset
    validation: Sequence[int]


def subset_of(
    examples: Examples, lists: Sequence[RatedList], chosen: Sequence[int], hidden: Ints
) -> Subset:
    """Chooses lists, without rows of products among ``hidden`` (those that are tested)."""
    allowed = {one: np.flatnonzero(~np.isin(lists[one].places, hidden)) for one in chosen}
    judged = np.unique(np.concatenate([one.places for one in lists]))
    free = np.flatnonzero(~np.isin(judged, hidden))
    strangers = tuple(one[free] for one in examples.product_rows)
    return Subset([one for one in chosen if len(allowed[one])], allowed, strangers)


def draw(task: Task, place: int, config: TrainConfig, random: np.random.Generator) -> Drawn:
    """Draws rows of a list, each in a random view, and for a bi-encoder some strangers, rated 0."""
    examples, one = task.examples, task.lists[place]
    own = random.permutation(task.subset.allowed[place])[: config.rows_per_list]
    views = random.integers(0, len(examples.rows), len(own))
    rows = [int(examples.rows[view][place][row]) for view, row in zip(views, own, strict=True)]
    ratings = one.ratings[own].tolist()
    if task.subset.strangers:
        pool = task.subset.strangers[int(random.integers(0, len(task.subset.strangers)))]
        rows += random.choice(pool, config.negatives).tolist()
        ratings += [0] * config.negatives
    query = examples.queries[place] if examples.queries else -1
    return Drawn(query, np.asarray(rows), torch.tensor(ratings, dtype=torch.float32))


def logits_of(top: Top, vectors: Tensor, query: Tensor | None) -> Tensor:
    """Scores rows of one list: against the query's vector, or as joint texts."""
    return top.judge(vectors) if query is None else top.compare(query[None], vectors)


def step_loss(
    top: Top, start: Top, examples: Examples, drawn: list[Drawn], config: TrainConfig
) -> Tensor:
    """Returns the mean loss of the drawn lists, with the pull towards the vectors at the start."""
    places = [int(place) for one in drawn for place in (one.query, *one.rows) if place >= 0]
    states, mask = pad_states([examples.states[place] for place in places])
    with mixed_precision(states.device, config.mixed and len(top.blocks) > 0):
        vectors = top.vectors(states, mask)
    total, at = vectors.sum() * 0.0, 0
    for one in drawn:
        query = vectors[at] if one.query >= 0 else None
        at += one.query >= 0
        logits = logits_of(top, vectors[at : at + len(one.rows)], query)
        at += len(one.rows)
        scores = (logits - top.bias) / top.scale
        total = total + listwise(scores, one.ratings, config.temperature)
        total = total + config.pairwise_weight * pairwise(scores, one.ratings, config.temperature)
        total = total + config.pointwise_weight * pointwise(logits, one.ratings)
    loss = total / len(drawn)
    if top.form == BI:
        with torch.no_grad():
            before = start.vectors(states, mask)
        loss = loss + config.pull * (1.0 - (vectors * before).sum(-1)).mean()
    return loss


def all_vectors(top: Top, examples: Examples, places: Ints) -> Tensor:
    """Returns vectors of the named states, [places, width], in small batches by length."""
    top.eval()
    order = sorted(range(len(places)), key=lambda one: len(examples.states[places[one]]))
    found: list[Tensor] = [torch.empty(0)] * len(places)
    with torch.no_grad():
        for start in range(0, len(order), 64):
            part = order[start : start + 64]
            states, mask = pad_states([examples.states[places[one]] for one in part])
            for one, vector in zip(part, top.vectors(states, mask), strict=True):
                found[one] = vector
    return torch.stack(found)


def score_list(top: Top, examples: Examples, place: int, view: int) -> npt.NDArray[np.float64]:
    """Returns the logits of one list's rows in one view, [rows] float64."""
    vectors = all_vectors(top, examples, examples.rows[view][place])
    query = None
    if examples.queries:
        query = all_vectors(top, examples, np.array([examples.queries[place]]))[0]
    with torch.no_grad():
        return logits_of(top, vectors, query).numpy().astype(np.float64)


def validate(top: Top, task: Task) -> float:
    """Returns the mean NDCG@10 of mixed validation lists over both views; NaN where none is."""
    values = [
        ndcg_at(score_list(top, task.examples, one, view), task.lists[one].ratings)
        for one in task.validation
        if task.lists[one].mixed
        for view in range(len(task.examples.rows))
    ]
    return float(np.mean(values)) if values else float("nan")


def make_optimizer(top: Top, config: TrainConfig) -> torch.optim.Optimizer:
    """Lets blocks learn slowly, the map and the head faster, scale and bias fastest."""
    groups: list[dict[str, Any]] = [
        {"params": [top.head], "lr": config.learning_rate},
        {"params": [top.scale, top.bias], "lr": SCALE_RATE},
    ]
    if len(top.blocks):
        groups.append({"params": list(top.blocks.parameters()), "lr": config.block_learning_rate})
    with_rates = [{**one, "rate": one["lr"]} for one in groups]
    return torch.optim.AdamW(with_rates, weight_decay=0.0)


def set_rates(optimizer: torch.optim.Optimizer, left: float) -> None:
    """Sets every group's rate to the share ``left`` of its own."""
    for group in optimizer.param_groups:
        group["lr"] = group["rate"] * left


def train_epoch(
    top: Top, start: Top, task: Task, config: TrainConfig, optimizer: torch.optim.Optimizer
) -> Iterator[float]:
    """Trains one epoch, yielding the loss of each step; rates are set by the caller."""
    random = np.random.default_rng(int(torch.randint(2**31, (1,)).item()))
    order = random.permutation(task.subset.lists)
    top.train()
    for at in range(0, len(order), config.lists_per_step):
        drawn = [
            draw(task, int(one), config, random) for one in order[at:][: config.lists_per_step]
        ]
        loss = step_loss(top, start, task.examples, drawn, config)
        optimizer.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        torch.nn.utils.clip_grad_norm_(top.parameters(), CLIP_NORM)
        optimizer.step()
        yield float(loss.detach())


def fit(top: Top, task: Task, config: TrainConfig, label: str) -> list[Entry]:
    """Trains in place, ends with the best epoch's weights; epoch 0 is the start itself.

    Where no epoch is better on the validation lists, the start's order is kept; scale and bias,
    which no order depends on, always learn. Without validation lists the last epoch is taken.
    """
    torch.manual_seed(config.seed)
    start = copy.deepcopy(top).eval()
    optimizer = make_optimizer(top, config)
    history = [{"loss": float("nan"), "ndcg": validate(top, task)}]
    best, kept = 0, copy.deepcopy(top.state_dict())
    for epoch in tqdm(range(config.epochs), desc=label, unit="epoch"):
        set_rates(optimizer, 1.0 - epoch / config.epochs)
        losses = list(train_epoch(top, start, task, config, optimizer))
        history.append({"loss": float(np.mean(losses)), "ndcg": validate(top, task)})
        if not task.validation or history[-1]["ndcg"] > history[best]["ndcg"]:
            best, kept = len(history) - 1, copy.deepcopy(top.state_dict())
        if len(history) - 1 - best >= config.patience:
            break
    learnt = {"scale": top.scale.detach().clone(), "bias": top.bias.detach().clone()}
    top.load_state_dict({**kept, **learnt})
    top.eval()
    reached = (history[one]["ndcg"] for one in (0, best))
    print("{}: epoch {}, NDCG@10 {:.4f} to {:.4f}".format(label, best, *reached))
    return history
