"""Takes a made-up shop's own tables to a served order: prepare, train, evaluate, export, Rank."""

from __future__ import annotations

import datetime
import json

import numpy as np
import pytest
from served import podium, serving, train_models

SHOPPERS, ITEMS, WEEKS = 60, 40, 30
START = datetime.datetime(2023, 6, 1, 9, tzinfo=datetime.UTC)

TINY = (
    "data.min_purchases=2",
    "data.history_events=64",
    "data.own_candidates=10",
    "data.candidates=30",
    "model.width=16",
    "model.heads=2",
    "model.max_length=32",
    "train.epochs=3",
    "train.examples_per_epoch=800",
    "train.batch_size=32",
    "train.rows_per_example=20",
    "train.next_item_negatives=16",
    "train.threads=1",
)
BAD = (",sku-1,2023-07-01,1,1", "shopper-1,sku-1,never,1,1", "shopper-1,sku-1,2023-07-01,-1,1")


def write_shop(folder):
    """Writes shoppers who buy three of their own six favourites a week, and products."""
    random = np.random.default_rng(5)
    lines = list(BAD)
    for shopper in range(SHOPPERS):
        favourites = random.choice(ITEMS, 6, replace=False)
        for week in range(WEEKS):
            for item in random.choice(favourites, 3, replace=False):
                moment = START + datetime.timedelta(days=7 * week + int(random.integers(7)))
                lines.append(f"shopper-{shopper},sku-{item},{moment.isoformat()},1,{item + 1}")
    random.shuffle(lines)
    (folder / "purchases.csv").write_text("\n".join(["who,item,time,quantity,paid", *lines]) + "\n")
    rows = [f"sku-{n},Thing {n},Aisle {n % 4},Shelf {n % 8}" for n in range(ITEMS)]
    header = "item,name,department,category"
    (folder / "products.csv").write_text("\n".join([header, *rows]) + "\n")


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Prepares, trains, evaluates and exports in a directory with ``run`` and ``models``."""
    folder = tmp_path_factory.mktemp("ranker")
    write_shop(folder)
    tables = ("--purchases", folder / "purchases.csv", "--products", folder / "products.csv")
    words = ("--column", "purchases.user=who", "--name", "corner", "--things", "tools")
    settings = (part for one in TINY for part in ("--set", one))
    run = ("--run", folder / "run")
    train_models("prepare", "purchases", *tables, *words, *run, *settings)
    train_models("train", *run)
    train_models("evaluate", *run)
    train_models("export", *run, "--models", folder / "models")
    return folder


def test_the_report_counts_what_was_dropped(folder):
    report = json.loads((folder / "run" / "prepared" / "report.json").read_text())
    reasons = ("no_user", "no_item", "no_time", "quantity_not_positive", "duplicate_line")
    assert [report[f"dropped_{reason}"] for reason in reasons] == [1, 0, 1, 1, 0]
    assert report["purchase_lines"] == report["kept_lines"] + len(BAD)


def test_the_model_learns_who_buys_what(folder):
    metrics = json.loads((folder / "run" / "metrics.json").read_text())
    for name in ("ndcg@10", "auc"):
        found = {method: one[name]["mean"] for method, one in metrics["metrics"].items()}
        assert found["corner-ranker"] > found["popularity"] + 0.1, found
    for label in ("department", "category"):
        assert metrics["interest"][label]["auc"]["gain over popularity"]["mean"] > 0.0


def test_compressed_graphs_are_exported(folder):
    run, method = folder / "run", "int8-static"
    train_models("compress", "--run", run, "--method", method, "--max-loss", "0.1")
    given = ("export", "--run", run, "--models", folder / "small")
    train_models(*given, "--compressed", method)
    for bundle in sorted((folder / "small").glob("*/1")):
        podium("check", bundle)
        assert f"| {method} |" in (bundle / "MODEL_CARD.md").read_text()
    served = folder / "small" / "corner-ranker" / "1" / "model.onnx"
    compressed = run / f"graphs-{method}" / "ranker.onnx"
    assert served.read_bytes() == compressed.read_bytes()


def test_settings_are_tuned(folder):
    (folder / "space.toml").write_text("[train]\nepochs = [1]\n[model]\nstates = [2, 3]\n")
    train_models("tune", "--run", folder / "run", "--space", folder / "space.toml", "--trials", "1")
    assert json.loads((folder / "run" / "tune" / "best.json").read_text())["value"] > 0


def test_the_bundles_are_served_as_they_were_measured(folder):
    repository = folder / "models"
    for bundle in sorted(repository.glob("*/1")):
        podium("check", bundle)
    example = json.loads((repository / "corner-ranker" / "1" / "example.json").read_text())
    candidates = folder / "candidates.csv"
    candidates.write_text("id\n" + "\n".join(example["candidates"]["ids"]) + "\n")
    with serving(repository, folder / "server.log") as address:
        served = ("--models", repository, "--target", address)
        train_models("evaluate", "--run", folder / "run", *served)
        target = ("--target", f"http://{address}", "--model", "corner-ranker", "--json")
        asked = [
            podium("rank", *target, "--user", f"shopper-{one}", "--candidates", candidates)
            for one in (0, 1)
        ]
    orders = [[item["id"] for item in json.loads(one)["items"]] for one in asked]
    assert orders[0] != orders[1]
    heads = [one["name"] for one in json.loads(asked[0])["items"][0]["outputs"]]
    assert {"department_interest", "category_interest"} <= set(heads)
