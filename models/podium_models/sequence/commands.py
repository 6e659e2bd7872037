"""Answers the commands for runs of the ``sequence`` kind."""

from __future__ import annotations

import argparse


def add_prepare(sorts: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Adds what starts a run of this kind."""
