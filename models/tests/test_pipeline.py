"""Trains, evaluates and exports a tiny model end to end; needs torch."""

from __future__ import annotations

import dataclasses
import json
import subprocess
import sys
import tomllib

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from podium_models.bundle.session import open_session  # noqa: E402
from podium_models.ranker.commands import objective  # noqa: E402
from podium_models.ranker.config import KIND  # noqa: E402
from podium_models.ranker.data.assemble import (  # noqa: E402
    encoder_inputs,
    ranker_rows,
    week_inputs,
)
from podium_models.ranker.data.labels import label_columns, label_of  # noqa: E402
from podium_models.ranker.data.prepared import save_prepared  # noqa: E402
from podium_models.ranker.data.signatures import (  # noqa: E402
    ENCODER_FILE,
    ENCODER_OUTPUT,
    RANKER_OUTPUTS,
)
from podium_models.ranker.data.visits import visits_at  # noqa: E402
from podium_models.ranker.evaluation.offline import evaluate  # noqa: E402
from podium_models.ranker.evaluation.scoring import TorchScorer  # noqa: E402
from podium_models.ranker.export.bundle import export  # noqa: E402
from podium_models.ranker.export.random_inputs import random_encoder_inputs  # noqa: E402
from podium_models.ranker.nn.build import build_model  # noqa: E402
from podium_models.ranker.training.batch import own_tensors  # noqa: E402
from podium_models.ranker.training.checkpoint import load_best  # noqa: E402
from podium_models.ranker.training.examples import ExampleSource  # noqa: E402
from podium_models.ranker.training.run import train_run  # noqa: E402
from podium_models.ranker.training.stranger import (  # noqa: E402
    default_embedding,
    fit_stranger,
    stranger_batch,
    stranger_loss,
)
from podium_models.ranker.training.stranger_requests import StrangerSource  # noqa: E402
from podium_models.settings import override, write_config  # noqa: E402


@pytest.fixture(scope="module")
def run(prepared, config, tmp_path_factory):
    where = tmp_path_factory.mktemp("run")
    write_config(where, KIND, config)
    save_prepared(prepared, where / "prepared")
    train_run(where, prepared, config)
    return where


def test_training_leaves_weights_graphs_and_curves(run):
    for name in ("best.pt", "latest.pt", "history.json", "curves.png", "graphs/ranker.onnx"):
        assert (run / name).is_file(), name
    history = json.loads((run / "history.json").read_text(encoding="utf-8"))
    assert all(np.isfinite(list(entry.values())).all() for entry in history)


def test_training_again_resumes_and_gives_the_same_graphs(run, prepared, config):
    before = (run / "graphs" / "ranker.onnx").read_bytes()
    train_run(run, prepared, config)
    assert (run / "graphs" / "ranker.onnx").read_bytes() == before


def test_training_from_the_same_seed_gives_the_same_bytes(run, prepared, config, tmp_path):
    train_run(tmp_path, prepared, config)
    for name in ("encoder.onnx", "ranker.onnx"):
        wanted = (run / "graphs" / name).read_bytes()
        assert (tmp_path / "graphs" / name).read_bytes() == wanted


def test_export_needs_an_evaluation_and_is_repeatable(run, prepared, config, tmp_path):
    with pytest.raises(FileNotFoundError, match="evaluate"):
        export(run, prepared, config, tmp_path)
    evaluate(run, prepared, config)
    first = {
        path: path.read_bytes()
        for one in export(run, prepared, config, tmp_path)
        for path in one.iterdir()
    }
    for path in first:
        if path.name == "model.toml":
            assert tomllib.loads(first[path].decode())["format"] == 1
    export(run, prepared, config, tmp_path)
    assert {path: path.read_bytes() for path in first} == first


def test_going_on_with_other_settings_is_refused(run, prepared, config):
    with pytest.raises(ValueError, match="other settings"):
        train_run(run, prepared, override(config, ["train.learning_rate=0.5"]))


def test_a_trial_returns_what_it_reached_and_leaves_the_run_alone(run, tmp_path):
    before = {path: path.stat().st_mtime_ns for path in run.rglob("*")}
    settings = ["train.learning_rate=0.002", "model.dropout=0.1"]
    first = objective(run, settings, tmp_path / "a")
    assert 0.0 < first <= 1.0
    assert objective(run, settings, tmp_path / "a") == first  # goes on where it ended
    assert objective(run, settings, tmp_path / "b") == first
    assert {path: path.stat().st_mtime_ns for path in run.rglob("*")} == before
    with pytest.raises(ValueError, match="prepared data"):
        objective(run, ["data.candidates=5"], tmp_path / "c")


def test_the_measurements_hold_every_part(run, prepared, config):
    result = evaluate(run, prepared, config)
    assert set(result["calibration"]) == set(RANKER_OUTPUTS)
    assert set(result["interest"]) == {"department", "category"}
    for part in result["interest"].values():
        for metric in ("auc", "f1 micro", "f1 macro"):
            assert 0.0 <= part[metric][config.bundle.ranker]["mean"] <= 1.0
    assert 0.0 < result["coverage"]["popularity"]["catalogue_coverage"] <= 1.0
    for name in ("tables.md", "reliability.png"):
        assert (run / name).is_file()


