"""Keeps the trials of a search in a database, so that a search can be interrupted."""

from __future__ import annotations

import hashlib
import json
import math
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import optuna
from optuna.samplers import BaseSampler, GridSampler, RandomSampler
from optuna.trial import FrozenTrial, TrialState

from podium_models.tuning.space import Parameter, Value, to_settings

DATABASE, TRIALS = "study.db", "trials"
SPACE, ERROR, SECONDS, QUEUED = "space", "error", "seconds", "queued"
FAILURES = (ValueError, ArithmeticError, RuntimeError)

Measure = Callable[[list[str], Path], float]


@dataclass(frozen=True)
class Search:
    """A search as it was declared."""

    space: list[Parameter]
    method: str
    seed: int

    def grid_size(self) -> int:
        """Returns the number of points of the whole grid."""
        return math.prod(len(one.grid()) for one in self.space)

    def sampler(self, number: int) -> BaseSampler:
        """Makes the sampler of one trial, so that an interruption does not change what is drawn.

        A random draw depends on the seed and the number; a grid's order on the seed alone.
        """
        if self.method == "grid":
            return GridSampler({one.name: one.grid() for one in self.space}, seed=self.seed)
        digest = hashlib.sha256(f"{self.seed}/{number}".encode()).digest()
        return RandomSampler(seed=int.from_bytes(digest[:4], "big"))

    def identity(self) -> str:
        """Renders what makes two searches the same."""
        space = [vars(one) for one in self.space]
        return json.dumps([space, self.method, self.seed], sort_keys=True)


def open_study(directory: Path, search: Search) -> optuna.Study:
    """Opens or creates the study of a directory; one of another search raises ``ValueError``."""
    optuna.logging.set_verbosity(optuna.logging.CRITICAL)
    directory.mkdir(parents=True, exist_ok=True)
    study = optuna.create_study(
        study_name="tune",
        storage=f"sqlite:///{(directory / DATABASE).resolve()}",
        direction="maximize",
        load_if_exists=True,
    )
    begun = study.user_attrs.get(SPACE)
    if begun is None:
        study.set_user_attr(SPACE, search.identity())
    elif begun != search.identity():
        raise ValueError(
            f"{directory} was begun with another space, method or seed; "
            "restore it to go on, or move the directory away to start anew"
        )
    return study


def done(study: optuna.Study) -> list[FrozenTrial]:
    """Lists the trials that succeeded or failed by themselves, not those that were cut off."""
    trials = study.get_trials(deepcopy=False)
    return [one for one in trials if one.state == TrialState.COMPLETE or ERROR in one.user_attrs]


def take_up(study: optuna.Study) -> int:
    """Queues the trials anew that an interruption cut off; returns how many there are."""
    queued: list[int] = study.user_attrs.get(QUEUED, [])
    cut_off = [
        one
        for one in study.get_trials(deepcopy=False, states=(TrialState.RUNNING, TrialState.FAIL))
        if ERROR not in one.user_attrs and one.number not in queued
    ]
    for trial in cut_off:
        if trial.state == TrialState.RUNNING:
            study.tell(trial.number, state=TrialState.FAIL)
        if trial.params:
            study.enqueue_trial(trial.params)
    study.set_user_attr(QUEUED, queued + [one.number for one in cut_off])
    return len(cut_off)


def suggest(trial: optuna.Trial, parameter: Parameter) -> Value:
    """Asks the sampler for one value."""
    if parameter.choices:
        return cast("Value", trial.suggest_categorical(parameter.name, parameter.choices))
    if parameter.whole:
        low, high = int(parameter.low), int(parameter.high)
        return trial.suggest_int(parameter.name, low, high, log=parameter.log)
    found = trial.suggest_float(parameter.name, parameter.low, parameter.high, log=parameter.log)
    return float(f"{found:.6g}")


def trial_directory(directory: Path, settings: list[str]) -> Path:
    """Names a trial's directory after its settings, so that a trial redone finds its own."""
    digest = hashlib.sha256("\n".join(settings).encode()).hexdigest()
    return directory / TRIALS / digest[:12]


def run_trial(study: optuna.Study, search: Search, directory: Path, measure: Measure) -> None:
    """Runs one trial; a bad setting or a diverged training fails it alone."""

    def call(trial: optuna.Trial) -> float:
        started = time.monotonic()
        settings = to_settings({one.name: suggest(trial, one) for one in search.space})
        try:
            value = measure(settings, trial_directory(directory, settings))
            if not math.isfinite(value):
                raise ArithmeticError(f"the metric is {value}")
        except FAILURES as error:
            trial.set_user_attr(ERROR, str(error) or type(error).__name__)
            raise
        finally:
            trial.set_user_attr(SECONDS, round(time.monotonic() - started, 1))
        return value

    study.sampler = search.sampler(len(done(study)))
    study.optimize(call, n_trials=1, catch=FAILURES)


def values_of(trial: FrozenTrial, space: list[Parameter]) -> dict[str, Value]:
    """Returns the values that a trial had, rounded as they were used."""
    params: dict[str, Any] = trial.params
    found: dict[str, Value] = {}
    for one in space:
        if one.name in params:
            value = params[one.name]
            rounded = float(f"{value:.6g}") if isinstance(value, float) else value
            found[one.name] = value if one.choices else rounded
    return found
