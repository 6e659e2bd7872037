"""Measures rankings per household, offline and through a running server."""