def test_rows_and_labels_at_once_give_the_same_interest(run, prepared, config):
    model = build_model(prepared, config.model)
    load_best(run, model)
    visits = visits_at(np.array([0, 3]), np.array([44, 45]), 43)
    labels = label_columns(prepared, visits)
    encoder = encoder_inputs(prepared, visits.household, visits.cutoff, 10)
    chosen = np.tile(np.arange(12), (2, 1))
    rows = ranker_rows(prepared, visits, chosen, labels)
    week = week_inputs(prepared, visits.week)
    scorer = TorchScorer(model)
    embedding = scorer.embed(encoder)
    heads = dict(zip(RANKER_OUTPUTS, scorer.rank(embedding, week, rows), strict=True))
    items = prepared.pairs.candidates[prepared.pairs.row[visits.household, 43]]
    memory = model.ranker.memory(torch.from_numpy(embedding), torch.from_numpy(week))
    for label, own in own_tensors(labels).items():
        dense = model.ranker.interest_logits(label, memory, own).detach().numpy()
        wanted = np.take_along_axis(dense, label_of(prepared, label)[items], axis=1)
        assert np.abs(heads[f"{label}_interest"].reshape(2, -1) - wanted).max() < 1e-5


def test_baking_vectors_changes_no_score(prepared, config):
    vectors = np.random.default_rng(0).normal(size=(prepared.items.size, 3)).astype(np.float32)
    vectors[:2] = 0.0
    seeing = dataclasses.replace(prepared, vectors=vectors)
    torch.manual_seed(0)
    model = build_model(seeing, config.model).eval()
    torch.nn.init.normal_(model.encoder.tables.project.weight)
    visits = visits_at(np.array([0]), np.array([44]), 43)
    rows = ranker_rows(seeing, visits, np.arange(12)[None], label_columns(seeing, visits))
    inputs = encoder_inputs(seeing, visits.household, visits.cutoff, 10)

    def scores():
        scorer = TorchScorer(model)
        return scorer.rank(scorer.embed(inputs), week_inputs(seeing, visits.week), rows)

    before, names = scores(), {name for name, _ in model.named_parameters()}
    model.bake()
    after = scores()
    assert "encoder.tables.project.weight" in names
    assert "encoder.tables.project.weight" not in dict(model.named_parameters())
    for left, right in zip(before, after, strict=True):
        assert np.abs(left - right).max() < 1e-5
    assert not np.allclose(before[0], before[0][0])


def test_two_processes_share_an_epoch_and_only_the_first_writes(prepared, config, tmp_path):
    write_config(tmp_path, KIND, config)
    save_prepared(prepared, tmp_path / "prepared")
    launch = [sys.executable, "-m", "torch.distributed.run", "--standalone"]
    launch += ["--nproc-per-node", "2", "-m", "podium_models", "--"]
    command = [*launch, "train", "--run", str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=240, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    assert done.stdout.count("took epoch") == 1
    assert (tmp_path / "graphs" / "ranker.onnx").is_file()


def test_a_strangers_embedding_is_fitted_and_changes_nothing_else(run, prepared, config):
    model = build_model(prepared, config.model)
    load_best(run, model)
    weights = {name: one.clone() for name, one in model.state_dict().items()}
    before = default_embedding(model)
    some = random_encoder_inputs(prepared, np.random.default_rng(0), users=6, length=5)
    some["mask"][:2], some["mask"][2:, 0] = 0.0, 1.0
    scorer = TorchScorer(model)
    known = scorer.embed(some)[2:]
    fit_stranger(model, prepared, override(config, ["train.stranger_steps=40"]))
    after = default_embedding(model)
    assert not torch.equal(before, after)
    assert (scorer.embed(some)[:2] == after.numpy()).all()
    assert (scorer.embed(some)[2:] == known).all()
    assert all(torch.equal(one, model.state_dict()[name]) for name, one in weights.items())
    random = np.random.default_rng(0)
    requests = StrangerSource(ExampleSource(prepared, config.split)).draw(1000, random)
    batch = stranger_batch(requests, prepared, config.train, random)
    losses = [float(stranger_loss(model, one, batch, config.train)) for one in (before, after)]
    assert losses[1] < losses[0]


def test_a_strangers_embedding_is_in_the_graph_unless_it_is_not_wanted(run, prepared, config):
    model = build_model(prepared, config.model)
    load_best(run, model)
    model.bake()
    transformers = default_embedding(model).numpy()
    fit_stranger(model, prepared, override(config, ["train.stranger_steps=0"]))
    assert model.encoder.stranger is None
    fit_stranger(model, prepared, config)
    session = open_session(run / "graphs" / ENCODER_FILE, 1)
    inputs = random_encoder_inputs(prepared, np.random.default_rng(0), users=3, length=4)
    inputs["mask"][1] = 0.0
    served = session.run([ENCODER_OUTPUT], inputs)[0]
    assert (served[1] == default_embedding(model)[0].numpy()).all()
    assert not np.allclose(served[1], transformers[0])
