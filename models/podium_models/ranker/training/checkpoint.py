"""Saves and restores a run after every epoch, never leaving a half-written file."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

from podium_models.nn.checkpoint import read_state, write_atomically
from podium_models.ranker.config import Config
from podium_models.ranker.nn.build import RankerModel
from podium_models.ranker.training.learner import Learner

LATEST, BEST, HISTORY = "latest.pt", "best.pt", "history.json"


Settings = dict[str, Any]

MAY_DIFFER = {"epochs", "threads", "stranger_steps", "stranger_rate"}
"""Training settings that a run may change when it goes on; strangers come after the last epoch."""


def settings_of(config: Config) -> Settings:
    """Returns what an unfinished training must have in common with the one that goes on."""
    train = dataclasses.asdict(config.train)
    kept = {name: value for name, value in train.items() if name not in MAY_DIFFER}
    return {"model": dataclasses.asdict(config.model), "train": kept}


def save_epoch(
    run: Path, learner: Learner, history: list[dict[str, float]], best: bool, settings: Settings
) -> None:
    """Saves what resuming needs; ``history`` has one entry for each finished epoch."""
    state = {
        "model": learner.model.state_dict(),
        "average": learner.average.model.state_dict(),
        "steps": learner.average.steps,
        "optimizer": learner.optimizer.state_dict(),
        "history": history,
        "settings": settings,
    }
    if best:
        write_atomically(run / BEST, {"model": state["average"], "epoch": len(history)})
    write_atomically(run / LATEST, state)
    text = json.dumps(history, indent=2) + "\n"
    (run / HISTORY).write_text(text, encoding="utf-8")


def resume(run: Path, learner: Learner, settings: Settings) -> list[dict[str, float]]:
    """Restores the latest epoch in place and returns the history; empty where there is none.

    A run that was begun with other settings raises ``ValueError``.
    """
    path = run / LATEST
    if not path.is_file():
        return []
    state = read_state(path, learner.place.device)
    if state["settings"] != settings:
        raise ValueError(f"{path} was begun with other settings; remove it, or name another --run")
    learner.model.load_state_dict(state["model"])
    learner.average.model.load_state_dict(state["average"])
    learner.average.steps = state["steps"]
    learner.optimizer.load_state_dict(state["optimizer"])
    history: list[dict[str, float]] = state["history"]
    return history


def load_best(run: Path, model: RankerModel) -> int:
    """Loads the best epoch's weights in place, sets evaluation mode, returns the epoch's number."""
    path = run / BEST
    if not path.is_file():
        raise FileNotFoundError(f"{run} has no trained model; run `train` first")
    state = read_state(path)
    model.load_state_dict(state["model"])
    model.eval()
    return int(state["epoch"])
