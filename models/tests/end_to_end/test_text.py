"""Takes made-up judgements to a served order, by a distilled bi-encoder and by a cross-encoder."""

from __future__ import annotations

import itertools
import json

import pytest
from served import podium, serving, train_models

NOUNS = ("headphones", "keyboard", "printer", "monitor", "charger", "speaker")
ADJECTIVES = ("wireless", "black", "compact", "gaming")
TINY = (
    "data.folds=2",
    "model.blocks=0,5",
    "model.ffn=64",
    "model.vocabulary=3000",
    "distil.epochs=1",
    "distil.learning_rate=0.001",
    "train.epochs=1",
)
LONG = "noise cancelling over ear " * 100


def write_shop(folder):
    """Writes products of eight kinds, and queries whose own kind is rated 3 and others 0."""
    names = [" ".join(pair) for pair in itertools.product(ADJECTIVES, NOUNS)]
    rows = [f"p{n:02},{name.title()} {n},Brand {n % 3}," for n, name in enumerate(names)]
    rows += ["p00,Repeated,,", ",No id,,", "p99,,No title,"]
    (folder / "products.csv").write_text("id,title,brand,text\n" + "\n".join(rows) + "\n")
    lines = []
    for place, noun in enumerate(NOUNS):
        for n, name in enumerate(names):
            if noun in name or ((n - place) % len(NOUNS) == 1 and n // len(NOUNS) % 2 == place % 2):
                lines.append(f"{noun},p{n:02},{3 if noun in name else 0}")
    lines += ["printer,unknown,3", ",p01,1"]
    (folder / "ratings.csv").write_text("query,product,grade\n" + "\n".join(lines) + "\n")


def prepare(folder, run, *settings):
    """Prepares a run of the shop's judgements."""
    train_models(
        *("prepare", "judgements", "--run", run, "--ratings", folder / "ratings.csv"),
        *("--products", folder / "products.csv", "--brand", "brand", "--description", "text"),
        *("--item-column", "product", "--rating-column", "grade"),
        *(part for one in (*TINY, *settings) for part in ("--set", one)),
    )
    train_models("train", "--run", run)


def write_candidates(folder, rows):
    """Writes candidates with titles and without brands."""
    path = folder / "candidates.csv"
    path.write_text("id,title\n" + "\n".join(f"{item},{title}" for item, title in rows) + "\n")
    return path


def rank(address, bundle, candidates, query="gaming keyboard"):
    """Returns what the command prints for a query."""
    target = ("--target", f"http://{address}", "--model", bundle)
    return podium("rank", *target, "--query", query, "--candidates", candidates)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Prepares and fine-tunes MiniLM in a directory with ``run`` and ``models``."""
    folder = tmp_path_factory.mktemp("text")
    write_shop(folder)
    prepare(folder, folder / "run", "model.bundle=tiny-search")
    return folder


def test_the_report_counts_what_was_dropped(folder):
    report = json.loads((folder / "run" / "report.json").read_text())
    assert report["products"] == len(NOUNS) * len(ADJECTIVES)
    assert report["products_repeated"] == 1
    assert report["products_without_id"] == 1
    assert report["products_without_title"] == 1
    assert report["ratings_of_unknown_products"] == 1
    assert report["ratings_without_query"] == 1


def test_a_student_is_served_as_it_was_measured(folder):
    run, models = folder / "run", folder / "models"
    for method in ("distil", "int8-dynamic"):
        train_models("compress", "--run", run, "--method", method, "--max-loss", "0.9")
    report = json.loads((run / "student" / "compression.json").read_text())
    assert report["after"]["size_bytes"] < report["before"]["size_bytes"] / 4
    train_models("evaluate", "--run", run)
    metrics = json.loads((run / "metrics.json").read_text())["metrics"]["title and brand"]
    assert metrics["teacher"]["ndcg@10"]["mean"] > 0.9
    assert metrics["int8 (shipped)"]["ndcg@10"]["mean"] > 0.3
    train_models("export", "--run", run, "--models", models)
    assert "of whoever trained" in (models / "tiny-search" / "1" / "MODEL_CARD.md").read_text()
    podium("check", models / "tiny-search" / "1")
    with serving(models, folder / "server.log") as address:
        train_models("evaluate", "--run", run, "--models", models, "--target", address)
        rows = [("a", "Gaming keyboard black"), ("b", LONG), ("c", "Кабель 耳机 🎧")]
        told = rank(address, "tiny-search", write_candidates(folder, rows))
        assert all(item in told for item, _ in rows)


def test_settings_of_fine_tuning_are_tuned(folder):
    run = folder / "run"
    (folder / "space.toml").write_text("[train]\nepochs = [1]\ntuned_blocks = [0, 1]\n")
    train_models("tune", "--run", run, "--space", folder / "space.toml", "--method", "grid")
    best = json.loads((run / "tune" / "best.json").read_text())
    assert best["value"] > 0.9


def test_a_cross_encoder_is_served_as_it_was_measured(folder):
    run, models = folder / "cross", folder / "cross-models"
    prepare(folder, run, "model.form=cross", "model.bundle=tiny-cross")
    train_models("compress", "--run", run, "--method", "int8-dynamic", "--max-loss", "0.9")
    train_models("evaluate", "--run", run)
    train_models("export", "--run", run, "--models", models)
    podium("check", models / "tiny-cross" / "1")
    with serving(models, folder / "cross.log") as address:
        train_models("evaluate", "--run", run, "--models", models, "--target", address)
        rows = [("a", "Gaming keyboard"), ("b", "Wireless router")]
        told = rank(address, "tiny-cross", write_candidates(folder, rows))
        assert "a" in told
        assert "b" in told
