"""Renders the model card from the run's settings and measurements."""

from __future__ import annotations

from typing import Any

from podium_models.bundle.manifest import OPSET
from podium_models.text.config import Config
from podium_models.text.evaluation.report import all_tables
from podium_models.text.names import NAME, VERSION

CARD = """# {name} {version}

Orders products for a shopper's query by their title, and brand and description where given. A bi-encoder: query and
product are read apart by one small BERT, and compared by cosine. Head `relevance`: a logit of "rated 2 or 3 of 3"; the
server applies the sigmoid. Candidates do not influence one another: activations are rounded to int8 row by row.

- Start: MiniLM-L6 (sentence-transformers/all-MiniLM-L6-v2, Apache-2.0), 6 blocks, 30,522 pieces.
- Shipped: blocks {blocks} of it with {ffn} of 1,536 neurons each, {pieces:,} pieces (every character, the pieces of product
  texts, common English), int8 weights of seven bits, ONNX opset {opset}.
- Share of [UNK] among the pieces of judged products' titles {unknown_titles:.4%}, of queries {unknown_queries:.4%}.

## Data
Chorus, the electronics data set of the Chorus project (Apache-2.0): {all_queries} queries with {pairs:,} judged products, and
19,406 products. Source of the product data: Icecat, Open Icecat catalogue, under the Open Content License. No text of
either is in this bundle; golden vectors and example use texts of this project's own.

## Training
1. The teacher: MiniLM whose last {tuned} block(s) are fine-tuned on judged lists (listwise, pairwise and pointwise
   losses), pulled towards what MiniLM gave, early-stopped on validation queries.
2. The student: cut out of MiniLM, taught to give MiniLM's vectors on titles, descriptions, fragments and single words. It
   sees no query and no judged product there, so that cross-validation stays honest.
3. The student is fine-tuned as the teacher was, then rounded to int8. The shipped weights saw all queries.

## Measured
Cross-validated by query, {folds} folds: each list is ranked by a model that has seen neither its query nor any of
its products' judgements. {queries} queries whose ratings differ. Re-ranking the judged products, gain 2^r - 1; for the other metrics a
product is relevant from 2. 95% bootstrap intervals over queries (2,000 draws, seed 7). BM25's two settings are chosen on
the other folds.

{tables}
Calibration is over all {all_queries} queries; "happened" is the share rated 2 or 3.

## Limits
{all_queries} short queries, English, electronics and some toys and household goods of an older catalogue; ratings by few judges, with
oddities (`computer`, `printer` have no relevant product). Fine-tuning on so few queries changes little, see the intervals.
Other languages are read by characters and little understood. The probability is calibrated on judged lists, where half of the products
fit; among random candidates it is too high. Model numbers are matched only as far as their pieces go. No personal data.

## Licence
Weights: Apache-2.0.
"""


def render_card(config: Config, measured: dict[str, Any], tokens: dict[str, float]) -> str:
    """Renders the card."""
    return CARD.format(
        name=NAME,
        version=VERSION,
        blocks=config.model.blocks,
        ffn=f"{config.model.ffn:,}",
        pieces=int(tokens["pieces"]),
        opset=OPSET,
        unknown_titles=tokens["unknown_in_titles"],
        unknown_queries=tokens["unknown_in_queries"],
        all_queries=measured["all_queries"],
        queries=measured["queries"],
        pairs=measured["pairs"],
        tuned=config.train.tuned_blocks,
        folds=measured["folds"],
        tables=all_tables(measured),
    )
