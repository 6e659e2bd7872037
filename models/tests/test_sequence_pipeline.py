"""Trains a tiny sequence model end to end: resuming, early stopping, graphs, bundles."""

from __future__ import annotations

import dataclasses
import json
import subprocess
import sys
import tomllib

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from test_sequence_ranks import interactions  # noqa: E402

from podium_models.sequence.config import Config, with_recipe  # noqa: E402
from podium_models.sequence.data.interactions import save_interactions  # noqa: E402
from podium_models.sequence.evaluation.report import evaluate_run  # noqa: E402
from podium_models.sequence.export.bundle import export  # noqa: E402
from podium_models.sequence.export.published import Published  # noqa: E402
from podium_models.sequence.training.loop import load_model  # noqa: E402
from podium_models.sequence.training.run import best_trained, train_one, train_run  # noqa: E402
from podium_models.settings import override, write_config  # noqa: E402

TINY = [
    "model.width=16",
    "train.epochs=4",
    "train.batch_size=16",
    "train.negatives=8",
    "train.threads=1",
]


def cycles(users: int = 60, items: int = 12):
    """Histories in which item n is followed by item n + 1, with an attribute each."""
    random = np.random.default_rng(3)
    starts = random.integers(0, items, users)
    lengths = random.integers(3, 9, users)
    histories = [
        [2 + int((start + step) % items) for step in range(length)]
        for start, length in zip(starts, lengths, strict=True)
    ]
    data = interactions(histories, items)
    from podium_models.bundle.vocabulary import Vocabulary

    return dataclasses.replace(
        data,
        attributes=Vocabulary(("even", "odd")),
        attribute_offsets=np.concatenate([[0, 0, 0], np.arange(1, items + 1)]),
        attribute_values=np.arange(items) % 2 + 2,
        dense=np.concatenate([np.zeros((2, 3)), random.normal(size=(items, 3))], dtype=np.float32),
    )


def config(*settings: str, recipe: str = "best") -> Config:
    """A tiny config."""
    return override(with_recipe(Config(), recipe), [*TINY, *settings])


@pytest.mark.parametrize(
    "settings",
    [
        ["train.loss=bce", "model.similarity=dot"],
        ["train.loss=full"],
        ["train.loss=sampled", "train.masked_epochs=2", "train.epochs=6"],
    ],
)
def test_every_loss_learns_what_follows(tmp_path, settings):
    data = cycles()
    wanted = config("model.dropout=0.1", "train.item_dropout=0", "train.average=0", *settings)
    wanted = override(wanted, ["train.epochs=30", "train.learning_rate=0.01", "train.patience=0"])
    assert train_one(tmp_path / "one", data, wanted) > 0.8


def test_a_stopped_run_goes_on_where_it_was(tmp_path):
    data = cycles()
    train_one(tmp_path / "whole", data, config())
    train_one(tmp_path / "cut", data, config("train.epochs=2"))
    train_one(tmp_path / "cut", data, config())
    whole, cut = (
        load_model(tmp_path / one, data, config()).state_dict() for one in ("whole", "cut")
    )
    assert all(torch.equal(whole[name], cut[name]) for name in whole)


def test_other_settings_do_not_go_on(tmp_path):
    train_one(tmp_path / "one", cycles(), config())
    with pytest.raises(ValueError, match=r"train\.learning_rate"):
        train_one(tmp_path / "one", cycles(), config("train.learning_rate=0.1"))


def test_settings_that_failed_at_once_are_in_nobodys_way(tmp_path):
    data = cycles()
    empty = dataclasses.replace(data, train_ends=data.offsets[:-1])
    with pytest.raises(ValueError, match="no user has two events"):
        train_one(tmp_path / "one", empty, Config())
    train_one(tmp_path / "one", data, config())


