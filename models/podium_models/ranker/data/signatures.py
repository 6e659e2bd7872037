"""Names the inputs and outputs of both graphs, in order; networks, manifests and tests share it."""

from __future__ import annotations

from podium_models.ranker.data.transforms import CANDIDATE_TRANSFORMS

ENCODER_FILE, RANKER_FILE = "encoder.onnx", "ranker.onnx"
"""Names of both graphs within a run."""

ENCODER_INPUTS = ("item", "category", "gap", "mask")
ENCODER_OUTPUT = "user_embedding"

RANKER_ROW_INPUTS = ("user_index", "item", "category", *CANDIDATE_TRANSFORMS)
RANKER_INPUTS = ("user_embedding", "week", *RANKER_ROW_INPUTS)
RANKER_OUTPUTS = ("purchase", "department_interest")
