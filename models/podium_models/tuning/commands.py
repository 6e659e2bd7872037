"""Answers ``tune`` for runs of every kind that has an objective."""

from __future__ import annotations

import argparse
import shlex
from importlib.util import find_spec
from pathlib import Path

from tqdm import tqdm

from podium_models.settings import kind_of
from podium_models.tuning.protocol import check_setting, config_of, objective_of
from podium_models.tuning.space import Parameter, read_space, to_text

TUNE = "tune"
TRIALS = 20


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds what ``tune`` takes."""
    parser.add_argument(
        "--space", type=Path, required=True, metavar="FILE", help="TOML: the settings to search"
    )
    parser.add_argument("--method", choices=("random", "grid"), default="random")
    parser.add_argument(
        "--trials",
        type=int,
        help=f"how many in all, earlier calls included (default: {TRIALS}, or the whole grid)",
    )
    parser.add_argument("--seed", type=int, default=7, help="of the search (default: 7)")
    parser.set_defaults(call=tune)


def check_space(kind: str, space: list[Parameter]) -> None:
    """Refuses settings that the kind does not have before anything is trained."""
    config = config_of(kind)
    for one in space:
        check_setting(config, one.name, [to_text(value) for value in one.grid()])


def tune(arguments: argparse.Namespace) -> None:
    """Runs the trials that are missing, then writes the table, the plot and the best settings."""
    kind = kind_of(arguments.run)
    objective = objective_of(kind)
    space = read_space(arguments.space)
    check_space(kind, space)
    for needed in ("optuna", "matplotlib"):
        if find_spec(needed) is None:
            raise FileNotFoundError(f"{needed} is missing: pip install -r models/requirements.lock")
    from podium_models.tuning.results import TABLE, to_markdown, to_table, write_results
    from podium_models.tuning.study import Search, done, open_study, run_trial, take_up

    directory = arguments.run / TUNE
    search = Search(space, arguments.method, arguments.seed)
    wanted = arguments.trials or (search.grid_size() if search.method == "grid" else TRIALS)
    if search.method == "grid":
        wanted = min(wanted, search.grid_size())
    study = open_study(directory, search)
    if take_up(study):
        print("the trial that was interrupted is run again")
    with tqdm(total=wanted, initial=min(len(done(study)), wanted), desc=TUNE, unit="trial") as bar:
        while len(done(study)) < wanted:
            run_trial(
                study,
                search,
                directory,
                lambda settings, where: objective(arguments.run, settings, where),
            )
            bar.update()
    trials = done(study)
    settings = write_results(directory, trials, space)
    print(to_markdown(to_table(trials, space)))
    print(f"\nthe table and the plot are beside {directory / TABLE}; train with the best settings:")
    flags = " ".join(f"--set {shlex.quote(one)}" for one in settings)
    print(f"  python -m podium_models train --run {shlex.quote(str(arguments.run))} {flags}")
