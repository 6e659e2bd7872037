"""The networks: a small BERT that starts as MiniLM, and the rankers made of it."""
