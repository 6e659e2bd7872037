"""From texts to token ids: the pruned vocabulary, and batches of one length."""
