"""Searches made-up spaces with an objective that is a formula; needs optuna and matplotlib."""

from __future__ import annotations

import csv
import json

import pytest

pytest.importorskip("optuna")
pytest.importorskip("matplotlib")

from podium_models.cli import main
from podium_models.sequence import commands
from podium_models.sequence.config import KIND, Config
from podium_models.settings import write_config
from podium_models.tuning.space import read_space

SPACE = """
[train]
learning_rate = {low = 1e-4, high = 1e-2, log = true}
loss = ["bce", "sampled"]
[model]
layers = {low = 1, high = 3}
"""
GRID = '[train]\nloss = ["bce", "sampled", "full"]\n[model]\nlayers = {low = 1, high = 3}\n'


def best_is_two_layers(settings):
    """Prefers two layers and the loss bce."""
    values = dict(one.split("=") for one in settings)
    return (values.get("train.loss") == "bce") - abs(int(values["model.layers"]) - 2)


@pytest.fixture
def run(tmp_path):
    write_config(tmp_path / "run", KIND, Config())
    return tmp_path / "run"


@pytest.fixture
def tune(run, tmp_path, monkeypatch):
    """Returns a function that tunes with a space and a formula; it lists the settings tried."""

    def call(space, *arguments, formula=best_is_two_layers, status=0):
        tried = []

        def objective(given, settings, where):
            assert given == run
            tried.append((settings, where))
            return formula(settings)

        monkeypatch.setattr(commands, "objective", objective)
        path = tmp_path / "space.toml"
        path.write_text(space)
        given = ["tune", "--run", str(run), "--space", str(path), *arguments]
        assert main(given) == status
        return tried

    return call


def test_a_random_search_writes_table_plot_and_best_settings(tune, run, capsys):
    tried = tune(SPACE, "--trials", "8")
    assert len(tried) == 8
    assert len({where for _, where in tried}) == 8
    assert all(1e-4 <= float(dict(s.split("=") for s in one)["train.learning_rate"]) <= 1e-2
               for one, _ in tried)  # fmt: skip
    values = [best_is_two_layers(settings) for settings, _ in tried]
    best = json.loads((run / "tune" / "best.json").read_text())
    assert best["value"] == max(values)
    assert best["settings"] == tried[values.index(max(values))][0]
    with (run / "tune" / "trials.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [float(row["value"]) for row in rows] == sorted(values, reverse=True)
    assert (run / "tune" / "trials.png").read_bytes().startswith(b"\x89PNG")
    out = capsys.readouterr().out
    assert "| trial | value |" in out
    assert f"train --run {run} --set {best['settings'][0]}" in out


def test_a_grid_visits_every_point_once(tune):
    tried = [tuple(settings) for settings, _ in tune(GRID, "--method", "grid")]
    assert len(tried) == len(set(tried)) == 9


def interrupt_third(settings, seen):
    """Interrupts the third trial as Ctrl-C does."""
    seen.append(settings)
    if len(seen) == 3:
        raise KeyboardInterrupt
    return best_is_two_layers(settings)


def test_an_interrupted_search_ends_as_an_uninterrupted_one(tune, run, tmp_path, capsys):
    seen: list[list[str]] = []
    arguments = ("--trials", "6")
    first = tune(SPACE, *arguments, formula=lambda one: interrupt_third(one, seen), status=130)
    second = tune(SPACE, *arguments)
    assert "is run again" in capsys.readouterr().out
    assert len(first) == 3
    assert len(second) == 4
    assert second[0] == first[2]
    (run / "tune").rename(tmp_path / "before")
    whole = tune(SPACE, *arguments)
    assert [one for one, _ in whole] == [one for one, _ in first[:2] + second]


def test_an_interrupted_grid_still_visits_every_point_once(tune):
    seen: list[list[str]] = []
    arguments = ("--method", "grid")
    first = tune(GRID, *arguments, formula=lambda one: interrupt_third(one, seen), status=130)
    second = tune(GRID, *arguments)
    assert second[0] == first[2]
    assert len({tuple(one) for one, _ in first + second}) == 9
    assert len(first + second) == 10


def test_more_trials_may_be_asked_for_later(tune):
    assert len(tune(SPACE, "--trials", "2")) == 2
    assert len(tune(SPACE, "--trials", "2")) == 0
    assert len(tune(SPACE, "--trials", "5")) == 3


def test_a_failing_trial_fails_alone(tune, run):
    def formula(settings):
        if "model.layers=2" in settings:
            raise ValueError("two is too many")
        return float("nan") if "model.layers=3" in settings else 1.0

    tune(GRID, "--method", "grid", formula=formula)
    with (run / "tune" / "trials.csv").open() as file:
        errors = [row["error"] for row in csv.DictReader(file)]
    assert errors.count("two is too many") == 3
    assert errors.count("the metric is nan") == 3


def test_where_every_trial_fails_the_search_does(tune, capsys):
    def formula(_):
        raise ValueError("no data")

    tune(SPACE, "--trials", "2", formula=formula, status=1)
    assert "no trial succeeded: no data" in capsys.readouterr().err


def test_another_space_does_not_mix_with_the_first(tune, capsys):
    tune(SPACE, "--trials", "1")
    tune(GRID, "--trials", "1", status=1)
    assert "another space, method or seed" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("space", "message"),
    [
        ("[train]\ncolour = [1]\n", "train.colour, which is no setting; there are "),
        ("[paint]\ncolour = [1]\n", "the section [paint]"),
        ('[train]\nepochs = ["many"]\n', "gives train.epochs the value many"),
        ("[train]\nepochs = {low = 5}\n", "a range is"),
        ("[train]\nepochs = {low = 5, high = 2}\n", "low lies below high"),
        ("[train]\nlearning_rate = {low = 0, high = 1, log = true}\n", "above 0 for a log range"),
        ("[train]\nepochs = []\n", "neither a list of choices nor a range"),
        ("[train]\nepochs = [1, 1]\n", "a choice stands twice"),
        ("epochs = [1]\n", "stands outside a section"),
        ("", "declares nothing to search"),
        ("[train\n", "is not TOML"),
    ],
)
def test_bad_spaces_are_refused_before_any_trial(tune, space, message, capsys):
    assert tune(space, status=1) == []
    assert message in capsys.readouterr().err


def test_a_kind_without_an_objective_has_no_tune(monkeypatch, run, tmp_path, capsys):
    monkeypatch.delattr(commands, "objective", raising=False)
    path = tmp_path / "space.toml"
    path.write_text(SPACE)
    assert main(["tune", "--run", str(run), "--space", str(path)]) == 1
    assert "has no `tune`" in capsys.readouterr().err


def test_grids_of_ranges_are_even_by_value_or_by_ratio(tmp_path):
    path = tmp_path / "space.toml"
    path.write_text(
        "[train]\na = {low = 1.0, high = 2.0, points = 3}\nb = {low = 1, high = 100, log = true, "
        "points = 3}\nc = {low = 1, high = 3, points = 9}\nd = [true, 0.5]\n"
    )
    a, b, c, d = (one.grid() for one in read_space(path))
    assert (a, b, c, d) == ([1.0, 1.5, 2.0], [1, 10, 100], [1, 2, 3], [True, 0.5])
