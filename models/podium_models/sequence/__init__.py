"""The ``sequence`` kind: a causal Transformer over interaction logs that predicts the next item."""
