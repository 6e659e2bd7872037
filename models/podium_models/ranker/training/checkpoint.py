"""Saves and restores a run after every epoch, never leaving a half-written file."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import torch

from podium_models.ranker.nn.build import GroceryModel
from podium_models.ranker.training.average import Learner

LATEST, BEST, HISTORY = "latest.pt", "best.pt", "history.json"


def write_atomically(path: Path, data: dict[str, Any]) -> None:
    """Writes a torch file beside its place and moves it there."""
    partial = path.with_suffix(".partial")
    torch.save(data, partial)
    os.replace(partial, path)


def save_epoch(run: Path, learner: Learner, history: list[dict[str, float]], best: bool) -> None:
    """Saves what resuming needs; ``history`` has one entry for each finished epoch."""
    state = {
        "model": learner.model.state_dict(),
        "average": learner.average.model.state_dict(),
        "steps": learner.average.steps,
        "optimizer": learner.optimizer.state_dict(),
        "history": history,
    }
    if best:
        write_atomically(run / BEST, {"model": state["average"], "epoch": len(history)})
    write_atomically(run / LATEST, state)
    text = json.dumps(history, indent=2) + "\n"
    (run / HISTORY).write_text(text, encoding="utf-8")


def resume(run: Path, learner: Learner) -> list[dict[str, float]]:
    """Restores the latest epoch in place and returns the history; empty where there is none."""
    path = run / LATEST
    if not path.is_file():
        return []
    state = torch.load(path, weights_only=True)
    learner.model.load_state_dict(state["model"])
    learner.average.model.load_state_dict(state["average"])
    learner.average.steps = state["steps"]
    learner.optimizer.load_state_dict(state["optimizer"])
    history: list[dict[str, float]] = state["history"]
    return history


def load_best(run: Path, model: GroceryModel) -> int:
    """Loads the best epoch's weights in place, sets evaluation mode, returns the epoch's number."""
    path = run / BEST
    if not path.is_file():
        raise FileNotFoundError(f"{run} has no trained model; run `train` first")
    state = torch.load(path, weights_only=True)
    model.load_state_dict(state["model"])
    model.eval()
    return int(state["epoch"])
