"""Ranks of held-out items, offline and through a server."""
