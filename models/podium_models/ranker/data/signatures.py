"""Names the inputs and outputs of both graphs, in order; networks, manifests and tests share it."""

from __future__ import annotations

from podium_models.ranker.data.transforms import CANDIDATE_TRANSFORMS

ENCODER_FILE, RANKER_FILE = "encoder.onnx", "ranker.onnx"
"""Names of both graphs within a run."""

ENCODER_INPUTS = ("item", "category", "gap", "mask")
ENCODER_OUTPUT = "user_embedding"

RANKER_ROW_INPUTS = ("user_index", "item", "category", *CANDIDATE_TRANSFORMS)
RANKER_INPUTS = ("user_embedding", "week", *RANKER_ROW_INPUTS)
LABELS = ("department", "category")
"""Attributes of items in which a household's interest is predicted."""

LABEL_FEATURES = {name: (f"{name}_count", f"{name}_age") for name in LABELS}
"""The features of a candidate that only its label and the history decide, by label."""

PURCHASE_FEATURES = (
    "price",
    "discount",
    "display",
    "mailer",
    "popularity",
    "own_count",
    "own_age",
    "category_count",
)
"""The features of a candidate that its purchase logit sees; the others are for the interests."""

PURCHASE = "purchase"
RANKER_OUTPUTS = (PURCHASE, *(f"{name}_interest" for name in LABELS))
