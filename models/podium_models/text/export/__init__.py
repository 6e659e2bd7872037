"""Writes graphs and the bundle ``electronics-search``."""
