"""Batches, losses, the loop, recipes."""
