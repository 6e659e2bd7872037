"""Trains, evaluates and exports the ranking models that Podium bundles."""

__version__ = "0.1.0"
