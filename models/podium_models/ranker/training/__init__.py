"""Fits the encoder and the ranker together."""
