"""Turns purchase logs into histories, candidates and features."""