def test_two_processes_share_an_epoch_and_only_the_first_writes(tmp_path):
    save_interactions(cycles(), tmp_path / "prepared")
    write_config(tmp_path, "sequence", Config())
    launch = [sys.executable, "-m", "torch.distributed.run", "--standalone"]
    launch += ["--nproc-per-node", "2", "-m", "podium_models", "--"]
    settings = [part for one in TINY for part in ("--set", one)]
    command = [*launch, "train", "--run", str(tmp_path), *settings]
    done = subprocess.run(command, capture_output=True, text=True, timeout=240, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    assert done.stdout.count("graphs are in") == 1
    assert (tmp_path / "trained" / "best-1" / "graphs" / "ranker.onnx").is_file()
    done = subprocess.run(
        [*command, "--name", "few", "--set", "train.batch_size=60"],
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )
    assert done.returncode != 0
    assert "fewer batches than the 2 processes" in done.stderr


def test_patience_ends_a_run(tmp_path):
    wanted = config("train.learning_rate=0", "train.epochs=50", "train.patience=2")
    train_one(tmp_path / "one", cycles(), wanted)
    entries = json.loads((tmp_path / "one" / "history.json").read_text(encoding="utf-8"))
    assert len(entries) == 3 * wanted.train.validate_every


def test_a_student_follows_a_teacher(tmp_path):
    data = cycles()
    long = ["train.epochs=30", "train.learning_rate=0.01", "model.dropout=0.1"]
    train_one(tmp_path / "teacher", data, config(*long))
    student = config("model.layers=1", f"train.teacher={tmp_path / 'teacher'}", *long)
    assert train_one(tmp_path / "student", data, student) > 0.8


def test_train_evaluate_export(tmp_path):
    run, data = tmp_path / "shop", cycles()
    save_interactions(data, run / "prepared")
    write_config(run, "sequence", Config())
    train_run(run, data, config(), "best", [1, 2])
    results = evaluate_run(run, data, None, True)
    assert set(results) == {"popularity", "best-1", "best-2"}
    assert 0 <= results["best-1"]["all_items"]["ndcg@10"][0] <= 1
    bundles = Published(tmp_path / "models", "shop", 3)
    trained = best_trained(run, None)
    export(bundles, trained, data, whole=False)
    manifest = tomllib.loads((bundles.ranker_directory / "model.toml").read_text(encoding="utf-8"))
    assert manifest["encoder"] == {"name": "shop-encoder", "version": 3}
    golden = json.loads((bundles.encoder_directory / "golden.json").read_text(encoding="utf-8"))
    assert golden["cases"][0]["name"] == "unknown shopper"
    card = (bundles.ranker_directory / "MODEL_CARD.md").read_text(encoding="utf-8")
    assert "ndcg@10" in card
    with pytest.raises(FileNotFoundError, match="train"):
        best_trained(run, "other-1")


def test_what_cannot_be_measured_is_refused(tmp_path):
    run, data = tmp_path / "shop", cycles(items=8)
    train_run(run, data, config(), "best", [1])
    with pytest.raises(ValueError, match="leave out --sampled"):
        evaluate_run(run, data, None, True)
    untested = dataclasses.replace(data, validation_ends=data.offsets[1:])
    with pytest.raises(ValueError, match="no user has a test item"):
        evaluate_run(run, untested, None, False)


def test_an_empty_history_is_the_unknown_shopper(tmp_path):
    data = cycles()
    train_one(tmp_path / "one", data, config())
    model = load_model(tmp_path / "one", data, config())
    empty, mask = torch.zeros((1, 1), dtype=torch.int64), torch.zeros((1, 1))
    with torch.no_grad():
        nobody = model(empty, mask)[0]
    assert torch.allclose(nobody, model.normal(model.nobody))
    padded = model(torch.tensor([[3, 4, 0, 0]]), torch.tensor([[1.0, 1, 0, 0]]))
    assert torch.allclose(padded, model(torch.tensor([[3, 4]]), torch.ones((1, 2))), atol=1e-5)
