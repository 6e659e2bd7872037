"""Measures rankers on judged lists: offline by cross-validation, and through a running server."""
