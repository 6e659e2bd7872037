"""Metrics and their intervals, from plain arrays; no kind of model is named here."""
