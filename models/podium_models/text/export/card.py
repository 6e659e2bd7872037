"""Renders the model card from the run's settings and measurements."""

from __future__ import annotations

from typing import Any

from podium_models.bundle.manifest import OPSET
from podium_models.text.config import Config
from podium_models.text.evaluation.report import all_tables
from podium_models.text.forms import BI
from podium_models.text.names import NAME, VERSION

FORMS = {
    BI: "A bi-encoder: query and product are read apart by one small BERT, and compared by cosine.",
    "cross": "A cross-encoder: query and product are read together by one small BERT.",
}

STUDENT = """- Shipped: blocks {blocks} of it with {ffn} of 1,536 neurons each, {pieces:,} pieces (every character, the pieces of product
  texts, common English), int8 weights of seven bits, ONNX opset {opset}."""
WHOLE = "- Shipped: all of it, fine-tuned, with int8 weights of seven bits, ONNX opset {opset}."

DISTILLED = """
2. The student: cut out of MiniLM, taught to give MiniLM's vectors on titles, descriptions, fragments and single words. It
   sees no query and no judged product there, so that cross-validation stays honest.
3. The student is fine-tuned as the teacher was, then rounded to int8. The shipped weights saw all queries."""
ROUNDED = """
2. It is rounded to int8. The shipped weights saw all queries."""

CHORUS = """Chorus, the electronics data set of the Chorus project (Apache-2.0): {all_queries} queries with {pairs:,} judged products, and
{products:,} products. Source of the product data: Icecat, Open Icecat catalogue, under the Open Content License. No text of
either is in this bundle; golden vectors and example use texts of this project's own."""
OWN = """{all_queries} queries with {pairs:,} judged products, and {products:,} products, of whoever trained this model. No text of them
is in this bundle, but the pieces of its vocabulary; golden vectors and example use texts of the package's own."""

CHORUS_LIMITS = """{all_queries} short queries, English, electronics and some toys and household goods of an older catalogue; ratings by few judges, with
oddities (`computer`, `printer` have no relevant product). Fine-tuning on so few queries changes little, see the intervals.
Other languages are read by characters and little understood. """
LIMITS = """The probability is calibrated on judged lists, where a share of {relevant:.0%} is relevant;
among random candidates it is too high. Model numbers are matched only as far as their pieces go. No personal data."""

CARD = """# {name} {version}

Orders products for a shopper's query by their title, and brand and description where given. {form}
Head `relevance`: a logit of "rated 2 or 3 of 3"; the server applies the sigmoid. Candidates do not influence one another:
activations are rounded to int8 row by row.

- Start: MiniLM-L6 (sentence-transformers/all-MiniLM-L6-v2, Apache-2.0), 6 blocks, 30,522 pieces.
{shipped}
- Share of [UNK] among the pieces of judged products' titles {unknown_titles:.4%}, of queries {unknown_queries:.4%}.

## Data
{data}

## Training
1. The teacher: MiniLM whose last {tuned} block(s) are fine-tuned on judged lists (listwise, pairwise and pointwise
   losses), pulled towards what MiniLM gave, early-stopped on validation queries.{steps}

## Measured
Cross-validated by query, {folds} folds: each list is ranked by a model that has seen neither its query nor any of
its products' judgements. {queries} queries whose ratings differ. Re-ranking the judged products, gain 2^r - 1; for the other metrics a
product is relevant from 2. 95% bootstrap intervals over queries (2,000 draws, seed 7). BM25's two settings are chosen on
the other folds.

{tables}
Calibration is over all {all_queries} queries; "happened" is the share rated 2 or 3.

## Limits
{limits}

## Licence
{licence}
"""


def licence_of(name: str) -> str:
    """States the licence of the weights, as far as this package can know it."""
    if name == NAME:
        return "Weights: Apache-2.0."
    return (
        "Weights: MiniLM's are Apache-2.0; whose judgements they were trained on decides the rest."
    )


def render_card(
    config: Config, measured: dict[str, Any], facts: dict[str, float], distilled: bool
) -> str:
    """Renders the card; ``facts`` counts products and pieces, ``distilled`` says of what."""
    model, shipped_data = config.model, config.model.bundle == NAME
    counted = {
        "all_queries": measured["all_queries"],
        "pairs": measured["pairs"],
        "products": int(facts["products"]),
        "relevant": facts["relevant"],
    }
    sizes = {"blocks": model.blocks, "ffn": f"{model.ffn:,}", "pieces": int(facts["pieces"])}
    limits = (CHORUS_LIMITS if shipped_data else "") + LIMITS
    return CARD.format(
        name=model.bundle,
        version=VERSION,
        form=FORMS[model.form],
        shipped=(STUDENT if distilled else WHOLE).format(**sizes, opset=OPSET),
        data=(CHORUS if shipped_data else OWN).format(**counted),
        steps=DISTILLED if distilled else ROUNDED,
        limits=limits.format(**counted),
        licence=licence_of(model.bundle),
        unknown_titles=facts["unknown_in_titles"],
        unknown_queries=facts["unknown_in_queries"],
        all_queries=measured["all_queries"],
        queries=measured["queries"],
        tuned=config.train.tuned_blocks,
        folds=measured["folds"],
        tables=all_tables(measured),
    )
